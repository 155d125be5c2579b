"""A small ViT for larger pictures: its patches resampled, its places interpolated. Not exact; `tuning` mends it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.grown.shapes import Config

State = dict[str, "Tensor"]


def stretch(state: Mapping[str, Tensor], target: Config) -> State:
    """Return the weights of a ViT for the target's picture size and patches, its width and depth as they are.

    A picture that shows each patch of the small model enlarged gives its patch embeddings; the grid of patches grows.
    """
    vision = target["vision_cfg"]
    side = vision["image_size"] // vision["patch_size"]
    out = {name: value.float().clone() for name, value in state.items()}
    out["visual.conv1.weight"] = resampled(out["visual.conv1.weight"], vision["patch_size"])
    out["visual.positional_embedding"] = interpolated(out["visual.positional_embedding"], side)
    return out


def resampled(kernel: Tensor, side: int) -> Tensor:
    """Return patch filters (w, 3, p, p) for patches of `side` pixels that answer to an enlarged patch as these to it.

    With U the bicubic enlargement along an axis, the filter is P k Pᵀ with P the transpose of U's pseudo-inverse, so
    that its product with U x Uᵀ is that of k with x. After Beyer et al. 2023, FlexiViT.
    """
    import torch

    enlarge = _enlargement(kernel.shape[-1], side)
    filters: Tensor = torch.linalg.pinv(enlarge).T
    return torch.einsum("ai,bj,wcij->wcab", filters, filters, kernel)


def _enlargement(small: int, large: int) -> Tensor:
    """Return the bicubic enlargement of a line of pixels as a matrix (large, small)."""
    import torch
    import torch.nn.functional as F

    lines = torch.eye(small)[:, None, None]
    wide = F.interpolate(lines, (1, large), mode="bicubic", align_corners=False)
    return wide[:, 0, 0].T


def interpolated(places: Tensor, side: int) -> Tensor:
    """Return the class token's place and a grid of side * side places (1 + side², w), from one of another side."""
    import torch
    import torch.nn.functional as F

    first, grid = places[:1], places[1:]
    before = math.isqrt(len(grid))
    square = grid.T.view(1, -1, before, before)
    wider = F.interpolate(square, (side, side), mode="bicubic", align_corners=False)
    return torch.cat([first, wider[0].flatten(1).T])
