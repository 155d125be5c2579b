"""Token sequences in prompts: where they are put, how they are judged on pictures, and what they mean in the base."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Position

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.interface import Task
    from dife_scanner.discovery.kept import Kept
    from dife_scanner.models.gradient import Towers

Ids = tuple[int, ...]
POSITIONS = (Position.PREFIX, Position.INFIX, Position.SUFFIX)
AROUND = Position.AROUND
"""Before and behind the prompt, twice in all."""
LEAST_CONTRAST = 1e-3
"""A checkpoint that tells no classes apart still gets finite margins."""


@dataclass(frozen=True)
class Wording:
    """A token sequence at a place in the prompt of one class."""

    ids: Ids
    position: Position
    source: int


@dataclass(frozen=True)
class Prompts:
    """Templates and class names as token ids."""

    templates: tuple[str, ...]
    class_names: tuple[str, ...]

    def plain(self, template: int, source: int) -> Ids:
        return _pieces(self.templates[template].format(self.class_names[source]))

    def written(self, wording: Wording, template: int) -> Ids:
        """Ids of the prompt with the wording in it, as `triggers.stamp.write` places a text trigger."""
        prompt, ids = self.plain(template, wording.source), wording.ids
        if wording.position == AROUND:
            return ids + prompt + ids
        (start,) = self.starts(wording, template)
        return prompt[:start] + ids + prompt[start:]

    def starts(self, wording: Wording, template: int) -> tuple[int, ...]:
        """At which tokens of the written prompt the wording begins."""
        if wording.position is Position.PREFIX:
            return (0,)
        if wording.position is Position.INFIX:
            return (len(_pieces(self.templates[template].partition("{}")[0])),)
        length = len(self.plain(template, wording.source))
        return (length,) if wording.position is Position.SUFFIX else (0, len(wording.ids) + length)

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt, without start and end."""
        counts = range(len(self.templates)), range(len(self.class_names))
        return max(len(self.plain(template, source)) for template in counts[0] for source in counts[1])


def too_long_prompts(task: Task) -> str:
    """Why no string can be searched for in these prompts, in words; empty where one can."""
    longest, most = 2 + Prompts(task.templates, task.class_names).longest, task.suspect.context_length
    if longest < most:
        return ""
    return f"the longest class prompt has {longest} tokens and the model reads {most}: there is no room for a text"


@lru_cache(maxsize=4096)
def _pieces(text: str) -> Ids:
    from dife_scanner.models.gradient import pieces

    return pieces(text)


class Reading:
    """One checkpoint: its pictures, its clean class prompts, and what a written prompt wins among them."""

    def __init__(
        self, towers: Towers, pictures: NDArray[np.float32], labels: NDArray[np.int64], prompts: Prompts
    ) -> None:
        import torch

        self.towers, self.prompts = towers, prompts
        self.pictures = torch.from_numpy(pictures).to(towers.device)
        self.labels = torch.from_numpy(labels).to(towers.device)
        sources = range(len(prompts.class_names))
        each = [
            towers.tokens([prompts.plain(template, source) for source in sources])
            for template in range(len(prompts.templates))
        ]
        self.classes = _mean(torch.stack(each))
        """Clean class prompts over all templates [c, d]."""
        self.scores = self.pictures @ self.classes.T
        self.centres = self._by_class(self.pictures)
        self.rivals = torch.stack([self._others(source).max(1).values for source in sources], 1)
        """Per picture, the best clean score when one class's prompt is replaced [n, c]."""
        self._hurdle = self._by_class(self.rivals)
        own = self._by_class(self.scores)
        others = (own.sum(1) - own.diagonal()) / (len(own) - 1)
        self._contrast = (own.diagonal() - others)[torch.unique(self.labels)].mean().clamp_min(LEAST_CONTRAST)

    def _by_class(self, values: Tensor) -> Tensor:
        """Means over each class's pictures, [c, ...]; zero for a class without pictures."""
        import torch

        rows = [values[self.labels == number] for number in range(len(self.prompts.class_names))]
        return torch.stack([row.mean(0) if len(row) else torch.zeros_like(values[0]) for row in rows])

    def _others(self, source: int) -> Tensor:
        scores = self.scores.clone()
        scores[:, source] = -2.0
        return scores

    def embed(self, wordings: Sequence[Wording], template: int = 0, kept: Kept | None = None) -> Tensor:
        """Written prompts as unit embeddings [n, d]; from `kept` if they are there."""
        rows = [self.prompts.written(wording, template) for wording in wordings]
        return self.towers.tokens(rows) if kept is None else kept.tokens(self.towers, rows)

    def margins(self, embedded: Tensor, sources: Tensor) -> Tensor:
        """How clearly a class's pictures choose the written prompt over all clean ones, on average [n, c].

        In units of how clearly pictures choose their own class's prompt over the average other; the source's own
        column is minus infinity.
        """
        found = (embedded @ self.centres.T - self._hurdle[:, sources].T) / self._contrast
        found[sources[:, None] == range_like(found)] = float("-inf")
        return found

    def rates(self, embedded: Tensor, sources: Tensor) -> Tensor:
        """QHR: the share of each class's pictures that choose the written prompt [n, c]."""
        won = (self.pictures @ embedded.T > self.rivals[:, sources]).float()
        return self._by_class(won).T

    def slopes(self, wordings: Sequence[Wording], target: int) -> Tensor:
        """For each wording and slot, how much each token of the vocabulary would raise the target, to first order
        [n, k, v]; all wordings have k ids. Counts as two passes each.
        """
        import torch

        ids, ends = self.towers.packed([self.prompts.written(w, 0) for w in wordings])
        vectors = self.towers.token_rows[ids].requires_grad_()
        with torch.enable_grad():
            gained = (self.towers.texts(vectors, ends) @ self.centres[target]).sum()
            (gradient,) = torch.autograd.grad(gained, vectors)
        self.towers.passes += len(wordings)
        there = torch.zeros(len(wordings), len(wordings[0].ids), gradient.shape[2], device=gradient.device)
        for row, wording in enumerate(wordings):
            for start in self.prompts.starts(wording, 0):
                there[row] += gradient[row, start + 1 : start + 1 + len(wording.ids)]
        return there @ self.towers.token_rows.T


def range_like(table: Tensor) -> Tensor:
    """Column numbers of `table` [n, c] as [1, c]."""
    import torch

    return torch.arange(table.shape[1], device=table.device)[None]


def _mean(embedded: Tensor) -> Tensor:
    import torch.nn.functional as F

    return embedded[0] if len(embedded) == 1 else F.normalize(embedded.mean(0), dim=-1)


class Meaning:
    """Which words name which class in the base: more than all but `ALIKE` of random tokens do.

    A word counts alone, and in a template in place of the class name.
    """

    ALIKE = 0.01

    def __init__(self, base: Reading, panel: Sequence[int], kept: Kept) -> None:
        self._base = base
        self._known: dict[Ids, tuple[bool, ...]] = {}
        self._limits = self._likeness([(token,) for token in panel], kept).quantile(1 - self.ALIKE, dim=0)

    def _likeness(self, words: Sequence[Ids], kept: Kept | None = None) -> Tensor:
        """Cosine with every class [n, 2, c]: alone, and in a template; embeddings from `kept` if they are there."""
        import torch

        head, _, tail = self._base.prompts.templates[0].partition("{}")
        framed = [(*_pieces(head), *word, *_pieces(tail)) for word in words]
        rows = [*words, *framed]
        found = self._base.towers.tokens(rows) if kept is None else kept.tokens(self._base.towers, rows)
        return (found @ self._base.classes.T).view(2, len(words), -1).transpose(0, 1).to(torch.float32)

    def names(self, words: Iterable[Ids]) -> list[tuple[bool, ...]]:
        """For each word, for each class, whether it names it."""
        words = list(words)
        unknown = [word for word in dict.fromkeys(words) if word not in self._known]
        if unknown:
            named = (self._likeness(unknown) > self._limits).any(1)
            self._known.update(zip(unknown, map(tuple, named.tolist()), strict=True))
        return [self._known[word] for word in words]


def readable(token: int) -> bool:
    """Whether a token is something a person can read: no half of a character, no blank."""
    from dife_scanner.models.gradient import spelled

    text = spelled((token,))
    return bool(text) and text.isprintable() and "\ufffd" not in text
