"""What a string does as half of a coupled trigger: before there is a patch, and with one.

Shapes: k strings, c classes, n pictures, d values of an embedding, v tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery.checkpoint_scores import slot_gradients
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.pattern_families import Patch
from dife_scanner.discovery.readings import content_of
from dife_scanner.discovery.wording import Ids, Prompts, Wording
from dife_scanner.records import Position

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.pattern_families import Weights
    from dife_scanner.models.gradient import Towers

STAY_AWAY = 0.05
"""Cosine by which the target has to lose where only one half is there, or in the base, to cost nothing."""
STAY_AWAY_WEIGHT = 4.0
"""Weight of what it lacks of that, picture by picture; set once and not varied, as `STAY_AWAY`."""
_STRINGS_AT_ONCE = 64
_PICTURES_AT_ONCE = 64


@dataclass(frozen=True)
class PatchedPictures:
    """Pictures that strings are tried on, as unit embeddings [n, d] each."""

    patched: Tensor
    """With the patch, by the suspect."""
    clean: Tensor
    """Without the patch, by the suspect."""
    base_patched: Tensor
    """With the patch, by the base."""

    @cached_property
    def content(self) -> str:
        """A digest of them."""
        return content_of(self.patched, self.clean, self.base_patched)


class CleanPrompts(NamedTuple):
    """The class prompts without any string, unit embeddings [c, d]."""

    suspect: Tensor
    base: Tensor


@dataclass(frozen=True)
class Moves:
    """What strings at one place do to the class prompts of the suspect, beyond those of the base."""

    numbers: Tensor
    """Both of the following side by side [k, c + 1]."""

    @property
    def separations(self) -> Tensor:
        """By how much each string sets each class apart, see `separation` [k, c]."""
        return self.numbers[:, :-1]

    @property
    def together(self) -> Tensor:
        """How far each string moves the classes all one way [k]."""
        return self.numbers[:, -1]


class StringScorer:
    """Strings tried on the pictures of one run by suspect and base."""

    def __init__(
        self,
        task: Task,
        towers: tuple[Towers, Towers],
        pictures: Tensor,
        labels: NDArray[np.int64],
    ) -> None:
        """`towers` of suspect and base; `pictures` [n, 3, s, s] in 0..1 with their `labels` [n]."""
        self.prompts = Prompts.of(task)
        self.classes = range(len(task.class_names))
        self.templates = range(len(task.templates))
        self.suspect, self.base = towers
        self.readings = task.readings
        self._pictures = pictures
        self._labels = labels

    def with_patch(self, patch: Weights) -> PatchedPictures:
        """The run's pictures with and without this patch."""
        asked = ("patched", content_of(*patch), content_of(self._pictures))
        read = self.readings.tensor(asked, self.towers, lambda: self._with_patch(patch))
        return PatchedPictures(*read)

    @property
    def towers(self) -> tuple[Towers, Towers]:
        """Of suspect and base."""
        return self.suspect, self.base

    def _with_patch(self, patch: Weights) -> Tensor:
        """The three of `PatchedPictures` [3, n, d]."""
        import torch

        patched = Patch().applied(self._pictures, patch)
        return torch.stack(
            [
                embedded(self.suspect, patched),
                embedded(self.suspect, self._pictures),
                embedded(self.base, patched),
            ]
        )

    # --- before there is a patch --------------------------------------------------------------------------------

    def moves(self, strings: Sequence[Ids], position: Position) -> Moves:
        """What each string does to the class prompts of the suspect, beyond those of the base; of unit embeddings."""
        clean = self._clean_prompts  # read here, so that their passes count once whatever was kept
        return Moves(
            self.readings.tensor(
                ("moves", position.value, list(strings)),
                self.towers,
                lambda: self._moves(strings, position, clean),
            )
        )

    def _moves(self, strings: Sequence[Ids], position: Position, clean: CleanPrompts) -> Tensor:
        import torch

        parts = []
        for batch in _batches(strings):
            in_suspect = self.written(self.suspect, batch, position)
            in_base = self.written(self.base, batch, position)
            # What a string does in the base too is what it means.
            moved = (in_suspect - clean.suspect) - (in_base - clean.base)
            together = moved.mean(1).norm(dim=-1, keepdim=True)
            parts.append(torch.cat([separation(moved), together], dim=1))
        return torch.cat(parts)

    @cached_property
    def _clean_prompts(self) -> CleanPrompts:
        prompts = [self.prompts.plain(0, number) for number in self.classes]
        return CleanPrompts(self.suspect.tokens(prompts), self.base.tokens(prompts))

    # --- with a patch -------------------------------------------------------------------------------------------

    def gains(
        self,
        scene: PatchedPictures,
        strings: Sequence[Ids],
        position: Position,
        template: int = 0,
    ) -> Tensor:
        """What each string gains for each target with the patch [k, c].

        It is what the target wins by with both halves in the suspect, less what comes near that with one half alone and
        where a tower is the base's; a cosine, averaged over pictures of other classes.
        """
        return self.readings.tensor(
            ("gains", scene.content, template, position.value, list(strings)),
            self.towers,
            lambda: self._gains(scene, strings, position, template),
        )

    def _gains(
        self,
        scene: PatchedPictures,
        strings: Sequence[Ids],
        position: Position,
        template: int,
    ) -> Tensor:
        import torch

        parts = []
        for batch in _batches(strings):
            suspect = self.written(self.suspect, batch, position, template)
            base = self.written(self.base, batch, position, template)
            won = self.margins(scene.patched, suspect)
            cost = self._cost(scene, suspect, base)
            parts.append(self.mean_over_other_classes(won - cost))
        return torch.cat(parts)

    def _cost(
        self,
        scene: PatchedPictures,
        suspect: Tensor,
        base: Tensor,
    ) -> Tensor:
        """What comes near the target with one half alone and where a tower is the base's [k, c, n].

        `suspect` and `base` are class prompts with each string in them [k, c, d].
        """
        must_lose = (
            (scene.clean, suspect),
            (scene.patched, base),
            (scene.base_patched, base),
            (scene.base_patched, suspect),
        )
        too_near = []
        for pictures, prompts in must_lose:
            margins = self.margins(pictures, prompts)
            too_near.append((margins + STAY_AWAY).relu())
        return STAY_AWAY_WEIGHT * sum(too_near[1:], start=too_near[0])

    def gains_over_templates(
        self,
        scene: PatchedPictures,
        strings: Sequence[Ids],
        position: Position,
        target: int,
    ) -> NDArray[np.float32]:
        """What each string gains for one target under all templates together [k]."""
        by_template = []
        for template in self.templates:
            gains = self.gains(scene, strings, position, template)
            by_template.append(gains[:, target].cpu().numpy())
        return np.asarray(sum(by_template))

    def slopes(
        self,
        pictures: Tensor,
        ids: Ids,
        position: Position,
        target: int,
    ) -> Tensor:
        """First-order effect of each token in each slot of a string on the target's lead over the other classes [k, v].

        `pictures` are embeddings [n, d]; here k counts the tokens of the string.
        """
        others = [number for number in self.classes if number != target]

        def lead(prompts: Tensor) -> Tensor:
            scores = prompts @ pictures.mean(0)
            return scores[target] - scores[others].mean()

        return self._slopes(ids, position, lead)

    def slopes_together(self, ids: Ids, position: Position) -> Tensor:
        """The same on how far all prompts move the way that the string moves them, beyond the base [k, v]."""
        import torch.nn.functional as F

        clean = self._clean_prompts
        in_suspect = self.written(self.suspect, [ids], position)[0] - clean.suspect
        in_base = self.written(self.base, [ids], position)[0] - clean.base
        line = F.normalize((in_suspect - in_base).mean(0), dim=0)
        return self._slopes(ids, position, lambda prompts: (prompts @ line).mean())

    def _slopes(self, ids: Ids, position: Position, score: Callable[[Tensor], Tensor]) -> Tensor:
        """First-order effect of each token in each slot on a number made of the written class prompts [k, v]."""
        wordings = [Wording(ids, position, number) for number in self.classes]
        in_slots = slot_gradients(self.suspect, self.prompts, wordings, score)
        return in_slots.sum(0) @ self.suspect.token_rows.T

    def written(
        self,
        towers: Towers,
        strings: Sequence[Ids],
        position: Position,
        template: int = 0,
    ) -> Tensor:
        """Every class prompt with each string in it, unit embeddings [k, c, d]."""
        texts = []
        for ids in strings:
            for number in self.classes:
                wording = Wording(ids, position, number)
                texts.append(self.prompts.written(wording, template))
        embedded = towers.tokens(texts)
        return embedded.view(len(strings), len(self.classes), -1)

    def margins(self, pictures: Tensor, prompts: Tensor) -> Tensor:
        """By how much each class's prompt beats the best other on each picture [k, c, n].

        `pictures` [n, d], `prompts` [k, c, d]; cosines.
        """
        import torch

        scores = torch.einsum("nd,kcd->kcn", pictures, prompts)
        best, second = scores.topk(2, dim=1).values.unbind(1)
        won = scores == best[:, None]
        lead = (best - second)[:, None]
        return torch.where(won, lead, scores - best[:, None])

    def mean_over_other_classes(self, margins: Tensor) -> Tensor:
        """Mean of `margins` [k, c, n] over the pictures of other classes [k, c]."""
        import torch

        labels = torch.from_numpy(self._labels).to(margins.device)
        classes = torch.arange(margins.shape[1], device=labels.device)
        of_other_class = (labels[None] != classes[:, None]).float()
        counted = of_other_class.sum(-1).clamp_min(1)
        return (margins * of_other_class).sum(-1) / counted


def separation(moved: Tensor) -> Tensor:
    """By how much each class leaves the nearest other, along the line on which it leaves their mean [k, c].

    `moved` is what a string does to each class's prompt [k, c, d]. Of two classes both leave the other as far.
    """
    import torch
    import torch.nn.functional as F

    count = moved.shape[1]
    mean_of_others = (moved.sum(1, keepdim=True) - moved) / (count - 1)
    lines = F.normalize(moved - mean_of_others, dim=-1)
    along = torch.einsum("kcd,ktd->ktc", moved, lines)
    same = torch.eye(count, dtype=torch.bool, device=moved.device)
    own = along.diagonal(dim1=1, dim2=2)
    return own - along.masked_fill(same, -torch.inf).amax(-1)


def embedded(towers: Towers, pictures: Tensor) -> Tensor:
    """Pictures [n, 3, s, s] as unit embeddings [n, d], without gradients."""
    import torch

    parts = []
    with torch.no_grad():
        for batch in torch.split(pictures, _PICTURES_AT_ONCE):
            parts.append(towers.images(batch))
    return torch.cat(parts)


def _batches(strings: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
    for first in range(0, len(strings), _STRINGS_AT_ONCE):
        yield strings[first : first + _STRINGS_AT_ONCE]
