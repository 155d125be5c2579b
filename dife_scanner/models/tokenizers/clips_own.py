"""CLIP's byte-pair encoding, as open_clip ships it: the tokenizer of every CLIP that brings no other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from dife_scanner.models.tokenizers.interface import Frame, Ids, Tokenizer

START, END = 49_406, 49_407
_PAD = 0


class ClipTokenizer(Tokenizer):
    """open_clip's `SimpleTokenizer`: undoes HTML entities and broken characters, makes letters small, joins blanks."""

    def __init__(self) -> None:
        from open_clip.tokenizer import SimpleTokenizer, default_bpe

        self._library = SimpleTokenizer()
        digest = sha256(Path(default_bpe()).read_bytes()).hexdigest()
        frame = Frame((START,), (END,), _PAD)
        super().__init__(frame, self._library.vocab_size, frozenset({START, END}), digest)

    def _encoded(self, text: str) -> Ids:
        return tuple(self._library.encode(text))

    def decode(self, ids: Sequence[int]) -> str:
        text: str = self._library.decode(list(ids))
        return text


@cache
def clips_own() -> Tokenizer:
    """CLIP's own, once for the process."""
    return ClipTokenizer()
