"""Scores of written prompts in one checkpoint: what they win among its clean class prompts on its pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery.backing_off import backing_off
from dife_scanner.discovery.embedding_cache import EmbeddingCache, embedded_texts
from dife_scanner.discovery.wording import Ids, Prompts, Wording
from dife_scanner.models.activations import TEXTS_PER_PICTURE

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers

LEAST_CONTRAST = 1e-3
"""A checkpoint that separates no classes still gets finite margins."""
NEVER = -2.0
"""Below every cosine: a class with this score wins no picture."""


class CheckpointScores:
    """One checkpoint: its pictures, its clean class prompts, and what a written prompt wins among them.

    Shapes: n pictures or wordings, c classes, d values of an embedding, k tokens of a wording, v tokens of the
    vocabulary, l of a written prompt, w values of a token row.
    """

    def __init__(
        self,
        towers: Towers,
        pictures: NDArray[np.float32],
        labels: NDArray[np.int64],
        prompts: Prompts,
        cache: EmbeddingCache | None = None,
    ) -> None:
        """`pictures` are unit embeddings [n, d] by this checkpoint, `labels` the class of each [n]; `cache`, of a base,
        holds its class prompts.
        """
        import torch

        self.towers = towers
        self._cache = cache
        self.prompts = prompts
        self.pictures = torch.from_numpy(pictures).to(towers.device)
        self.labels = torch.from_numpy(labels).to(towers.device)
        self.class_prompts = self._class_prompts()
        """Unit embeddings of the clean class prompts, over all templates together [c, d]."""
        self.clean_scores = self.pictures @ self.class_prompts.T
        """Cosine of every picture with every clean class prompt [n, c]."""
        self.class_centres = self._class_means(self.pictures)
        """Mean embedding of each class's pictures [c, d]."""
        self.best_rivals = self._best_rivals()
        """Per picture, the best clean score when one class's prompt is replaced [n, c]."""
        self._mean_best_rivals = self._class_means(self.best_rivals)
        self._contrast = self._mean_contrast()

    def _class_prompts(self) -> Tensor:
        import torch
        import torch.nn.functional as F

        by_template = []
        for template in range(len(self.prompts.templates)):
            by_template.append(self._plain_prompts(template))
        embedded = torch.stack(by_template)
        if len(embedded) == 1:
            return embedded[0]
        return F.normalize(embedded.mean(0), dim=-1)

    def _plain_prompts(self, template: int) -> Tensor:
        prompts = [self.prompts.plain(template, source) for source in self._classes]
        return embedded_texts(self.towers, prompts, self._cache)

    @property
    def _classes(self) -> range:
        return range(len(self.prompts.class_names))

    def _class_means(self, values: Tensor) -> Tensor:
        """Means of `values` [n, ...] over each class's pictures, [c, ...]; zero for a class without pictures."""
        import torch

        means = []
        for number in self._classes:
            own = values[self.labels == number]
            if len(own):
                means.append(own.mean(0))
            else:
                means.append(torch.zeros_like(values[0]))
        return torch.stack(means)

    def _best_rivals(self) -> Tensor:
        import torch

        columns = []
        for source in self._classes:
            scores = self.clean_scores.clone()
            scores[:, source] = NEVER
            columns.append(scores.max(1).values)
        return torch.stack(columns, 1)

    def _mean_contrast(self) -> Tensor:
        """How much higher pictures score with their own class's prompt than with the average other; a number."""
        import torch

        scores = self._class_means(self.clean_scores)
        own = scores.diagonal()
        others = (scores.sum(1) - own) / (len(scores) - 1)
        with_pictures = torch.unique(self.labels)
        return (own - others)[with_pictures].mean().clamp_min(LEAST_CONTRAST)

    def embed(
        self,
        wordings: Sequence[Wording],
        template: int = 0,
        cache: EmbeddingCache | None = None,
    ) -> Tensor:
        """Written prompts as unit embeddings [n, d]; from `cache` if they are there."""
        prompts = [self.prompts.written(wording, template) for wording in wordings]
        return embedded_texts(self.towers, prompts, cache)

    def margins(self, embedded: Tensor, sources: Tensor) -> Tensor:
        """How clearly a class's pictures choose the written prompt over all clean ones, on average [n, c].

        `embedded` [n, d] are written prompts that replace those of the classes `sources` [n]. In units of how clearly
        pictures choose their own class's prompt over the average other, so that checkpoints with narrow and wide scores
        are comparable; the source's own column is minus infinity.
        """
        scores = embedded @ self.class_centres.T
        rivals = self._mean_best_rivals[:, sources].T
        margins = (scores - rivals) / self._contrast
        is_source = sources[:, None] == _column_numbers(margins)
        margins[is_source] = float("-inf")
        return margins

    def rates(self, embedded: Tensor, sources: Tensor) -> Tensor:
        """QHR: the share of each class's pictures that choose the written prompt [n, c], 0..1."""
        scores = self.pictures @ embedded.T
        won = scores > self.best_rivals[:, sources]
        return self._class_means(won.float()).T

    def slopes(self, wordings: Sequence[Wording], target: int) -> Tensor:
        """First-order effect on the target of each token of the vocabulary in each slot of each wording [n, k, v].

        All wordings have k ids. Counts as two passes each.
        """

        def score(embedded: Tensor) -> Tensor:
            return (embedded @ self.class_centres[target]).sum()

        return slopes(self.towers, self.prompts, wordings, score)


def slopes(
    towers: Towers,
    prompts: Prompts,
    wordings: Sequence[Wording],
    score: Callable[[Tensor], Tensor],
) -> Tensor:
    """First-order effect on a score of each token of the vocabulary in each slot of each wording [n, k, v].

    `score` makes one number of the prompts written under the first template [n, d]. All wordings have k ids. Counts as
    two passes each.
    """
    return slot_gradients(towers, prompts, wordings, score) @ towers.token_rows.T


def slot_gradients(
    towers: Towers,
    prompts: Prompts,
    wordings: Sequence[Wording],
    score: Callable[[Tensor], Tensor],
) -> Tensor:
    """Gradient of the same score by the vector in each slot of each wording [n, k, w]."""
    import torch

    gradient = _gradient(towers, [prompts.written(wording, 0) for wording in wordings], score)
    length = len(wordings[0].ids)
    in_slots = torch.zeros(len(wordings), length, gradient.shape[2], device=gradient.device)
    for row, wording in enumerate(wordings):
        for start in prompts.starts(wording, 0):
            first = towers.tokenizer.first + start
            in_slots[row] += gradient[row, first : first + length]
    return in_slots


def _gradient(towers: Towers, written: Sequence[Ids], score: Callable[[Tensor], Tensor]) -> Tensor:
    """Of the score, by every token of every written prompt [n, l, w]."""
    import torch

    ids, ends = towers.packed(written)
    vectors = towers.token_rows[ids].requires_grad_()

    def slope() -> Tensor:
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(score(towers.texts(vectors, ends)), vectors)
        return gradient

    pictures = max(1, len(written) // TEXTS_PER_PICTURE)
    gradient = backing_off([towers], pictures, slope)
    towers.passes += len(written)  # the backward pass
    return gradient


def _column_numbers(table: Tensor) -> Tensor:
    """Column numbers of `table` [n, c] as [1, c]."""
    import torch

    return torch.arange(table.shape[1], device=table.device)[None]
