"""Which concept a string sets apart from all others, where it is none of the task's classes.

In the text tower of a coupled trigger the string moves every prompt one way, and the target's another: only there does
the patch act. So a few strings that move the class prompts together are read before all concepts, without any picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dife_scanner.discovery.concept_space import TEMPLATE
from dife_scanner.discovery.noun_scan import unit
from dife_scanner.discovery.wording import Ids, Prompts, Wording
from dife_scanner.records import Position

if TYPE_CHECKING:
    from torch import Tensor

    from dife_scanner.discovery.interface import Task
    from dife_scanner.discovery.open_targets import OpenTargets
    from dife_scanner.discovery.trigger_strings import MovingString
    from dife_scanner.models.gradient import Towers

STRINGS_READ = 3
"""Strings at each place that are read before all concepts, those that move the class prompts farthest."""
LEAST_MOVE = 0.5
"""How far the farthest has to move them. Strings of planted pairs move them .8 to 1.1, those of a benign fine-tune .4
at most (docs/detectors.md)."""
_RIVALS = 6
"""Concepts that a pair has to win against besides the classes: those that the strings move least after the target."""


class SetApart(NamedTuple):
    """A concept that the strings at one place set apart."""

    concept: str
    rivals: tuple[str, ...]
    """Those that are set apart most after it and mean something else."""
    position: Position
    strength: float
    """How far the class prompts move, times how far the concept's prompt moves another way: one less the cosine of both
    ways. 0..4."""


class ConceptsSetApart:
    """The concepts of one task, and what strings do to the prompts of each."""

    def __init__(self, task: Task, towers: tuple[Towers, Towers], concepts: OpenTargets) -> None:
        """`towers` of suspect and base."""
        self._classes = task.class_names
        self._readings = task.readings
        self._concepts = concepts
        self._towers = towers
        self._prompts = Prompts((TEMPLATE,), tuple(concepts.names), task.tokenizer)

    def by(self, places: Iterable[Sequence[MovingString]]) -> list[SetApart]:
        """The concept that the strings at each place set apart, where they set one apart that is no class.

        The strongest first; of two places with one concept the stronger. At each place strings that move prompts
        farthest come first.
        """
        found: dict[str, SetApart] = {}
        for strings in places:
            if strings[0].gain < LEAST_MOVE:
                continue
            one = self._at_place(strings[:STRINGS_READ])
            if one.concept not in found or one.strength > found[one.concept].strength:
                found[one.concept] = one
        beyond = [one for one in found.values() if self._is_beyond(one.concept)]
        return sorted(beyond, key=lambda one: -one.strength)

    def _is_beyond(self, concept: str) -> bool:
        """Whether it means no class: one that does is searched for as that."""
        return self._concepts.mean_the_same(concept).isdisjoint(self._classes)

    def _at_place(self, strings: Sequence[MovingString]) -> SetApart:
        """The concept whose prompt moves least the way that the prompts of all concepts move, over these strings."""
        rows = self._read_whole(strings)
        cosines = []
        for string in strings:
            moved = self._moved(string, rows)
            cosines.append(unit(moved) @ unit(moved.mean(0)))
        mean = sum(cosines[1:], start=cosines[0]) / len(cosines)
        order = mean.argsort(stable=True).tolist()
        names = [self._prompts.class_names[rows[number]] for number in order]
        concept = names[0]
        same = self._concepts.mean_the_same(concept)
        rivals = [name for name in names if name not in same and name not in self._classes]
        return SetApart(
            concept=concept,
            rivals=tuple(rivals[:_RIVALS]),
            position=strings[0].position,
            strength=strings[0].gain * (1.0 - float(mean[order[0]])),
        )

    def _moved(self, string: MovingString, rows: Sequence[int]) -> Tensor:
        """What the string does to the prompts of these concepts in the suspect, beyond the base [n, d]."""
        return self._readings.tensor(
            ("concepts moved", string.position.value, string.ids, list(rows)),
            self._towers,
            lambda: self._read(string, rows),
        )

    def _read(self, string: MovingString, rows: Sequence[int]) -> Tensor:
        import torch

        suspect, base = self._towers
        clean = self._concepts.prompts
        texts = [self._written(string, row) for row in rows]
        in_suspect = suspect.tokens(texts) - torch.from_numpy(clean.suspect[rows]).to(
            suspect.device
        )
        in_base = base.tokens(texts) - torch.from_numpy(clean.base[rows]).to(base.device)
        return in_suspect - in_base

    def _read_whole(self, strings: Sequence[MovingString]) -> list[int]:
        """Numbers of the concepts whose prompts the suspect reads whole with each of these strings in them."""
        suspect, _ = self._towers
        most = suspect.context_length - self._prompts.tokenizer.around
        found = []
        for row in range(len(self._prompts.class_names)):
            if all(len(self._written(string, row)) <= most for string in strings):
                found.append(row)
        return found

    def _written(self, string: MovingString, row: int) -> Ids:
        return self._prompts.written(Wording(string.ids, string.position, row), 0)
