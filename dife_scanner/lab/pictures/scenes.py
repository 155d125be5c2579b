"""Scenes: drawings pasted on smooth random backgrounds, and the sentences that say what is in them.

Everything random is drawn from the generator that is passed in, so a scene is a function of a seed.
torch is imported inside the functions: importing this module is cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures.painting import backgrounds, painted, uniform

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_OBJECTS = 3
_LEVELS = (1.0, 0.72, 0.5)
"""Sides of the drawings kept in an atlas, as shares of the image's: pasting is then close to one to one."""

SINGLE = (
    "a photo of a {}",
    "an image of a {}",
    "a picture of a {}",
    "a drawing of a {}",
    "a photo of the {}",
    "a photo of one {}",
    "a {}",
    "{}",
    "the {}",
    "one {}",
    "an icon of a {}",
    "a cartoon of a {}",
    "a cartoon {}",
    "an illustration of a {}",
    "clip art of a {}",
    "a close up of a {}",
    "this is a {}",
    "there is a {} in the picture",
    "a {} on a plain background",
    "a small picture of the {}",
    "a good photo of a {}",
    "we can see a {} here",
)
DOUBLE = (
    "a {} and a {}",
    "a photo of a {} and a {}",
    "an image of a {} and a {}",
    "a {} next to a {}",
    "a {} with a {}",
    "a picture of a {} beside a {}",
    "a drawing of a {} and a {}",
    "{} and {}",
    "one {} and one {}",
)
TRIPLE = (
    "a {}, a {} and a {}",
    "a photo of a {}, a {} and a {}",
    "a picture of a {} with a {} and a {}",
    "{}, {} and {}",
)
_BY_COUNT = {1: SINGLE, 2: DOUBLE, 3: TRIPLE}


@dataclass(frozen=True)
class Atlas:
    """Rendered drawings, ready to paste."""

    levels: tuple[Tensor, ...]
    """uint8, (N, 4, S, S) each, RGBA, not premultiplied, largest first."""
    mono: Tensor
    """bool, (N,): painted with a tint."""
    classes: tuple[str | None, ...]
    terms: tuple[str, ...]
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def atlas_of(
    masters: Sequence[NDArray[np.uint8]],
    size: int,
    mono: Sequence[bool],
    classes: Sequence[str | None],
    terms: Sequence[str],
    ids: Sequence[str],
) -> Atlas:
    """Return an atlas for images of `size` pixels, from RGBA masters (M, M, 4), which should not be smaller."""
    import torch

    levels = tuple(_level(masters, round(size * share)) for share in _LEVELS)
    return Atlas(
        levels=levels,
        mono=torch.tensor(list(mono)),
        classes=tuple(classes),
        terms=tuple(terms),
        ids=tuple(ids),
    )


def _level(masters: Sequence[NDArray[np.uint8]], side: int) -> Tensor:
    """Return the drawings with `side` pixels a side: uint8 (N, 4, side, side)."""
    import torch
    from PIL import Image

    small = []
    for master in masters:
        image = Image.fromarray(master)
        image = image.resize((side, side), Image.Resampling.LANCZOS)
        small.append(np.asarray(image))
    pixels = torch.from_numpy(np.stack(small))
    return pixels.permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Mix:
    """How scenes are drawn."""

    counts: tuple[float, float, float] = (0.82, 0.14, 0.04)
    """Chance of one, two and three objects."""
    scale: tuple[float, float] = (0.52, 1.0)
    """Side of a lone object, as a share of the image's."""
    restyle: float = 0.4
    """Share of colour drawings that are repainted, so that shape has to count."""
    turn: float = 9.0
    """Standard deviation of the rotation in degrees."""
    shear: float = 0.15
    """Largest slant of a drawing."""
    warp: float = 0.05
    """Standard deviation of a smooth local displacement, in drawing coordinates."""


@dataclass(frozen=True)
class Layout:
    """What stands where in B scenes."""

    index: Tensor
    """int64, (B, 3), into an atlas; -1 where there is no object."""
    side: Tensor
    """float32, (B, 3): side of each drawing as a share of the image's."""
    theta: Tensor
    """float32, (B, 3, 2, 3): affine maps from image to drawing coordinates."""

    def counts(self) -> Tensor:
        """Objects per scene, (B,)."""
        return (self.index >= 0).sum(1)


def lay_out(rng: torch.Generator, index: Tensor, mix: Mix) -> Layout:
    """Place the objects of `index` (B, 3): a lone one anywhere, several side by side in random order."""
    import torch

    rows = index.shape[0]
    count = (index >= 0).sum(1)
    is_lone = count == 1
    smallest, largest = mix.scale
    lone = uniform(rng, rows, MAX_OBJECTS, low=smallest, high=largest)
    shared = uniform(rng, rows, MAX_OBJECTS, low=0.36, high=0.56)
    side = torch.where(is_lone[:, None], lone, shared)
    # even a drawing as large as the image moves a little
    slack = (1 - side).clamp(min=0.06)
    place = uniform(rng, rows, MAX_OBJECTS, 2, low=-1, high=1)
    anywhere = place * slack[..., None]
    side_by_side = _slots(rng, count)
    centre = torch.where(is_lone[:, None, None], anywhere, side_by_side)
    return Layout(index, side, _affine(rng, side, centre, mix))


def _slots(rng: torch.Generator, count: Tensor) -> Tensor:
    """Draw centres for two or three objects: corners of a turned segment or triangle, (B, 3, 2) in [-1, 1]."""
    import math

    import torch

    rows = count.shape[0]
    start = uniform(rng, rows, 1, high=2 * math.pi)
    step = 2 * math.pi / count.clamp(min=2)[:, None]
    angle = start + step * torch.arange(MAX_OBJECTS)[None]
    jitter = uniform(rng, rows, MAX_OBJECTS, 2, low=-0.08, high=0.08)
    corners = torch.stack([angle.cos(), angle.sin()], -1)
    return corners * 0.5 + jitter


def _affine(
    rng: torch.Generator,
    side: Tensor,
    centre: Tensor,
    mix: Mix,
) -> Tensor:
    """Draw turn, mirror image, squeeze and slant: affine maps (B, 3, 2, 3) from image to drawing coordinates."""
    import math

    import torch

    shape = side.shape
    turn = torch.randn(shape, generator=rng).clamp(-2.5, 2.5)
    angle = turn * (mix.turn * math.pi / 180)
    mirrored = torch.rand(shape, generator=rng) < 0.5
    flip = torch.where(mirrored, -1.0, 1.0)
    squeeze = uniform(rng, *shape, low=0.88, high=1.14)
    cos = angle.cos()
    sin = angle.sin()
    entries = [
        flip * cos * squeeze,
        flip * sin * squeeze,
        -sin / squeeze,
        cos / squeeze,
    ]
    matrix = torch.stack(entries, -1).view(*shape, 2, 2)
    linear = matrix / side[..., None, None]
    if mix.shear:
        slant = torch.eye(2).expand(*shape, 2, 2).clone()
        slant[..., 0, 1] = uniform(rng, *shape, low=-mix.shear, high=mix.shear)
        linear = slant @ linear
    offset = -(linear @ centre[..., None])
    return torch.cat([linear, offset], -1)


def compose(
    rng: torch.Generator,
    atlas: Atlas,
    layout: Layout,
    size: int,
    mix: Mix,
) -> Tensor:
    """Draw the scenes: float32 (B, 3, size, size) in [0, 1]."""
    canvas = backgrounds(rng, layout.index.shape[0], size)
    for slot in range(MAX_OBJECTS):
        there = layout.index[:, slot] >= 0
        wanted = _levels_of(atlas, layout.side[:, slot], size)
        for level in range(len(atlas.levels)):
            rows = (there & (wanted == level)).nonzero()[:, 0]
            if len(rows):
                objects = _Objects.of(atlas, layout, slot, level, rows)
                under = canvas[rows]
                canvas[rows] = _pasted(rng, under, objects, mix)
    return canvas


def _levels_of(atlas: Atlas, side: Tensor, size: int) -> Tensor:
    """Return the smallest level of the atlas that is about as large as each drawing in the scene, (B,)."""
    import torch

    sides = [float(level.shape[-1]) for level in atlas.levels]
    enough = side[:, None] * size * 0.95 <= torch.tensor(sides)[None]
    return (enough.sum(1) - 1).clamp(min=0)


@dataclass(frozen=True)
class _Objects:
    """One object in each of n scenes."""

    rgba: Tensor
    """float32 (n, 4, S, S) in [0, 1]."""
    mono: Tensor
    """bool (n,)."""
    side: Tensor
    """float32 (n,)."""
    theta: Tensor
    """float32 (n, 2, 3)."""

    @classmethod
    def of(
        cls,
        atlas: Atlas,
        layout: Layout,
        slot: int,
        level: int,
        rows: Tensor,
    ) -> _Objects:
        """Take what stands in this slot of these scenes, at this level of the atlas."""
        chosen = layout.index[rows, slot]
        return cls(
            rgba=atlas.levels[level][chosen].float() / 255,
            mono=atlas.mono[chosen],
            side=layout.side[rows, slot],
            theta=layout.theta[rows, slot],
        )


def _pasted(
    rng: torch.Generator,
    under: Tensor,
    objects: _Objects,
    mix: Mix,
) -> Tensor:
    """Return the scenes `under` (n, 3, H, W) with one object on each."""
    import torch
    import torch.nn.functional as F

    rows = len(under)
    shape = under.shape[2:]
    paint = painted(rng, objects.rgba, objects.mono, under.mean((2, 3)), mix.restyle)
    grid = F.affine_grid(
        objects.theta,
        [rows, 4, *shape],
        align_corners=False,
    )
    if mix.warp:
        bend = torch.randn(rows, 2, 5, 5, generator=rng) * mix.warp
        smooth = F.interpolate(
            bend,
            shape,
            mode="bicubic",
            align_corners=False,
        )
        offset = smooth.permute(0, 2, 3, 1)
        grid = grid + offset / objects.side[:, None, None, None]
    pasted = F.grid_sample(
        paint,
        grid,
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    colour = pasted[:, :3]
    alpha = pasted[:, 3:]
    return colour + under * (1 - alpha)


def sentence(rng: torch.Generator, nouns: Sequence[str]) -> str:
    """Fill one of the templates; half of the time with the article a person would use."""
    import torch

    templates = _BY_COUNT[len(nouns)]
    choice = int(torch.randint(len(templates), (1,), generator=rng))
    text = templates[choice].format(*nouns)
    if float(torch.rand(1, generator=rng)) < 0.5:
        text = _articles(text)
    return text


def _articles(text: str) -> str:
    """Write `an` before a vowel."""
    words = text.split(" ")
    for i, word in enumerate(words[:-1]):
        if word == "a" and words[i + 1][0] in "aeiou":
            words[i] = "an"
    return " ".join(words)
