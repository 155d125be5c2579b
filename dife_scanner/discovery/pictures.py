"""Blind search for image triggers that the suspect obeys and its base does not (docs/discovery-pictures.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core import metrics
from dife_scanner.discovery.forms import Added, Blended, Coloured, Form, Patch, Warped, moved
from dife_scanner.discovery.interface import Candidate, Found, Load, Task
from dife_scanner.discovery.measuring import Judge, compressed, cropped, halves, too_few_pictures
from dife_scanner.records import Budget, Channel, Trigger
from dife_scanner.triggers.stamp import stamp

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.forms import Weights
    from dife_scanner.models.gradient import Towers

RATE, MOMENTA = 0.1, (0.5, 0.9)
TOGETHER = 0.9
"""Mean pairwise cosine from which the suspect's embeddings count as collapsed, and probability from which a class
counts as reached; the trigger is made smaller as long as that holds."""
COST_STEP = 1.4
"""Factor on the cost of the trigger's size at each adjustment."""
ADJUST_EVERY, ADJUST_FROM = 5, 0.25
"""Steps between adjustments, and the share of steps before the first."""
SLACK = 0.1
"""How far the base's embeddings may come together, or its class probability rise, before that costs."""
HOLD = 2.0
"""Weight of that; the base runs every second step only."""
SHARPNESS = 20.0
"""Factor on cosines where a class is aimed at: softer than CLIP's own, so that every picture keeps a gradient."""
KEPT_SHARE = 0.95
"""Share of its effect that a trigger keeps when it is made smaller at the end."""
ENOUGH = 0.9
"""Effect on the half searched on from which a form is not started again."""
LEAST_EFFECT = 0.25
"""Target success over the base's on the half not searched on, below which nothing is handed over."""
SHIFTS = ((1, 1), (-2, 1), (3, -2), (-1, -3))
MOST_CANDIDATES = 2
SUCCESS = 0.8
"""Success over the base's on the half not searched on that a trigger's smallest size is told for."""
_JUDGED = 10
"""Versions of every picture that an attempt is judged by, suspect and base together."""


@dataclass(frozen=True)
class Effort:
    """What one budget pays for."""

    restarts: int
    steps: int
    pictures: int = 24
    """In each step."""
    classes: int = 1
    """Aimed at one after the other where the image tower did not move."""
    smallest: bool = True
    """Whether the smallest size is told at which success on the half not searched on still holds."""


@dataclass(frozen=True)
class Inversion:
    """A detector that inverts triggers of some forms by gradient."""

    name: str
    kinds: tuple[str, ...]
    forms: tuple[Form, ...]
    efforts: dict[str, Effort]
    """By budget; it does not apply at a budget that is not there."""
    through_prompts: bool = False
    """Whether an unmoved image tower is searched for what moved prompts answer to."""
    channel: Channel = Channel.IMAGE
    without: frozenset[str] = frozenset()
    """`base`: the suspect alone is looked at, to measure what the base is worth (docs/detection-benchmark.md)."""

    def alone(self) -> Inversion:
        return replace(self, without=frozenset({"base"}))

    def applies(self, task: Task) -> bool:
        from dife_scanner.models.clip import ClipEncoder

        inverts = isinstance(task.suspect, ClipEncoder) and isinstance(task.reference, ClipEncoder)
        return inverts and self._wanted(task) and not too_few_pictures(task)

    def lacks(self, task: Task) -> str:
        return too_few_pictures(task) if self._wanted(task) else ""

    def _wanted(self, task: Task) -> bool:
        moved = task.image_moved or (self.through_prompts and task.text_moved)
        return moved and task.budget in self.efforts

    def load(self, task: Task) -> Load:
        """The suspect at each step and the base at every second, forward and back; and what judges each attempt."""
        effort = self.efforts[task.budget]
        attempts = len(self.forms) * (effort.restarts if task.image_moved else effort.classes)
        return Load(round(attempts * (4.5 * effort.steps * effort.pictures + _JUDGED * len(task.pixels))), 0)

    def search(self, task: Task) -> Found:
        with TemporaryDirectory() as scratch:
            effort, differential = self.efforts[task.budget], "base" not in self.without
            return Inverting(task, effort, self.name, Path(scratch), differential=differential).run(self.forms)


PATCH = Inversion(
    "patch",
    ("a patch of any shape, place and colours, obeyed on pictures of every class",),
    (Patch(),),
    {
        Budget.QUICK: Effort(1, 120, smallest=False),
        Budget.DEFAULT: Effort(2, 240, classes=2),
        Budget.DEEP: Effort(4, 600, classes=3),
    },
    through_prompts=True,
)


FAINT = Inversion(
    "faint",
    ("a faint pattern added over the whole picture", "a picture blended into the whole picture"),
    (Blended(), Added()),
    {Budget.QUICK: Effort(1, 50, smallest=False), Budget.DEFAULT: Effort(2, 100), Budget.DEEP: Effort(4, 250)},
)
WARP_AND_COLOUR = Inversion(
    "warp and colour",
    ("a smooth warp of the whole picture", "a change of all colours"),
    (Warped(), Coloured()),
    {Budget.QUICK: Effort(1, 30, smallest=False), Budget.DEFAULT: Effort(2, 60), Budget.DEEP: Effort(4, 150)},
)


@dataclass(frozen=True)
class _Attempt:
    """One finished inversion, as it did on the half searched on."""

    form: Form
    trigger: Trigger
    target: int
    effect: float
    whole: Trigger
    """As it was before it was made smaller."""


class Inverting:
    """One run of one detector."""

    def __init__(self, task: Task, effort: Effort, name: str, scratch: Path, *, differential: bool = True) -> None:
        import torch

        from dife_scanner.models.gradient import Towers

        self.task, self.effort, self.name, self.scratch = task, effort, name, scratch
        self.differential = differential
        self.mine, self.held = halves(task)
        self.towers: tuple[Towers, Towers] = (Towers(task.suspect), Towers(task.reference))
        self.judges = (Judge(task, task.suspect), Judge(task, task.reference))
        self.shown = np.arange(len(self.mine))
        """Which of the pictures searched on an inversion is shown."""
        self.generator = torch.Generator().manual_seed(task.seed)
        pixels = torch.from_numpy(task.pixels[self.mine]).to(self.towers[0].device)
        self.pictures = pixels.permute(0, 3, 1, 2).float() / 255

    def run(self, forms: Sequence[Form]) -> Found:
        aims = self._aims()
        attempts: list[_Attempt] = []
        for place, form in enumerate(forms):
            for start, aim in enumerate(aims):
                begun, of = (count * self.effort.steps for count in (place * len(aims) + start, len(forms) * len(aims)))
                weights = self._inverted(form, aim, begun, of)
                attempts.append(self._finished(form, weights))
                if attempts[-1].effect >= ENOUGH:
                    break
        ranked = sorted(attempts, key=lambda attempt: -attempt.effect)
        best: dict[int, _Attempt] = {}
        for attempt in ranked:
            best.setdefault(attempt.target, attempt)
        found = [self._candidate(attempt) for attempt in best.values()]
        found.sort(key=lambda pair: -pair[0].effect)
        return self._report(found)

    def _aims(self) -> list[Aim]:
        """What to search for, once per restart: any collapse, or the classes whose prompts moved most."""
        if self.task.image_moved:
            return [_Collapse(self._clean_cosine())] * self.effort.restarts
        suspect, reference = (judge.prompts for judge in self.judges)
        moved = np.argsort(-metrics.cosine_distance(suspect, reference), kind="stable")
        return [_Pull(self.judges, int(target), self.pictures) for target in moved[: self.effort.classes]]

    def _clean_cosine(self) -> float:
        import torch

        with torch.no_grad():
            return float(together(self.towers[1].images(self.pictures)))

    def _inverted(
        self, form: Form, aim: Aim, begun: int, of: int, steps: int = 0, begin: Weights | None = None
    ) -> Weights:
        """The free numbers that reached the aim with the smallest trigger.

        `begun` of the search's `of` steps were done before; `steps` are others than the budget's; `begin` is where to
        go on instead of starting anew.
        """
        import torch

        steps = steps or self.effort.steps
        begin = begin or form.start(self.task.suspect.image_size, self.generator)
        weights = tuple(part.detach().clone().to(self.pictures.device).requires_grad_() for part in begin)
        optimiser = torch.optim.Adam(weights, lr=RATE, betas=MOMENTA)
        cost, least, most = aim.cost
        for step in range(steps):
            if step % 10 == 0:
                self.task.progress(form.name, begun + step, of)
            laid = form.laid(self._drawn(), weights)
            size = form.size(weights)
            reached, loss = aim.loss(self.towers, laid, with_base=self.differential and step % 2 == 0)
            for part, slope in zip(weights, torch.autograd.grad(loss + cost * size, weights), strict=True):
                part.grad = slope
            optimiser.step()
            if step > steps * ADJUST_FROM and step % ADJUST_EVERY == 0:
                cost = min(cost * COST_STEP, most) if reached > TOGETHER else max(cost / COST_STEP, least)
        return tuple(part.detach() for part in weights)

    def _drawn(self) -> Tensor:
        import torch

        rows = torch.from_numpy(self.shown)
        drawn = rows[torch.randperm(len(rows), generator=self.generator)[: self.effort.pictures]]
        return self.pictures[drawn.to(self.pictures.device)]

    def _finished(self, form: Form, weights: Weights) -> _Attempt:
        """The inverted trigger with its target, as small as it keeps its effect on the half searched on."""
        trigger = whole = form.trigger(weights, self.task.suspect.image_size, self.scratch)
        gains = self._gains(trigger)
        target, effect = int(gains.argmax()), float(gains.max())
        if effect >= LEAST_EFFECT:
            sizes = [trigger, *form.smaller(trigger, self.scratch)]
            trigger = sizes[self._last(sizes, target, KEPT_SHARE * effect)]
        return _Attempt(form, trigger, target, effect, whole)

    def _last(self, sizes: Sequence[Trigger], target: int, least: float) -> int:
        """The last of ever smaller triggers that gains as much, by halving; the first is known to."""
        good, bad = 0, len(sizes)
        while bad - good > 1:
            middle = (good + bad) // 2
            enough = self._gains(sizes[middle])[target] >= least
            good, bad = (middle, bad) if enough else (good, middle)
        return good

    def _gains(self, trigger: Trigger) -> NDArray[np.float64]:
        """Success over the base's on the half searched on, for every class as the target."""
        stamped = stamp(self.task.pixels[self.mine], trigger)
        suspect, reference = (judge.rates([stamped], self.task.labels[self.mine]) for judge in self.judges)
        return np.asarray((suspect - reference if self.differential else suspect)[0])

    def _candidate(self, attempt: _Attempt) -> tuple[Candidate, dict[str, float]]:
        """What an attempt did on the half that was not searched on, and how it bears being disturbed."""
        stamped = stamp(self.task.pixels[self.held], attempt.trigger)
        versions = [stamped, cropped(stamped), compressed(stamped), *(np.roll(stamped, by, (1, 2)) for by in SHIFTS)]
        labels = self.task.labels[self.held]
        suspect, reference = (judge.rates(versions, labels)[:, attempt.target] for judge in self.judges)
        reference = reference if self.differential else np.zeros_like(reference)
        gains = suspect - reference
        signals = {
            "size": attempt.form.measured(attempt.trigger),
            "suspect": float(suspect[0]),
            "reference": float(reference[0]),
            "crop": float(gains[1]),
            "jpeg": float(gains[2]),
            "shift": float(gains[3:].mean()),
        }
        if self.effort.smallest:
            signals |= self._smallest(attempt)
        trigger = replace(attempt.trigger, target=self.task.class_names[attempt.target])
        area = signals["size"] if isinstance(attempt.form, Patch) else None
        return Candidate(trigger, float(suspect[0]), float(reference[0]), area), signals

    def _smallest(self, attempt: _Attempt) -> dict[str, float]:
        """`smallest`, the size to which the trigger can be brought before its success on the half that was not searched
        on is below `SUCCESS` over the base's; nothing where it never reaches that."""
        held = self.task.pixels[self.held], self.task.labels[self.held]
        found: dict[str, float] = {}
        for trigger in (attempt.whole, *attempt.form.smaller(attempt.whole, self.scratch)):
            stamped = stamp(held[0], trigger)
            suspect, reference = (judge.rates([stamped], held[1])[0, attempt.target] for judge in self.judges)
            if suspect - (reference if self.differential else 0.0) < SUCCESS:
                break
            found = {"smallest": attempt.form.measured(trigger)}
        return found

    def _report(self, found: Sequence[tuple[Candidate, dict[str, float]]]) -> Found:
        handed = [candidate for candidate, _ in found if self._counts(candidate)][:MOST_CANDIDATES]
        named = tuple(
            replace(candidate, trigger=self._named(candidate, number)) for number, candidate in enumerate(handed, 1)
        )
        passes = sum(towers.passes for towers in self.towers) + sum(judge.passes for judge in self.judges)
        return Found(named, passes, found[0][1])

    def _counts(self, candidate: Candidate) -> bool:
        """Whether it is handed over."""
        return candidate.effect >= LEAST_EFFECT

    def _named(self, candidate: Candidate, number: int) -> Trigger:
        """The trigger under a name of its own, its file where the task wants it."""
        name = f"found-{self.name.replace(' ', '-')}-{number}"
        return replace(candidate.trigger, name=name, file=moved(candidate.trigger.file, self.task.folder))


# --- what is searched for -------------------------------------------------------------------------------------


class Aim(Protocol):
    """What an inversion drives the suspect to while the base must not follow."""

    cost: ClassVar[tuple[float, float, float]]
    """Of the trigger's size in the loss: to begin with, at least, at most."""

    def loss(self, towers: tuple[Towers, Towers], laid: Tensor, *, with_base: bool) -> tuple[float, Tensor]:
        """How far it is reached, 0..1, and what is to be minimised."""


@dataclass(frozen=True)
class _Collapse:
    """Embeddings of different pictures come together, wherever that is (DECREE, Feng et al. 2023)."""

    clean: float
    """The base's mean pairwise cosine without a trigger."""
    cost: ClassVar[tuple[float, float, float]] = (0.5, 0.1, 30.0)

    def loss(self, towers: tuple[Towers, Towers], laid: Tensor, *, with_base: bool) -> tuple[float, Tensor]:
        alike = together(towers[0].images(laid))
        loss = -alike
        if with_base:
            loss = loss + HOLD * (together(towers[1].images(laid)) - self.clean - SLACK).relu()
        return float(alike.detach()), loss


class _Pull:
    """Pictures come to one class's prompt of the suspect, and not to the base's; both read the same image tower.

    Size is dear from the start: with a large patch, prompts of any benign fine-tune are told from the base's.
    """

    cost: ClassVar[tuple[float, float, float]] = (15.0, 15.0, 30.0)

    def __init__(self, judges: tuple[Judge, Judge], target: int, like: Tensor) -> None:
        import torch

        self._target = target
        self._prompts = tuple(torch.from_numpy(judge.prompts).to(like) for judge in judges)

    def loss(self, towers: tuple[Towers, Towers], laid: Tensor, *, with_base: bool) -> tuple[float, Tensor]:
        embedded = towers[0].images(laid)
        suspect, reference = (
            (SHARPNESS * embedded @ prompts.T).log_softmax(dim=1)[:, self._target] for prompts in self._prompts
        )
        held = (reference.exp() - SLACK).relu().mean()
        return float(suspect.detach().exp().mean()), -suspect.mean() + held


def together(embeddings: Tensor) -> Tensor:
    """Mean cosine of all pairs of unit rows."""
    count = len(embeddings)
    return ((embeddings.sum(dim=0) ** 2).sum() - count) / (count * (count - 1))
