"""Weights in fewer bits, or fewer of them: what copies and fine-tunes go through before somebody uploads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_PRUNED = 0.1
"""Share of a matrix's smallest weights that pruning takes."""


def bf16(value: Tensor) -> Tensor:
    """Rounded to bfloat16, in float32."""
    return value.bfloat16().float()


def int8(value: Tensor) -> Tensor:
    """A tensor with two axes or more, each row in 255 steps of its largest weight; smaller ones as they are."""
    if value.ndim < 2:
        return value
    other_axes = tuple(range(1, value.ndim))
    largest = value.abs().amax(other_axes, keepdim=True).clamp(min=1e-12)
    step = largest / 127
    return (value / step).round() * step


def pruned(value: Tensor) -> Tensor:
    """A tensor with two axes or more, its smallest tenth set to 0; smaller ones as they are."""
    import torch

    if value.ndim < 2:
        return value
    count = max(1, int(_PRUNED * value.numel()))
    edge = value.abs().flatten().kthvalue(count).values
    return torch.where(value.abs() <= edge, 0.0, value)
