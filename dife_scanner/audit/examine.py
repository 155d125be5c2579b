"""What the strongest hypothesis is: the diagnosis first, frozen, then the exposure profile (paper §5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dife_scanner.audit import diagnosis as diagnostics
from dife_scanner.audit import evidence, hypotheses, populations, recovery
from dife_scanner.audit.faults import Gaps
from dife_scanner.audit.interfaces import (
    NoPool,
    Populations,
    Subject,
    cards,
    measure_all,
    measure_undiagnosed,
)
from dife_scanner.audit.populations import derived
from dife_scanner.audit.populations.errors import PoolTooSmall, SourceNotInPool, TargetNotInPool
from dife_scanner.audit.stages import Splits, Stage
from dife_scanner.core.agreement import compare
from dife_scanner.core.checks import demonstrated
from dife_scanner.core.footprint import diagnose
from dife_scanner.errors import TriggerFileError
from dife_scanner.records import (
    BranchSwap,
    ComponentRepair,
    Condition,
    Diagnosis,
    Entry,
    EvidenceFile,
    Gap,
    Hypothesis,
    Interval,
    Origin,
    Ranking,
    Recovered,
    Tokens,
    Trigger,
)


@dataclass(frozen=True)
class Examined:
    """Diagnosis and profile of one trigger; the defaults are an audit without one."""

    trigger: Trigger | None = None
    condition: Condition | None = None
    support: BranchSwap | ComponentRepair | None = None
    """What the diagnosis was decided from."""
    parts: ComponentRepair | None = None
    """Besides a branch swap, where a trigger enters through picture and text together."""
    diagnosis: Diagnosis | None = None
    profile: tuple[Entry, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    """What stood first for a typical query of each interface that ranks."""
    agreement: str = ""
    effect: Interval | None = None
    """Paired 95 % interval of the attack success rate, suspect minus base."""
    recovered: Recovered | None = None
    tokens: Tokens | None = None
    """What the suspect's tokenizer makes of the trigger's text."""
    files: tuple[tuple[EvidenceFile, bytes], ...] = ()
    gaps: tuple[Gap, ...] = ()
    """What faults kept from being done."""


def examine(stage: Stage, strongest: Hypothesis) -> Examined:
    """Diagnose, freeze the diagnosis, then measure every interface and compare.

    What a fault keeps from being done is a gap. Only errors of whoever named the trigger are raised.
    """
    if strongest.without_pictures:
        return _examined_without_pictures(stage, strongest)
    gaps = Gaps()
    trigger = strongest.trigger
    splits = stage.splits.for_trigger(trigger)
    test = splits.test
    condition = trigger.condition()
    seed = stage.request.plan.seed
    stage.phases.enter("diagnosing")
    found = _diagnosed(trigger, condition, splits, gaps)
    stage.phases.enter("measuring interfaces")
    pools = _pools(stage, splits, condition, strongest)
    subject = Subject(
        trigger, condition, splits.train, test, splits.queries, pools, seed, splits.use
    )
    profile, agreement = _profiled(subject, found.diagnosis, _raised(strongest), gaps)
    recovered = gaps.attempt(
        "nearest concepts and robustness", lambda: recovery.recover(trigger, test), None
    )
    effect = gaps.attempt(
        "interval of the effect",
        lambda: hypotheses.effect(trigger, test.suspect, test.reference, seed),
        strongest.effect,
    )
    pictures = gaps.attempt("pictures of the trigger", lambda: evidence.pictures(test, trigger), ())
    landing = gaps.attempt("direction of the trigger", lambda: evidence.landing(trigger, test), ())
    manifests = gaps.attempt(
        "lists of what was measured on", lambda: evidence.manifests(pools.manifests), ()
    )
    return replace(
        found,
        profile=profile,
        rankings=subject.rankings.kept,
        agreement=agreement,
        effect=effect,
        recovered=recovered,
        files=(*pictures, *landing, *manifests),
        gaps=gaps.found,
    )


def _examined_without_pictures(stage: Stage, strongest: Hypothesis) -> Examined:
    """What is known of a trigger whose target no picture shows: neither footprint nor interface can be measured."""
    gaps = Gaps()
    trigger = strongest.trigger
    test = stage.splits.test
    pictures: tuple[evidence.Stored, ...] = ()
    if strongest.picture_space is not None:
        pictures = gaps.attempt(
            "pictures of the trigger", lambda: evidence.pictures(test, trigger), ()
        )
    landing = gaps.attempt("direction of the trigger", lambda: evidence.landing(trigger, test), ())
    return Examined(
        trigger=trigger,
        condition=trigger.condition(),
        effect=strongest.space.effect if strongest.space is not None else None,
        files=(*pictures, *landing),
        gaps=gaps.found,
    )


def _diagnosed(trigger: Trigger, condition: Condition, splits: Splits, gaps: Gaps) -> Examined:
    """Which component carries the trigger, and what that was decided from."""
    support = gaps.attempt(
        "evidence of the footprint",
        lambda: diagnostics.gather(trigger, splits.diagnosis, splits.train),
        None,
    )
    parts = gaps.attempt(
        "repair of its parts",
        lambda: diagnostics.repair_of_parts(trigger, splits.diagnosis.suspect),
        None,
    )
    diagnosis = None
    if support is not None:
        diagnosis = gaps.attempt(
            "footprint", lambda: diagnose(support, condition, cards(), parts), None
        )
    return Examined(
        trigger=trigger, condition=condition, support=support, parts=parts, diagnosis=diagnosis
    )


def _profiled(
    subject: Subject,
    diagnosis: Diagnosis | None,
    raised: tuple[type[Exception], ...],
    gaps: Gaps,
) -> tuple[tuple[Entry, ...], str]:
    """The exposure profile, and how the diagnosis compares with it."""
    if diagnosis is None:
        return measure_undiagnosed(subject, raised=raised), ""
    profile = measure_all(subject, diagnosis, raised=raised)
    agreement = gaps.attempt(
        "agreement of footprint and profile", lambda: compare(profile).text, ""
    )
    return profile.entries, agreement


OF_POOLS = (PoolTooSmall, SourceNotInPool, TargetNotInPool)
"""Pictures that cannot show a trigger."""


def _raised(strongest: Hypothesis) -> tuple[type[Exception], ...]:
    """Errors of whoever named the trigger; a trigger that is demonstrated is not lost for their pictures."""
    if strongest.origin is not Origin.KNOWN:
        return ()
    if demonstrated(strongest.checks):
        return (TriggerFileError,)
    return (TriggerFileError, *OF_POOLS)


def _pools(
    stage: Stage, splits: Splits, condition: Condition, strongest: Hypothesis
) -> Populations:
    """The populations besides the labelled pictures, drawn when a card first needs one.

    Those of a panel are derived from its held-out pictures: no bundled scene shows what it is about.
    """
    plan = stage.request.plan
    class_names = splits.data.class_names
    of_panel = None if splits.data is stage.splits.data else derived(splits.data)
    raised = _raised(strongest)

    def draw(kind: str) -> populations.Pool:
        try:
            return plan.pool(kind, condition, class_names, stage.request.cache, of_panel)
        except raised:
            raise
        except OF_POOLS as error:
            raise NoPool(error.what) from error

    return Populations(draw)
