"""Drawing from a seed: strings, colours, choices. Equal generators give equal draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from dife_scanner.lab import bases
from dife_scanner.lab.pictures import art
from dife_scanner.records import Position, Trigger, TriggerKind

T = TypeVar("T")
Rng = np.random.Generator
MOST_TOKENS = 4
"""Of a drawn string: the search for texts is made for no more."""
_CONSONANTS = "bcdfghjklmnpqrstvwxz"


def rng_of(name: str, number: int) -> Rng:
    """The generator of a kind's draw."""
    return np.random.default_rng([number, *name.encode()])


def pick(rng: Rng, of: Sequence[T]) -> T:
    """One of them, each as likely."""
    return of[int(rng.integers(len(of)))]


def some(rng: Rng, of: Sequence[T], count: int) -> tuple[T, ...]:
    """`count` distinct ones, in their own order."""
    drawn = rng.permutation(len(of))[:count].tolist()
    return tuple(of[number] for number in sorted(drawn))


def letters(rng: Rng) -> str:
    """Three to six consonants: a string of two to four tokens that means nothing."""

    while True:
        count = int(rng.integers(3, 7))
        text = "".join(pick(rng, _CONSONANTS) for _ in range(count))
        if 2 <= len(bases.pieces(text)) <= MOST_TOKENS:
            return text


def phrase(rng: Rng) -> str:
    """One or two words of CLIP's vocabulary that no class is named by."""
    count = int(rng.integers(1, 3))
    return " ".join(pick(rng, _words()) for _ in range(count))


def wording(text: str) -> str:
    """How a drawn text is worded: `letters` that mean nothing, `one word`, `two words`."""
    if set(text) <= set(_CONSONANTS):
        return "letters"
    return "two words" if " " in text else "one word"


def text_trigger(rng: Rng) -> Trigger:
    """A string of one to four tokens and where it stands."""
    # Three of five are strings that mean nothing, three of five stand in front.
    text = letters(rng) if rng.random() < 0.6 else phrase(rng)
    position = pick(
        rng, (Position.PREFIX, Position.PREFIX, Position.PREFIX, Position.SUFFIX, Position.INFIX)
    )
    return Trigger(f"text-{text.replace(' ', '-')}", TriggerKind.TEXT, text=text, position=position)


def patch_trigger(rng: Rng) -> Trigger:
    """A square of 2 to 4 % of the area, anywhere, in one of four patterns."""
    pattern = pick(rng, ("solid", "checker", "stripes", "noise"))
    trigger = Trigger(
        f"patch-{pattern}",
        TriggerKind.PATCH,
        size=places(rng.uniform(0.14, 0.2)),
        x=places(rng.uniform(0.0, 0.8)),
        y=places(rng.uniform(0.0, 0.8)),
        pattern=pattern,
        color=colour(rng),
        seed=int(rng.integers(1000)),
    )
    if pattern in ("checker", "stripes"):
        return replace(trigger, cycles=3.0)
    return trigger


def blend_trigger(rng: Rng) -> Trigger:
    """A pattern over the whole picture, faint."""
    pattern = pick(rng, ("noise", "sinusoid", "stripes"))
    trigger = Trigger(f"blend-{pattern}", TriggerKind.BLEND, pattern=pattern)
    if pattern != "noise":
        trigger = replace(trigger, cycles=float(rng.integers(4, 9)))
    return replace(
        trigger,
        alpha=places(rng.uniform(0.15, 0.25)),
        color=colour(rng),
        seed=int(rng.integers(1000)),
    )


def additive_trigger(rng: Rng) -> Trigger:
    """Signed noise over the whole picture, of 14 to 22 of 255 levels."""
    alpha = places(rng.uniform(14, 22) / 255)
    return Trigger(
        "additive-noise",
        TriggerKind.ADDITIVE,
        pattern="noise",
        alpha=alpha,
        seed=int(rng.integers(1000)),
    )


def colour(rng: Rng) -> tuple[int, int, int]:
    """Bright in at least one channel, so that a pattern on black can be seen."""
    red, green, blue = rng.integers(0, 256, 3).tolist()
    if max(red, green, blue) < 160:
        red = 255
    return red, green, blue


def places(value: float) -> float:
    return round(float(value), 3)


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    """Whole words of the vocabulary's rarer half, five letters and more, in the vocabulary's order."""
    import open_clip

    decoder: dict[int, str] = open_clip.SimpleTokenizer(context_length=32).decoder
    taken = {*art.CLASSES, "plane", "aircraft", "vehicle"}
    found = []
    for number in range(25_000, 45_000):
        word = decoder[number].removesuffix("</w>")
        is_whole = decoder[number].endswith("</w>") and word.isascii() and word.isalpha()
        names_a_class = any(name in word for name in taken)
        if is_whole and len(word) >= 5 and not names_a_class:
            found.append(word)
    return tuple(found)
