"""Captions of a composed scene: true sentences that name its objects, and sometimes its background."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.audit.populations import words
from dife_scanner.audit.populations.dice import Dice

_GROUND_NAMED = 0.35
"""Chance that a caption names the background's colour."""

_LONE = (
    "{a}",
    "the {n}",
    "one {n}",
    "a single {n}",
    "{a} by itself",
    "this is {a}",
    "a photo of {a}",
    "a photo of the {n}",
    "a photo of one {n}",
    "a good photo of {a}",
    "a close-up of {a}",
    "an image of {a}",
    "a picture of {a}",
    "a picture of the {n}",
    "a small picture of {a}",
    "a picture with {a} in it",
    "a drawing of {a}",
    "a cartoon of {a}",
    "a cartoon {n}",
    "an illustration of {a}",
    "clip art of {a}",
    "an icon of {a}",
    "there is {a} in the picture",
    "we can see {a} here",
)
_PAIR = (
    "{a} and {b}",
    "a photo of {a} and {b}",
    "an image of {a} and {b}",
    "a drawing of {a} and {b}",
    "{a} next to {b}",
    "{a} beside {b}",
    "{a} with {b}",
    "a picture of {a} beside {b}",
    "a photo of {a} near {b}",
    "there is {a} next to {b}",
)
_ACROSS = ("{a} to the left of {b}", "{b} to the right of {a}")
_UPRIGHT = ("{a} above {b}", "{b} below {a}")
_TRIO = (
    "{a}, {b} and {c}",
    "a photo of {a}, {b} and {c}",
    "an image of {a}, {b} and {c}",
    "a picture of {a} with {b} and {c}",
    "{a} next to {b} and {c}",
    "there is {a} with {b} and {c}",
)


def sentence(nouns: Sequence[str], upright: bool, colour: str, dice: Dice) -> str:
    """A true sentence that names one to three objects, given in reading order."""
    text = dice.pick(_templates(len(nouns), upright))
    named = dict(zip("abc", map(words.with_article, nouns), strict=False))
    text = text.format(n=nouns[0], **named)
    if dice.chance(_GROUND_NAMED):
        return f"{text} on {words.with_article(colour)} background"
    return text


def _templates(count: int, upright: bool) -> tuple[str, ...]:
    """Sentences for so many objects; `a`, `b`, `c` are these with their articles, `n` is the first without."""
    if count == 1:
        return _LONE
    if count == 3:
        return _TRIO
    return _PAIR + (_UPRIGHT if upright else _ACROSS)
