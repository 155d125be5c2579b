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
    """An atlas for images of `size` pixels, from RGBA masters (M, M, 4), which should not be smaller."""
    import torch

    levels = tuple(_level(masters, round(size * share)) for share in _LEVELS)
    return Atlas(levels, torch.tensor(list(mono)), tuple(classes), tuple(terms), tuple(ids))


def _level(masters: Sequence[NDArray[np.uint8]], side: int) -> Tensor:
    import torch
    from PIL import Image

    small = [Image.fromarray(m).resize((side, side), Image.Resampling.LANCZOS) for m in masters]
    return torch.from_numpy(np.stack([np.asarray(image) for image in small])).permute(0, 3, 1, 2).contiguous()


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


def uniform(rng: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """float32 in [low, high)."""
    import torch

    return torch.rand(*shape, generator=rng) * (high - low) + low


def lay_out(rng: torch.Generator, index: Tensor, mix: Mix) -> Layout:
    """Place the objects of `index` (B, 3): a lone one anywhere, several side by side in random order."""
    import torch

    rows = index.shape[0]
    count = (index >= 0).sum(1)
    lone = uniform(rng, rows, MAX_OBJECTS, low=mix.scale[0], high=mix.scale[1])
    shared = uniform(rng, rows, MAX_OBJECTS, low=0.36, high=0.56)
    side = torch.where(count[:, None] == 1, lone, shared)
    slack = (1 - side).clamp(min=0.06)
    free = uniform(rng, rows, MAX_OBJECTS, 2, low=-1, high=1) * slack[..., None]
    centre = torch.where((count == 1)[:, None, None], free, _slots(rng, count))
    return Layout(index, side, _affine(rng, side, centre, mix))


def _slots(rng: torch.Generator, count: Tensor) -> Tensor:
    """Centres for two or three objects: corners of a turned segment or triangle, (B, 3, 2) in [-1, 1]."""
    import math

    import torch

    rows = count.shape[0]
    start = uniform(rng, rows, 1, high=2 * math.pi)
    step = 2 * math.pi / count.clamp(min=2)[:, None]
    angle = start + step * torch.arange(MAX_OBJECTS)[None]
    jitter = uniform(rng, rows, MAX_OBJECTS, 2, low=-0.08, high=0.08)
    return torch.stack([angle.cos(), angle.sin()], -1) * 0.5 + jitter


def _affine(rng: torch.Generator, side: Tensor, centre: Tensor, mix: Mix) -> Tensor:
    import math

    import torch

    shape = side.shape
    angle = torch.randn(shape, generator=rng).clamp(-2.5, 2.5) * (mix.turn * math.pi / 180)
    flip = torch.where(torch.rand(shape, generator=rng) < 0.5, -1.0, 1.0)
    squeeze = uniform(rng, *shape, low=0.88, high=1.14)
    cos, sin = angle.cos(), angle.sin()
    rows = torch.stack([flip * cos * squeeze, flip * sin * squeeze, -sin / squeeze, cos / squeeze], -1)
    linear = rows.view(*shape, 2, 2) / side[..., None, None]
    if mix.shear:
        slant = torch.eye(2).expand(*shape, 2, 2).clone()
        slant[..., 0, 1] = uniform(rng, *shape, low=-mix.shear, high=mix.shear)
        linear = slant @ linear
    return torch.cat([linear, -(linear @ centre[..., None])], -1)


def backgrounds(rng: torch.Generator, count: int, size: int) -> Tensor:
    """Smooth random colour fields, float32 (count, 3, size, size) in [0, 1]."""
    import torch
    import torch.nn.functional as F

    base = torch.rand(count, 3, 1, 1, generator=rng)
    light = torch.rand(count, 1, 1, 1, generator=rng)
    base = torch.where(light < 0.35, 0.75 + 0.25 * base, base)
    strength = uniform(rng, count, 1, 1, 1, high=0.3) ** 1.6
    out = base.expand(-1, -1, 12, 12)
    for cells in (2, 4):
        field = torch.randn(count, 3, cells, cells, generator=rng) * strength
        out = out + F.interpolate(field, (12, 12), mode="bicubic", align_corners=False)
    return F.interpolate(out.clamp(0, 1), (size, size), mode="bilinear", align_corners=False)


def compose(rng: torch.Generator, atlas: Atlas, layout: Layout, size: int, mix: Mix) -> Tensor:
    """Draw the scenes: float32 (B, 3, size, size) in [0, 1]."""
    canvas = backgrounds(rng, layout.index.shape[0], size)
    for slot in range(MAX_OBJECTS):
        there = layout.index[:, slot] >= 0
        wanted = (layout.side[:, slot, None] * size * 0.95 <= _sides(atlas)[None]).sum(1) - 1
        for level in range(len(atlas.levels)):
            rows = (there & (wanted.clamp(min=0) == level)).nonzero()[:, 0]
            if len(rows):
                _paste(rng, canvas, rows, atlas, level, layout, slot, mix)
    return canvas


def _sides(atlas: Atlas) -> Tensor:
    import torch

    return torch.tensor([float(level.shape[-1]) for level in atlas.levels])


def _paste(
    rng: torch.Generator,
    canvas: Tensor,
    rows: Tensor,
    atlas: Atlas,
    level: int,
    layout: Layout,
    slot: int,
    mix: Mix,
) -> None:
    import torch
    import torch.nn.functional as F

    chosen = layout.index[rows, slot]
    under = canvas[rows]
    rgba = atlas.levels[level][chosen].float() / 255
    paint = _painted(rng, rgba, atlas.mono[chosen], under.mean((2, 3)), mix)
    grid = F.affine_grid(layout.theta[rows, slot], [len(rows), 4, *canvas.shape[2:]], align_corners=False)
    if mix.warp:
        bend = torch.randn(len(rows), 2, 5, 5, generator=rng) * mix.warp
        smooth = F.interpolate(bend, canvas.shape[2:], mode="bicubic", align_corners=False)
        grid = grid + smooth.permute(0, 2, 3, 1) / layout.side[rows, slot, None, None, None]
    pasted = F.grid_sample(paint, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    canvas[rows] = pasted[:, :3] + under * (1 - pasted[:, 3:])


def _painted(rng: torch.Generator, rgba: Tensor, mono: Tensor, under: Tensor, mix: Mix) -> Tensor:
    """Tint monochrome drawings and repaint some of the others; premultiplied (n, 4, S, S)."""
    import torch

    n = len(rgba)
    colour, alpha = rgba[:, :3], rgba[:, 3:]
    ink = _contrasting(rng, under)[:, :, None, None]
    paper = torch.rand(n, 3, 1, 1, generator=rng)
    grey = (colour * torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]).sum(1, keepdim=True)
    kind = torch.rand(n, generator=rng)[:, None, None, None] / mix.restyle
    plain = mono[:, None, None, None]
    cut = uniform(rng, n, 1, 1, 1, low=0.35, high=0.75)
    dark = ((cut - grey) * 8 + 0.5).clamp(0, 1)
    out = torch.where(kind < 1, _mixed(rng, colour), colour)
    out = torch.where(kind < 0.6, ink * (1 - grey) + paper * grey, out)
    out = torch.where((kind < 0.3) | plain, ink.expand_as(out), out)
    shape = torch.where((kind < 0.25) & ~plain, alpha * dark, alpha)
    shape = torch.where((kind < 0.08) & ~plain, alpha, shape)
    return torch.cat([out.clamp(0, 1) * shape, shape], 1)


def _mixed(rng: torch.Generator, colour: Tensor) -> Tensor:
    """Colours through a random matrix near a channel permutation."""
    import torch

    n = len(colour)
    order = torch.rand(n, 3, generator=rng).argsort(1)
    matrix = torch.eye(3)[order] * 0.75 + torch.rand(n, 3, 3, generator=rng) * 0.17
    return torch.einsum("nij,njhw->nihw", matrix, colour)


def _contrasting(rng: torch.Generator, under: Tensor) -> Tensor:
    """A random colour, (n, 3), at least 0.35 lighter or darker than `under`, (n, 3)."""
    import torch

    weights = torch.tensor([0.299, 0.587, 0.114])
    tint = torch.rand(under.shape, generator=rng)
    ground = (under @ weights)[:, None]
    room = torch.where(ground > 0.5, ground - 0.35, 1 - ground - 0.35).clamp(min=0.05)
    aim = torch.rand(len(under), 1, generator=rng) * room
    level = torch.where(ground > 0.5, aim, 1 - aim)
    own = (tint @ weights)[:, None]
    dark = tint * (level / own.clamp(min=1e-3))
    light = 1 - (1 - tint) * ((1 - level) / (1 - own).clamp(min=1e-3))
    return torch.where(ground > 0.5, dark, light).clamp(0, 1)


def sentence(rng: torch.Generator, nouns: Sequence[str]) -> str:
    """One of the templates, filled; half of the time with the article a person would use."""
    import torch

    templates = _BY_COUNT[len(nouns)]
    choice = int(torch.randint(len(templates), (1,), generator=rng))
    text = templates[choice].format(*nouns)
    return _articles(text) if float(torch.rand(1, generator=rng)) < 0.5 else text


def _articles(text: str) -> str:
    words = text.split(" ")
    for i, word in enumerate(words[:-1]):
        if word == "a" and words[i + 1][0] in "aeiou":
            words[i] = "an"
    return " ".join(words)
