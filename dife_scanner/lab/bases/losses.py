"""Losses of a base's training, and the learning-rate schedule."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dife_scanner.lab.bases.captions import shown_words

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.lab.bases.stock import Stock


def contrastive_loss(
    images: Tensor,
    texts: Tensor,
    scale: Tensor,
    wrong: Tensor,
) -> Tensor:
    """Return InfoNCE over pairs; a caption that is also true of another scene is no negative there.

    images (B, D), texts (B + M, D), wrong (B, B). The M extra texts are negatives for every image.
    """
    import torch
    import torch.nn.functional as F

    rows = len(images)
    logits = scale * images @ texts.T
    own = torch.eye(rows, dtype=torch.bool)
    blocked = ~(wrong | own)
    pairs = logits[:, :rows].masked_fill(blocked, -torch.inf)
    target = torch.arange(rows)
    with_extra = torch.cat([pairs, logits[:, rows:]], 1)
    by_image = F.cross_entropy(with_extra, target)
    by_text = F.cross_entropy(pairs.T, target)
    return (by_image + by_text) / 2


def sigmoid_loss(
    images: Tensor,
    texts: Tensor,
    scale: Tensor,
    bias: Tensor,
    wrong: Tensor,
) -> Tensor:
    """Return SigLIP's loss (Zhai and others 2023): each pair of picture and text is right or wrong by itself.

    images (B, D), texts (M, D), wrong (B, M'), M' <= M; texts behind the first M' are wrong for every picture. The
    sum over the texts is meant over the pictures.
    """
    import torch
    import torch.nn.functional as F

    sign = torch.full((len(images), len(texts)), -1.0)
    sign[:, : wrong.shape[1]] += 2.0 * (~wrong)
    logits = scale * images @ texts.T + bias
    return -F.logsigmoid(sign * logits).sum(1).mean()


def word_targets(stock: Stock, index: Tensor, term_weight: float) -> Tensor:
    """Return the target distribution over words of scenes with these drawings, (B, V), rows summing to one.

    An object adds `term_weight` to its finer word and the rest to its class's word.
    """
    import torch

    out = torch.zeros(len(index), len(stock.vocabulary))
    for row, numbers in enumerate(shown_words(stock, index)):
        terms = numbers[::2]
        classes = numbers[1::2]
        for term, cls in zip(terms, classes, strict=True):
            out[row, term] += term_weight
            out[row, cls] += 1 - term_weight
    return out / out.sum(1, keepdim=True)


def cosine_schedule(step: int, steps: int, warmup: int, floor: float) -> float:
    """Return the share of the peak learning rate: a linear rise, then a cosine down to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))
