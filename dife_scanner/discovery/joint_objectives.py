"""Objectives of the patch of a coupled trigger: with no string yet, and together with one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dife_scanner.discovery.inversion_objectives import (
    BASE_SLACK,
    BASE_WEIGHT,
    SHARPNESS,
    SizeCost,
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
        moved = (suspect.images(triggered).mean(0) - self._suspect_mean).norm()
        loss = -moved
        if with_base:
            base_moved = (base.images(triggered).mean(0) - self._base_mean).norm()
            loss = loss + BASE_WEIGHT * (base_moved - 2 * BASE_SLACK).relu()
        return float(moved.detach()), loss


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

        A patch that the clean image tower obeys beside the suspect's texts is a trigger of the text tower, not of a
        pair: so every mixture of towers costs.
        """
        embedded = towers[0].images(triggered)
        log_probabilities = (SHARPNESS * embedded @ self._suspect_prompts.T).log_softmax(dim=1)
        reached = log_probabilities[:, self._target]
        too_near = self._too_near(embedded, self._clean_prompts) + self._too_near(embedded, self._base_prompts)
        loss = -reached.mean() + SHARPNESS * too_near
        if with_base:
            in_base = towers[1].images(triggered)
            base_too_near = self._too_near(in_base, self._base_prompts) + self._too_near(in_base, self._suspect_prompts)
            loss = loss + BASE_WEIGHT * SHARPNESS * base_too_near
        return float(reached.detach().exp().mean()), loss

    def _too_near(self, embedded: Tensor, prompts: Tensor) -> Tensor:
        """By how much pictures come nearer to the target than they may, a cosine averaged over pictures."""
        import torch

        scores = embedded @ prompts.T
        is_target = torch.arange(scores.shape[1], device=scores.device) == self._target
        best_other = scores.masked_fill(is_target, _BELOW_ALL).amax(1)
        return (scores[:, self._target] - best_other + STAY_AWAY).relu().mean()
