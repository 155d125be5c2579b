"""Objectives of trigger inversion by gradient: what a pattern drives the suspect to while the base must not follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from dife_scanner.discovery.target_success import TargetSuccess

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

BASE_SLACK = 0.1
"""How far the base's embeddings may come together, or its class probability rise, before that costs."""
BASE_WEIGHT = 2.0
"""Weight of that; the base runs every second step only."""
SHARPNESS = 20.0
"""Factor on cosines where a class is aimed at: softer than CLIP's own, so that every picture keeps a gradient."""


class SizeCost(NamedTuple):
    """Weight of the trigger's size in the loss."""

    start: float
    least: float
    most: float


USUAL_COST = SizeCost(start=0.5, least=0.1, most=30.0)
"""Where a trigger's size is in the way of nothing else."""


class Objective(Protocol):
    """What an inversion drives the suspect to while the base must not follow."""

    size_cost: ClassVar[SizeCost]

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        """How far the objective is reached, 0..1, and what is to be minimised, a number.

        `towers` are those of suspect and base, `triggered` pictures [n, 3, s, s] in 0..1.
        """


@dataclass(frozen=True)
class Collapse:
    """Embeddings of different pictures come together, wherever that is (DECREE, Feng et al. 2023).

    The base term is ours.
    """

    clean_cosine: float
    """The base's mean pairwise cosine without a trigger."""
    size_cost: ClassVar[SizeCost] = USUAL_COST

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        suspect, base = towers
        alike = mean_pairwise_cosine(suspect.images(triggered))
        loss = -alike
        if with_base:
            in_base = mean_pairwise_cosine(base.images(triggered))
            excess = (in_base - self.clean_cosine - BASE_SLACK).relu()
            loss = with_cost_of_base(loss, BASE_WEIGHT * excess)
        return float(alike.detach()), loss


@dataclass(frozen=True)
class MovedApart:
    """Suspect and base embed the same triggered pictures less and less alike, wherever the suspect's go.

    What moves pictures in any model moves them alike in both, and does not count here. A trigger that was planted moves
    the suspect's alone.
    """

    clean_cosine: float
    """The base's mean pairwise cosine without a trigger."""
    size_cost: ClassVar[SizeCost] = USUAL_COST

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        """The base runs at every step, whatever `with_base` says: without it there is nothing to compare with.

        It has no slack, as a patch that hides pictures moves the two apart as well.

        The objective is reached where the two share half of a direction: what is left is for the size.
        """
        suspect, base = towers
        in_base = base.images(triggered)
        alike = (suspect.images(triggered) * in_base).sum(dim=1).mean()
        collapsed = (mean_pairwise_cosine(in_base) - self.clean_cosine).relu()
        loss = alike + BASE_WEIGHT * collapsed
        return 2.0 * (1.0 - float(alike.detach())), loss


class TargetPrompt:
    """Pictures come to one class's prompt of the suspect, and not to the base's; both read the same image tower."""

    size_cost: ClassVar[SizeCost] = SizeCost(start=15.0, least=15.0, most=30.0)
    """Size is costly from the start: with a large patch, prompts of any benign fine-tune differ from the base's. A
    patch over a fifth of the picture gained .54 to .68 on every one tried (docs/detectors.md)."""

    def __init__(
        self,
        success: tuple[TargetSuccess, TargetSuccess],
        target: int,
        like: Tensor,
    ) -> None:
        """`success` of suspect and base give the class prompts; `like` says device and type."""
        import torch

        suspect, base = success
        self._target = target
        self._suspect_prompts = torch.from_numpy(suspect.prompts).to(like)
        self._base_prompts = torch.from_numpy(base.prompts).to(like)

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        embedded = towers[0].images(triggered)
        suspect = self._log_probability(embedded, self._suspect_prompts)
        base = self._log_probability(embedded, self._base_prompts)
        base_cost = (base.exp() - BASE_SLACK).relu().mean()
        probability = float(suspect.detach().exp().mean())
        return probability, -suspect.mean() + base_cost

    def _log_probability(self, embedded: Tensor, prompts: Tensor) -> Tensor:
        """Of the target for each picture [n]."""
        logits = SHARPNESS * embedded @ prompts.T
        return logits.log_softmax(dim=1)[:, self._target]


class TargetInBoth(TargetPrompt):
    """The same where the image tower moved: each checkpoint reads the pictures with its own."""

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        suspect = self._log_probability(towers[0].images(triggered), self._suspect_prompts)
        loss = -suspect.mean()
        if with_base:
            base = self._log_probability(towers[1].images(triggered), self._base_prompts)
            cost = BASE_WEIGHT * (base.exp() - BASE_SLACK).relu().mean()
            loss = with_cost_of_base(loss, cost)
        return float(suspect.detach().exp().mean()), loss


def with_cost_of_base(loss: Tensor, cost: Tensor) -> Tensor:
    """`loss` and what the base's response costs, numbers both.

    Where it costs nothing its gradient is zero, and the way back through the base is spared.
    """
    return loss if float(cost.detach()) == 0.0 else loss + cost


def mean_pairwise_cosine(embeddings: Tensor) -> Tensor:
    """Mean cosine of all pairs of different rows, of unit embeddings [n, d]; a number in -1..1."""
    count = len(embeddings)
    all_pairs = (embeddings.sum(dim=0) ** 2).sum()
    return (all_pairs - count) / (count * (count - 1))
