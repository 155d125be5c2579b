"""The data flow of one audit, top to bottom.

towers -> choose and search (train) -> evidence (test) -> branch swap or component repair (diagnosis), frozen ->
profile (test) -> verdict
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np

from dife_scanner.audit import diagnosis as diagnostics
from dife_scanner.audit import (
    discovery,
    evidence,
    exchanged,
    hypotheses,
    kinship,
    nearby,
    populations,
    probes,
    recovery,
)
from dife_scanner.audit.beside import beside, identical
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.interfaces import NoPool, Populations, Subject, cards, extend, measure_all, named
from dife_scanner.audit.plan import AUDIT_VERSION, Plan, identity
from dife_scanner.audit.populations.errors import PoolTooSmall, SourceNotInPool, TargetNotInPool
from dife_scanner.audit.report import Measured, Outcome, Report, versions
from dife_scanner.audit.request import Request
from dife_scanner.audit.sides import Pair, Side, reads_hit_rate
from dife_scanner.core import metrics
from dife_scanner.core.agreement import compare
from dife_scanner.core.cards import PROMPTED, ZERO_SHOT, Card
from dife_scanner.core.footprint import diagnose
from dife_scanner.core.verdict import Decision, counts, decide, unknown_base
from dife_scanner.discovery import LEARNED
from dife_scanner.errors import AuditError, Refused, TriggerFileError
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import SILENT, Progress
from dife_scanner.records import (
    Channel,
    Condition,
    Origin,
    Reference,
    SignatureResult,
    Trigger,
    TriggerFile,
)

log = logging.getLogger(__name__)

CONSTANT = 1e-5
"""Mean cosine distance between embeddings below which they are one."""

__all__ = ["AUDIT_VERSION", "Outcome", "Plan", "Request", "audit", "check_known", "identity", "run", "versions"]


def run(request: Request, progress: Progress = SILENT) -> Outcome:
    """Load the suspect and its reference, audit, and return record and evidence. This is what an audit child runs."""
    from dife_scanner.models.load import load

    progress("loading", note=str(request.ref))
    for path in request.plan.extensions:
        extend(path)
    suspect = load(request.folder, device=request.device)
    if suspect.weights_sha256 != request.weights_sha256:
        raise Refused(f"the weights of {request.ref} changed between the check and the audit", "scan again")
    reference = load(Path(request.reference.path), device=request.device) if request.reference else None
    return audit(suspect, reference, request, progress)


def audit(suspect: Encoder, reference: Encoder | None, request: Request, progress: Progress = SILENT) -> Outcome:
    """Audit a loaded suspect against a loaded reference.

    Without a reference of the same architecture, or where no tower comes from it, the verdict is `inconclusive`
    (unknown base), whatever a search without one came to; with both towers equal to a known base it is `identical` and
    nothing is encoded.
    """
    memory = Memory(request.cache)
    report = Report(request, suspect, memory)
    report.request, unknown = _related(suspect, reference, request, memory)
    request = report.request
    twin = next((k for k in request.known if _same_towers(suspect, k)), None)
    came = beside(request.folder, suspect, request.unread)
    if twin is not None and not (_asks_anyway(request.plan) or (came.file and request.plan.detectors)):
        return report.outcome(identical(twin, came), Measured(twin.name, (True, True)))
    if reference is None or request.reference is None:
        if twin is not None:
            return report.outcome(identical(twin, came), Measured(twin.name, (True, True)))
        measured = replace(_alone(suspect, request, memory, progress), unknown=(True, True))
        return report.outcome(unknown_base(measured.signatures, measured.searches, measured.missing), measured)
    with tempfile.TemporaryDirectory() as scratch:  # trigger files have to last as long as the measuring
        measured, decision = _measure(
            Pair(suspect, reference), request.reference, request, came.file, memory, progress, Path(scratch)
        )
    memory.save([reference.image_tower, reference.text_tower])
    measured = replace(measured, unknown=unknown)
    if twin is not None and not _brings_mechanism(measured.trigger):
        looked = decision if any(s.detector == LEARNED.name for s in measured.searches) else None
        lacking = next((one.reason for one in measured.missing if one.detector == LEARNED.name), came.problem)
        decision = identical(twin, replace(came, problem=lacking), looked)
    return report.outcome(decision, measured)


def _related(
    suspect: Encoder, reference: Encoder | None, request: Request, memory: Memory
) -> tuple[Request, tuple[bool, bool]]:
    """The request without its reference where neither tower comes from it and nobody named it, with what is to be told;
    and which towers do not.
    """
    if reference is None or request.reference is None or not any(request.likeness.unrelated):
        return request, (False, False)
    train = _Sides(CachedEncoder(suspect, memory), CachedEncoder(reference, memory), request.plan.probes()).train
    for side, name in zip(train, (str(request.ref), "its reference"), strict=True):
        _check_varied(side, name)
    found = kinship.kinship(request.likeness, train)
    told = kinship.words(found, request.reference.name, named=request.named)
    notes = tuple(dict.fromkeys((*request.notes, told)))
    request = replace(request, notes=notes)
    if all(found.unknown) and not request.named:
        request = replace(request, reference=None, turned_down=request.reference)
    return request, found.unknown


def _alone(suspect: Encoder, request: Request, memory: Memory, progress: Progress) -> Measured:
    """What searches without a base come to, where the plan asks for any."""
    plan = request.plan
    if not plan.detectors:
        return Measured()
    phases = _Phases(progress)
    cached = CachedEncoder(suspect, memory, on_encoded=phases.encoded)
    sides = _Sides(cached, cached, plan.probes())
    with tempfile.TemporaryDirectory() as scratch, named(ZERO_SHOT, _labelled(probes.TRAIN, probes.TEST)):
        _check_varied(sides.test.suspect, str(request.ref))
        setting = _setting(request, Path(scratch), plan.detectors)
        found = discovery.discover_alone(suspect, sides.train.suspect, sides.test.suspect, setting, progress)
        return Measured(
            signatures=found.results,
            searches=found.searches,
            missing=found.missing,
            accuracies=(sides.test.suspect.accuracy, None),
        )


def _asks_anyway(plan: Plan) -> bool:
    """Whether somebody named a trigger to be measured: then the profile is wanted whatever the towers are."""
    return any(hypotheses.known(trigger) for trigger in plan.signatures)


def _brings_mechanism(trigger: Trigger | None) -> bool:
    """A prompt learner is part of what is audited, so equal towers do not make the whole identical."""
    return trigger is not None and trigger.channel is Channel.PROMPT


def _measure(
    encoders: Pair[Encoder],
    base: Reference,
    request: Request,
    prompt: TriggerFile | None,
    memory: Memory,
    progress: Progress,
    scratch: Path,
) -> tuple[Measured, Decision]:
    data = request.plan.probes()
    check_known(request.plan, data.class_names)
    phases = _Phases(progress)
    suspect, reference = encoders
    cached = Pair(*(CachedEncoder(one, memory, on_encoded=phases.encoded) for one in encoders))
    sides = _Sides(cached.suspect, cached.reference, data)
    for side, name in zip(sides.test, (str(request.ref), "its reference"), strict=True):
        with named(ZERO_SHOT, _labelled(probes.TEST)):
            _check_varied(side, name)
    searched = _searched(sides, encoders, request, prompt, progress, scratch)
    results, shared = _evidence(sides, request, phases, searched.results)
    clean = _clean(request, base, suspect, data, memory, phases)
    results = clean.tried(results, sides.test.suspect)
    with named(ZERO_SHOT, _labelled(probes.TRAIN, probes.TEST)):
        setting = _setting(request, scratch, request.plan.detectors)
        results = exchanged.asked(results, encoders, sides.train, sides.test, setting, progress)
    with named(ZERO_SHOT, _labelled(probes.TEST)):
        accuracies = (sides.test[0].accuracy, sides.test[1].accuracy)
    measured = Measured(
        reference_name=base.name,
        same=(suspect.image_tower == reference.image_tower, suspect.text_tower == reference.text_tower),
        signatures=results,
        searches=searched.searches,
        missing=searched.missing,
        accuracies=accuracies,
        drift=float(metrics.cosine_distance(sides.test[0].prompts, sides.test[1].prompts).mean()),
        picture_drift=float(metrics.cosine_distance(sides.test[0].images, sides.test[1].images).mean()),
    )
    winner = hypotheses.strongest([row for row in results if counts(row)])
    if winner is None:
        trigger = shared[0].trigger if shared else None
        decision = decide(results, None, None, (), shared, searched.searches, searched.missing)
        return replace(measured, trigger=trigger), decision
    measured = _examine(sides, winner, request, phases, measured)
    if winner.origin is Origin.DISCOVERED and measured.recovered is not None:
        there = {one.reference: one.success for one in winner.near} | clean.told(winner.trigger)
        measured = replace(measured, recovered=replace(measured.recovered, elsewhere=there))
    return measured, decide(
        results, winner, measured.diagnosis, measured.profile, shared, searched.searches, searched.missing
    )


def _check_varied(side: Side, name: str) -> None:
    """`AuditError` for a tower that says the same of everything: no question can be asked of it."""
    for what, embeddings in (("picture", side.images), ("class prompt", side.prompts)):
        spread = 1.0 - float(np.square(embeddings.mean(axis=0)).sum())
        if spread < CONSTANT:
            raise AuditError(
                f"{name} embeds every {what} as the same vector (mean cosine distance {spread:.1g}): nothing can be "
                "measured",
                "it has no verdict; do not use it",
            )


def _searched(
    sides: _Sides,
    encoders: Pair[Encoder],
    request: Request,
    prompt: TriggerFile | None,
    progress: Progress,
    scratch: Path,
) -> discovery.Discovered:
    """What nobody described, where the plan asks for it; a prompt learner that came along is searched too."""
    plan = request.plan
    if not plan.detectors:
        return discovery.Discovered((), ())
    detectors = plan.detectors if prompt is None else tuple(dict.fromkeys((*plan.detectors, LEARNED.name)))
    setting = replace(_setting(request, scratch, detectors), learner=prompt)
    with named(ZERO_SHOT, _labelled(probes.TRAIN, probes.TEST)):
        return discovery.discover(encoders, sides.train, sides.test, setting, progress)


def _setting(request: Request, scratch: Path, detectors: tuple[str, ...]) -> discovery.Setting:
    """Searches are kept under the audit's identity, in the cache where there is one."""
    plan, folder = request.plan, request.cache.parent / "discovery" if request.cache else scratch
    return discovery.Setting(detectors, plan.budget, plan.seed, request.identity, folder, request.seconds)


def _examine(sides: _Sides, winner: SignatureResult, request: Request, phases: _Phases, measured: Measured) -> Measured:
    """Diagnose, freeze, then measure every interface and compare (paper §5)."""
    trigger = winner.trigger
    sides = sides.asked(trigger)
    condition = trigger.condition()
    phases.enter("diagnosing")
    with named(_read_by(trigger), _labelled(probes.DIAGNOSIS)):
        support = diagnostics.gather(trigger, sides.diagnosis, sides.train)
        parts = diagnostics.repair_of_parts(trigger, sides.diagnosis.suspect)
        diagnosis = diagnose(support, condition, cards(), parts)
    phases.enter("measuring interfaces")
    pools = _pools(condition, sides.data, request, named_by_somebody=winner.origin is Origin.KNOWN)
    subject = Subject(trigger, condition, sides.train, sides.test, sides.queries, pools, request.plan.seed)
    profile = measure_all(subject, diagnosis)
    return replace(
        measured,
        trigger=trigger,
        condition=condition,
        support=support,
        parts=parts,
        diagnosis=diagnosis,
        profile=profile.entries,
        agreement=compare(profile).text,
        effect=hypotheses.effect(trigger, *sides.test, request.plan.seed),
        recovered=recovery.recover(trigger, sides.test),
        files=(
            *evidence.pictures(sides.test.suspect, trigger),
            *evidence.landing(trigger, sides.test),
            *evidence.manifests(pools.manifests),
        ),
    )


def _clean(
    request: Request, base: Reference, suspect: Encoder, data: probes.Probes, memory: Memory, phases: _Phases
) -> nearby.Clean:
    """The other clean checkpoints that are known here."""
    from dife_scanner.models.load import load

    def opened(one: Reference) -> Side:
        phases.enter("trying triggers elsewhere", note=one.name)
        encoder = CachedEncoder(load(Path(one.path), device=request.device), memory, on_encoded=phases.encoded)
        return Side(encoder, data.split(probes.TEST), data.class_names, probes.PROFILE_TEMPLATES)

    return nearby.Clean(request.known, base, suspect, request.flagged, opened)


def _pools(condition: Condition, data: probes.Probes, request: Request, *, named_by_somebody: bool) -> Populations:
    """The populations beside the labelled pictures, drawn when a card first asks for one.

    Where somebody named the trigger, pictures that cannot show it are an error of theirs. What was found is not lost
    for that: the cards that ask for them are not run.
    """

    def draw(kind: str) -> populations.Pool:
        try:
            return request.plan.pool(kind, condition, data.class_names, request.cache)
        except (PoolTooSmall, SourceNotInPool, TargetNotInPool) as error:
            if named_by_somebody:
                raise
            raise NoPool(error.what) from error

    return Populations(draw)


class _Sides:
    """(suspect, reference) on each split, with the templates that belong to it."""

    def __init__(self, suspect: Encoder, reference: Encoder, data: probes.Probes) -> None:
        self._encoders, self.data = (suspect, reference), data
        self.train = self._both(probes.TRAIN, probes.SEARCH_TEMPLATES)
        self.diagnosis = self._both(probes.DIAGNOSIS, probes.DIAGNOSIS_TEMPLATES)
        self.test = self._both(probes.TEST, probes.PROFILE_TEMPLATES)
        self.queries = self._both(probes.TEST, probes.QUERY_TEMPLATES)

    def asked(self, trigger: Trigger) -> _Sides:
        """These sides, with the trigger's own templates on the test pictures where it brings any."""
        if not trigger.templates:
            return self
        own = copy(self)
        own.test = own.queries = self._both(probes.TEST, trigger.templates)
        return own

    def _both(self, split: str, templates: tuple[str, ...]) -> Pair[Side]:
        return Pair(*(Side(e, self.data.split(split), self.data.class_names, templates) for e in self._encoders))


class _Phases:
    """Turns stages and encodes into progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._phase, self._note, self._inputs = "encoding", "", 0

    def enter(self, phase: str, done: int = 0, total: int = 0, note: str = "") -> None:
        self._phase, self._note = phase, note
        self._progress(phase, done, total, f"{note} · {self._inputs} inputs encoded" if note else note)

    def encoded(self, count: int) -> None:
        self._inputs += count


def _same_towers(encoder: Encoder, known: Reference) -> bool:
    return encoder.image_tower == known.image_tower and encoder.text_tower == known.text_tower


def check_known(plan: Plan, class_names: tuple[str, ...]) -> None:
    """`TriggerFileError` for a source or target that no labelled picture shows, and for a template that was seen."""
    for trigger in plan.signatures:
        if seen := set(trigger.templates) & {*probes.SEARCH_TEMPLATES, *probes.DIAGNOSIS_TEMPLATES}:
            raise TriggerFileError(
                f"trigger `{trigger.name}` names the template {min(seen)!r}, with which triggers are searched or "
                "diagnosed: nothing may be measured where it was chosen",
                "leave it out; docs/triggers.md lists the templates that are taken",
            )
        for role, name in (("source", trigger.source), ("target", trigger.target)):
            if name and name not in class_names:
                raise TriggerFileError(
                    f"trigger `{trigger.name}` names the {role} `{name}`, which no labelled picture shows "
                    f"[card: {_read_by(trigger).interface} and all others] [pool: {plan.pictures_name()}]",
                    f"use one of: {', '.join(class_names)}",
                )


def _evidence(
    sides: _Sides, request: Request, phases: _Phases, discovered: tuple[SignatureResult, ...]
) -> tuple[tuple[SignatureResult, ...], tuple[SignatureResult, ...]]:
    """One result per signature, and those `discovered`, corrected over all that were tried; and the signatures that
    move the base just as well.
    """
    rows, shared, plan = [], [], request.plan
    total = len(plan.signatures)
    for index, signature in enumerate(plan.signatures):
        phases.enter("trying signatures", index, total, signature.name)
        with named(_read_by(signature), _labelled(probes.TRAIN, probes.TEST)):
            choices = hypotheses.choose(signature, *sides.train)
            always, test = hypotheses.known(signature), sides.asked(signature).test
            row = hypotheses.test(choices.apart, *test, plan.seed, always=always)
            rows.append(replace(row, origin=Origin.KNOWN) if always else row)
            if hypotheses.inherited(choices.shared, *test, demonstrated=signature.name in request.demonstrated):
                shared.append(SignatureResult(choices.shared.trigger, choices.shared.effect))
    phases.enter("trying signatures", total, total)
    rows += discovered
    return hypotheses.corrected(rows), tuple(shared)


def _read_by(trigger: Trigger) -> Card:
    """The card whose number is the evidence and the diagnostic readout of a trigger (paper §5)."""
    return PROMPTED if reads_hit_rate(trigger) else ZERO_SHOT


def _labelled(*splits: str) -> Callable[[], str]:
    return lambda: f"labelled pictures: {' and '.join(splits)}"
