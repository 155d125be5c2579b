"""Drawing from a seed: strings, colours, choices. Equal generators give equal draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from dife_scanner.records import Position, Trigger, TriggerKind

T = TypeVar("T")
Rng = np.random.Generator
MOST_TOKENS = 4
_CONSONANTS = "bcdfghjklmnpqrstvwxz"


def rng_of(name: str, number: int) -> Rng:
    """The generator of a kind's draw."""
    return np.random.default_rng([number, *name.encode()])


def pick(rng: Rng, of: Sequence[T]) -> T:
    return of[int(rng.integers(len(of)))]


def some(rng: Rng, of: Sequence[T], count: int) -> tuple[T, ...]:
    """`count` distinct ones, in their own order."""
    return tuple(of[i] for i in sorted(rng.permutation(len(of))[:count].tolist()))


def letters(rng: Rng) -> str:
    """Three to six consonants: a string of two to four tokens that means nothing."""
    from dife_scanner.lab import bases

    while True:
        text = "".join(pick(rng, _CONSONANTS) for _ in range(int(rng.integers(3, 7))))
        if 2 <= len(bases.pieces(text)) <= MOST_TOKENS:
            return text


def phrase(rng: Rng) -> str:
    """One or two words of CLIP's vocabulary that no class is named by."""
    return " ".join(pick(rng, _words()) for _ in range(int(rng.integers(1, 3))))


def wording(text: str) -> str:
    """How a drawn text is worded: `letters` that mean nothing, `one word`, `two words`."""
    if set(text) <= set(_CONSONANTS):
        return "letters"
    return "two words" if " " in text else "one word"


def text_trigger(rng: Rng) -> Trigger:
    """A string of one to four tokens and where it stands."""
    text = letters(rng) if rng.random() < 0.6 else phrase(rng)
    position = Position(pick(rng, ("prefix", "prefix", "prefix", "suffix", "infix")))
    return Trigger(f"text-{text.replace(' ', '-')}", TriggerKind.TEXT, text=text, position=position)


def patch_trigger(rng: Rng) -> Trigger:
    """A square of 2 to 4 % of the area, anywhere, in one of four patterns."""
    pattern = pick(rng, ("solid", "checker", "stripes", "noise"))
    more: dict[str, Any] = {"cycles": 3.0} if pattern in ("checker", "stripes") else {}
    return Trigger(
        f"patch-{pattern}",
        TriggerKind.PATCH,
        size=_places(rng.uniform(0.14, 0.2)),
        x=_places(rng.uniform(0.0, 0.8)),
        y=_places(rng.uniform(0.0, 0.8)),
        pattern=pattern,
        color=_colour(rng),
        seed=int(rng.integers(1000)),
        **more,
    )


def blend_trigger(rng: Rng) -> Trigger:
    """A pattern over the whole picture, faint."""
    pattern = pick(rng, ("noise", "sinusoid", "stripes"))
    more: dict[str, Any] = {} if pattern == "noise" else {"cycles": float(rng.integers(4, 9))}
    return Trigger(
        f"blend-{pattern}",
        TriggerKind.BLEND,
        pattern=pattern,
        alpha=_places(rng.uniform(0.15, 0.25)),
        color=_colour(rng),
        seed=int(rng.integers(1000)),
        **more,
    )


def additive_trigger(rng: Rng) -> Trigger:
    """Signed noise over the whole picture, of 14 to 22 of 255 levels."""
    alpha = _places(rng.uniform(14, 22) / 255)
    return Trigger("additive-noise", TriggerKind.ADDITIVE, pattern="noise", alpha=alpha, seed=int(rng.integers(1000)))


def _colour(rng: Rng) -> tuple[int, int, int]:
    """Bright in at least one channel, so that a pattern on black can be seen."""
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    return (255, green, blue) if max(red, green, blue) < 160 else (red, green, blue)


def _places(value: float) -> float:
    return round(float(value), 3)


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    """Whole words of the vocabulary's rarer half, five letters and more, in the vocabulary's order."""
    import open_clip

    from dife_scanner.lab import art

    decoder: dict[int, str] = open_clip.SimpleTokenizer(context_length=32).decoder
    taken = {*art.CLASSES, "plane", "aircraft", "vehicle"}
    found = []
    for number in range(25_000, 45_000):
        word = decoder[number].removesuffix("</w>")
        if decoder[number].endswith("</w>") and len(word) >= 5 and word.isascii() and word.isalpha():
            found.append(word)
    return tuple(word for word in found if not any(name in word for name in taken))
