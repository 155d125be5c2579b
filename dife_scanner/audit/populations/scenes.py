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
from dife_scanner.audit.populations.placement import (
    COLOURS,
    GRID,
    SIDE,
    Placed,
    centres,
    ground,
    place,
)
from dife_scanner.audit.populations.sentences import sentence
from dife_scanner.audit.populations.sheet import Sheet
from dife_scanner.audit.probes import Pixels
from dife_scanner.core import canonical, frozen_repr
from dife_scanner.core.budgets import Sizes
from dife_scanner.core.frozen_repr import Forms, RecordForm

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "scenes-1"
SOURCE = "clean compositional scene generator, no diffusion model"
COUNTS = (0.5, 0.35, 0.15)
"""Chance of one, two and three objects."""
QUERY_CAPTIONS = 8
"""Captions kept for a picture that queries are drawn from; other pictures have one."""
_SMALL = 0.46
_LARGE = 0.8
"""Side of a drawing, as a share of the picture's, at which a caption may call it small or large."""
_SIZE_NAMED = 0.5
"""Chance that a caption calls a small or large drawing so."""


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


_FORMS: Forms = {
    Cast: RecordForm("Cast", ("source", "target", "sizes")),
    Sizes: RecordForm("Sizes", ("pictures", "targets", "sources", "counts")),
}
"""What seeds the scenes of a pool, as it was when pools were first drawn. Not to be edited."""


def _seed_text(cast: Cast) -> str:
    """All that a cast holds, in the words of its first form where that form can say it."""
    try:
        return frozen_repr.text(cast, _FORMS)
    except frozen_repr.Newer:
        return canonical.text(cast)


# --- deciding -------------------------------------------------------------------------------------------------


def plan(sheet: Sheet, cast: Cast, seed: int) -> list[Scene]:
    """Decide `cast.sizes.pictures` scenes, in random order; main objects run evenly through a class's drawings."""
    dice = Dice(VERSION, sheet.digest, _seed_text(cast), seed)
    # Neither source nor target may stand next to a main object: captions would then name both.
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
    singled_out = (
        words.canonical(cast.source),
        words.canonical(cast.target),
    )
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
        colour = dice.pick(tuple(COLOURS))
        upright = dice.chance(0.5)
        order, middles = centres(len(sprites), upright, dice)
        placed = []
        for sprite, middle in zip(sprites, middles, strict=True):
            placed.append(place(sprite, len(sprites), middle, colour, dice))
        # All nouns are picked before any sentence: both kinds of captions name the main object by the same words.
        nouns = [self._named(sprites) for _ in range(captions)]
        # The stream is drawn from in this order.
        return Scene(
            captions=self._captions(nouns, order, upright, colour),
            plain=self._plain(nouns, placed[0], upright, colour),
            placed=tuple(placed),
            ground=ground(colour, dice),
        )

    def _captions(
        self,
        nouns: Sequence[Sequence[str]],
        order: Sequence[int],
        upright: bool,
        colour: str,
    ) -> tuple[str, ...]:
        """Different sentences that name every object, in reading order."""
        texts = {}
        for names in nouns:
            in_order = [names[place] for place in order]
            texts[sentence(in_order, upright, colour, self._dice)] = True
        return tuple(texts)

    def _plain(
        self,
        nouns: Sequence[Sequence[str]],
        main: Placed,
        upright: bool,
        colour: str,
    ) -> tuple[str, ...]:
        """Different sentences that name the main object alone."""
        texts = {}
        for names in nouns:
            noun = _sized(names[0], main, self._dice)
            texts[sentence([noun], upright, colour, self._dice)] = True
        return tuple(texts)

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
            # Two drawings of one kind would make a caption ambiguous.
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


def _sized(noun: str, placed: Placed, dice: Dice) -> str:
    """The noun, with its size named by chance where that is out of the ordinary."""
    # `dice` is only thrown where the size is out of the ordinary.
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

    cells = Image.fromarray(np.array(scene.ground, np.uint8).reshape(GRID, GRID, 3))
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
        shape = _painted(shape, placed.ink)
    if placed.mirrored:
        shape = shape.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    small = shape.resize((placed.side, placed.side), Image.Resampling.BICUBIC)
    return small.rotate(placed.angle, Image.Resampling.BILINEAR, expand=True)


def _painted(shape: Image, ink: tuple[int, int, int]) -> Image:
    """The same outline in one colour."""
    from PIL import Image

    painted = Image.new("RGBA", shape.size, ink)
    painted.putalpha(shape.getchannel("A"))
    return painted
