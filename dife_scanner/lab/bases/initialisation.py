"""How a ViT starts where small data can take it: cosine patches, a map of places, attention near the identity.

After Trockman and Kolter 2023 (mimetic initialisation): queries and keys agree, values and outputs subtract.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

_COLOURS = [
    [1.0, 1.0, 1.0],
    [1.0, 0.0, -1.0],
    [-0.5, 1.0, -0.5],
]
"""Brightness and two colour contrasts."""


def initialise(visual: Any) -> None:
    """Give an open_clip ViT its starting weights, in place."""
    with torch.no_grad():
        width, _, patch, _ = visual.conv1.weight.shape
        visual.conv1.weight.copy_(_cosine_patches(patch, width))
        side = math.isqrt(len(visual.positional_embedding) - 1)
        visual.positional_embedding[1:] = 0.35 * _places(side, width)
        for block in visual.transformer.resblocks:
            _initialise_attention(block.attn, width)


def _initialise_attention(attention: Any, width: int) -> None:
    """Set queries, keys, values and output of one block, head by head."""
    rows = attention.in_proj_weight
    heads = attention.num_heads
    size = width // heads
    for head in range(heads):
        queries, keys = _factors(width, noise=0.7, identity=0.7)
        start = head * size
        rows[start : start + size] = queries.T[:size]
        start = width + head * size
        rows[start : start + size] = keys[:size]
    output, values = _factors(width, noise=0.4, identity=-0.4)
    rows[2 * width :] = values
    attention.out_proj.weight.copy_(output)


def _factors(width: int, noise: float, identity: float) -> tuple[Tensor, Tensor]:
    """Return A, B with A @ B = noise + identity, the largest directions first."""
    random = noise * torch.randn(width, width) / width**0.5
    u, s, v = torch.linalg.svd(random + identity * torch.eye(width))
    return u * s.sqrt(), v * s.sqrt()[:, None]


def _cosine_patches(patch: int, width: int) -> Tensor:
    """Return the `width` smoothest cosine patterns in brightness and two colour contrasts, (width, 3, P, P)."""
    at = torch.arange(patch)
    basis = torch.cos(math.pi * (at[None] + 0.5) * at[:, None] / patch)
    basis = basis / basis.norm(dim=1, keepdim=True)
    colours = torch.tensor(_COLOURS)
    colours = colours / colours.norm(dim=1, keepdim=True)
    patterns = []
    for _, u, v, colour in _smoothest(patch, width):
        pattern = torch.einsum("i,j,c->cij", basis[u], basis[v], colours[colour])
        patterns.append(pattern)
    return torch.stack(patterns) * 0.5


def _smoothest(patch: int, count: int) -> list[tuple[int, int, int, int]]:
    """Return the `count` smoothest (roughness, vertical frequency, horizontal frequency, colour)."""
    choices = []
    for u in range(patch):
        for v in range(patch):
            for colour in range(len(_COLOURS)):
                choices.append((u * u + v * v + 4 * colour, u, v, colour))
    return sorted(choices)[:count]


def _places(side: int, width: int) -> Tensor:
    """Return sines and cosines of column and row, (side * side, width)."""
    rate = math.pi / 2 / 100 ** (torch.arange(width // 4) / (width // 4))
    line = torch.arange(side).float()
    y, x = torch.meshgrid(line, line, indexing="ij")
    angles = [x.flatten()[:, None] * rate, y.flatten()[:, None] * rate]
    angle = torch.cat(angles, 1)
    return torch.cat([angle.sin(), angle.cos()], 1)
