"""A prompt learner in front of a checkpoint's text tower: its scores, its success, and what is inverted against it.

Shapes: n pictures, c classes, m context vectors, w values of a token row, l tokens of a text, d values of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.inversion_objectives import USUAL_COST, SizeCost
from dife_scanner.discovery.target_success import Pixels, Rows, TargetSuccess
from dife_scanner.triggers import learner

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

PROMPTS_AT_ONCE = 2048
"""Image-conditioned prompts embedded in one call while measuring."""
_LEAST_LEFT = 1e-4
"""Least probability of the other classes in the base whose logarithm is taken, so that the loss stays finite."""


class LearnedPrompts:
    """A prompt learner in front of one checkpoint's text tower, differentiable in the picture."""

    def __init__(
        self,
        towers: Towers,
        prompt: learner.PromptLearner,
        class_names: Sequence[str],
    ) -> None:
        import torch

        self.device = towers.device
        self._towers = towers
        self._context = self._tensor(prompt.context)
        placeholder = (0,) * len(self._context)  # where the context stands
        texts = [placeholder + towers.tokenizer.encode(text) for text in prompt.texts(class_names)]
        self._ids, self._ends = towers.packed(texts)
        self._meta_network: list[Tensor] = []
        if prompt.meta is not None:
            meta = prompt.meta
            parts = (
                meta.weight_1,
                meta.bias_1,
                meta.weight_2,
                meta.bias_2,
            )
            self._meta_network.extend(map(self._tensor, parts))
        with torch.no_grad():
            self._fixed_prompts = self._class_prompts(self._context[None])[0]
            """Class prompts [c, d] as they are before a picture moves them."""

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        import torch

        return torch.tensor(np.asarray(values), device=self.device)

    def scores(self, embedded: Tensor) -> Tensor:
        """Cosines [n, c] of unit picture embeddings [n, d] with every class under the learned prompts."""
        if not self._meta_network:
            return embedded @ self._fixed_prompts.T
        weight_1, bias_1, weight_2, bias_2 = self._meta_network
        hidden = (embedded @ weight_1.T + bias_1).relu()
        shift = hidden @ weight_2.T + bias_2
        prompts = self._class_prompts(self._context[None] + shift[:, None])
        return (embedded[:, None] * prompts).sum(-1)

    def _class_prompts(self, contexts: Tensor) -> Tensor:
        """Contexts [n, m, w] -> every class behind each, as unit embeddings [n, c, d]."""
        import torch

        count = len(contexts)
        classes = len(self._ids)
        rows = self._towers.token_rows[self._ids]
        words = rows.expand(count, -1, -1, -1)  # [n, c, l, w]
        first = self._towers.tokenizer.first
        start_token = words[:, :, :first]
        context = contexts[:, None].expand(-1, classes, -1, -1)
        class_name = words[:, :, first + contexts.shape[1] :]  # and what is behind it
        vectors = torch.cat([start_token, context, class_name], dim=2)
        ends = self._ends.repeat(count)
        embedded = self._towers.texts(vectors.flatten(0, 1), ends)
        return embedded.view(count, classes, -1)


class LearnedSuccess(TargetSuccess):
    """Target success under the learned prompts."""

    def __init__(
        self, task: Task, learned: LearnedPrompts, class_names: tuple[str, ...], rows: Rows
    ) -> None:
        """`class_names` as in `TargetSuccess`, those that `learned` has; `rows` are of the pictures searched on."""
        super().__init__(task, task.suspect, class_names)
        self.learned = learned
        self.clean_rates = self.rates([task.pixels[rows]], task.labels[rows])[0]
        """How often each class wins on clean pictures of others, [c], 0..1."""

    def _scores(self, pictures: Pixels) -> NDArray[np.float64]:
        import torch

        encoded = self._encoder.encode_images(pictures)
        embedded = torch.from_numpy(encoded).to(self.learned.device)
        pictures_at_once = max(1, PROMPTS_AT_ONCE // len(self.prompts))
        scores = []
        with torch.no_grad():
            for part in torch.split(embedded, pictures_at_once):
                scores.append(self.learned.scores(part).cpu())
        return np.asarray(torch.cat(scores), np.float64)


class TargetUnderLearner:
    """Pictures come to one class under the learned prompts, and stay away from it under the base's written ones."""

    size_cost: ClassVar[SizeCost] = USUAL_COST

    def __init__(
        self,
        learned: LearnedPrompts,
        written: metrics.Floats,
        target: int,
        task: Task,
    ) -> None:
        """`written` are the base's class prompts [c, d]."""
        import torch

        self._learned = learned
        self._target = target
        self._task = task
        as_float32 = np.asarray(written, np.float32)
        self._written = torch.from_numpy(as_float32).to(learned.device)

    def loss(
        self,
        towers: tuple[Towers, Towers],
        triggered: Tensor,
        *,
        with_base: bool,
    ) -> tuple[float, Tensor]:
        """Probability of the target under the learned prompts, and what is to be minimised."""
        suspect, base = towers
        embedded = suspect.images(triggered)
        logits = self._scale * self._learned.scores(embedded)
        reached = logits.log_softmax(dim=1)[:, self._target]
        loss = -reached.mean()
        if with_base:
            in_base = embedded  # an unmoved image tower embeds them as the base's
            if self._task.image_moved:
                in_base = base.images(triggered)
            loss = loss - self._stays_away(in_base)
        probability = reached.detach().exp().mean()
        return float(probability), loss

    @property
    def _scale(self) -> float:
        return self._task.suspect.logit_scale

    def _stays_away(self, in_base: Tensor) -> Tensor:
        """Mean log probability that the base takes pictures [n, d] for another class."""
        logits = self._scale * in_base @ self._written.T
        in_target = logits.softmax(dim=1)[:, self._target]
        return (1 - in_target).clamp_min(_LEAST_LEFT).log().mean()
