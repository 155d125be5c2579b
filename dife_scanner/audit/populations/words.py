"""Which words name a class: for captions, for queries, and for deciding what a caption names."""

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
"""Words that name a class, its own name apart; the first two rows are the paper's membership terms (§3)."""


def canonical(name: str) -> str:
    """The class that `name` names: itself, or the key it is a synonym of.

    >>> canonical("Car")
    'automobile'
    """
    word = name.strip().lower()
    for class_name, others in SYNONYMS.items():
        if word in others:
            return class_name
    return word


@lru_cache(maxsize=256)
def terms(class_name: str) -> tuple[str, ...]:
    """Words that name the class: the word given first, then the class's name and its synonyms.

    >>> terms("plane")
    ('plane', 'airplane', 'aircraft', 'jet')
    """
    own = class_name.strip().lower()
    canonical_name = canonical(class_name)
    synonyms = SYNONYMS.get(canonical_name, ())
    return tuple(dict.fromkeys((own, canonical_name, *synonyms)))


def word_in(text: str, words: Sequence[str]) -> str:
    """The first place in `text` where one of `words` stands as a word of its own, in singular or plural; else empty.

    Returns the word as it is written there, so that a trigger can be placed next to it.

    >>> word_in("Two cars and a scar", ("automobile", "car"))
    'cars'
    >>> word_in("a carpet", ("car",))
    ''
    """
    found = _pattern(tuple(words)).search(text)
    if found is None:
        return ""
    return found.group()


@lru_cache(maxsize=256)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    any_word = "|".join(map(re.escape, words))
    return re.compile(rf"\b(?:{any_word})(?:s|es)?\b", re.IGNORECASE)


def names_class(text: str, class_name: str) -> bool:
    """Whether a word of `text` names the class, in singular or plural.

    >>> names_class("two jets", "airplane"), names_class("a jetty", "airplane")
    (True, False)
    """
    return bool(word_in(text, terms(class_name)))


def with_article(noun: str) -> str:
    """`a cat`, `an automobile`.

    >>> with_article("envelope")
    'an envelope'
    """
    vowel = noun[0] in "aeiou" and not noun.startswith("uni")
    article = "an" if vowel else "a"
    return f"{article} {noun}"
