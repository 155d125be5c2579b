"""Strings that are half of a coupled trigger: which ones set a class apart, and which act beside a patch.

See docs/discovery-joint.md. Every string is one that can be typed: what is tried is what is read when it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery.forms import Patch
from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.pictures import Effort
from dife_scanner.discovery.rows import fingerprint
from dife_scanner.discovery.wording import POSITIONS, Ids, Prompts, Wording, readable
from dife_scanner.records import Position

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.forms import Weights
    from dife_scanner.models.gradient import Towers

LONGEST = 4
"""Most tokens of the string."""
ALOOF = 0.05
"""Cosine by which the target has to lose where only one half is there, or in the base, to cost nothing."""
ALONE = 4.0
"""Weight of what it lacks of that, picture by picture."""
BEAM = 12
"""Strings kept from round to round."""
_FEW, _RUN, _AT_ONCE = 6, 3, 64
"""Strings that a place and target are rated by, tokens of a run of several, and strings that are read at once."""


@dataclass(frozen=True)
class Keys(Effort):
    """What one budget pays for."""

    runs: int = 0
    """Tokens tried at each place in each start, and half as many runs of several."""
    foci: int = 1
    """Classes, or (place, target) beside a patch, searched closely in each start."""
    rounds: int = 0
    wide: int = 16
    """Tokens that a string is grown with, and put in place of each of its own; strings that a class begins with."""
    paired: int = 16
    """Touched tokens of which every pair is tried before there is a patch."""


@dataclass(frozen=True)
class Scene:
    """Pictures that strings are tried on, embedded, [n, d] each."""

    both: Tensor
    """Patched, by the suspect."""
    clean: Tensor
    """Without the patch, by the suspect."""
    base: Tensor
    """Patched, by the base."""


@dataclass(frozen=True)
class Key:
    """A string at a place in every prompt, and the class it is to bring about together with the patch."""

    ids: Ids
    position: Position
    target: int
    gain: float
    """Beside a patch what `Strings.gain` says, before there is one what sets its class apart."""


class Strings:
    """The strings of one run, tried on its pictures [n, 3, s, s] with these labels [n] by suspect and base."""

    def __init__(
        self, task: Task, effort: Keys, towers: tuple[Towers, Towers], pictures: Tensor, labels: NDArray[np.int64]
    ) -> None:
        from dife_scanner.models.gradient import pieces

        self._task, self._effort, self._towers = task, effort, towers
        self._pictures, self._labels = pictures, labels
        self._named = frozenset(token for name in task.class_names for token in pieces(name))
        self._prompts = Prompts(task.templates, task.class_names)
        self._rng = np.random.default_rng([task.seed, 0x2B07])
        self._room = min(LONGEST, task.suspect.context_length - 2 - self._prompts.longest)
        self._touched = tuple(filter(self._allowed, fingerprint(towers[0].token_rows, towers[1].token_rows)))

    @cached_property
    def parted(self) -> list[list[Key]]:
        """For each class, the strings that set its prompt apart from all others, where they stand best for it; classes
        that strings set apart most come first. No picture is looked at."""
        pairs = itertools.product(self._touched[: self._effort.paired], repeat=min(2, self._room))
        runs = list(dict.fromkeys((*self._runs(), *filter(None, map(self._typed, pairs)))))
        best: dict[int, tuple[float, list[Key]]] = {}
        for position in POSITIONS:
            parts = self._parts(runs, position)
            for target in range(parts.shape[1]):
                order = parts[:, target].argsort(descending=True, stable=True)[: self._effort.wide].tolist()
                beam = [Key(runs[row], position, target, float(parts[row, target])) for row in order]
                rating = sum(key.gain for key in beam[:_FEW])
                if target not in best or rating > best[target][0]:
                    best[target] = rating, beam
        return [beam for _, beam in sorted(best.values(), key=lambda one: -one[0])]

    def _parts(self, runs: Sequence[Ids], position: Position) -> Tensor:
        """By how much each string moves each class's prompt along the line on which it leaves the others, beyond the
        nearest of these and beyond the base [k, c]; of unit embeddings."""
        import torch

        plain = [self._prompts.plain(0, number) for number in range(len(self._task.class_names))]
        clean = [towers.tokens(plain) for towers in self._towers]

        def moved(some: Sequence[Ids]) -> Tensor:
            mine, theirs = (
                self._written(towers, some, position) - before
                for towers, before in zip(self._towers, clean, strict=True)
            )
            return mine - theirs

        return torch.cat([_apart(moved(some)) for some in _batches(runs)])

    def foci(self, patch: Weights) -> list[list[Key]]:
        """The best string for each of the (place, target) that arbitrary ones bend most beside this patch."""
        scene = self.scene(patch)
        runs = self._runs()
        rated = []
        for position in POSITIONS:
            gains = self.gain(scene, runs, position)
            for target in range(gains.shape[1]):
                order = gains[:, target].argsort(descending=True, stable=True)[: self._effort.wide].tolist()
                fragile = float(gains[order[:_FEW], target].mean())
                beam = [Key(runs[row], position, target, float(gains[row, target])) for row in order]
                rated.append((fragile, beam))
        rated.sort(key=lambda pair: -pair[0])
        return [[self.grown(scene, beam)] for _, beam in rated[: self._effort.foci]]

    def scene(self, patch: Weights) -> Scene:
        """The pictures as they are with this patch."""
        laid = Patch().laid(self._pictures, patch)
        suspect, reference = self._towers
        return Scene(embedded(suspect, laid), embedded(suspect, self._pictures), embedded(reference, laid))

    def _runs(self) -> list[Ids]:
        """Tokens that the fine-tuning touched and random ones, alone and in runs of several, as they are typed."""
        from dife_scanner.models.gradient import SPECIAL

        drawn = filter(self._allowed, self._rng.permutation(len(self._towers[0].token_rows) - SPECIAL).tolist())
        alone = list(dict.fromkeys([*self._touched, *itertools.islice(drawn, self._effort.runs)]))[: self._effort.runs]
        several = self._rng.choice(alone, (self._effort.runs // 2, min(_RUN, self._room))).tolist()
        runs = ((token,) for token in alone), map(tuple, several)
        return list(dict.fromkeys(filter(None, map(self._typed, itertools.chain(*runs)))))

    def _typed(self, ids: Ids) -> Ids:
        """What is read where somebody types these; nothing where that is too long, or says a class's name."""
        from dife_scanner.models.gradient import pieces, spelled

        found = pieces(spelled(ids))
        return found if len(found) <= self._room and self._named.isdisjoint(found) else ()

    def _allowed(self, token: int) -> bool:
        """Readable, and no piece of a class's name: that in every prompt is another question."""
        return readable(token) and token not in self._named

    def gain(self, scene: Scene, runs: Sequence[Ids], position: Position, template: int = 0) -> Tensor:
        """What each string gains for each target with the patch, less what comes near it with one half alone and where
        a tower is the base's [k, c]."""
        import torch

        def gained(some: Sequence[Ids]) -> Tensor:
            mine, theirs = (self._written(towers, some, position, template) for towers in self._towers)
            less = ((scene.clean, mine), (scene.both, theirs), (scene.base, theirs), (scene.base, mine))
            near = sum((self._margins(pictures, prompts) + ALOOF).relu() for pictures, prompts in less)
            return self._mean(self._margins(scene.both, mine) - ALONE * near)

        return torch.cat([gained(some) for some in _batches(runs)])

    def _written(self, towers: Towers, runs: Sequence[Ids], position: Position, template: int = 0) -> Tensor:
        """Every class prompt with each string in it [k, c, d]."""
        classes = range(len(self._task.class_names))
        texts = [self._prompts.written(Wording(ids, position, number), template) for ids in runs for number in classes]
        return towers.tokens(texts).view(len(runs), len(classes), -1)

    def _margins(self, pictures: Tensor, prompts: Tensor) -> Tensor:
        """By how much each class's prompt beats the best other on each picture [k, c, n]."""
        import torch

        scores = torch.einsum("nd,kcd->kcn", pictures, prompts)
        first, second = scores.topk(2, dim=1).values.unbind(1)
        won = scores == first[:, None]
        return torch.where(won, first[:, None] - second[:, None], scores - first[:, None])

    def _mean(self, margins: Tensor) -> Tensor:
        """Over the pictures of other classes [k, c]."""
        import torch

        labels = torch.from_numpy(self._labels).to(margins.device)
        other = (labels[None] != torch.arange(margins.shape[1], device=labels.device)[:, None]).float()
        return (margins * other).sum(-1) / other.sum(-1).clamp_min(1)

    def grown(self, scene: Scene, beam: Sequence[Key]) -> Key:
        """The best string that a beam of these grows into."""
        seen = {key.ids for key in beam}
        partners = list(dict.fromkeys((*(t for key in beam for t in key.ids), *self._touched)))[: self._effort.wide]
        beam = sorted(beam, key=lambda key: -key.gain)[:BEAM]
        for _ in range(self._effort.rounds):
            ideas = [ids for ids in dict.fromkeys(self._ideas(scene.both, beam, partners)) if ids not in seen]
            if not ideas:
                break
            seen.update(ideas)
            position, target = beam[0].position, beam[0].target
            gains = self.gain(scene, ideas, position)[:, target].tolist()
            grown = [Key(ids, position, target, gain) for ids, gain in zip(ideas, gains, strict=True)]
            beam = sorted([*beam, *grown], key=lambda key: -key.gain)[:BEAM]
        return beam[self._over_templates(scene, beam).argmax()]

    def _over_templates(self, scene: Scene, beam: Sequence[Key]) -> NDArray[np.float32]:
        """What each gains under all templates together [k]."""
        runs, position, target = [key.ids for key in beam], beam[0].position, beam[0].target
        each = (self.gain(scene, runs, position, template) for template in range(len(self._task.templates)))
        return np.asarray(sum(gains[:, target].cpu().numpy() for gains in each))

    def _ideas(self, pictures: Tensor, beam: Sequence[Key], partners: Sequence[int]) -> Iterator[Ids]:
        """Strings one step away, as they are typed: grown, or one token replaced or dropped."""
        return filter(None, map(self._typed, self._steps(pictures, beam, partners)))

    def _steps(self, pictures: Tensor, beam: Sequence[Key], partners: Sequence[int]) -> Iterator[Ids]:
        for key in beam[: BEAM // 4]:
            ids = key.ids
            if len(ids) < self._room:
                yield from ((token, *ids) for token in partners)
                yield from ((*ids, token) for token in partners)
            for slot, tokens in enumerate(self._uphill(pictures, key)):
                yield from ((*ids[:slot], token, *ids[slot + 1 :]) for token in tokens)
            yield from (ids[:slot] + ids[slot + 1 :] for slot in range(len(ids)) if len(ids) > 1)

    def _uphill(self, pictures: Tensor, key: Key) -> list[list[int]]:
        """For each slot, the readable tokens that raise the target over the other classes most, to first order."""
        import torch

        from dife_scanner.models.gradient import SPECIAL

        towers, classes = self._towers[0], range(len(self._task.class_names))
        wordings = [Wording(key.ids, key.position, number) for number in classes]
        ids, ends = towers.packed([self._prompts.written(wording, 0) for wording in wordings])
        vectors = towers.token_rows[ids].requires_grad_()
        with torch.enable_grad():
            scores = towers.texts(vectors, ends) @ pictures.mean(0)
            others = scores[[number for number in classes if number != key.target]]
            (slopes,) = torch.autograd.grad(scores[key.target] - others.mean(), vectors)
        starts = [self._prompts.starts(wording, 0)[0] + 1 for wording in wordings]
        summed = torch.stack([slopes[row, start : start + len(key.ids)] for row, start in enumerate(starts)]).sum(0)
        towers.passes += len(wordings)
        best = (summed @ towers.token_rows.T)[:, :-SPECIAL].topk(2 * self._effort.wide, dim=1).indices.tolist()
        return [list(itertools.islice(filter(self._allowed, tokens), self._effort.wide)) for tokens in best]


def embedded(towers: Towers, pictures: Tensor) -> Tensor:
    """[n, d]"""
    import torch

    with torch.no_grad():
        return torch.cat([towers.images(part) for part in torch.split(pictures, 64)])


def _batches(runs: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
    return (runs[at : at + _AT_ONCE] for at in range(0, len(runs), _AT_ONCE))


def _apart(moved: Tensor) -> Tensor:
    """By how much each class leaves the nearest other, along the line on which it leaves their mean [k, c]; `moved` is
    what a string does to each class's prompt [k, c, d]. Of two classes both leave the other as far."""
    import torch
    import torch.nn.functional as F

    count = moved.shape[1]
    others = (moved.sum(1, keepdim=True) - moved) / (count - 1)
    along = torch.einsum("kcd,ktd->ktc", moved, F.normalize(moved - others, dim=-1))
    same = torch.eye(count, dtype=torch.bool, device=moved.device)
    return along.diagonal(dim1=1, dim2=2) - along.masked_fill(same, -torch.inf).amax(-1)
