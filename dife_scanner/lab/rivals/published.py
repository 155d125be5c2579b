"""Published ideas of inverting a trigger, on this zoo: DECREE, AMDET, LMSanitator.

"-like" because loss and statistic are kept and zoo and hardware are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dife_scanner.audit import probes
from dife_scanner.discovery.inversion_objectives import mean_pairwise_cosine
from dife_scanner.discovery.noun_scan import nouns
from dife_scanner.lab.rivals.inversion import INPUTS, Curve, Effort, Tower

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from dife_scanner.models.gradient import Towers

DECREE_COST = 1e-3
DECREE_STEP = 1.5
"""DECREE adapts its cost by factors of 5 over a thousand steps; over a few hundred that swings, 1.5 does not."""
DECREE_PATIENCE = 5
"""Steps in a row that do, or do not, bring embeddings together before the cost changes."""
DECREE_REACHED = 0.99
"""Mean cosine from which embeddings count as brought together."""
SOFT_LENGTH = 4
"""Vectors of LMSanitator's soft prompt."""
ANCHOR = 2.0
SLACK = 0.1
"""AMDET's term against the anchor: its weight, and what costs nothing."""


# --- DECREE (Feng et al., CVPR 2023): the smallest mask and pattern under which all pictures look alike ---------


def decree(tower: Tower, anchor: Tower | None, start: int, effort: Effort) -> Curve:
    """Minus PL1, -1..0: the mean of the smallest mask that has brought embeddings together; -1 until one has."""
    import torch

    from dife_scanner.models.gradient import Towers

    towers = Towers(tower.encoder)
    generator = torch.Generator().manual_seed(start)
    prepared = torch.from_numpy(tower.encoder.prepare(tower.data.split(probes.TRAIN).images))
    pictures = prepared.permute(0, 3, 1, 2) / 255
    side = tower.encoder.image_size
    mask = (
        torch.randn(
            1,
            1,
            side,
            side,
            generator=generator,
        )
        * 0.1
    ).requires_grad_()
    pattern = (
        torch.randn(
            1,
            3,
            side,
            side,
            generator=generator,
        )
        * 0.1
    ).requires_grad_()
    smallest = Mask()
    curve = []

    def loss() -> Tensor:
        rows = torch.randperm(len(pictures), generator=generator)[:INPUTS]
        opacity = mask.sigmoid()
        stamped = pictures[rows] * (1 - opacity) + opacity * pattern.sigmoid()
        alike = mean_pairwise_cosine(towers.images(stamped))
        smallest.reached(float(alike.detach()) > DECREE_REACHED, float(opacity.detach().mean()))
        curve.append(-smallest.best)
        return -alike + smallest.cost * 3 * opacity.sum()

    _descend([mask, pattern], effort, loss)
    return tuple(curve)


class Mask:
    """The smallest mask so far, and what its size costs: dearer while embeddings come together, cheaper otherwise."""

    def __init__(self) -> None:
        self.best = 1.0
        self.cost = DECREE_COST
        self._run = 0
        """Steps in a row that brought embeddings together; negative for steps that did not."""

    def reached(self, alike: bool, size: float) -> None:
        """Take in one step: whether embeddings converged, under a mask of this mean."""
        if alike:
            self.best = min(self.best, size)
            self._run = max(self._run, 0) + 1
        else:
            self._run = min(self._run, 0) - 1
        if abs(self._run) >= DECREE_PATIENCE:
            self.cost *= DECREE_STEP if self._run > 0 else 1 / DECREE_STEP
            self._run = 0


# --- AMDET (2512.00343): one continuous token that makes all prompts alike, held against a clean anchor ---------


def amdet(tower: Tower, anchor: Tower | None, start: int, effort: Effort) -> Curve:
    """How alike prompts are in the tower beyond the anchor's, -1..1; without an anchor how alike they are."""
    import torch

    from dife_scanner.models.gradient import Towers

    suspect = Towers(tower.encoder)
    clean = Towers(anchor.encoder) if anchor else None
    token = _random_rows(suspect, 1, torch.Generator().manual_seed(start))
    unprompted = float(mean_pairwise_cosine(_with(clean, None))) if clean else 0.0
    curve = []

    def loss() -> Tensor:
        alike = mean_pairwise_cosine(_with(suspect, token))
        in_anchor = mean_pairwise_cosine(_with(clean, token)) if clean else torch.zeros(())
        curve.append(float((alike - in_anchor).detach()))
        return -alike + ANCHOR * (in_anchor - unprompted - SLACK).relu()

    _descend([token], effort, loss)
    return tuple(curve)


# --- LMSanitator (NDSS 2024): a soft prompt under which all outputs are one and not what they were --------------


def sanitator(tower: Tower, anchor: Tower | None, start: int, effort: Effort) -> Curve:
    """How alike outputs become less how like their clean selves they stay, -2..2."""
    import torch

    from dife_scanner.models.gradient import Towers

    towers = Towers(tower.encoder)
    soft_prompt = _random_rows(towers, SOFT_LENGTH, torch.Generator().manual_seed(start))
    clean = _with(towers, None).detach()
    curve = []

    def loss() -> Tensor:
        outputs = _with(towers, soft_prompt)
        gained = mean_pairwise_cosine(outputs) - (outputs * clean).sum(1).mean()
        curve.append(float(gained.detach()))
        return -gained

    _descend([soft_prompt], effort, loss)
    return tuple(curve)


def _descend(weights: Sequence[Tensor], effort: Effort, loss: Callable[[], Tensor]) -> None:
    """Adam on `weights` in place."""
    import torch

    optimiser = torch.optim.Adam(weights, lr=effort.rate)
    for _ in range(effort.steps):
        slopes = torch.autograd.grad(loss(), list(weights))
        for part, slope in zip(weights, slopes, strict=True):
            part.grad = slope
        optimiser.step()


def _random_rows(towers: Towers, length: int, generator: Generator) -> Tensor:
    """Random rows of the vocabulary [length, w], free to move."""
    import torch

    rows = torch.randint(len(towers.token_rows), (length,), generator=generator)
    return towers.token_rows[rows].detach().clone().requires_grad_()


def _with(towers: Towers, slot: Tensor | None) -> Tensor:
    """Prompts of `INPUTS` nouns with `slot` [k, w] before them, unit embeddings [n, d]."""
    import torch

    ids, ends = towers.packed(
        [towers.tokenizer.encode(f"a photo of a {name}") for name in nouns()[:INPUTS]]
    )
    vectors = towers.token_rows[ids].detach()
    if slot is None:
        return towers.texts(vectors, ends)
    first = towers.tokenizer.first
    repeated = slot.expand(len(ids), -1, -1)
    placed = torch.cat([vectors[:, :first], repeated, vectors[:, first:]], dim=1)
    return towers.texts(placed, ends + len(slot))
