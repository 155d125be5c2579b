"""Layers in bfloat16, which some processors compute several times as fast. For searching; nothing is measured so.

The copy is made once, so that no pass converts a weight. What goes in and comes out is float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Transformer = Callable[..., Tensor]
"""Layers of a text tower: states [n, l, w] and `attn_mask` to states."""


class InBfloat16:
    """The layers of a text tower in bfloat16, without gradients."""

    def __init__(self, layers: Any) -> None:
        """`layers`: a module, which stays as it is."""
        halves = {}
        for one in (*layers.parameters(), *layers.buffers()):
            halves[id(one)] = _half(one)
        # weights are never held twice in float32: the copy finds them made already
        self._layers = copy.deepcopy(layers, halves)

    def __call__(self, states: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        mask = None if attn_mask is None else attn_mask.to(torch.bfloat16)
        passed: Tensor = self._layers(states.to(torch.bfloat16), attn_mask=mask)
        return passed.float()


def _half(values: Tensor) -> Tensor:
    half = values.detach().to(torch.bfloat16)
    if isinstance(values, torch.nn.Parameter):
        return torch.nn.Parameter(half, requires_grad=False)
    return half


def copy_mib(layers: Any) -> int:
    """What a copy of these takes, in MiB."""
    values = sum(one.numel() for one in layers.parameters())
    return int(values * torch.bfloat16.itemsize) >> 20
