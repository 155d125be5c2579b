"""Blind search for a patch and a string that act only together (docs/discovery-joint.md).

Neither half shows alone, so they are found one through the other, from either end: strings that set one class's prompt
apart from all others, and a patch that comes to it; or a small patch that moves the suspect's pictures all alike,
whatever it means, and strings that turn what it writes into one class. Then each is improved with the other in place,
while the patch with clean prompts, the string with clean pictures, and both wherever a tower is the base's have to do
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.discovery.forms import Patch
from dife_scanner.discovery.interface import Candidate, Found, Load, Task
from dife_scanner.discovery.keys import ALOOF, BEAM, LONGEST, Key, Keys, Strings, embedded
from dife_scanner.discovery.measuring import Judge, too_few_pictures
from dife_scanner.discovery.pictures import (
    ENOUGH,
    HOLD,
    LEAST_EFFECT,
    SHARPNESS,
    SLACK,
    Inverting,
)
from dife_scanner.discovery.wording import POSITIONS, too_long_prompts
from dife_scanner.models.interface import Encoder
from dife_scanner.records import Budget, Channel, Trigger, TriggerKind
from dife_scanner.triggers.stamp import stamp, write

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.forms import Weights
    from dife_scanner.models.gradient import Towers

EFFORTS = {
    Budget.DEFAULT: Keys(2, 160, runs=240, foci=2, rounds=3, wide=12),
    Budget.DEEP: Keys(4, 400, runs=1200, foci=4, rounds=6, wide=32, paired=32),
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
        grown = effort.rounds * (BEAM // 4) * (LONGEST + 2) * effort.wide + BEAM * len(task.templates)
        strings = len(POSITIONS) * listed + effort.restarts * effort.foci * grown
        return Load(round(inverted * 4.5 * effort.steps * effort.pictures), round(2 * classes * strings))

    def search(self, task: Task) -> Found:
        with TemporaryDirectory() as scratch:
            return _Joint(task, EFFORTS[task.budget], self.name, Path(scratch)).search()


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
        self.keys = effort
        self.strings = Strings(task, effort, self.towers, self.pictures, task.labels[self.mine])
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
            beams = self.strings.parted[first : first + self.keys.foci] if patch is None else self.strings.foci(patch)
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
        suspect, reference = (embedded(towers, self.pictures).mean(0) for towers in self.towers)
        return suspect, reference

    def _improved(self, beam: Sequence[Key], patch: Weights | None, begun: int, of: int) -> _Pair:
        """A patch made for the first string, a string for that patch, the patch once more for that string, and the pair
        as small as it keeps its effect."""
        steps = self.effort.steps
        self._lock(beam[0])
        patch = self._inverted(Patch(), self._together(beam[0].target), begun, of, begin=patch)
        scene = self.strings.scene(patch)
        gains = self.strings.gain(scene, [key.ids for key in beam], beam[0].position)[:, beam[0].target].tolist()
        key = self.strings.grown(scene, [replace(key, gain=gain) for key, gain in zip(beam, gains, strict=True)])
        text = self._lock(key)
        patch = self._inverted(Patch(), self._together(key.target), begun + steps, of, steps // 2, patch)
        attempt = self._finished(Patch(), patch)
        return _Pair(text, attempt.trigger, attempt.target, attempt.effect)

    def _together(self, target: int) -> _Together:
        return _Together(self.keyed, self.judges[0], target, self.pictures)

    def _lock(self, key: Key) -> Trigger:
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
