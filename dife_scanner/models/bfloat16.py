"""Layers in bfloat16, which some processors compute several times as fast. For searching; nothing is measured so.

The copy is made once, so that no pass converts a weight. What goes in and comes out is float32.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Transformer = Callable[..., Tensor]
"""Layers of a tower: states [n, l, w] and `attn_mask` to states."""


class InBfloat16(nn.Module):
    """The layers of a tower in bfloat16; gradients go through, none are of weights."""

    def __init__(self, layers: Any) -> None:
        """`layers`: open_clip's `Transformer`, which stays as it is."""
        super().__init__()
        halves = {}
        for one in (*layers.parameters(), *layers.buffers()):
            halves[id(one)] = _half(one)
        # weights are never held twice in float32: the copy finds them made already
        self.layers = copy.deepcopy(layers, halves)
        _put_tokens_first(self.layers)

    def forward(self, states: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """States [n, l, w], float32, behind all layers."""
        mask = None if attn_mask is None else attn_mask.to(torch.bfloat16)
        passed: Tensor = self.layers(states.to(torch.bfloat16), attn_mask=mask)
        return passed.float()

    @property
    def grad_checkpointing(self) -> bool:
        """Whether layers keep their inputs only."""
        return bool(self.layers.grad_checkpointing)

    @grad_checkpointing.setter
    def grad_checkpointing(self, enable: bool) -> None:
        self.layers.grad_checkpointing = enable


@dataclass(frozen=True)
class Near:
    """Copies that searches read with in place of a model's own parts; `None` where the own part is read with."""

    transformer: InBfloat16 | None = None
    visual: Any = None


class FirstTokens(nn.Module):
    """Layers that read the first tokens alone: what the class token makes of a part of a picture."""

    def __init__(self, layers: Transformer, tokens: int) -> None:
        super().__init__()
        self._layers = layers
        self._tokens = tokens

    def forward(self, states: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """States [n, l, w] to those of the first tokens behind all layers."""
        return self._layers(states[:, : self._tokens], attn_mask=attn_mask)


def with_layers(visual: Any, layers: nn.Module) -> Any:
    """The same image tower through other layers; all else is shared, and `visual` stays as it is."""
    other = copy.copy(visual)
    other._modules = {**visual._modules, "transformer": layers}
    return other


def layers_of_pictures(visual: Any) -> Any:
    """The `Transformer` of an image tower; `None` where it is of another kind."""
    layers = getattr(visual, "transformer", None)
    return layers if hasattr(layers, "resblocks") else None


def first_layer(layers: Any) -> Any:
    """The first of these alone."""
    alone = copy.copy(layers)
    alone._modules = {**layers._modules, "resblocks": layers.resblocks[:1]}
    return alone


def copy_mib(layers: Any) -> int:
    """What a copy of these takes, in MiB."""
    values = sum(one.numel() for one in layers.parameters())
    return int(values * torch.bfloat16.itemsize) >> 20


def _half(values: Tensor) -> Tensor:
    half = values.detach().to(torch.bfloat16)
    if isinstance(values, nn.Parameter):
        return nn.Parameter(half, requires_grad=False)
    return half


def _put_tokens_first(layers: Any) -> None:
    """States go through as [l, n, w]. On a CPU the way back through attention is several times as long otherwise:
    torch then multiplies a copy of the weights for each token.
    """
    layers.batch_first = False
    for one in layers.modules():
        if isinstance(one, nn.MultiheadAttention):
            one.batch_first = False
