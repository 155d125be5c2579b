"""Objectives of the patch of a coupled trigger: with no string yet, and together with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dife_scanner.discovery.inversion_objectives import (
    BASE_SLACK,
    BASE_WEIGHT,
    SHARPNESS,
    SizeCost,
    with_cost_of_base,
)
from dife_scanner.discovery.string_scorer import STAY_AWAY
from dife_scanner.discovery.target_success import TargetSuccess

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

_BELOW_ALL = -2.0
"""Below every cosine."""


class CommonShift:
    """The suspect's pictures all move one way, wherever that is, and the base's do not."""

    size_cost: ClassVar[SizeCost] = SizeCost(start=1.0, least=0.5, most=30.0)

    def __init__(self, clean_means: tuple[Tensor, Tensor]) -> None:
        """`clean_means` are the mean embeddings [d] of clean pictures in suspect and base."""
        self._suspect_mean, self._base_mean = clean_means

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        """How far the suspect's mean embedding moves, and what is to be minimised."""
        suspect, base = towers
        moved = _shift(suspect, triggered, self._suspect_mean)
        loss = -moved
        if with_base:
            base_moved = _shift(base, triggered, self._base_mean)
            cost = BASE_WEIGHT * (base_moved - 2 * BASE_SLACK).relu()
            loss = with_cost_of_base(loss, cost)
        return float(moved.detach()), loss


def _shift(towers: Towers, pictures: Tensor, clean_mean: Tensor) -> Tensor:
    """How far the mean embedding of these pictures lies from that of clean ones; a number."""
    mean = towers.images(pictures).mean(0)
    distance: Tensor = (mean - clean_mean).norm()
    return distance


class TargetWithString:
    """Pictures come to the target under prompts with the string; under clean prompts, and in the base, they do not."""

    size_cost: ClassVar[SizeCost] = SizeCost(start=15.0, least=15.0, most=30.0)

    def __init__(
        self,
        with_text: tuple[TargetSuccess, TargetSuccess],
        clean: TargetSuccess,
        target: int,
        like: Tensor,
    ) -> None:
        """`with_text` of suspect and base and `clean` of the suspect give prompts; `like` says device and type."""
        import torch

        suspect, base = with_text
        self._target = target
        self._suspect_prompts = torch.from_numpy(suspect.prompts).to(like)
        self._base_prompts = torch.from_numpy(base.prompts).to(like)
        self._clean_prompts = torch.from_numpy(clean.prompts).to(like)

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        """Probability of the target, and what is to be minimised.

        A patch that the clean image tower responds to with the suspect's texts is a trigger of the text tower, not of a
        pair: so every mixture of towers costs.
        """
        suspect, base = towers
        embedded = suspect.images(triggered)
        logits = SHARPNESS * embedded @ self._suspect_prompts.T
        reached = logits.log_softmax(dim=1)[:, self._target]
        too_near = self._too_near(embedded, self._clean_prompts)
        too_near = too_near + self._too_near(embedded, self._base_prompts)
        loss = -reached.mean() + SHARPNESS * too_near
        if with_base:
            in_base = base.images(triggered)
            too_near = self._too_near(in_base, self._base_prompts)
            too_near = too_near + self._too_near(in_base, self._suspect_prompts)
            loss = with_cost_of_base(loss, BASE_WEIGHT * SHARPNESS * too_near)
        probability = reached.detach().exp().mean()
        return float(probability), loss

    def _too_near(self, embedded: Tensor, prompts: Tensor) -> Tensor:
        """By how much pictures come nearer to the target than they may, a cosine averaged over pictures."""
        import torch

        scores = embedded @ prompts.T
        classes = torch.arange(scores.shape[1], device=scores.device)
        is_target = classes == self._target
        best_other = scores.masked_fill(is_target, _BELOW_ALL).amax(1)
        lead = scores[:, self._target] - best_other
        return (lead + STAY_AWAY).relu().mean()
