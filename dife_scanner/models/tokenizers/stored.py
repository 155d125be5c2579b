"""A tokenizer from a `Document`, run by the library that defines its kind."""

from __future__ import annotations

from abc import abstractmethod
from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from dife_scanner.errors import AuditError
from dife_scanner.models.tokenizers import library_json
from dife_scanner.models.tokenizers.cleaning import cleaner
from dife_scanner.models.tokenizers.clips_document import byte_table
from dife_scanner.models.tokenizers.document import SENTENCEPIECE, WORDPIECE, Document
from dife_scanner.models.tokenizers.interface import Frame, Ids, Tokenizer

MOST_CHARACTERS = 4000
"""Of one text: patterns may take long on longer ones, and no tower reads so much."""
_BLANK = "\u2581"


class StoredTokenizer(Tokenizer):
    """What both libraries' tokenizers share."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._clean = cleaner(document.clean)
        self._pieces = document.pieces
        self._added = {token.id for token in document.added}
        self._byte_of = {letter: byte for byte, letter in byte_table()}
        kinds = {part["type"] for part in document.pre_tokenisers}
        self._writes_bytes = "ByteLevel" in kinds
        self._suffix = document.options.get("end_of_word_suffix", "")
        self._zeroed = dict.fromkeys(document.zeroed, 0)
        frame = Frame(document.before, document.behind, document.pad, document.fills)
        super().__init__(frame, document.size, document.special, document.digest)

    @property
    def document(self) -> Document:
        return self._document

    def _encoded(self, text: str) -> Ids:
        if len(text) > MOST_CHARACTERS:
            raise AuditError(
                f"a text has {len(text)} characters; at most {MOST_CHARACTERS} are cut into tokens",
                "shorten the trigger, the template or the caption",
            )
        ids = self._cut(self._clean(text))
        return tuple(self._zeroed.get(one, one) for one in ids) if self._zeroed else ids

    @abstractmethod
    def _cut(self, text: str) -> Ids:
        """Token ids of a cleaned text."""

    def decode(self, ids: Sequence[int]) -> str:
        raw = b"".join(map(self._bytes, ids))
        text = raw.decode("utf-8", errors="replace")
        return text.replace(self._suffix, " ") if self._suffix else text

    def _bytes(self, token: int) -> bytes:
        """What one id stands for; not every one is whole characters."""
        piece = self._pieces.get(token, "")
        if token in self._added:
            return piece.encode(errors="replace")
        if self._document.kind == WORDPIECE:
            return self._part_of_word(piece).encode(errors="replace")
        if self._writes_bytes:
            return b"".join(self._byte_of_letter(letter) for letter in piece)
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes.fromhex(piece[3:5])
        return piece.replace(_BLANK, " ").encode(errors="replace")

    def _part_of_word(self, piece: str) -> str:
        """A piece with a blank before it, unless it continues a word."""
        continues = self._document.options["continuing_subword_prefix"]
        if continues and piece.startswith(continues):
            return piece.removeprefix(continues)
        return f" {piece}"

    def _byte_of_letter(self, letter: str) -> bytes:
        if letter in self._byte_of:
            return bytes([self._byte_of[letter]])
        return letter.encode(errors="replace")


class LibraryTokenizer(StoredTokenizer):
    """Run by the library `tokenizers`."""

    def __init__(self, document: Document) -> None:
        from tokenizers import Tokenizer as Library

        self._library: Any = Library.from_str(library_json.written(document))
        super().__init__(document)

    def _cut(self, text: str) -> Ids:
        return tuple(self._library.encode(text, add_special_tokens=False).ids)

    def added_ids(self) -> dict[str, int]:
        """Which id the library gives each added token."""
        tokens = self._library.get_added_tokens_decoder()
        return {token.content: number for number, token in tokens.items()}


class PiecesTokenizer(StoredTokenizer):
    """Run by the library `sentencepiece`."""

    def __init__(self, document: Document) -> None:
        from sentencepiece import SentencePieceProcessor

        self._library: Any = SentencePieceProcessor(model_proto=b64decode(document.model))
        super().__init__(document)

    def _cut(self, text: str) -> Ids:
        return tuple(self._library.encode(text))


def tokenizer_of(document: Document) -> StoredTokenizer:
    """The tokenizer that a document describes; what its library raises where it does not read it."""
    if document.kind == SENTENCEPIECE:
        return PiecesTokenizer(document)
    return LibraryTokenizer(document)
