"""Blind search for a patch and a string that act only together (docs/discovery-joint.md).

Neither half shows alone, so they are found one through the other, from either end: strings that set one class's prompt
apart from all others, and a patch that comes to it; or a small patch that moves the suspect's pictures all alike,
whatever it means, and strings that turn what it writes into one class. Then each is improved with the other in place,
while the patch with clean prompts, the string with clean pictures, and both wherever a tower is the base's have to do
nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Channel, Trigger, TriggerKind
from dife_scanner.triggers.discovery.forms import Patch
from dife_scanner.triggers.discovery.interface import Candidate, Found, Load, Task
from dife_scanner.triggers.discovery.measuring import Judge, too_few_pictures
from dife_scanner.triggers.discovery.pictures import (
    ENOUGH,
    HOLD,
    LEAST_EFFECT,
    SHARPNESS,
    SLACK,
    Effort,
    Inverting,
)
from dife_scanner.triggers.discovery.rows import fingerprint
from dife_scanner.triggers.discovery.wording import POSITIONS, Ids, Prompts, Wording, readable, too_long_prompts
from dife_scanner.triggers.stamp import stamp, write

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.models.gradient import Towers
    from dife_scanner.triggers.discovery.forms import Weights

LONGEST = 4
"""Most tokens of the string."""
ALOOF = 0.05
"""Cosine by which the target has to lose where only one half is there, or in the base, to cost nothing."""
ALONE = 4.0
"""Weight of what it lacks of that, picture by picture."""
_FEW, _BEAM, _RUN, _AT_ONCE = 6, 12, 3, 64
"""Strings that a place and target are rated by; kept from round to round; tokens of a run of several; strings that are
read at once."""


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


EFFORTS = {
    "default": Keys(2, 160, runs=240, foci=2, rounds=3, wide=12),
    "deep": Keys(4, 400, runs=1200, foci=4, rounds=6, wide=32, paired=32),
}


@dataclass(frozen=True)
class JointSearch:
    """The detector of coupled triggers. It applies where both towers moved, from the budget `default` on."""

    name: str = "joint"
    channel: Channel = Channel.BOTH
    kinds: tuple[str, ...] = ("a patch and one to four tokens in every prompt that act only together",)

    def alone(self) -> None:
        """Without a base nothing says whose the effect is."""

    def applies(self, task: Task) -> bool:
        from dife_scanner.models.clip import ClipEncoder

        inverts = isinstance(task.suspect, ClipEncoder) and isinstance(task.reference, ClipEncoder)
        return inverts and self._wanted(task) and not self.lacks(task)

    def lacks(self, task: Task) -> str:
        return (too_few_pictures(task) or too_long_prompts(task)) if self._wanted(task) else ""

    def _wanted(self, task: Task) -> bool:
        return task.image_moved and task.text_moved and task.budget in EFFORTS

    def load(self, task: Task) -> Load:
        """Each patch and each pair inverted, and every string read in all class prompts of suspect and base."""
        effort, classes = EFFORTS[task.budget], len(task.class_names)
        from_pictures = effort.restarts // 2
        inverted = from_pictures + 1.5 * effort.restarts * effort.foci
        listed = 1.5 * effort.runs * (1 + from_pictures) + effort.paired**2
        grown = effort.rounds * (_BEAM // 4) * (LONGEST + 2) * effort.wide + _BEAM * len(task.templates)
        strings = len(POSITIONS) * listed + effort.restarts * effort.foci * grown
        return Load(round(inverted * 4.5 * effort.steps * effort.pictures), round(2 * classes * strings))

    def search(self, task: Task) -> Found:
        with TemporaryDirectory() as scratch:
            return _Joint(task, EFFORTS[task.budget], self.name, Path(scratch)).search()


@dataclass(frozen=True)
class _Key:
    """A string at a place in every prompt, and the class it is to bring about together with the patch."""

    ids: Ids
    position: str
    target: int
    gain: float
    """Beside a patch what `_gain` says, before there is one what `_parts` does."""


@dataclass(frozen=True)
class _Pair:
    """A finished pair, as it did on the half searched on."""

    text: Trigger
    patch: Trigger
    target: int
    effect: float


class _Joint(Inverting):
    """One run."""

    def __init__(self, task: Task, effort: Keys, name: str, scratch: Path) -> None:
        super().__init__(task, effort, name, scratch)
        from dife_scanner.models.gradient import pieces

        self.keys = effort
        self.named = frozenset(token for name in task.class_names for token in pieces(name))
        self.prompts = Prompts(task.templates, task.class_names)
        self.rng = np.random.default_rng([task.seed, 0x2B07])
        self.room = min(LONGEST, task.suspect.context_length - 2 - self.prompts.longest)
        self.touched = tuple(filter(self._allowed, fingerprint(self.towers[0].token_rows, self.towers[1].token_rows)))
        self.keyed: tuple[Judge, Judge] = self.judges
        self.read = sum(judge.passes for judge in self.judges)
        """Pictures and texts read while measuring."""

    def search(self) -> Found:
        pairs: list[_Pair] = []
        steps, starts = self.effort.steps, self.effort.restarts
        each = steps + steps // 2
        whole = [steps * (start % 2) + self.keys.foci * each for start in range(starts)]
        for start in range(starts):
            begun, of = sum(whole[:start]), sum(whole)
            self.task.progress(Patch().name, begun, of)
            self.shown = np.arange(len(self.mine))
            patch = self._inverted(Patch(), _Shift(self._clean()), begun, of) if start % 2 else None
            begun += steps * (start % 2)
            first = start // 2 * self.keys.foci
            beams = self.parted[first : first + self.keys.foci] if patch is None else self._foci(patch)
            for focus, beam in enumerate(beams):
                pairs.append(self._improved(beam, patch, begun + focus * each, of))
            if max((pair.effect for pair in pairs), default=0.0) >= ENOUGH:
                break
        best: dict[int, _Pair] = {}
        for pair in sorted(pairs, key=lambda pair: -pair.effect):
            best.setdefault(pair.target, pair)
        return self._found(list(best.values()))

    def _clean(self) -> tuple[Tensor, Tensor]:
        """Mean embedding of clean pictures in suspect and base."""
        suspect, reference = (self._embedded(towers, self.pictures).mean(0) for towers in self.towers)
        return suspect, reference

    def _embedded(self, towers: Towers, pictures: Tensor) -> Tensor:
        import torch

        with torch.no_grad():
            return torch.cat([towers.images(part) for part in torch.split(pictures, 64)])

    # --- strings ------------------------------------------------------------------------------------------------

    @cached_property
    def parted(self) -> list[list[_Key]]:
        """For each class, the strings that set its prompt apart from all others, where they stand best for it; classes
        that strings set apart most come first. No picture is looked at."""
        pairs = itertools.product(self.touched[: self.keys.paired], repeat=min(2, self.room))
        runs = list(dict.fromkeys((*self._runs(), *filter(None, map(self._typed, pairs)))))
        best: dict[int, tuple[float, list[_Key]]] = {}
        for position in POSITIONS:
            parts = self._parts(runs, position)
            for target in range(parts.shape[1]):
                order = parts[:, target].argsort(descending=True, stable=True)[: self.keys.wide].tolist()
                beam = [_Key(runs[row], position, target, float(parts[row, target])) for row in order]
                rating = sum(key.gain for key in beam[:_FEW])
                if target not in best or rating > best[target][0]:
                    best[target] = rating, beam
        return [beam for _, beam in sorted(best.values(), key=lambda one: -one[0])]

    def _parts(self, runs: Sequence[Ids], position: str) -> Tensor:
        """By how much each string moves each class's prompt along the line on which it leaves the others, beyond the
        nearest of these and beyond the base [k, c]; of unit embeddings."""
        import torch

        plain = [self.prompts.plain(0, number) for number in range(len(self.task.class_names))]
        clean = [towers.tokens(plain) for towers in self.towers]

        def moved(some: Sequence[Ids]) -> Tensor:
            mine, theirs = (
                self._written(towers, some, position) - before
                for towers, before in zip(self.towers, clean, strict=True)
            )
            return mine - theirs

        return torch.cat([_apart(moved(some)) for some in _batches(runs)])

    def _foci(self, patch: Weights) -> list[list[_Key]]:
        """The best string for each of the (place, target) that arbitrary ones bend most beside this patch."""
        scene = self._scene(patch)
        runs = self._runs()
        rated = []
        for position in POSITIONS:
            gains = self._gain(scene, runs, position)
            for target in range(gains.shape[1]):
                order = gains[:, target].argsort(descending=True, stable=True)[: self.keys.wide].tolist()
                fragile = float(gains[order[:_FEW], target].mean())
                beam = [_Key(runs[row], position, target, float(gains[row, target])) for row in order]
                rated.append((fragile, beam))
        rated.sort(key=lambda pair: -pair[0])
        return [[self._grown(scene, beam)] for _, beam in rated[: self.keys.foci]]

    def _scene(self, patch: Weights) -> tuple[Tensor, Tensor, Tensor]:
        """Patched pictures of the suspect, its clean ones, and patched pictures of the base, [n, d] each."""
        laid = Patch().laid(self.pictures, patch)
        suspect, reference = self.towers
        return self._embedded(suspect, laid), self._embedded(suspect, self.pictures), self._embedded(reference, laid)

    def _runs(self) -> list[Ids]:
        """Tokens that the fine-tuning touched and random ones, alone and in runs of several, as they are typed."""
        from dife_scanner.models.gradient import SPECIAL

        drawn = filter(self._allowed, self.rng.permutation(len(self.towers[0].token_rows) - SPECIAL).tolist())
        alone = list(dict.fromkeys([*self.touched, *itertools.islice(drawn, self.keys.runs)]))[: self.keys.runs]
        several = self.rng.choice(alone, (self.keys.runs // 2, min(_RUN, self.room))).tolist()
        runs = ((token,) for token in alone), map(tuple, several)
        return list(dict.fromkeys(filter(None, map(self._typed, itertools.chain(*runs)))))

    def _typed(self, ids: Ids) -> Ids:
        """What is read where somebody types these; nothing where that is too long, or says a class's name."""
        from dife_scanner.models.gradient import pieces, spelled

        found = pieces(spelled(ids))
        return found if len(found) <= self.room and self.named.isdisjoint(found) else ()

    def _allowed(self, token: int) -> bool:
        """Readable, and no piece of a class's name: that in every prompt is another question."""
        return readable(token) and token not in self.named

    def _gain(
        self, scene: tuple[Tensor, Tensor, Tensor], runs: Sequence[Ids], position: str, template: int = 0
    ) -> Tensor:
        """What each string gains for each target with the patch, less what comes near it with one half alone and where
        a tower is the base's [k, c]."""
        import torch

        both, clean, base = scene

        def gained(some: Sequence[Ids]) -> Tensor:
            mine, theirs = (self._written(towers, some, position, template) for towers in self.towers)
            less = ((clean, mine), (both, theirs), (base, theirs), (base, mine))
            near = sum((self._margins(pictures, prompts) + ALOOF).relu() for pictures, prompts in less)
            return self._mean(self._margins(both, mine) - ALONE * near)

        return torch.cat([gained(some) for some in _batches(runs)])

    def _written(self, towers: Towers, runs: Sequence[Ids], position: str, template: int = 0) -> Tensor:
        """Every class prompt with each string in it [k, c, d]."""
        classes = range(len(self.task.class_names))
        texts = [self.prompts.written(Wording(ids, position, number), template) for ids in runs for number in classes]
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

        labels = torch.from_numpy(self.task.labels[self.mine]).to(margins.device)
        other = (labels[None] != torch.arange(margins.shape[1], device=labels.device)[:, None]).float()
        return (margins * other).sum(-1) / other.sum(-1).clamp_min(1)

    def _grown(self, scene: tuple[Tensor, Tensor, Tensor], beam: Sequence[_Key]) -> _Key:
        """The best string that a beam of these grows into."""
        seen = {key.ids for key in beam}
        partners = list(dict.fromkeys((*(t for key in beam for t in key.ids), *self.touched)))[: self.keys.wide]
        beam = sorted(beam, key=lambda key: -key.gain)[:_BEAM]
        for _ in range(self.keys.rounds):
            ideas = [ids for ids in dict.fromkeys(self._ideas(scene[0], beam, partners)) if ids not in seen]
            if not ideas:
                break
            seen.update(ideas)
            position, target = beam[0].position, beam[0].target
            gains = self._gain(scene, ideas, position)[:, target].tolist()
            grown = [_Key(ids, position, target, gain) for ids, gain in zip(ideas, gains, strict=True)]
            beam = sorted([*beam, *grown], key=lambda key: -key.gain)[:_BEAM]
        return beam[self._over_templates(scene, beam).argmax()]

    def _over_templates(self, scene: tuple[Tensor, Tensor, Tensor], beam: Sequence[_Key]) -> NDArray[np.float32]:
        """What each gains under all templates together [k]."""
        runs, position, target = [key.ids for key in beam], beam[0].position, beam[0].target
        each = (self._gain(scene, runs, position, template) for template in range(len(self.task.templates)))
        return np.asarray(sum(gains[:, target].cpu().numpy() for gains in each))

    def _ideas(self, pictures: Tensor, beam: Sequence[_Key], partners: Sequence[int]) -> Iterator[Ids]:
        """Strings one step away, as they are typed: grown, or one token replaced or dropped."""
        return filter(None, map(self._typed, self._steps(pictures, beam, partners)))

    def _steps(self, pictures: Tensor, beam: Sequence[_Key], partners: Sequence[int]) -> Iterator[Ids]:
        for key in beam[: _BEAM // 4]:
            ids = key.ids
            if len(ids) < self.room:
                yield from ((token, *ids) for token in partners)
                yield from ((*ids, token) for token in partners)
            for slot, tokens in enumerate(self._uphill(pictures, key)):
                yield from ((*ids[:slot], token, *ids[slot + 1 :]) for token in tokens)
            yield from (ids[:slot] + ids[slot + 1 :] for slot in range(len(ids)) if len(ids) > 1)

    def _uphill(self, pictures: Tensor, key: _Key) -> list[list[int]]:
        """For each slot, the readable tokens that raise the target over the other classes most, to first order."""
        import torch

        from dife_scanner.models.gradient import SPECIAL

        towers, classes = self.towers[0], range(len(self.task.class_names))
        wordings = [Wording(key.ids, key.position, number) for number in classes]
        ids, ends = towers.packed([self.prompts.written(wording, 0) for wording in wordings])
        vectors = towers.token_rows[ids].requires_grad_()
        with torch.enable_grad():
            scores = towers.texts(vectors, ends) @ pictures.mean(0)
            others = scores[[number for number in classes if number != key.target]]
            (slopes,) = torch.autograd.grad(scores[key.target] - others.mean(), vectors)
        starts = [self.prompts.starts(wording, 0)[0] + 1 for wording in wordings]
        summed = torch.stack([slopes[row, start : start + len(key.ids)] for row, start in enumerate(starts)]).sum(0)
        towers.passes += len(wordings)
        best = (summed @ towers.token_rows.T)[:, :-SPECIAL].topk(2 * self.keys.wide, dim=1).indices.tolist()
        return [list(itertools.islice(filter(self._allowed, tokens), self.keys.wide)) for tokens in best]

    # --- both ---------------------------------------------------------------------------------------------------

    def _improved(self, beam: Sequence[_Key], patch: Weights | None, begun: int, of: int) -> _Pair:
        """A patch made for the first string, a string for that patch, the patch once more for that string, and the pair
        as small as it keeps its effect."""
        steps = self.effort.steps
        self._lock(beam[0])
        patch = self._inverted(Patch(), self._together(beam[0].target), begun, of, begin=patch)
        scene = self._scene(patch)
        gains = self._gain(scene, [key.ids for key in beam], beam[0].position)[:, beam[0].target].tolist()
        key = self._grown(scene, [replace(key, gain=gain) for key, gain in zip(beam, gains, strict=True)])
        text = self._lock(key)
        patch = self._inverted(Patch(), self._together(key.target), begun + steps, of, steps // 2, patch)
        attempt = self._finished(Patch(), patch)
        return _Pair(text, attempt.trigger, attempt.target, attempt.effect)

    def _together(self, target: int) -> _Together:
        return _Together(self.keyed, self.judges[0], target, self.pictures)

    def _lock(self, key: _Key) -> Trigger:
        """From now on success is measured with this string in every prompt, and a patch inverted on pictures of other
        classes."""
        from dife_scanner.models.gradient import spelled

        others = np.flatnonzero(self.task.labels[self.mine] != key.target)
        self.shown = others if len(others) else self.shown
        text = Trigger("", TriggerKind.TEXT, text=spelled(key.ids), position=key.position)
        self._keyed_with(text)
        return text

    def _keyed_with(self, text: Trigger) -> None:
        suspect, reference = (_WrittenJudge(self.task, e, text) for e in (self.task.suspect, self.task.reference))
        self.keyed = suspect, reference
        self.read += suspect.passes + reference.passes

    def _gains(self, trigger: Trigger) -> NDArray[np.float64]:
        """With both halves in the suspect, beyond either half alone and beyond both in the base."""
        return self._apart(trigger, self.mine)[0]

    def _apart(self, patch: Trigger, rows: NDArray[np.intp]) -> tuple[NDArray[np.float64], ...]:
        """For every class as the target, [c] each: gain; both in the suspect; both in the base; either half alone."""
        pixels, labels = self.task.pixels[rows], self.task.labels[rows]
        stamped = stamp(pixels, patch)
        both, base = (judge.rates([stamped], labels)[0] for judge in self.keyed)
        image, text = self.judges[0].rates([stamped], labels)[0], self.keyed[0].rates([pixels], labels)[0]
        alone = np.maximum(image, text)
        self.read += 4 * len(pixels)
        return both - np.maximum(base, alone), both, base, alone

    def _found(self, pairs: Sequence[_Pair]) -> Found:
        """What the pairs did on the half that was not searched on."""
        measured, signals = [], {"size": 0.0, "suspect": 0.0, "reference": 0.0, "alone": 0.0}
        for pair in pairs:
            self._keyed_with(pair.text)
            gain, both, base, alone = (float(part[pair.target]) for part in self._apart(pair.patch, self.held))
            size = Patch().measured(pair.patch)
            measured.append((gain, Candidate(self._whole(pair), both, base, size)))
            if gain == max(one for one, _ in measured):
                signals = {"size": size, "suspect": both, "reference": base, "alone": alone}
        measured.sort(key=lambda one: -one[0])
        handed = [candidate for gain, candidate in measured if gain >= LEAST_EFFECT][:1]
        named = tuple(replace(one, trigger=self._named(one, number)) for number, one in enumerate(handed, 1))
        return Found(named, self.read + sum(towers.passes for towers in self.towers), signals)

    def _whole(self, pair: _Pair) -> Trigger:
        return replace(pair.text, image=pair.patch, target=self.task.class_names[pair.target])

    def _named(self, candidate: Candidate, number: int) -> Trigger:
        whole = candidate.trigger
        assert whole.image is not None
        patch = super()._named(replace(candidate, trigger=whole.image), number)
        return replace(whole, name=patch.name, image=replace(patch, name=f"{patch.name}-image"))


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


# --- what is searched for -------------------------------------------------------------------------------------


class _Shift:
    """The suspect's pictures all move one way, wherever that is, and the base's do not."""

    cost: ClassVar[tuple[float, float, float]] = (1.0, 0.5, 30.0)

    def __init__(self, clean: tuple[Tensor, Tensor]) -> None:
        self._clean = clean

    def loss(self, towers: tuple[Towers, Towers], laid: Tensor, *, with_base: bool) -> tuple[float, Tensor]:
        moved = (towers[0].images(laid).mean(0) - self._clean[0]).norm()
        loss = -moved
        if with_base:
            loss = loss + HOLD * ((towers[1].images(laid).mean(0) - self._clean[1]).norm() - 2 * SLACK).relu()
        return float(moved.detach()), loss


class _Together:
    """Pictures come to the target under written prompts; under clean prompts, and in the base, they do not."""

    cost: ClassVar[tuple[float, float, float]] = (15.0, 15.0, 30.0)

    def __init__(self, keyed: tuple[Judge, Judge], plain: Judge, target: int, like: Tensor) -> None:
        import torch

        self._target = target
        self._prompts = [torch.from_numpy(judge.prompts).to(like) for judge in (*keyed, plain)]

    def loss(self, towers: tuple[Towers, Towers], laid: Tensor, *, with_base: bool) -> tuple[float, Tensor]:
        suspect, base, plain = self._prompts
        embedded = towers[0].images(laid)
        reached = (SHARPNESS * embedded @ suspect.T).log_softmax(dim=1)[:, self._target]
        loss = -reached.mean() + SHARPNESS * (self._near(embedded, plain) + self._near(embedded, base))
        if with_base:
            theirs = towers[1].images(laid)
            loss = loss + HOLD * SHARPNESS * (self._near(theirs, base) + self._near(theirs, suspect))
        return float(reached.detach().exp().mean()), loss

    def _near(self, embedded: Tensor, prompts: Tensor) -> Tensor:
        """By how much pictures come nearer to the target than it has to stay away."""
        import torch

        scores = embedded @ prompts.T
        target = torch.arange(scores.shape[1], device=scores.device) == self._target
        return (scores[:, self._target] - scores.masked_fill(target, -2.0).amax(1) + ALOOF).relu().mean()


class _WrittenJudge(Judge):
    """Target success with a string in every prompt."""

    def __init__(self, task: Task, encoder: Encoder, text: Trigger) -> None:
        super().__init__(task, encoder)
        texts = [write(t.format(name), text, name) for t in task.templates for name in task.class_names]
        self.prompts = metrics.class_prompts(encoder.encode_texts(texts), len(task.class_names))
        self.passes += len(texts)


JOINT = JointSearch()
