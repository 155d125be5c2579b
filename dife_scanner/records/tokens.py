"""The tokens that a checkpoint reads in the place of a text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Token:
    """One piece of a text, as the checkpoint's own tokenizer has it."""

    id: int
    text: str
    """What it stands for, with the blank that separates words. A stranger's vocabulary may hold anything."""


@dataclass(frozen=True)
class Tokens:
    """A text and the pieces into which it is cut, without what is put around every text."""

    text: str
    count: int
    first: tuple[Token, ...]
    """At most the first 40."""
