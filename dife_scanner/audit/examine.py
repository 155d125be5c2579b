"""What the strongest hypothesis is: the diagnosis first, frozen, then the exposure profile (paper §5)."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.audit import diagnosis as diagnostics
from dife_scanner.audit import evidence, hypotheses, populations, probes, recovery
from dife_scanner.audit.interfaces import NoPool, Populations, Subject, cards, measure_all, named
from dife_scanner.audit.populations.errors import PoolTooSmall, SourceNotInPool, TargetNotInPool
from dife_scanner.audit.stages import Stage, card_of, labelled
from dife_scanner.core.agreement import compare
from dife_scanner.core.footprint import diagnose
from dife_scanner.records import (
    BranchSwap,
    ComponentRepair,
    Condition,
    Diagnosis,
    Entry,
    EvidenceFile,
    Hypothesis,
    Interval,
    Origin,
    Recovered,
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
    agreement: str = ""
    effect: Interval | None = None
    """Paired 95 % interval of the attack success rate, suspect minus base."""
    recovered: Recovered | None = None
    files: tuple[tuple[EvidenceFile, bytes], ...] = ()


def examine(stage: Stage, strongest: Hypothesis) -> Examined:
    """Diagnose, freeze the diagnosis, then measure every interface and compare."""
    trigger = strongest.trigger
    splits = stage.splits.for_trigger(trigger)
    condition = trigger.condition()
    seed = stage.request.plan.seed
    stage.phases.enter("diagnosing")
    with named(card_of(trigger), labelled(probes.DIAGNOSIS)):
        support = diagnostics.gather(trigger, splits.diagnosis, splits.train)
        parts = diagnostics.repair_of_parts(trigger, splits.diagnosis.suspect)
        diagnosis = diagnose(support, condition, cards(), parts)
    stage.phases.enter("measuring interfaces")
    pools = _pools(stage, condition, named_by_somebody=strongest.origin is Origin.KNOWN)
    subject = Subject(trigger, condition, splits.train, splits.test, splits.queries, pools, seed)
    profile = measure_all(subject, diagnosis)
    return Examined(
        trigger=trigger,
        condition=condition,
        support=support,
        parts=parts,
        diagnosis=diagnosis,
        profile=profile.entries,
        agreement=compare(profile).text,
        effect=hypotheses.effect(trigger, splits.test.suspect, splits.test.reference, seed),
        recovered=recovery.recover(trigger, splits.test),
        files=(
            *evidence.pictures(splits.test.suspect, trigger),
            *evidence.landing(trigger, splits.test),
            *evidence.manifests(pools.manifests),
        ),
    )


def _pools(stage: Stage, condition: Condition, *, named_by_somebody: bool) -> Populations:
    """The populations besides the labelled pictures, drawn when a card first needs one.

    Where somebody named the trigger, pictures that cannot show it are an error of theirs. What was found is not lost
    for that: the cards that ask for them are not run.
    """
    plan = stage.request.plan
    class_names = stage.splits.data.class_names

    def draw(kind: str) -> populations.Pool:
        try:
            return plan.pool(kind, condition, class_names, stage.request.cache)
        except (PoolTooSmall, SourceNotInPool, TargetNotInPool) as error:
            if named_by_somebody:
                raise
            raise NoPool(error.what) from error

    return Populations(draw)
