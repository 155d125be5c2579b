"""What every phase of training a base follows: how hard its scenes are, its learning rate, and what is to be learnt."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from dife_scanner.lab import bases, scenes
from dife_scanner.lab.bases import Plan, Stock

if TYPE_CHECKING:
    from torch import Tensor


_EASY_MIX = scenes.Mix(counts=(0.94, 0.05, 0.01), scale=(0.7, 1.0), restyle=0.2, turn=6.0)


def lesson(plan: Plan, step: int) -> Plan:
    """The plan as it stands at a step: an easy start breaks the early plateau."""
    if step >= plan.easy * plan.image_steps:
        return plan
    return replace(plan, class_share=0.9, mono_share=0.15, mix=_EASY_MIX)


def schedule(step: int, steps: int, warmup: int, floor: float) -> float:
    """The share of the peak learning rate: up in a line over `warmup` steps, then down a cosine to `floor`."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))


def shares(stock: Stock, index: Tensor) -> Tensor:
    """Target distribution over words, (B, V)."""
    import torch

    out = torch.zeros(len(index), len(stock.vocabulary))
    for i, numbers in enumerate(bases.shown_words(stock, index)):
        for kind, cls in zip(numbers[::2], numbers[1::2], strict=True):
            out[i, kind] += 0.3
            out[i, cls] += 0.7
    return out / out.sum(1, keepdim=True)
