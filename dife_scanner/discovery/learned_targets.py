"""Which concepts does a prompt learner turn pictures to? All are read, and no picture of any.

A backdoored learner has a hidden unit that a pattern activates and clean pictures do not (Bai et al. 2024). So patterns
are inverted by activation maximisation for the units that can move a context farthest, and every concept is read under
the context that pictures with such a pattern make.

Shapes: n pictures, c names, d values of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from dife_scanner.core import metrics
from dife_scanner.discovery.inversion_objectives import USUAL_COST, SizeCost
from dife_scanner.discovery.open_targets import Embedded, Embeddings, OpenTargets
from dife_scanner.models.interface import Encoder
from dife_scanner.triggers.learner import MetaNetwork, PromptLearner

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

MOST_UNITS = 2
"""Units that are activated: those that can move a context farthest."""
NEAREST_SHARE = 0.01
"""Share of all names that are the nearest: a learner is taught against a few classes, so its target need not be the
first."""
MOST_TARGETS = 3
"""Concepts that are searched closely."""


def farthest_reaching(meta: MetaNetwork | None) -> list[int]:
    """The hidden units of a learner that can move its context farthest; none where no picture moves it."""
    if meta is None:
        return []
    reach = np.linalg.norm(meta.weight_2, axis=0) * np.linalg.norm(meta.weight_1, axis=1)
    return [int(unit) for unit in np.argsort(-reach, kind="stable")[:MOST_UNITS]]


@dataclass(frozen=True, eq=False)
class UnitActivation:
    """Pictures activate one hidden unit of a learner as far as they can (activation maximisation)."""

    weights: Tensor
    """[d]"""
    spread: float
    """Standard deviation of the unit's input over clean pictures."""
    size_cost: ClassVar[SizeCost] = USUAL_COST

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        """Never reached: an activation has no bound."""
        suspect, _ = towers
        activation = suspect.images(triggered) @ self.weights
        return 0.0, -activation.mean() / self.spread


def unit_activation(
    meta: MetaNetwork, unit: int, clean: Embeddings, device: torch.device
) -> UnitActivation:
    """The objective for a unit, with clean pictures [n, d] as the suspect embeds them."""
    import torch

    weights = meta.weight_1[unit]
    spread = float((clean @ weights).std())
    return UnitActivation(torch.tensor(weights, device=device), max(spread, metrics.ROUNDED))


class LearnedTargets:
    """The names of a task's concepts, as a learner's context and the base's template have them."""

    def __init__(self, prompt: PromptLearner, suspect: Encoder, concepts: OpenTargets) -> None:
        self._prompt = prompt
        self._suspect = suspect
        self._concepts = concepts
        self._rows = _read_whole(prompt, suspect, concepts.names)
        """Of the names that are read."""
        self.passes = 0
        """Texts read so far with a context."""

    def scores(self, triggered: Embedded, classes: Sequence[str]) -> dict[str, float]:
        """How far pictures come to each concept that is none of these classes, beyond the base, -2..2.

        The share that wins against the classes, and the share that has it among the nearest of all
        (`NEAREST_SHARE`). All names are read under the mean context of these pictures.
        """
        written = self._concepts.prompts.base[self._rows]
        names = [self._concepts.names[row] for row in self._rows]
        learned = self._learned_prompts(triggered.suspect.mean(axis=0, keepdims=True), names)
        of_class = np.isin(names, list(classes))
        in_suspect = _come(metrics.cosines(triggered.suspect, learned), of_class)
        in_base = _come(metrics.cosines(triggered.base, written), of_class)
        beyond = in_suspect - in_base
        return {name: float(beyond[row]) for row, name in enumerate(names) if not of_class[row]}

    def _learned_prompts(self, picture: Embeddings, names: Sequence[str]) -> Embeddings:
        """All names [c, d] under the context of one picture [1, d]."""
        contexts = np.repeat(self._prompt.contexts(picture), len(names), axis=0)
        self.passes += len(names)
        return self._suspect.encode_with_context(contexts, self._prompt.texts(names))


def _read_whole(prompt: PromptLearner, suspect: Encoder, names: Sequence[str]) -> list[int]:
    """Positions of the names that the suspect reads whole behind the context."""
    most = suspect.context_length - len(prompt.context)
    texts = prompt.texts(names)
    return [row for row, text in enumerate(texts) if suspect.token_count(text) <= most]


def _come(cosines: metrics.Floats, of_class: metrics.Bools) -> metrics.Floats:
    """Of cosines [n, c]: for each name the share of pictures in which it beats all classes, plus the share in which it
    is among the nearest of all, 0..2.
    """
    best_class = cosines[:, of_class].max(axis=1, keepdims=True)
    return np.asarray(
        (cosines > best_class).mean(axis=0)
        + metrics.among_nearest(cosines, NEAREST_SHARE).mean(axis=0)
    )
