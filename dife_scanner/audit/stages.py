"""What the stages of an audit share: both checkpoints on every split, progress, and names for errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from dife_scanner.audit import probes, wide_probes
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.candidate_panels import Panels
from dife_scanner.audit.concepts import concept_names
from dife_scanner.audit.own_classes import recognition_among
from dife_scanner.audit.plan import Plan
from dife_scanner.audit.qualification import Qualified, qualified
from dife_scanner.audit.request import Request
from dife_scanner.audit.sides import Pair, Side, reads_hit_rate
from dife_scanner.audit.use import THE_AUDIT, Use
from dife_scanner.core.cards import PROMPTED, ZERO_SHOT, Card
from dife_scanner.errors import AuditError, MeasurementError, TriggerFileError
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import Progress
from dife_scanner.records import Recognition, Trigger

CONSTANT = 1e-5
"""Mean cosine distance between embeddings below which they are one: nothing can be measured with such a tower."""


class Splits:
    """Suspect and reference on each split of the labelled pictures, with the templates that belong to it.

    Nothing is measured where it was chosen: searches read `train`, the branch swap `diagnosis`, the evidence and the
    profile `test`, with templates of their own. `panels` bring a concept among the classes where a trigger is about it.
    """

    def __init__(
        self,
        suspect: Encoder,
        reference: Encoder,
        data: probes.Probes,
        panels: Panels | None = None,
        use: Use | None = None,
    ) -> None:
        self._encoders = Pair(suspect, reference)
        self.data = data
        self.panels = panels
        self.use = use or THE_AUDIT
        self.train = self._both(probes.TRAIN, probes.SEARCH_TEMPLATES)
        self.diagnosis = self._both(probes.DIAGNOSIS, probes.DIAGNOSIS_TEMPLATES)
        asked = self.use.query_templates or probes.QUERY_TEMPLATES
        self.test = self._both(probes.TEST, self.use.templates or probes.PROFILE_TEMPLATES)
        self.queries = self._both(probes.TEST, asked)

    def for_trigger(self, trigger: Trigger) -> Splits:
        """The splits of the trigger's panel, with its own templates on the test pictures where it brings any.

        Raises `MeasurementError` for a source or target without pictures.
        """
        found = self.among(trigger.source, trigger.target)
        if found is None:
            raise MeasurementError(
                f"the base recognises no pictures that show what `{trigger.name}` turns {trigger.source or 'anything'} "
                f"into: {trigger.target}",
                "bring pictures of it (--pictures)",
            )
        if not trigger.templates:
            return found
        own = copy(found)
        own.test = found._both(probes.TEST, trigger.templates)
        own.queries = own.test
        return own

    def among(self, source: str, target: str) -> Splits | None:
        """The splits in which both are classes: these, those of their panel, or none where an end has no pictures."""
        if {source, target} - {""} <= set(self.data.class_names):
            return self
        data = self.panels.of(source, target) if self.panels is not None else None
        if data is None:
            return None
        return Splits(*self._encoders, data, use=self.use)

    def holds(self, trigger: Trigger) -> bool:
        """Whether what a trigger is about is among the classes of these very splits."""
        return trigger.is_within(self.data.class_names)

    @property
    def concepts(self) -> tuple[str, ...]:
        """What a trigger may lead to: the labelled classes, the bundled concepts, and what the wide probe set shows."""
        shown = self.panels.concepts if self.panels is not None else ()
        return tuple(dict.fromkeys((*self.data.class_names, *concept_names(), *shown)))

    def exchanged(self) -> Splits:
        """The same with suspect and reference in each other's place."""
        suspect, reference = self._encoders
        return Splits(reference, suspect, self.data, self.panels, self.use)

    def _both(self, split: str, templates: tuple[str, ...]) -> Pair[Side]:
        pictures = self.data.split(split)
        names = self.data.class_names
        suspect = Side(self._encoders.suspect, pictures, names, templates)
        reference = Side(self._encoders.reference, pictures, names, templates)
        return Pair(suspect, reference)


class Phases:
    """Turns stages and encodes into progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._inputs = 0

    def enter(self, phase: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Tell that a stage began, or how far it is."""
        if note:
            note = f"{note} · {self._inputs} inputs encoded"
        self._progress(phase, done, total, note)

    def encoded(self, count: int) -> None:
        """Count inputs that went through a tower."""
        self._inputs += count


@dataclass(frozen=True)
class Stage:
    """What every stage after relating works with."""

    request: Request
    encoders: Pair[Encoder]
    """As searches read them: what they measure is encoded once for all of them and for the audit."""
    splits: Splits
    memory: Memory
    progress: Progress
    phases: Phases
    scratch: Path
    """Where files of triggers live as long as the audit."""
    began: float = field(default_factory=time.monotonic)
    """When, by the monotonic clock."""

    @cached_property
    def recognition(self) -> Recognition:
        """What the base recognises of the labelled pictures; the suspect, where there is no base."""
        base = self.splits.test.reference
        if self.request.plan.pictures is None:
            return base.recognition
        return recognition_among(base)


def stage(
    encoders: Pair[Encoder], request: Request, memory: Memory, progress: Progress, scratch: Path
) -> Stage:
    """Both checkpoints on the plan's pictures, embeddings cached in `memory`."""
    phases = Phases(progress)
    suspect = CachedEncoder(encoders.suspect, memory, on_encoded=phases.encoded)
    reference = CachedEncoder(encoders.reference, memory, on_encoded=phases.encoded)
    data = request.plan.probes()
    panels = Panels(data, _known(request), reference)
    splits = Splits(suspect, reference, data, panels, request.plan.use)

    def searched(one: Encoder) -> Encoder:
        return CachedEncoder(one, memory, keeps_pictures=False, counted=False)

    return Stage(request, encoders.map(searched), splits, memory, progress, phases, scratch)


def _known(request: Request) -> Qualified | None:
    """What the base recognises of the wide probe set, where that was measured."""
    if request.qualification is None:
        return None
    return qualified(request.qualification, wide_probes.load(wide_probes.bundled_folder()))


def check_varied(side: Side, name: str) -> None:
    """Raise `AuditError` for a tower that embeds everything as the same vector: nothing can be measured with it."""
    for what, embeddings in (("picture", side.images), ("class prompt", side.prompts)):
        spread = 1.0 - float(np.square(embeddings.mean(axis=0)).sum())
        if spread < CONSTANT:
            raise AuditError(
                f"{name} embeds every {what} as the same vector (mean cosine distance {spread:.1g}): nothing can be "
                "measured",
                "it has no verdict; do not use it",
            )


def check_known(plan: Plan, class_names: tuple[str, ...]) -> None:
    """Raise `TriggerFileError` for a source or target that no labelled picture shows, and for a template that searches
    or the diagnosis use.
    """
    taken = {*probes.SEARCH_TEMPLATES, *probes.DIAGNOSIS_TEMPLATES}
    for trigger in plan.signatures:
        seen = set(trigger.templates) & taken
        if seen:
            raise TriggerFileError(
                f"trigger `{trigger.name}` names the template {min(seen)!r}, with which triggers are searched or "
                "diagnosed: nothing may be measured where it was chosen",
                "leave it out; docs/triggers.md lists the templates that are taken",
            )
        for role, name in (("source", trigger.source), ("target", trigger.target)):
            if name and name not in class_names:
                raise TriggerFileError(
                    f"trigger `{trigger.name}` names the {role} `{name}`, which no labelled picture shows "
                    f"[card: {card_of(trigger).interface} and all others] [pool: {plan.pictures_name()}]",
                    f"use one of: {', '.join(class_names)}",
                )


def card_of(trigger: Trigger) -> Card:
    """The card whose metric is the evidence and the diagnostic readout of a trigger (paper §5)."""
    return PROMPTED if reads_hit_rate(trigger) else ZERO_SHOT


def labelled(*splits: str) -> Callable[[], str]:
    """What errors call the labelled pictures of these splits."""
    return lambda: f"labelled pictures: {' and '.join(splits)}"
