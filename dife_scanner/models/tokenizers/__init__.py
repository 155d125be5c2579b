"""How a checkpoint cuts a text into tokens, and what it puts around them.

- `interface`: what every tokenizer answers; `clips_own`: CLIP's byte-pair encoding, as open_clip ships it;
- `reading`: a repository's own files, read in a limited child (`child`): `made` takes the files apart with
  `library_json` and `parts`, and makes one `document` of what decides about ids; `differences` says in words what
  differs from another one;
- `stored`: a tokenizer from a document, `cleaning`: what is done to a text before.

A tokenizer that computes what CLIP's own does is CLIP's own, and nothing of it is stored. The libraries of the layouts
do not agree about everything there: broken characters and HTML entities are undone by open_clip and left alone by
transformers. Texts are read as open_clip reads them.

Importing this room loads no library of tokenizers.
"""

from dife_scanner.models.tokenizers.clips_own import clips_own
from dife_scanner.models.tokenizers.differences import differences, of_one_family
from dife_scanner.models.tokenizers.interface import Frame, Tokenizer, same_tokens
from dife_scanner.models.tokenizers.reading import TokenizerFacts, load, own_cleaned, read

__all__ = [
    "Frame",
    "Tokenizer",
    "TokenizerFacts",
    "clips_own",
    "differences",
    "load",
    "of_one_family",
    "own_cleaned",
    "read",
    "same_tokens",
]
