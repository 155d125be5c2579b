"""Colours of scenes: smooth backgrounds, and drawings repainted so that they stand out from them.

Everything random is drawn from the generator that is passed in. torch is imported inside the functions: importing
this module is cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_LUMA = [0.299, 0.587, 0.114]
"""How bright red, green and blue look (ITU-R BT.601)."""


def uniform(rng: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw float32 values in [low, high)."""
    import torch

    return torch.rand(*shape, generator=rng) * (high - low) + low


def backgrounds(rng: torch.Generator, count: int, size: int) -> Tensor:
    """Draw smooth random colour fields, float32 (count, 3, size, size) in [0, 1]."""
    import torch
    import torch.nn.functional as F

    base = torch.rand(count, 3, 1, 1, generator=rng)
    light = torch.rand(count, 1, 1, 1, generator=rng)
    base = torch.where(light < 0.35, 0.75 + 0.25 * base, base)
    strength = uniform(rng, count, 1, 1, 1, high=0.3) ** 1.6
    out = base.expand(-1, -1, 12, 12)
    for cells in (2, 4):
        noise = torch.randn(count, 3, cells, cells, generator=rng)
        field = noise * strength
        out = out + F.interpolate(
            field,
            (12, 12),
            mode="bicubic",
            align_corners=False,
        )
    return F.interpolate(
        out.clamp(0, 1),
        (size, size),
        mode="bilinear",
        align_corners=False,
    )


def painted(
    rng: torch.Generator,
    rgba: Tensor,
    mono: Tensor,
    under: Tensor,
    restyle: float,
) -> Tensor:
    """Tint monochrome drawings and repaint the share `restyle` of the others: premultiplied (n, 4, S, S).

    rgba (n, 4, S, S) in [0, 1], mono bool (n,), under (n, 3) the mean colour of what each is pasted on.
    """
    import torch

    n = len(rgba)
    colour = rgba[:, :3]
    alpha = rgba[:, 3:]
    ink = contrasting(rng, under)[:, :, None, None]
    paper = torch.rand(n, 3, 1, 1, generator=rng)
    luma = torch.tensor(_LUMA)[None, :, None, None]
    grey = (colour * luma).sum(1, keepdim=True)
    # below one for the share that is repainted; where in [0, 1) decides how
    kind = torch.rand(n, generator=rng)[:, None, None, None] / restyle
    plain = mono[:, None, None, None]
    cut = uniform(rng, n, 1, 1, 1, low=0.35, high=0.75)
    dark = ((cut - grey) * 8 + 0.5).clamp(0, 1)
    two_tone = ink * (1 - grey) + paper * grey
    out = torch.where(kind < 1, _mixed(rng, colour), colour)
    out = torch.where(kind < 0.6, two_tone, out)
    out = torch.where((kind < 0.3) | plain, ink.expand_as(out), out)
    shape = torch.where((kind < 0.25) & ~plain, alpha * dark, alpha)
    shape = torch.where((kind < 0.08) & ~plain, alpha, shape)
    return torch.cat([out.clamp(0, 1) * shape, shape], 1)


def _mixed(rng: torch.Generator, colour: Tensor) -> Tensor:
    """Send colours through a random matrix near a channel permutation."""
    import torch

    n = len(colour)
    order = torch.rand(n, 3, generator=rng).argsort(1)
    permuted = torch.eye(3)[order] * 0.75
    matrix = permuted + torch.rand(n, 3, 3, generator=rng) * 0.17
    return torch.einsum("nij,njhw->nihw", matrix, colour)


def contrasting(rng: torch.Generator, under: Tensor) -> Tensor:
    """Draw colours, (n, 3), at least 0.35 lighter or darker than `under`, (n, 3)."""
    import torch

    weights = torch.tensor(_LUMA)
    tint = torch.rand(under.shape, generator=rng)
    ground = (under @ weights)[:, None]
    on_light = ground > 0.5
    room = torch.where(on_light, ground - 0.35, 1 - ground - 0.35)
    room = room.clamp(min=0.05)
    distance = torch.rand(len(under), 1, generator=rng) * room
    level = torch.where(on_light, distance, 1 - distance)
    own = (tint @ weights)[:, None]
    dark = tint * (level / own.clamp(min=1e-3))
    left = 1 - own
    light = 1 - (1 - tint) * ((1 - level) / left.clamp(min=1e-3))
    return torch.where(on_light, dark, light).clamp(0, 1)
