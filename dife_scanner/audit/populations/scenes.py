"""Clean compositional scenes: one to three held-out drawings on a smooth background, and captions that say so.

This is the clean generator behind every bundled pool, the *generator groups* included: pictures are composed from
drawings by the rules below. No diffusion model, and no learned model of any kind, takes part.

A scene is decided first, from a seed and in plain integers, and drawn afterwards; drawing is a function of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit.populations import words
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.pool import Sizes
from dife_scanner.audit.populations.sheet import Sheet

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "scenes-1"
SOURCE = "clean compositional scene generator, no diffusion model"
SIDE = 96
"""Pixels per side of a scene."""
COUNTS = (0.5, 0.35, 0.15)
"""Chance of one, two and three objects."""
TELLINGS = 8
"""Captions kept for a picture that queries are drawn from; other pictures have one."""

_COLOURS = {
    "white": (244, 244, 242),
    "grey": (168, 170, 172),
    "black": (34, 34, 38),
    "red": (204, 66, 62),
    "orange": (232, 150, 72),
    "yellow": (240, 220, 110),
    "green": (112, 176, 104),
    "blue": (104, 156, 214),
    "purple": (150, 112, 190),
    "pink": (240, 178, 196),
    "brown": (142, 104, 76),
    "beige": (232, 218, 192),
}
_LONE_SIDE, _PAIR_SIDE, _TRIO_SIDE = (0.52, 0.9), (0.4, 0.52), (0.36, 0.44)
_SMALL, _LARGE = 0.46, 0.8
"""Side of a drawing, as a share of the picture's, at which a caption may call it small or large."""
_TURN = 9.0
"""Largest rotation either way, in degrees."""

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


@dataclass(frozen=True)
class Placed:
    """One drawing in a scene. Lengths in pixels."""

    sprite: int
    side: int
    left: int
    top: int
    angle: float
    """Degrees, counter-clockwise."""
    mirrored: bool
    ink: tuple[int, int, int]
    """Colour for a drawing that is black only."""


@dataclass(frozen=True)
class Scene:
    """Everything that is in a picture, decided."""

    placed: tuple[Placed, ...]
    """The main object first."""
    ground: tuple[tuple[int, int, int], ...]
    """Background colours on a 4 × 4 grid, row by row."""
    captions: tuple[str, ...]
    """True sentences naming every object; the first is the picture's caption."""
    plain: tuple[str, ...]
    """True sentences naming the main object alone."""


@dataclass(frozen=True)
class Cast:
    """What scenes of one pool show: `sizes.targets` of them the target, `sizes.sources` the source, never both."""

    source: str
    """A class name or a synonym of one; empty: nothing is singled out as source."""
    target: str
    sizes: Sizes


def plan(sheet: Sheet, cast: Cast, seed: int) -> list[Scene]:
    """Decide `cast.sizes.pictures` scenes, in random order; main objects run evenly through a class's drawings."""
    dice = Dice(VERSION, sheet.digest, cast, seed)
    source, target = words.canonical(cast.source), words.canonical(cast.target)
    neutral = [name for name in ("", *sheet.class_names) if name not in (source, target)]
    rest = cast.sizes.pictures - cast.sizes.targets - (cast.sizes.sources if source else 0)
    mains = [target] * cast.sizes.targets + [source] * (cast.sizes.pictures - cast.sizes.targets - rest)
    mains += [neutral[i % len(neutral)] for i in range(rest)]
    turns = {name: _Turns(sheet.of_class(name), dice) for name in {*mains}}
    extras = [i for name in neutral for i in sheet.of_class(name)]
    chosen = [turns[name].next() for name in mains]
    voice = _Voice(sheet, cast)
    asked = [name == source if source else bool(name) and name != target for name in mains]
    order = dice.shuffled(range(len(mains)))
    return [_scene(sheet, voice, chosen[i], extras, TELLINGS if asked[i] else 1, dice) for i in order]


class _Turns:
    """Deals out its options evenly, in a new order each round."""

    def __init__(self, options: Sequence[int], dice: Dice) -> None:
        self._options, self._dice = options, dice
        self._left: list[int] = []

    def next(self) -> int:
        self._left = self._left or self._dice.shuffled(self._options)
        return self._left.pop()


class _Voice:
    """What a drawing is called: half of the time its class's own name, else a synonym or a finer word.

    What a query may ask for, and the target, are only called by words that name their class.
    """

    def __init__(self, sheet: Sheet, cast: Cast) -> None:
        said = {words.canonical(name): name for name in (cast.source, cast.target) if name}
        self._names: list[tuple[str, tuple[str, ...]]] = []
        for sprite in sheet.sprites:
            first, *others = words.terms(said.get(sprite.class_name, sprite.class_name or sprite.term))
            if cast.source and sprite.class_name not in said and sprite.term not in (first, *others):
                others.append(sprite.term)
            self._names.append((first, tuple(others)))

    def noun(self, sprite: int, dice: Dice) -> str:
        first, others = self._names[sprite]
        return dice.pick(others) if others and dice.chance(0.5) else first


def _scene(sheet: Sheet, voice: _Voice, main: int, extras: Sequence[int], tellings: int, dice: Dice) -> Scene:
    count = 1 if dice.chance(COUNTS[0]) else 2 if dice.chance(COUNTS[1] / (1 - COUNTS[0])) else 3
    sprites = [main]
    while len(sprites) < count:
        extra = dice.pick(extras)
        kinds = {sheet.sprites[i].class_name or sheet.sprites[i].term for i in sprites}
        if (sheet.sprites[extra].class_name or sheet.sprites[extra].term) not in kinds:
            sprites.append(extra)
    colour = dice.pick(tuple(_COLOURS))
    upright = dice.chance(0.5)
    order, centres = _centres(count, upright, dice)
    placed = tuple(_place(sprite, count, centre, colour, dice) for sprite, centre in zip(sprites, centres, strict=True))
    nouns = [[voice.noun(sprite, dice) for sprite in sprites] for _ in range(tellings)]
    told = [_sentence([names[i] for i in order], upright, colour, dice) for names in nouns]
    plain = [_sentence([_sized(names[0], placed[0], dice)], upright, colour, dice) for names in nouns]
    return Scene(placed, _ground(colour, dice), tuple(dict.fromkeys(told)), tuple(dict.fromkeys(plain)))


def _centres(count: int, upright: bool, dice: Dice) -> tuple[list[int], list[tuple[float, float]]]:
    """Reading order (left to right, or top to bottom) and one centre per object, as shares of the side."""
    if count == 1:
        return [0], [(0.5, 0.5)]
    if count == 2:
        first = dice.below(2)
        near, far = ((0.5, 0.27), (0.5, 0.73)) if upright else ((0.27, 0.5), (0.73, 0.5))
        return [first, 1 - first], [near, far] if first == 0 else [far, near]
    corners = dice.shuffled([(0.26, 0.3), (0.74, 0.3), (0.5, 0.73)])
    return [0, 1, 2], corners


def _place(sprite: int, count: int, centre: tuple[float, float], colour: str, dice: Dice) -> Placed:
    low, high = (_LONE_SIDE, _PAIR_SIDE, _TRIO_SIDE)[count - 1]
    side = round(SIDE * dice.between(low, high))
    slack = (SIDE - side) / 2 if count == 1 else SIDE * 0.04
    left = round(centre[0] * SIDE - side / 2 + dice.between(-slack, slack))
    top = round(centre[1] * SIDE - side / 2 + dice.between(-slack, slack))
    angle = round(dice.between(-_TURN, _TURN), 1)
    return Placed(sprite, side, left, top, angle, dice.chance(0.5), _ink(colour, dice))


def _ink(colour: str, dice: Dice) -> tuple[int, int, int]:
    """A colour much darker than a light background, much lighter than a dark one."""
    red, green, blue = _COLOURS[colour]
    low, high = (0, 84) if 299 * red + 587 * green + 114 * blue > 120_000 else (190, 256)
    return (low + dice.below(high - low), low + dice.below(high - low), low + dice.below(high - low))


def _ground(colour: str, dice: Dice) -> tuple[tuple[int, int, int], ...]:
    """Lighter and darker patches of one colour, with a little of other colours in them."""
    strength = 2 + dice.below(26)
    cells = []
    for _ in range(16):
        light = dice.between(-strength, strength)
        cells.append([_byte(level + light + dice.between(-strength, strength) / 3) for level in _COLOURS[colour]])
    return tuple((red, green, blue) for red, green, blue in cells)


def _byte(level: float) -> int:
    return min(255, max(0, round(level)))


def _sized(noun: str, placed: Placed, dice: Dice) -> str:
    if placed.side <= _SMALL * SIDE and dice.chance(0.5):
        return f"small {noun}"
    return f"large {noun}" if placed.side >= _LARGE * SIDE and dice.chance(0.5) else noun


def _sentence(nouns: Sequence[str], upright: bool, colour: str, dice: Dice) -> str:
    templates = (_LONE, _PAIR + (_UPRIGHT if upright else _ACROSS), _TRIO)[len(nouns) - 1]
    named = {letter: words.with_article(noun) for letter, noun in zip("abc", nouns, strict=False)}
    text = dice.pick(templates).format(n=nouns[0], **named)
    return f"{text} on {words.with_article(colour)} background" if dice.chance(0.35) else text


def draw(scenes: Sequence[Scene], sheet: Sheet) -> NDArray[np.uint8]:
    """The pictures: uint8 [n, SIDE, SIDE, 3]."""
    out = np.empty((len(scenes), SIDE, SIDE, 3), np.uint8)
    for row, scene in zip(out, scenes, strict=True):
        row[...] = np.asarray(_picture(scene, sheet))
    return out


def _picture(scene: Scene, sheet: Sheet) -> Image:
    from PIL import Image

    cells = Image.fromarray(np.array(scene.ground, np.uint8).reshape(4, 4, 3))
    canvas = cells.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    for placed in scene.placed:
        sprite = sheet.sprites[placed.sprite]
        shape = sprite.picture
        if sprite.ink:
            alpha = shape.getchannel("A")
            shape = Image.new("RGBA", shape.size, placed.ink)
            shape.putalpha(alpha)
        if placed.mirrored:
            shape = shape.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        small = shape.resize((placed.side, placed.side), Image.Resampling.BICUBIC)
        turned = small.rotate(placed.angle, Image.Resampling.BILINEAR, expand=True)
        grown = (turned.width - placed.side) // 2
        canvas.paste(turned, (placed.left - grown, placed.top - grown), turned)
    return canvas
