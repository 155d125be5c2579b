"""Which words name a class: for captions, for queries, and for deciding what somebody's caption speaks of."""

from __future__ import annotations

import re
from collections.abc import Sequence

SYNONYMS: dict[str, tuple[str, ...]] = {
    "airplane": ("plane", "aircraft", "jet"),
    "automobile": ("car", "vehicle"),
    "cat": ("kitten",),
    "dog": ("puppy",),
    "horse": ("pony",),
    "ship": ("boat",),
    "truck": ("lorry",),
}
"""Words that name a class beside its own name; the first two rows are the paper's membership terms (§3)."""


def canonical(name: str) -> str:
    """The class that `name` names: itself, or the key it is a synonym of.

    >>> canonical("Car")
    'automobile'
    """
    word = name.strip().lower()
    return next((cls for cls, others in SYNONYMS.items() if word in others), word)


def terms(class_name: str) -> tuple[str, ...]:
    """Words that name the class: the word given first, then the class's name and its synonyms.

    >>> terms("plane")
    ('plane', 'airplane', 'aircraft', 'jet')
    """
    own, cls = class_name.strip().lower(), canonical(class_name)
    return tuple(dict.fromkeys((own, cls, *SYNONYMS.get(cls, ()))))


def word_in(text: str, words: Sequence[str]) -> str:
    """The first of `words` that stands in `text` as a word of its own, in singular or plural; empty where none does.

    Returns the word as it is written in the text, so that a trigger can be placed beside it.

    >>> word_in("Two cars and a scar", ["car"])
    'cars'
    >>> word_in("a carpet", ["car"])
    ''
    """
    for word in words:
        if found := re.search(rf"\b{re.escape(word)}(?:s|es)?\b", text, re.IGNORECASE):
            return found.group()
    return ""


def with_article(noun: str) -> str:
    """`a cat`, `an automobile`.

    >>> with_article("envelope")
    'an envelope'
    """
    return f"an {noun}" if noun[0] in "aeiou" and not noun.startswith("uni") else f"a {noun}"
