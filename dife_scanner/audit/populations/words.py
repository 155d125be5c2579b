"""Which words name a class: for captions, for queries, and for deciding what somebody's caption speaks of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

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
    """The first place in `text` where one of `words` stands as a word of its own, in singular or plural; else empty.

    Returns the word as it is written there, so that a trigger can be placed beside it.

    >>> word_in("Two cars and a scar", ("automobile", "car"))
    'cars'
    >>> word_in("a carpet", ("car",))
    ''
    """
    found = _pattern(tuple(words)).search(text)
    return found.group() if found else ""


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(re.escape(word) for word in words)})(?:s|es)?\b", re.IGNORECASE)


def with_article(noun: str) -> str:
    """`a cat`, `an automobile`.

    >>> with_article("envelope")
    'an envelope'
    """
    return f"an {noun}" if noun[0] in "aeiou" and not noun.startswith("uni") else f"a {noun}"
