"""A tokenizer as one document: everything that decides which ids a text becomes, and nothing else.

It is what an audit loads and what a tower's identity is computed from. Standard library only: this runs in the limited
child.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from hashlib import sha256
from typing import Any

from dife_scanner.models.tokenizers.parts import Part

_HASH_START = b"dife tokenizer 1\n"
"""What a digest is of, and its version."""

BPE, UNIGRAM, SENTENCEPIECE, WORDPIECE = "bpe", "unigram", "sentencepiece", "wordpiece"
WITH_IDS = frozenset({BPE, WORDPIECE})
"""Kinds whose vocabulary gives each piece an id; those of the others give it a score."""


@dataclass(frozen=True)
class AddedToken:
    """A text that becomes one id wherever it stands, before anything else is cut."""

    id: int
    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool = False
    special: bool = False


@dataclass(frozen=True)
class Document:
    """One tokenizer. Which of the fields count depends on `kind`."""

    kind: str
    """`sentencepiece` is run by the library of that name, the others by the library `tokenizers`."""
    before: tuple[int, ...] = ()
    """Ids before every text …"""
    behind: tuple[int, ...] = ()
    """… and behind it."""
    pad: int = 0
    fills: bool = False
    """Whether the places behind a text are filled with `pad`."""
    clean: str = ""
    """What is done to a text before all else; see `cleaning`."""
    added: tuple[AddedToken, ...] = ()
    normalisers: tuple[Part, ...] = ()
    pre_tokenisers: tuple[Part, ...] = ()
    options: Part = field(default_factory=dict)
    """Of the model: the unknown token, marks of words, fallback to bytes."""
    vocabulary: tuple[tuple[str, float], ...] = ()
    """(piece, its id) of `WITH_IDS`, in the order of the ids; else (piece, its score), and its place is its id."""
    merges: tuple[tuple[str, str], ...] = ()
    model: str = ""
    """The file of `sentencepiece`, in base64."""
    unspoken: tuple[int, ...] = ()
    """Its control and unknown pieces."""
    zeroed: tuple[int, ...] = ()
    """Ids that a tower reads as 0, whether they stand around a text or in it."""

    @cached_property
    def pieces(self) -> dict[int, str]:
        """What each id is written as."""
        if self.kind in WITH_IDS:
            found = {int(number): piece for piece, number in self.vocabulary}
        else:
            found = {number: piece for number, (piece, _) in enumerate(self.vocabulary)}
        return found | {token.id: token.content for token in self.added}

    @property
    def size(self) -> int:
        """Rows of the token table that it needs."""
        return max(self.pieces, default=-1) + 1

    @property
    def special(self) -> frozenset[int]:
        """Ids that stand for no text: what is put around texts, and markers in brackets."""
        markers = {token.id for token in self.added if token.special and is_marker(token.content)}
        around = {*self.before, *self.behind}
        return frozenset({*around, *self.unspoken, *self.zeroed, *markers})

    def as_bytes(self) -> bytes:
        """For a file; `from_bytes` is its inverse."""
        body = {one.name: getattr(self, one.name) for one in fields(self)}
        body["added"] = [vars(token) for token in self.added]
        if not self.zeroed:
            del body["zeroed"]  # so that digests stay what they were before there was any
        return json.dumps(body, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Document:
        """From a file that this program wrote."""
        body: dict[str, Any] = json.loads(raw)
        added = tuple(AddedToken(**token) for token in body.pop("added"))
        for name in ("vocabulary", "merges"):
            body[name] = tuple(map(tuple, body[name]))
        for name, value in body.items():
            if isinstance(value, list):
                body[name] = tuple(value)
        return cls(**body, added=added)

    @property
    def digest(self) -> str:
        """sha256 of what it computes."""
        return digest_of(self.as_bytes())


def digest_of(document: bytes) -> str:
    """The digest of a document from what it is written as."""
    return sha256(_HASH_START + document).hexdigest()


def is_marker(content: str) -> bool:
    """Whether a token is written as nothing that people write, as `<pad>` and `[CLS]` are."""
    return content[:1] + content[-1:] in ("<>", "[]")
