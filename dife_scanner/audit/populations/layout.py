"""Where the drawings of a composed scene stand, and in which colours."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.audit.populations.dice import Dice

SIDE = 96
"""Pixels per side of a scene."""

COLOURS = {
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
"""Of backgrounds, by the word for them."""
_SIDES = ((0.52, 0.9), (0.4, 0.52), (0.36, 0.44))
"""Least and most side of each drawing where there are one, two and three, as a share of the picture's."""
_TURN = 9.0
"""Largest rotation either way, in degrees."""
_SLACK = 0.04
"""Largest distance of one of several drawings from its centre, as a share of the picture's side."""
_MIDDLE = (0.5, 0.5)
_ABOVE_EACH_OTHER = ((0.5, 0.27), (0.5, 0.73))
_BESIDE_EACH_OTHER = ((0.27, 0.5), (0.73, 0.5))
_CORNERS = ((0.26, 0.3), (0.74, 0.3), (0.5, 0.73))
"""Centres (across, down) of one, two and three drawings, as shares of the picture's side."""
GRID = 4
"""Background patches per side."""
_LEAST_STRENGTH = 2
_STRENGTHS = 26
"""How many levels of 0..255 a patch may differ from the background's colour: 2 to 27."""
_DARK_INK = (0, 84)
_LIGHT_INK = (190, 256)
"""Levels of a black drawing's new colour, the last one excluded."""
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


def centres(count: int, upright: bool, dice: Dice) -> tuple[list[int], list[tuple[float, float]]]:
    """Reading order (left to right, or top to bottom) and one centre per object, as shares of the side."""
    if count == 1:
        return [0], [_MIDDLE]
    if count == 3:
        return [0, 1, 2], dice.shuffled(_CORNERS)
    near, far = _ABOVE_EACH_OTHER if upright else _BESIDE_EACH_OTHER
    # Either the main object comes first in reading order, or the other one.
    if dice.below(2) == 0:
        return [0, 1], [near, far]
    return [1, 0], [far, near]


def place(
    sprite: int,
    count: int,
    centre: tuple[float, float],
    colour: str,
    dice: Dice,
) -> Placed:
    """One of `count` drawings, near its centre."""
    low, high = _SIDES[count - 1]
    side = round(SIDE * dice.between(low, high))
    # A lone drawing may stand anywhere inside, several only close to their centres.
    slack = (SIDE - side) / 2 if count == 1 else SIDE * _SLACK
    across, down = centre
    return Placed(
        sprite=sprite,
        side=side,
        left=_start(across, side, slack, dice),
        top=_start(down, side, slack, dice),
        angle=round(dice.between(-_TURN, _TURN), 1),
        mirrored=dice.chance(0.5),
        ink=_ink(colour, dice),
    )


def _start(centre: float, side: int, slack: float, dice: Dice) -> int:
    """Where a drawing begins, in pixels: at most `slack` from where its middle is at `centre`."""
    return round(centre * SIDE - side / 2 + dice.between(-slack, slack))


def _ink(colour: str, dice: Dice) -> tuple[int, int, int]:
    """A colour much darker than a light background, much lighter than a dark one."""
    red, green, blue = COLOURS[colour]
    luma = 299 * red + 587 * green + 114 * blue
    low, high = _DARK_INK if luma > _LIGHT else _LIGHT_INK
    span = high - low
    return (
        low + dice.below(span),
        low + dice.below(span),
        low + dice.below(span),
    )


def ground(colour: str, dice: Dice) -> tuple[tuple[int, int, int], ...]:
    """Lighter and darker patches of one colour, with a little of other colours in them."""
    # Some backgrounds are nearly even, others patchy.
    strength = _LEAST_STRENGTH + dice.below(_STRENGTHS)
    cells = []
    for _ in range(GRID * GRID):
        light = dice.between(-strength, strength)
        red, green, blue = COLOURS[colour]
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
