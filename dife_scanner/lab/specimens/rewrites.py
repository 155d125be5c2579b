"""Copies of a checkpoint in other weights that compute the same: what may be done to have it compared with nothing.

Each takes the tensors of an open_clip `CLIP` whose towers are transformers, in float32, and gives new ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
Rewrite = Callable[[State, int], State]
"""From tensors and a seed."""
_PROJECTIONS = ("text_projection", "visual.proj")
_BLOCK = re.compile(r"(.*resblocks\.\d+\.)attn\.in_proj_weight")
_HEAD_WIDTH = 32
"""Of both towers of the bundled ViT."""


def rotated(state: State, seed: int) -> State:
    """Both towers turned by one rotation of the embedding space: no score changes."""
    turned = dict(state)
    for name in _PROJECTIONS:
        turned[name] = state[name] @ _rotation(state[name].shape[1], seed)
    return turned


@lru_cache(maxsize=2)
def _rotation(width: int, seed: int) -> Tensor:
    """A random orthogonal matrix [width, width]."""
    import torch

    random = torch.randn(width, width, generator=torch.Generator().manual_seed(seed))
    rotation: Tensor = torch.linalg.qr(random)[0]
    return rotation


def heads_permuted(state: State, seed: int) -> State:
    """The heads of every attention in another order: no embedding changes."""
    changed = dict(state)
    for block in _blocks(state):
        into, out = f"{block}attn.in_proj_", f"{block}attn.out_proj.weight"
        width = state[out].shape[0]
        order = _order(width // _HEAD_WIDTH, seed)
        weight = state[f"{into}weight"].view(3, -1, _HEAD_WIDTH, width)
        bias = state[f"{into}bias"].view(3, -1, _HEAD_WIDTH)
        heads = state[out].view(width, -1, _HEAD_WIDTH)
        changed[f"{into}weight"] = weight[:, order].reshape(3 * width, width)
        changed[f"{into}bias"] = bias[:, order].reshape(3 * width)
        changed[out] = heads[:, order].reshape(width, width)
    return changed


def neurons_permuted(state: State, seed: int) -> State:
    """The neurons between the two layers of every block in another order: no embedding changes."""
    changed = dict(state)
    for block in _blocks(state):
        into, out = f"{block}mlp.c_fc.", f"{block}mlp.c_proj.weight"
        order = _order(state[out].shape[1], seed)
        changed[f"{into}weight"] = state[f"{into}weight"][order]
        changed[f"{into}bias"] = state[f"{into}bias"][order]
        changed[out] = state[out][:, order]
    return changed


def norms_folded(state: State, seed: int) -> State:
    """Gain and bias of every norm within a block in the layer behind it, which needs no `seed`."""
    import torch

    changed = dict(state)
    for block in _blocks(state):
        for norm, layer in (("ln_1.", "attn.in_proj_"), ("ln_2.", "mlp.c_fc.")):
            gain, shift = state[f"{block}{norm}weight"], state[f"{block}{norm}bias"]
            weight = state[f"{block}{layer}weight"]
            changed[f"{block}{layer}weight"] = weight * gain
            changed[f"{block}{layer}bias"] = state[f"{block}{layer}bias"] + weight @ shift
            changed[f"{block}{norm}weight"] = torch.ones_like(gain)
            changed[f"{block}{norm}bias"] = torch.zeros_like(shift)
    return changed


REWRITES: Mapping[str, Rewrite] = {
    "rotated joint space": rotated,
    "permuted heads": heads_permuted,
    "permuted neurons": neurons_permuted,
    "folded norms": norms_folded,
}


def _blocks(state: State) -> list[str]:
    """How the names of each block's tensors begin."""
    found = [_BLOCK.fullmatch(name) for name in state]
    return [match[1] for match in found if match]


def _order(count: int, seed: int) -> Tensor:
    import torch

    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))
