"""The data flow of one audit, top to bottom.

towers -> choose and search (train) -> evidence (test) -> branch swap or component repair (diagnosis), frozen ->
profile (test) -> verdict
"""

from __future__ import annotations

import logging
import platform
import tempfile
import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np

from dife_scanner import __version__
from dife_scanner.audit import diagnosis as diagnostics
from dife_scanner.audit import discovery, evidence, hypotheses, kinship, nearby, populations, probes, recovery
from dife_scanner.audit.beside import beside, identical
from dife_scanner.audit.cache import CachedEncoder, Memory
from dife_scanner.audit.interfaces import NoPool, Populations, Subject, cards, extend, measure_all, named
from dife_scanner.audit.plan import AUDIT_VERSION, Plan, identity
from dife_scanner.audit.populations.errors import PoolTooSmall, SourceNotInPool, TargetNotInPool
from dife_scanner.audit.progress import SILENT, Progress
from dife_scanner.audit.sides import Pair, Side, reads_hit_rate
from dife_scanner.core import metrics
from dife_scanner.core.cards import PROMPTED, ZERO_SHOT, Card
from dife_scanner.core.footprint import compare, diagnose
from dife_scanner.core.statistics import holm
from dife_scanner.core.verdict import Decision, counts, decide, finding, unknown_base
from dife_scanner.errors import AuditError, Refused, TriggerFileError
from dife_scanner.models.interface import Encoder
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.records import (
    Audit,
    BranchSwap,
    Channel,
    ComponentRepair,
    Condition,
    Diagnosis,
    Entry,
    EvidenceFile,
    Finding,
    Interval,
    ModelRef,
    NotSearched,
    Origin,
    Recovered,
    Reference,
    Search,
    SignatureResult,
    Trigger,
    TriggerFile,
)
from dife_scanner.triggers.discovery import LEARNED

log = logging.getLogger(__name__)

CONSTANT = 1e-5
"""Mean cosine distance between embeddings below which they are one."""

__all__ = ["AUDIT_VERSION", "Outcome", "Plan", "Request", "audit", "check_known", "identity", "run", "versions"]


@dataclass(frozen=True)
class Request:
    """Everything an audit child needs, picklable: staged folder, reference, plan. No open files, no models."""

    ref: ModelRef
    folder: Path
    """Private copy with `open_clip_config.json` and the weights."""
    weights_sha256: str
    config_digest: str
    """sha256 of the sanitised configuration."""
    reference: Reference | None
    known: tuple[Reference, ...]
    """All references, for `identical`."""
    plan: Plan
    device: str = "cpu"
    cache: Path | None = None
    """Folder of embeddings kept per tower."""
    likeness: Likeness = UNTOLD
    """Of the weights to the reference's."""
    named: bool = False
    """Whether somebody named the reference: it is compared with, whatever the likeness is."""
    notes: tuple[str, ...] = ()
    """What is to be known of this audit beside its verdict."""
    demonstrated: frozenset[str] = frozenset()
    """Names of signatures that earlier audits demonstrated in the reference itself."""
    seconds: float | None = None
    """What the audit may take, where it is bounded."""
    flagged: frozenset[str] = frozenset()
    """Names of `known` references that an audit found backdoored: what they obey too may still be an attack."""

    @property
    def identity(self) -> str:
        """Of the audit."""
        return identity(self.weights_sha256, self.config_digest, self.reference, self.plan)


@dataclass(frozen=True)
class Outcome:
    audit: Audit
    finding: Finding | None
    files: tuple[tuple[EvidenceFile, bytes], ...]


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
    report = _Report(request, suspect, memory)
    report.request, unknown = _related(suspect, reference, request, memory)
    request = report.request
    twin = next((k for k in request.known if _same_towers(suspect, k)), None)
    came = beside(request.folder, suspect)
    if twin is not None and not (_asks_anyway(request.plan) or (came.file and request.plan.detectors)):
        return report.outcome(identical(twin, came), _Measured(twin.name, (True, True)))
    if reference is None or request.reference is None:
        if twin is not None:
            return report.outcome(identical(twin, came), _Measured(twin.name, (True, True)))
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
    kept = None if all(found.unknown) and not request.named else request.reference
    return replace(request, reference=kept, notes=notes), found.unknown


def _alone(suspect: Encoder, request: Request, memory: Memory, progress: Progress) -> _Measured:
    """What searches without a base come to, where the plan asks for any."""
    plan = request.plan
    if not plan.detectors:
        return _Measured()
    phases = _Phases(progress)
    cached = CachedEncoder(suspect, memory, on_encoded=phases.encoded)
    sides = _Sides(cached, cached, plan.probes())
    with tempfile.TemporaryDirectory() as scratch, named(ZERO_SHOT, _labelled(probes.TRAIN, probes.TEST)):
        _check_varied(sides.test.suspect, str(request.ref))
        setting = _setting(request, Path(scratch), plan.detectors)
        found = discovery.discover_alone(suspect, sides.train.suspect, sides.test.suspect, setting, progress)
        return _Measured(
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


@dataclass(frozen=True)
class _Measured:
    """What the stages found out; the defaults are an audit that had nothing to measure."""

    reference_name: str = ""
    same: tuple[bool, bool] = (False, False)
    unknown: tuple[bool, bool] = (False, False)
    """Whether the (image, text) tower comes from no reference."""
    signatures: tuple[SignatureResult, ...] = ()
    searches: tuple[Search, ...] = ()
    missing: tuple[NotSearched, ...] = ()
    trigger: Trigger | None = None
    support: BranchSwap | ComponentRepair | None = None
    parts: ComponentRepair | None = None
    """Beside a branch swap, where a trigger enters through picture and text together."""
    diagnosis: Diagnosis | None = None
    condition: Condition | None = None
    profile: tuple[Entry, ...] = ()
    agreement: str = ""
    accuracies: tuple[float | None, float | None] = (None, None)
    drift: float | None = None
    picture_drift: float | None = None
    effect: Interval | None = None
    recovered: Recovered | None = None
    files: tuple[tuple[EvidenceFile, bytes], ...] = ()


def _measure(
    encoders: Pair[Encoder],
    base: Reference,
    request: Request,
    prompt: TriggerFile | None,
    memory: Memory,
    progress: Progress,
    scratch: Path,
) -> tuple[_Measured, Decision]:
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
    clean = _clean(request, base, data, memory, phases)
    results = clean.tried(results, sides.test.suspect)
    with named(ZERO_SHOT, _labelled(probes.TEST)):
        accuracies = (sides.test[0].accuracy, sides.test[1].accuracy)
    measured = _Measured(
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


def _examine(
    sides: _Sides, winner: SignatureResult, request: Request, phases: _Phases, measured: _Measured
) -> _Measured:
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


def _clean(request: Request, base: Reference, data: probes.Probes, memory: Memory, phases: _Phases) -> nearby.Clean:
    """The other clean checkpoints that are known here."""
    from dife_scanner.models.load import load

    def opened(one: Reference) -> Side:
        phases.enter("trying triggers elsewhere", note=one.name)
        encoder = CachedEncoder(load(Path(one.path), device=request.device), memory, on_encoded=phases.encoded)
        return Side(encoder, data.split(probes.TEST), data.class_names, probes.PROFILE_TEMPLATES)

    return nearby.Clean(request.known, base, request.flagged, opened)


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
    corrected = holm([row.p_value for row in rows])
    return tuple(replace(row, p_holm=p) for row, p in zip(rows, corrected, strict=True)), tuple(shared)


def _read_by(trigger: Trigger) -> Card:
    """The card whose number is the evidence and the diagnostic readout of a trigger (paper §5)."""
    return PROMPTED if reads_hit_rate(trigger) else ZERO_SHOT


def _labelled(*splits: str) -> Callable[[], str]:
    return lambda: f"labelled pictures: {' and '.join(splits)}"


class _Report:
    """Puts together the record of one audit, whatever its stages came to."""

    def __init__(self, request: Request, suspect: Encoder, memory: Memory) -> None:
        self.request, self._suspect, self._memory = request, suspect, memory
        self._started_at, self._clock = datetime.now(UTC).isoformat(timespec="microseconds"), time.monotonic()

    def outcome(self, decision: Decision, measured: _Measured) -> Outcome:
        request, suspect = self.request, self._suspect
        name = request.identity
        record = Audit(
            id=sha256(f"{name}:{request.ref.repo_id}:{self._started_at}".encode()).hexdigest()[:16],
            identity=name,
            ref=request.ref,
            architecture=suspect.architecture,
            reference=measured.reference_name,
            image_tower=suspect.image_tower,
            text_tower=suspect.text_tower,
            image_tower_same=measured.same[0],
            text_tower_same=measured.same[1],
            audit_version=AUDIT_VERSION,
            budget=request.plan.budget,
            seed=request.plan.seed,
            signatures=measured.signatures,
            searches=measured.searches,
            not_searched=measured.missing,
            score=discovery.score(measured.searches) if measured.reference_name else None,
            trigger=measured.trigger,
            branch_swap=measured.support if isinstance(measured.support, BranchSwap) else None,
            diagnosis=measured.diagnosis,
            profile=measured.profile,
            agreement=measured.agreement,
            verdict=decision.verdict,
            reason="; ".join((decision.reason, *request.notes)),
            clean_accuracy=measured.accuracies[0],
            reference_accuracy=measured.accuracies[1],
            prompt_drift=measured.drift,
            picture_drift=measured.picture_drift,
            evidence=tuple(file for file, _ in measured.files),
            encodes=self._memory.performed,
            distinct_inputs=self._memory.distinct,
            device=suspect.device,
            versions=versions(),
            started_at=self._started_at,
            seconds=round(time.monotonic() - self._clock, 3),
            condition=measured.condition,
            recovered=measured.recovered,
            image_tower_unknown=measured.unknown[0],
            text_tower_unknown=measured.unknown[1],
            notes=request.notes,
            repair=measured.support if isinstance(measured.support, ComponentRepair) else measured.parts,
        )
        return Outcome(record, finding(record, measured.effect, self._started_at), measured.files)


def versions() -> dict[str, str]:
    """Versions that can change a number."""
    from importlib.metadata import version

    names = ("torch", "open_clip_torch", "numpy", "pillow", "safetensors")
    return {"dife-scanner": __version__, "python": platform.python_version()} | {n: version(n) for n in names}
