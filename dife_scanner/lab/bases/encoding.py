"""Unit embeddings of texts and pictures, by an open_clip model with the bases' architecture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.bases.checkpoint import MEAN, STD
from dife_scanner.lab.pictures import art
from dife_scanner.models.tokenizers import clips_own

if TYPE_CHECKING:
    from torch import Tensor

PROMPT = "a photo of a {}"
_CONTEXT = 32
"""Tokens of the longest text, start and end included."""


@lru_cache(maxsize=200_000)
def pieces(text: str) -> tuple[int, ...]:
    """Return the ids that CLIP's own tokenizer gives a text, without start and end."""
    return clips_own().encode(text)


def pack(
    rows: Sequence[Sequence[int]],
    context: int = _CONTEXT,
    *,
    whole: bool = False,
) -> Tensor:
    """Pack token ids as start + ids + end, padded with zeros: int64 (N, L <= context).

    L is as long as the longest row needs, or with `whole` the context. Where no token sees those behind it, the short
    batch gives the same embeddings as one padded to the full context.
    """
    import torch

    cut = [list(row)[: context - 2] for row in rows]
    length = context if whole else max(map(len, cut)) + 2
    out = torch.zeros(len(cut), length, dtype=torch.int64)
    for number, row in enumerate(cut):
        out[number, : len(row) + 2] = torch.tensor(clips_own().frame(row, context))
    return out


def pack_for(model: Any, rows: Sequence[Sequence[int]]) -> Tensor:
    """Pack token ids as this model's text tower reads them."""
    context = len(model.positional_embedding)
    return pack(rows, context, whole=model.attn_mask is None)


def encode_ids(model: Any, ids: Tensor) -> Tensor:
    """Encode packed ids (N, L) as unit text embeddings (N, D)."""
    return encode_vectors(model, model.token_embedding(ids), ids)


def encode_vectors(model: Any, vectors: Tensor, ids: Tensor) -> Tensor:
    """Encode token vectors (N, L, W) as unit text embeddings (N, D); `ids` (N, L) say where each text ends.

    A tower without a mask is read at the last place of its context, as in SigLIP.
    """
    import torch
    import torch.nn.functional as F

    length = ids.shape[1]
    x = vectors + model.positional_embedding[:length]
    if model.attn_mask is None:
        x = model.ln_final(model.transformer(x)[:, -1])
        return F.normalize(model.text_projection(x), dim=-1)
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    # the end token has the largest id
    x = model.ln_final(x)[torch.arange(len(ids)), ids.argmax(1)]
    return F.normalize(x @ model.text_projection, dim=-1)


def encode_by_length(
    model: Any,
    rows: Sequence[Sequence[int]],
    groups: int = 3,
) -> Tensor:
    """Encode token ids as unit text embeddings (N, D) in the order given, computed in groups of like length."""
    import torch

    order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
    parts = []
    for part in np.array_split(order, groups):
        ids = pack_for(model, [rows[number] for number in part])
        parts.append(encode_ids(model, ids))
    back = torch.tensor(order).argsort()
    return torch.cat(parts)[back]


def encode_texts(model: Any, texts: Sequence[str]) -> Tensor:
    """Encode sentences as unit text embeddings (N, D)."""
    ids = pack_for(model, [pieces(text) for text in texts])
    return encode_ids(model, ids)


def class_texts(
    model: Any,
    template: str = PROMPT,
    names: Sequence[str] = art.CLASSES,
) -> Tensor:
    """Encode the prompts of the ten classes, or of other names, without gradients: unit embeddings (N, D)."""
    import torch

    prompts = [template.format(name) for name in names]
    with torch.no_grad():
        return encode_texts(model, prompts)


def normalised(pixels: Tensor) -> Tensor:
    """Turn pixels (B, 3, H, W) in [0, 1] into what the image tower expects."""
    import torch

    mean = torch.tensor(MEAN)[None, :, None, None]
    std = torch.tensor(STD)[None, :, None, None]
    return (pixels - mean) / std


def encode_image_batch(model: Any, pixels: Tensor) -> Tensor:
    """Encode pixels (B, 3, H, W) in [0, 1] in one pass, with gradients: unit image embeddings (B, D)."""
    import torch.nn.functional as F

    return F.normalize(model.visual(normalised(pixels)), dim=-1)


def encode_images(model: Any, pixels: Tensor, batch: int = 256) -> Tensor:
    """Encode pixels (N, 3, H, W) in [0, 1] batch by batch, without gradients: unit image embeddings (N, D)."""
    import torch

    parts = []
    with torch.no_grad():
        for part in torch.split(pixels, batch):
            parts.append(encode_image_batch(model, part))
    return torch.cat(parts)
