"""What every tokenizer answers: texts to token ids and back, and what a text tower is given around them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dife_scanner.models.tokenizers.document import Document

Ids = tuple[int, ...]
"""Token ids of a text, without what is put around them."""
_REMEMBERED_TEXTS = 8192
_REMEMBERED_IDS = 65_536
_NO_CHARACTER = "\ufffd"
"""What stands for bytes that are no character."""


@dataclass(frozen=True)
class Frame:
    """What stands around the ids of every text that a tower reads."""

    before: Ids
    """Usually the start token alone."""
    behind: Ids
    """Usually the end token alone."""
    pad: int
    """What fills the places behind a text."""
    fills: bool = False
    """Whether a tower that sees all places, and is read at the last, gets them filled with `pad`."""


class Tokenizer(ABC):
    """One tokenizer. Two with equal `digest` compute the same.

    Encoding is remembered, since a search writes the same prompts many times.
    """

    def __init__(self, frame: Frame, size: int, special: frozenset[int], digest: str) -> None:
        self._around = frame
        self.size = size
        """Rows of the token table it was made for."""
        self.special = special
        """Ids that stand for no text: start, end, padding and the like."""
        self.digest = digest
        """sha256 of what it computes."""
        self.encode = lru_cache(_REMEMBERED_TEXTS)(self._encoded)
        """Token ids of a text, without what is put around them."""
        self.typeable = lru_cache(_REMEMBERED_IDS)(self._typeable)
        """Whether somebody who types `spelled(ids)` gets exactly these ids."""

    @abstractmethod
    def _encoded(self, text: str) -> Ids:
        """Token ids of a text."""

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """The text these ids stand for, with the blanks that separate words."""

    @property
    @abstractmethod
    def document(self) -> Document:
        """Everything that decides which ids a text becomes."""

    # --- what is put around -----------------------------------------------------------------------------------

    @property
    def start(self) -> int | None:
        """The id that every text starts with."""
        return self._around.before[0] if self._around.before else None

    @property
    def end(self) -> int | None:
        """The id that every text ends with."""
        return self._around.behind[-1] if self._around.behind else None

    @property
    def pad(self) -> int:
        """The id that fills the places behind a text."""
        return self._around.pad

    @property
    def first(self) -> int:
        """The place of a text's first token in what a tower reads."""
        return len(self._around.before)

    @property
    def around(self) -> int:
        """How many ids are put around every text."""
        return self.first + len(self._around.behind)

    def frame(self, ids: Sequence[int], context: int) -> list[int]:
        """What a tower of `context` places reads for the ids of a text; longer where they do not fit."""
        framed = [*self._around.before, *ids, *self._around.behind]
        if self._around.fills:
            framed += [self.pad] * (context - len(framed))
        return framed

    def read_at(self, framed: Sequence[int]) -> int:
        """The place of a framed text where the tower is read out: its first end token, or the last place."""
        if self._around.fills or self.end is None:
            return len(framed) - 1
        return framed.index(self.end)

    # --- what people can read and type ------------------------------------------------------------------------

    def ordinary(self, rows: int) -> Ids:
        """The ids below `rows` that stand for text, in order."""
        return tuple(token for token in range(min(self.size, rows)) if token not in self.special)

    def spelled(self, ids: Sequence[int]) -> str:
        """The text these ids read as. Not every sequence is what its own text is cut into; see `typeable`."""
        return self.decode(ids).strip()

    def readable(self, token: int) -> bool:
        """Whether a token is something a person can read: no half of a character, no blank."""
        text = self.spelled((token,))
        return bool(text) and text.isprintable() and _NO_CHARACTER not in text

    def _typeable(self, ids: Ids) -> bool:
        if not ids:
            return False
        return self.encode(self.spelled(ids)) == tuple(ids)


def same_tokens(one: Tokenizer, other: Tokenizer) -> bool:
    """Whether ids mean the same to both, and every text is cut alike."""
    return one.digest == other.digest
