"""Growth that changes no embedding: copies side by side, merged heads, layers that add nothing.

docs/grown.md has the algebra. Every function takes float32 tensors and returns new ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dife_scanner.lab.grown.shapes import Config, Growth, Tower

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, "Tensor"]
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
_ADDS = ("attn.out_proj.", "mlp.c_proj.")
"""What a layer adds to its input goes through one of these two; with both zero it adds nothing."""
_IMAGES = "visual.transformer.resblocks"
_TEXTS = "transformer.resblocks"


def grow(state: Mapping[str, Tensor], small: Config, target: Config) -> State:
    """Return the weights of a model of the target's shape with the small one's embeddings, copied side by side.

    Of an open_clip `CLIP` with two transformers; both have the target's picture size and patches already
    (`stretching.stretch`). Every cosine and every logit is the small model's, up to rounding. Places of the text tower
    behind the small one's context repeat its last. Raises `UsageError` where copies do not fill the target.
    """
    images = Growth(Tower.of_images(small), Tower.of_images(target))
    texts = Growth(Tower.of_texts(small), Tower.of_texts(target))
    embedding = target["embed_dim"] // small["embed_dim"]
    weights = {name: value.float() for name, value in state.items()}
    out = _around(weights, images, texts, embedding)
    out["positional_embedding"] = _longer(
        out["positional_embedding"], target["text_cfg"]["context_length"]
    )
    out |= _layers(weights, _IMAGES, images)
    out |= _layers(weights, _TEXTS, texts)
    return out


def _around(weights: State, images: Growth, texts: Growth, embedding: int) -> State:
    """Return everything that stands in no layer."""
    out = {}
    for name, value in weights.items():
        if _BLOCK.fullmatch(name):
            continue
        copies = images.copies if name.startswith("visual.") else texts.copies
        if name in ("visual.proj", "text_projection"):
            out[name] = _averaging(value, copies, embedding)
        elif name == "visual.conv1.weight":
            out[name] = value.repeat(copies, 1, 1, 1)
        elif value.ndim:
            # rows of a table, or one vector: copies stand along the last axis
            out[name] = value.repeat(*[1] * (value.ndim - 1), copies)
        else:
            out[name] = value.clone()
    return out


def _averaging(projection: Tensor, copies: int, embedding: int) -> Tensor:
    """Return a projection (w, d) for copies: each copy of the embedding is the mean over those of the state."""
    return projection.repeat(copies, embedding) / copies


def _longer(table: Tensor, rows: int) -> Tensor:
    """Return a table of places (n, w) with the last row repeated up to `rows`; fewer rows are cut."""
    import torch

    missing = max(0, rows - len(table))
    return torch.cat([table, table[-1:].expand(missing, -1)])[:rows]


def _layers(weights: State, place: str, growth: Growth) -> State:
    """Return all layers of a tower; those that have no small layer add nothing."""
    small: list[State] = [{} for _ in range(growth.small.layers)]
    for name, value in weights.items():
        found = _BLOCK.fullmatch(name)
        if found and name.startswith(f"{place}."):
            small[int(found[2])][found[3]] = value
    out = {}
    for number in range(growth.large.layers):
        at, stands_here = growth.layer_at(number)
        for name, value in _layer(small[at], growth).items():
            adds = name.startswith(_ADDS)
            out[f"{place}.{number}.{name}"] = value * 0 if adds and not stands_here else value
    return out


def _layer(layer: State, growth: Growth) -> State:
    """Return one layer for copies: biases and norms repeated, matrices side by side, heads merged."""
    out = {}
    for name, value in layer.items():
        if name.startswith("attn.in_proj_"):
            out[name] = _merged_inputs(value, growth)
        elif name == "attn.out_proj.weight":
            out[name] = _for_copies(value, growth.copies)[:, _head_order(growth)]
        else:
            out[name] = _for_copies(value, growth.copies)
    return out


def _for_copies(value: Tensor, copies: int) -> Tensor:
    """Return what does to each copy what the small one does: a vector repeated, a matrix in blocks on the diagonal."""
    import torch

    if value.ndim == 1:
        return value.repeat(copies)
    return torch.kron(torch.eye(copies, device=value.device), value.contiguous())


def _merged_inputs(value: Tensor, growth: Growth) -> Tensor:
    """Return queries, keys and values, weights (3w, w) or biases (3w,), for heads of several copies of a small head.

    A head of m copies has m times the small product, and divides by the root of m times the width; so queries are
    divided by the root of m.
    """
    import torch

    order = _head_order(growth)
    parts = []
    for part in value.chunk(3):
        parts.append(_for_copies(part, growth.copies)[order])
    queries, keys, values = parts
    return torch.cat([queries / growth.merged**0.5, keys, values])


def _head_order(growth: Growth) -> Tensor:
    """Return where each row of the merged heads stands in (copy, head, value): (w,)."""
    import torch

    heads = growth.small.heads
    groups = growth.copies // growth.merged
    rows = torch.arange(growth.large.width)
    by_copy = rows.view(groups, growth.merged, heads, growth.small.head_width)
    return by_copy.transpose(1, 2).reshape(-1)
