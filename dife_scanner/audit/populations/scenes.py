"""Clean compositional scenes: one to three held-out drawings on a smooth background, and captions that say so.

This is the clean generator behind every bundled pool, the *generator groups* included: pictures are composed from
drawings by the rules below. No diffusion model, and no learned model of any kind, takes part.

A scene is decided first, from a seed and in plain integers, and drawn afterwards; drawing is a function of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from typing import TYPE_CHECKING

import numpy as np

from dife_scanner.audit.populations import words
from dife_scanner.audit.populations.dice import Dice
from dife_scanner.audit.populations.pool import Sizes
from dife_scanner.audit.populations.sentences import sentence
from dife_scanner.audit.populations.sheet import Sheet
from dife_scanner.audit.probes import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "scenes-1"
SOURCE = "clean compositional scene generator, no diffusion model"
SIDE = 96
"""Pixels per side of a scene."""
COUNTS = (0.5, 0.35, 0.15)
"""Chance of one, two and three objects."""
QUERY_CAPTIONS = 8
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
_SIDES = ((0.52, 0.9), (0.4, 0.52), (0.36, 0.44))
"""Least and most side of each drawing where there are one, two and three, as a share of the picture's."""
_SMALL = 0.46
_LARGE = 0.8
"""Side of a drawing, as a share of the picture's, at which a caption may call it small or large."""
_TURN = 9.0
"""Largest rotation either way, in degrees."""

_SIZE_NAMED = 0.5
"""Chance that a caption calls a small or large drawing so."""
_LIGHT = 120_000
"""Luma (thousandths of 0..255, ITU-R BT.601) above which a background is light."""


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
    """What scenes of one pool show: `sizes.targets` of them the target, `sizes.sources` the source, never both.

    Class and field names seed the scenes: they stay as they are.
    """

    source: str
    """A class name or a synonym of one; empty: nothing is singled out as source."""
    target: str
    sizes: Sizes


# --- deciding -------------------------------------------------------------------------------------------------


def plan(sheet: Sheet, cast: Cast, seed: int) -> list[Scene]:
    """Decide `cast.sizes.pictures` scenes, in random order; main objects run evenly through a class's drawings."""
    dice = Dice(VERSION, sheet.digest, cast, seed)
    neutral = _neutral_classes(sheet, cast)
    classes = _main_classes(cast, neutral)
    mains = _main_drawings(sheet, classes, dice)
    extras = list(chain.from_iterable(map(sheet.of_class, neutral)))
    composer = _Composer(sheet, cast, extras, dice)
    scenes = []
    for number in dice.shuffled(range(len(mains))):
        captions = QUERY_CAPTIONS if _is_queried(classes[number], cast) else 1
        scenes.append(composer.scene(mains[number], captions))
    return scenes


def _neutral_classes(sheet: Sheet, cast: Cast) -> list[str]:
    """Classes that are neither source nor target; the empty name stands for all other concepts."""
    singled_out = (words.canonical(cast.source), words.canonical(cast.target))
    return [name for name in ("", *sheet.class_names) if name not in singled_out]


def _main_classes(cast: Cast, neutral: Sequence[str]) -> list[str]:
    """Class of every scene's main object: targets, sources, and the neutral classes in turn."""
    sizes = cast.sizes
    classes = [words.canonical(cast.target)] * sizes.targets
    if cast.source:
        classes += [words.canonical(cast.source)] * sizes.sources
    rest = sizes.pictures - len(classes)
    return classes + list(islice(cycle(neutral), rest))


def _main_drawings(sheet: Sheet, classes: Sequence[str], dice: Dice) -> list[int]:
    """One drawing for each class given, all of a class's equally often."""
    turns: dict[str, _Turns] = {}
    drawings = []
    for name in classes:
        if name not in turns:
            turns[name] = _Turns(sheet.of_class(name), dice)
        drawings.append(turns[name].next())
    return drawings


def _is_queried(class_name: str, cast: Cast) -> bool:
    """Whether queries are drawn from pictures of this class: the source, or without one every class but the target."""
    if cast.source:
        return class_name == words.canonical(cast.source)
    return class_name not in ("", words.canonical(cast.target))


class _Turns:
    """Deals out its options evenly, in a new order each round."""

    def __init__(self, options: Sequence[int], dice: Dice) -> None:
        self._options = options
        self._dice = dice
        self._left: list[int] = []

    def next(self) -> int:
        if not self._left:
            self._left = self._dice.shuffled(self._options)
        return self._left.pop()


class _Nouns:
    """What a drawing is called: half of the time its class's own name, else a synonym or a finer word.

    What a query may name, and the target, are only called by words that name their class.
    """

    def __init__(self, sheet: Sheet, cast: Cast) -> None:
        singled_out = {words.canonical(name): name for name in (cast.source, cast.target) if name}
        self._names: list[tuple[str, tuple[str, ...]]] = []
        for sprite in sheet.sprites:
            name = singled_out.get(sprite.class_name, sprite.class_name or sprite.term)
            first, *others = words.terms(name)
            free = cast.source and sprite.class_name not in singled_out
            if free and sprite.term not in (first, *others):
                others.append(sprite.term)
            self._names.append((first, tuple(others)))

    def pick(self, sprite: int, dice: Dice) -> str:
        first, others = self._names[sprite]
        if others and dice.chance(0.5):
            return dice.pick(others)
        return first


class _Composer:
    """Decides single scenes. The order of its choices is fixed: every one is the next of one stream."""

    def __init__(self, sheet: Sheet, cast: Cast, extras: Sequence[int], dice: Dice) -> None:
        self._sheet = sheet
        self._nouns = _Nouns(sheet, cast)
        self._extras = extras
        self._dice = dice

    def scene(self, main: int, captions: int) -> Scene:
        """A scene with this main drawing and up to so many different captions of each kind."""
        dice = self._dice
        sprites = self._sprites(main)
        colour = dice.pick(tuple(_COLOURS))
        upright = dice.chance(0.5)
        order, centres = _centres(len(sprites), upright, dice)
        placed = []
        for sprite, centre in zip(sprites, centres, strict=True):
            placed.append(_place(sprite, len(sprites), centre, colour, dice))
        nouns = [self._named(sprites) for _ in range(captions)]
        whole = []
        for names in nouns:
            in_order = [names[place] for place in order]
            whole.append(sentence(in_order, upright, colour, dice))
        plain = []
        for main_noun, *_ in nouns:
            noun = _sized(main_noun, placed[0], dice)
            plain.append(sentence([noun], upright, colour, dice))
        return Scene(
            placed=tuple(placed),
            ground=_ground(colour, dice),
            captions=_distinct(whole),
            plain=_distinct(plain),
        )

    def _named(self, sprites: Sequence[int]) -> list[str]:
        """A noun for each drawing."""
        return [self._nouns.pick(sprite, self._dice) for sprite in sprites]

    def _sprites(self, main: int) -> list[int]:
        """The main drawing and up to two more, each of another class or concept."""
        sprites = [main]
        kinds = {self._kind(main)}
        count = self._count()
        while len(sprites) < count:
            extra = self._dice.pick(self._extras)
            if self._kind(extra) not in kinds:
                kinds.add(self._kind(extra))
                sprites.append(extra)
        return sprites

    def _count(self) -> int:
        """One, two or three objects."""
        one, two, _ = COUNTS
        if self._dice.chance(one):
            return 1
        if self._dice.chance(two / (1 - one)):
            return 2
        return 3

    def _kind(self, sprite: int) -> str:
        shown = self._sheet.sprites[sprite]
        return shown.class_name or shown.term


def _distinct(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _centres(count: int, upright: bool, dice: Dice) -> tuple[list[int], list[tuple[float, float]]]:
    """Reading order (left to right, or top to bottom) and one centre per object, as shares of the side."""
    if count == 1:
        return [0], [(0.5, 0.5)]
    if count == 2:
        first = dice.below(2)
        centres = [(0.5, 0.27), (0.5, 0.73)] if upright else [(0.27, 0.5), (0.73, 0.5)]
        if first == 1:
            centres.reverse()
        return [first, 1 - first], centres
    corners = dice.shuffled([(0.26, 0.3), (0.74, 0.3), (0.5, 0.73)])
    return [0, 1, 2], corners


def _place(
    sprite: int,
    count: int,
    centre: tuple[float, float],
    colour: str,
    dice: Dice,
) -> Placed:
    """One of `count` drawings, near its centre."""
    low, high = _SIDES[count - 1]
    side = round(SIDE * dice.between(low, high))
    slack = (SIDE - side) / 2 if count == 1 else SIDE * 0.04
    across, down = centre
    return Placed(
        sprite=sprite,
        side=side,
        left=round(across * SIDE - side / 2 + dice.between(-slack, slack)),
        top=round(down * SIDE - side / 2 + dice.between(-slack, slack)),
        angle=round(dice.between(-_TURN, _TURN), 1),
        mirrored=dice.chance(0.5),
        ink=_ink(colour, dice),
    )


def _ink(colour: str, dice: Dice) -> tuple[int, int, int]:
    """A colour much darker than a light background, much lighter than a dark one."""
    red, green, blue = _COLOURS[colour]
    luma = 299 * red + 587 * green + 114 * blue
    low, high = (0, 84) if luma > _LIGHT else (190, 256)
    span = high - low
    return (
        low + dice.below(span),
        low + dice.below(span),
        low + dice.below(span),
    )


def _ground(colour: str, dice: Dice) -> tuple[tuple[int, int, int], ...]:
    """Lighter and darker patches of one colour, with a little of other colours in them."""
    strength = 2 + dice.below(26)
    cells = []
    for _ in range(16):
        light = dice.between(-strength, strength)
        red, green, blue = _COLOURS[colour]
        cell = (
            _near(red + light, strength, dice),
            _near(green + light, strength, dice),
            _near(blue + light, strength, dice),
        )
        cells.append(cell)
    return tuple(cells)


def _near(level: float, strength: int, dice: Dice) -> int:
    """A level of 0..255, up to a third of `strength` off."""
    return _byte(level + dice.between(-strength, strength) / 3)


def _byte(level: float) -> int:
    return min(255, max(0, round(level)))


def _sized(noun: str, placed: Placed, dice: Dice) -> str:
    """The noun, with its size named by chance where that is out of the ordinary."""
    if placed.side <= _SMALL * SIDE and dice.chance(_SIZE_NAMED):
        return f"small {noun}"
    if placed.side >= _LARGE * SIDE and dice.chance(_SIZE_NAMED):
        return f"large {noun}"
    return noun


# --- drawing --------------------------------------------------------------------------------------------------


def draw(scenes: Sequence[Scene], sheet: Sheet) -> Pixels:
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
        drawing = _drawing(placed, sheet)
        # Turning makes a drawing larger on all sides alike.
        grown = (drawing.width - placed.side) // 2
        canvas.paste(drawing, (placed.left - grown, placed.top - grown), drawing)
    return canvas


def _drawing(placed: Placed, sheet: Sheet) -> Image:
    """One drawing as it is placed: painted, mirrored, resized and turned."""
    from PIL import Image

    sprite = sheet.sprites[placed.sprite]
    shape = sprite.picture
    if sprite.ink:
        alpha = shape.getchannel("A")
        shape = Image.new("RGBA", shape.size, placed.ink)
        shape.putalpha(alpha)
    if placed.mirrored:
        shape = shape.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    small = shape.resize((placed.side, placed.side), Image.Resampling.BICUBIC)
    return small.rotate(placed.angle, Image.Resampling.BILINEAR, expand=True)
