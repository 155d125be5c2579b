"""The data flow of one audit, top to bottom.

relate -> search (train) -> test (held-out) -> check -> diagnose (diagnosis), frozen -> profile (held-out) -> decide ->
report
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.audit import (
    early_end,
    faults,
    hypotheses,
    precision,
    probes,
    reverse_search,
    run_checks,
    search,
)
from dife_scanner.audit import memory as holding
from dife_scanner.audit.both_settings import audit_both, deviations_of
from dife_scanner.audit.cache import Memory
from dife_scanner.audit.examine import Examined, examine
from dife_scanner.audit.interfaces import extend, named
from dife_scanner.audit.own_classes import check_names
from dife_scanner.audit.plan import AUDIT_VERSION, Plan, identity
from dife_scanner.audit.relate import Relation, Twin, relate, with_casts
from dife_scanner.audit.report import Measured, Outcome, Report, versions
from dife_scanner.audit.request import Request
from dife_scanner.audit.sides import Pair
from dife_scanner.audit.stages import Stage, check_known, check_varied, labelled, stage
from dife_scanner.audit.time_plan import Planned, planned
from dife_scanner.audit.tokenizers import with_tokenizers_compared, with_tokens
from dife_scanner.core import checks
from dife_scanner.core.cards import ZERO_SHOT
from dife_scanner.core.checks import Circumstances
from dife_scanner.core.recognition import is_searchable
from dife_scanner.core.verdict import Evidence, decide, demonstrated
from dife_scanner.discovery import LEARNED
from dife_scanner.errors import AuditError
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import SILENT, Progress
from dife_scanner.records import (
    Channel,
    Hypothesis,
    Interval,
    Origin,
    Recognition,
    Reference,
    SettingsOf,
    StoredPlan,
    Verdict,
)
from dife_scanner.sentences.settings import deviation_note, problem_note

if TYPE_CHECKING:
    from dife_scanner.models.clip import ClipEncoder

MOST_EXAMINED = 10
"""Demonstrated triggers that are examined until one is flagged: the strongest may lack a footprint that another has."""

__all__ = [
    "AUDIT_VERSION",
    "Outcome",
    "Plan",
    "Request",
    "audit",
    "check_known",
    "identity",
    "run",
    "versions",
]


Keep = Callable[[Outcome], None]
"""Takes what an audit comes to as soon as a trigger is demonstrated, before footprint and interfaces are measured."""


def forget(_: Outcome) -> None:
    """Keep nothing before the audit is over."""


def run(
    request: Request,
    progress: Progress = SILENT,
    keep: Keep = forget,
    memory: Memory | None = None,
) -> Outcome:
    """Load the suspect and its reference, audit, and return record and evidence. This is what an audit child runs.

    `memory`: one of the caller's own, who wants to know afterwards what was encoded.
    """
    progress("loading", note=str(request.ref))
    request = holding.planned(request)
    for path in request.plan.extensions:
        extend(path)
    base = request.reference
    if base is None:
        suspect = _suspect(request, _alone_under(request))
        outcome = audit(suspect, None, request, progress, memory=memory)
        return _with_peak(outcome, suspect, suspect)
    request = replace(request, deviations=deviations_of(request))

    decided: list[StoredPlan] = []

    def under(settings: SettingsOf) -> Outcome:
        """Both under one configuration; no more than two are loaded at a time. The first decides what time is for,
        and in which precision both are searched."""
        settings_of = Path(base.path) if settings is SettingsOf.BASE else request.folder
        suspect = _suspect(request, settings_of)
        reference = _reference(request, base, settings_of)
        known = request.known
        if not request.deviations:
            known = with_casts(known, base, reference.cast_towers)
        asked = _with_layers(replace(request, settings=settings, known=known), suspect, reference)
        if decided:
            asked = asked.with_work(decided[0].work).with_bfloat16(decided[0].bfloat16)
        outcome = audit(suspect, reference, asked, progress, keep, memory)
        if outcome.audit.plan is not None:
            decided.append(outcome.audit.plan)
        return _with_peak(outcome, suspect, reference)

    if request.own_settings_problem:
        request = _with_note(request, problem_note(request.own_settings_problem, base.name))
        return under(SettingsOf.BASE)
    if not request.deviations:
        return under(SettingsOf.SUSPECT)
    request = _with_note(request, deviation_note(request.deviations, base.name))
    return audit_both(under)


def _alone_under(request: Request) -> Path:
    """Whose configuration a checkpoint runs under that is compared with nothing: a rerun's may need another's."""
    if request.own_settings_problem and request.turned_down is not None:
        return Path(request.turned_down.path)
    return request.folder


def _suspect(request: Request, settings_of: Path) -> ClipEncoder:
    """The checkpoint under the configuration in the folder `settings_of`. `AuditError` where its weights changed."""
    from dife_scanner.models.load import load

    suspect = load(
        request.folder, device=request.device, limits=request.limits, settings_of=settings_of
    )
    if suspect.weights_sha256 != request.weights_sha256:
        raise AuditError(
            f"the weights of {request.ref} changed between the check and the audit", "scan again"
        )
    suspect.way_back = holding.way_of(request, holding.SUSPECT)
    return suspect


def _reference(request: Request, base: Reference, settings_of: Path) -> ClipEncoder:
    """The base under the configuration in the folder `settings_of`."""
    from dife_scanner.models.load import load

    reference = load(
        Path(base.path), device=request.device, limits=request.limits, settings_of=settings_of
    )
    reference.way_back = holding.way_of(request, holding.BASE)
    return reference


def _with_peak(outcome: Outcome, suspect: ClipEncoder, base: ClipEncoder) -> Outcome:
    """The outcome with what the process held."""
    record = outcome.audit
    use = holding.held(record.memory, suspect.way_back, base.way_back, record.device)
    return replace(outcome, audit=replace(record, memory=use))


def _with_layers(request: Request, suspect: ClipEncoder, reference: ClipEncoder) -> Request:
    """The request with how far each layer is from the reference's. It decides nothing: a fault is noted alone."""
    if (suspect.image_tower, suspect.text_tower) == (reference.image_tower, reference.text_tower):
        return request
    gaps = faults.Gaps()
    layers = gaps.attempt(
        "how far each layer is from the base's", lambda: suspect.layer_changes(reference), ()
    )
    for gap in gaps.found:
        request = _with_note(request, f"{gap.stage} could not be computed: {gap.reason}")
    return replace(request, layers=layers)


def _with_note(request: Request, note: str) -> Request:
    """The request with a further note; a rerun brings the notes of the stored audit."""
    return replace(request, notes=tuple(dict.fromkeys((*request.notes, note))))


def audit(
    suspect: Encoder,
    reference: Encoder | None,
    request: Request,
    progress: Progress = SILENT,
    keep: Keep = forget,
    memory: Memory | None = None,
) -> Outcome:
    """Audit a loaded suspect against a loaded reference.

    With both towers equal to a known base, and settings that do not deviate, the verdict is `identical` and nothing is
    encoded. Without a reference whose tensors have the same shapes, or where no tower comes from it, it is
    `inconclusive` (unknown base), whatever a search without one came to.
    """
    memory = Memory(request.cache) if memory is None else memory
    report = Report(request, suspect, memory)
    relation = relate(suspect, reference, request, memory)
    request = with_tokenizers_compared(relation.request, suspect, reference)
    relation = replace(relation, request=request)
    base = request.reference
    alone = reference is None or base is None
    if relation.twin is not None and (alone or _nothing_to_measure(relation)):
        return report.outcome(request, _identical(relation, relation.twin))
    if alone and not request.plan.detectors:
        return report.outcome(request, Measured(Evidence(base_unknown=True), unknown=(True, True)))
    request = precision.with_precision(request, suspect, None if alone else reference)
    with (
        tempfile.TemporaryDirectory() as scratch
    ):  # trigger files have to last as long as the measuring
        if reference is None or base is None:
            only = stage(Pair(suspect, suspect), request, memory, progress, Path(scratch))
            _check_alone(only)
            plan = planned(only, _options(only))
            return report.outcome(plan.stage.request, _measured_alone(plan))
        both = stage(Pair(suspect, reference), request, memory, progress, Path(scratch))
        _check_inputs(both)
        plan = planned(both, _search_options(both, relation))
        request, measured = _measured(plan, base, relation, report, keep)
    kept = faults.Gaps()
    kept.attempt(
        "embeddings of the base for later audits",
        lambda: memory.save([reference.image_tower, reference.text_tower]),
        None,
    )
    outcome = report.outcome(request, measured.with_gaps(kept.found))
    if demonstrated(measured.evidence.hypotheses):
        keep(outcome)  # in place of what was kept before: it may not be flagged after all
    return outcome


def _nothing_to_measure(relation: Relation) -> bool:
    """Whether nobody named a trigger, which is measured whatever the towers are, and no prompt learner is searched."""
    plan = relation.request.plan
    named = any(hypotheses.known(trigger) for trigger in plan.signatures)
    learner = relation.learner.file is not None and bool(plan.detectors)
    return not named and not learner


def _identical(relation: Relation, twin: Twin) -> Measured:
    name = twin.reference.name
    evidence = Evidence(
        identical_to=name,
        identical_cast=twin.cast,
        prompt_learner=relation.learner.name,
        learner_problem=relation.learner.problem,
    )
    return Measured(evidence, reference_name=name, same=(True, True))


def _check_alone(only: Stage) -> None:
    """Raise what makes nothing measurable, where there is no base."""
    test = only.splits.test.suspect
    with named(ZERO_SHOT, labelled(probes.TRAIN, probes.TEST)):
        check_names(only.request.plan, test.encoder, str(only.request.ref))
        check_varied(test, str(only.request.ref))


def _measured_alone(plan: Planned) -> Measured:
    """What searches without a base come to. They decide nothing."""
    only = plan.stage
    train = only.splits.train.suspect
    test = only.splits.test.suspect
    options = replace(_options(only), rates=plan.rates)
    with named(ZERO_SHOT, labelled(probes.TRAIN, probes.TEST)):
        found = search.discover_alone(only.encoders.suspect, train, test, options, only.progress)
        evidence = Evidence(
            hypotheses=run_checks.with_checks(found.results, Circumstances()),
            searches=found.searches,
            missing=found.missing,
            base_unknown=True,
            recognition=only.recognition,
        )
        return Measured(evidence, unknown=(True, True), accuracies=(test.accuracy, None))


def _check_inputs(both: Stage) -> None:
    """Raise what makes nothing measurable of a suspect and its base."""
    request = both.request
    test = both.splits.test
    check_known(request.plan, both.splits.data.class_names)
    with named(ZERO_SHOT, labelled(probes.TEST)):
        check_names(request.plan, test.reference.encoder, "its reference")
        check_varied(test.suspect, str(request.ref))
        check_varied(test.reference, "its reference")


def _measured(
    plan: Planned, base: Reference, relation: Relation, report: Report, keep: Keep
) -> tuple[Request, Measured]:
    """Search a suspect that can be compared with its base, and measure what was found; first, the request with what
    was left out.

    A channel's early end stands only where a trigger comes out flagged. Otherwise what it left out is searched as well.
    """
    options = _search_options(plan.stage, relation)
    measured, request = _measured_once(plan, base, relation, report, keep, options)
    replays = bool(plan.stage.request.plan.ended)
    if request.plan.ended and not replays and not _is_flagged(measured):
        options = replace(options, ends_early=False)
        measured, request = _measured_once(plan, base, relation, report, keep, options)
    return request, measured


def _is_flagged(measured: Measured) -> bool:
    return decide(measured.evidence).verdict is Verdict.FLAGGED


def _measured_once(
    plan: Planned,
    base: Reference,
    relation: Relation,
    report: Report,
    keep: Keep,
    options: search.Options,
) -> tuple[Measured, Request]:
    """What searches with these options come to; second, the request with what they left out."""
    found = _searched(plan, options)
    request = plan.stage.request.with_ended(early_end.left_out(found.missing))
    both = replace(plan.stage, request=request)
    checking = replace(_options(both), rates=plan.rates)
    measured = _of_found(
        both, base, relation, found, checking, lambda known: keep(report.outcome(request, known))
    )
    return measured, request


def _of_found(
    both: Stage,
    base: Reference,
    relation: Relation,
    found: search.Discovered,
    options: search.Options,
    keep: Callable[[Measured], None],
) -> Measured:
    """Test, check, diagnose and profile what searches found. `options`: of the reverse search.

    `keep` is given what is known once a trigger is demonstrated: whatever ends the audit after that loses no finding.
    """
    request = both.request
    further = early_end.HANDED_OVER * len(request.plan.ended)
    tested, inherited, untried = hypotheses.test_all(both, found.results, further)
    checked = run_checks.check_all(both, tested, base, options)
    if not demonstrated(checked.hypotheses):
        for fault in untried.values():
            raise fault
    if relation.twin is None:
        _keep_demonstrated(both, base, relation, checked.hypotheses, found, keep)
    strongest, examined = _strongest(both, checked)
    if strongest is None and inherited:
        examined = Examined(trigger=inherited[0].trigger)
    examined = with_tokens(examined, both.encoders.suspect.tokenizer)
    evidence = Evidence(
        hypotheses=checked.hypotheses,
        strongest=strongest,
        diagnosis=examined.diagnosis,
        profile=examined.profile,
        inherited=inherited,
        searches=found.searches,
        missing=found.missing,
        gaps=(*found.gaps, *faults.gaps_of(untried), *checked.gaps, *examined.gaps),
        recognition=both.recognition,
        qualification=_known_of_the_world(request),
        own_settings_problem=request.own_settings_problem,
    )
    if relation.twin is not None and not _brings_mechanism(examined):
        evidence = _of_a_twin(evidence, relation, relation.twin)
    return Measured.compared(both, base, evidence, examined, relation.unknown)


def _known_of_the_world(request: Request) -> Recognition | None:
    """What the base recognises of the wide probe set, where the labelled pictures are the bundled ones."""
    if request.qualification is None or request.plan.pictures is not None:
        return None
    return request.qualification.recognition


def _keep_demonstrated(
    both: Stage,
    base: Reference,
    relation: Relation,
    checked: tuple[Hypothesis, ...],
    found: search.Discovered,
    keep: Callable[[Measured], None],
) -> None:
    """Hand over the strongest demonstrated trigger, without footprint and profile."""
    shown = hypotheses.by_effect(demonstrated(checked))
    if not shown:
        return
    strongest = shown[0]
    effect = _effect(both, strongest)
    if effect.low < checks.DEMONSTRATED_EFFECT:
        return  # named by somebody, and reported as it is once it is measured everywhere
    evidence = Evidence(
        hypotheses=checked,
        strongest=strongest,
        searches=found.searches,
        missing=found.missing,
        recognition=both.recognition,
    )
    examined = Examined(trigger=strongest.trigger, effect=effect)
    keep(Measured.compared(both, base, evidence, examined, relation.unknown))


def _effect(both: Stage, strongest: Hypothesis) -> Interval:
    """The interval of a trigger over the base, in embedding space where it is decided there."""
    if strongest.space is not None:
        return strongest.space.effect
    test = both.splits.for_trigger(strongest.trigger).test
    return hypotheses.effect(strongest.trigger, *test, both.request.plan.seed)


def _strongest(both: Stage, checked: run_checks.Checked) -> tuple[Hypothesis | None, Examined]:
    """The hypothesis that decides, examined: the demonstrated one with the largest effect that is flagged, else the one
    with the largest effect of all that nothing but the number of drawings stands against.
    """
    open_ones = [one for one in checked.hypotheses if checks.open_but_for_drawings(one.checks)]
    first: tuple[Hypothesis | None, Examined] = (None, Examined())
    for one in hypotheses.by_effect(open_ones)[:MOST_EXAMINED]:
        if first[0] is not None and not checks.demonstrated(one.checks):
            break
        examined = _with_success_elsewhere(examine(both, one), one, checked)
        if first[0] is None:
            first = (one, examined)
        alone = Evidence(strongest=one, diagnosis=examined.diagnosis, profile=examined.profile)
        if decide(alone).verdict is Verdict.FLAGGED:
            return one, examined
    return first


def _searched(plan: Planned, options: search.Options) -> search.Discovered:
    """What searches find, where the plan names detectors."""
    both = plan.stage
    options = replace(options, rates=plan.rates)
    if not options.plan.detectors:
        return search.Discovered()
    with named(ZERO_SHOT, labelled(probes.TRAIN, probes.TEST)):
        if not is_searchable(both.recognition):
            return search.Discovered()
        return search.discover(both.encoders, both.splits, options, both.progress)


def _search_options(both: Stage, relation: Relation) -> search.Options:
    """The same with the search of a prompt learner, where one came along; channels may end early."""
    options = replace(_options(both), ends_early=_ends_early(both))
    if not options.plan.detectors or relation.learner.file is None:
        return options
    names = tuple(dict.fromkeys((*options.plan.detectors, LEARNED.name)))
    return replace(
        options, plan=replace(options.plan, detectors=names), learner=relation.learner.file
    )


def _ends_early(both: Stage) -> bool:
    """Whether channels of this audit may end early.

    Not where a reverse search may be due: it holds what all searches find in the base against a finding. Nor under two
    configurations, each of which would end elsewhere.
    """
    request = both.request
    if not request.ends_early or request.deviations:
        return False
    return reverse_search.accuracy_lost(both.splits.test) < checks.ACCURACY_LOST


def _options(one: Stage) -> search.Options:
    """Searches are kept under the audit's identity, in the cache where there is one."""
    request = one.request
    folder = request.cache.parent / "discovery" if request.cache else one.scratch
    return search.Options(
        request.plan,
        request.identity,
        folder,
        _limit_of_reverse_search(request),
        settings=request.settings,
    )


def _limit_of_reverse_search(request: Request) -> float | None:
    """The limit of every audit, where no plan has counted a reverse search in."""
    if request.grant is None or request.grant.by_hand or request.plan.work is not None:
        return None
    return request.grant.seconds


def _with_success_elsewhere(
    examined: Examined, strongest: Hypothesis, checked: run_checks.Checked
) -> Examined:
    """The same, and a discovered trigger's effect in other clean checkpoints, which is reported and decides nothing."""
    if strongest.origin is not Origin.DISCOVERED or examined.recovered is None:
        return examined
    elsewhere = {one.reference: one.success for one in strongest.near}
    elsewhere |= checked.references.success_elsewhere(strongest.trigger)
    return replace(examined, recovered=replace(examined.recovered, elsewhere=elsewhere))


def _brings_mechanism(examined: Examined) -> bool:
    """A prompt learner is part of what is audited, so equal towers do not make the whole identical."""
    return examined.trigger is not None and examined.trigger.channel is Channel.PROMPT


def _of_a_twin(evidence: Evidence, relation: Relation, twin: Twin) -> Evidence:
    """The evidence of a checkpoint both of whose towers are a known base's."""
    searched = any(one.detector == LEARNED.name for one in evidence.searches)
    problem = relation.learner.problem
    for one in evidence.missing:
        if one.detector == LEARNED.name:
            problem = one.reason
    return replace(
        evidence,
        identical_to=twin.reference.name,
        identical_cast=twin.cast,
        prompt_learner=relation.learner.name,
        learner_problem=problem,
        learner_searched=searched,
    )
