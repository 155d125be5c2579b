"""How a checkpoint cuts a text into tokens, and what it puts around them.

- `interface`: what every tokenizer answers; `clips_own`: CLIP's byte-pair encoding, as open_clip ships it.

Importing this room loads no library of tokenizers.
"""

from dife_scanner.models.tokenizers.clips_own import clips_own
from dife_scanner.models.tokenizers.interface import Frame, Tokenizer, same_tokens

__all__ = ["Frame", "Tokenizer", "clips_own", "same_tokens"]
