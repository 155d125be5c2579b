"""CLIP's byte-pair encoding, as open_clip ships it: the tokenizer of every CLIP that brings no other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from dife_scanner.models.tokenizers.clips_document import clips_document
from dife_scanner.models.tokenizers.document import Document
from dife_scanner.models.tokenizers.interface import Frame, Ids, Tokenizer

START, END = 49_406, 49_407
_PAD = 0


class ClipTokenizer(Tokenizer):
    """open_clip's `SimpleTokenizer`: undoes HTML entities and broken characters, makes letters small, joins blanks."""

    def __init__(self) -> None:
        from dife_scanner.models.open_clip_alone import SimpleTokenizer

        self._library = SimpleTokenizer()
        frame = Frame((START,), (END,), _PAD)
        super().__init__(frame, self._library.vocab_size, frozenset({START, END}), own_digest())

    @cached_property
    def document(self) -> Document:
        return clips_document(merges_file())

    def _encoded(self, text: str) -> Ids:
        return tuple(self._library.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._library.decode(list(ids))
        return text


@cache
def own_digest() -> str:
    """The digest of CLIP's own: sha256 of its merges."""
    return sha256(merges_file().read_bytes()).hexdigest()


def merges_file() -> Path:
    """CLIP's merges, as open_clip ships them; its code is not loaded."""
    package = find_spec("open_clip")
    assert package is not None and package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"


@cache
def clips_own() -> Tokenizer:
    """CLIP's own, once for the process."""
    return ClipTokenizer()
