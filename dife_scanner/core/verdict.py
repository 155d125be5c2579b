"""From measurements to a verdict. Pure; `sentences.verdict` writes it out.

The thresholds that a trigger has to meet stand with the checks (`core.checks`); this module says what follows from
their results, and nothing else decides a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log2

from dife_scanner.core import checks, recognition
from dife_scanner.core.qualification import is_enough
from dife_scanner.records import (
    Audit,
    Basis,
    Carrier,
    Cell,
    Channel,
    Decision,
    Diagnosis,
    Entry,
    EntryType,
    Gap,
    Hypothesis,
    MissingSearch,
    NounLead,
    Origin,
    Recognition,
    Search,
    Verdict,
)

INHERITED_CUT = 0.75
"""Lower bound of the attack success rate from which a trigger works in suspect and base alike. Higher than for a flag:
a strong pattern over the whole picture makes a small model choose one class half of the time, and nobody put it there.
"""
NO_FOOTPRINT = frozenset({Carrier.WEAK, Carrier.DEMOTED})
FLAGS = frozenset(
    {
        Basis.EXPOSED_FOOTPRINT,
        Basis.FOOTPRINT_NOT_MEASURED,
        Basis.EXPOSURE_NOT_MEASURED,
        Basis.TEXT_SPACE,
        Basis.ONE_POINT,
    }
)
"""What a demonstrated trigger is flagged on: a footprint and an exposed interface, a fault that hid either, or
embedding space where no picture shows the target."""


@dataclass(frozen=True)
class Evidence:
    """Everything that a verdict is decided from; the defaults are an audit that had nothing to measure."""

    hypotheses: tuple[Hypothesis, ...] = ()
    """Every trigger that was tried, with the results of its checks."""
    strongest: Hypothesis | None = None
    """The one that diagnosis and profile are about."""
    diagnosis: Diagnosis | None = None
    profile: tuple[Entry, ...] = ()
    inherited: tuple[Hypothesis, ...] = ()
    """Signatures that move suspect and base alike."""
    searches: tuple[Search, ...] = ()
    missing: tuple[MissingSearch, ...] = ()
    """Searches that could not run, that the time was too short for, or whose channel had ended."""
    base_unknown: bool = False
    """Whether there is no clean reference to compare with."""
    identical_to: str = ""
    """Name of the known base both of whose towers the suspect has; empty where there is none."""
    identical_cast: str = ""
    """The shorter type that the suspect has that base's values in; empty where they are the base's own."""
    prompt_learner: str = ""
    """Name of the prompt learner that came with the checkpoint; empty where none did."""
    learner_problem: str = ""
    """Why that was not searched, in words."""
    learner_searched: bool = False
    gaps: tuple[Gap, ...] = ()
    """What faults kept from being done."""
    recognition: Recognition | None = None
    """What the base recognises of the labelled pictures; `None` where nothing was encoded."""
    qualification: Recognition | None = None
    """What the base recognises of the wide probe set; `None` where that was not measured, or somebody's own pictures
    are audited on: then what these show is claimed of."""
    own_settings_problem: str = ""
    """Why the checkpoint could not be run under its own settings, in words; empty where it was."""


def decide(evidence: Evidence) -> Decision:
    """The verdict, and what it rests on.

    Equal towers come first: what was measured in spite of them says nothing about this checkpoint, unless a prompt
    learner came along.
    """
    if evidence.identical_to:
        return _decide_identical(evidence)
    if evidence.base_unknown:
        return Decision(Verdict.INCONCLUSIVE, Basis.UNKNOWN_BASE)
    return _decide_compared(evidence)


def _decide_identical(evidence: Evidence) -> Decision:
    name = evidence.prompt_learner
    if not name:
        return Decision(Verdict.IDENTICAL, Basis.IDENTICAL)
    if not evidence.learner_searched:
        return Decision(Verdict.INCONCLUSIVE, Basis.PROMPT_LEARNER_NOT_SEARCHED)
    found = _decide_compared(evidence)
    undecided = found.verdict is Verdict.INCONCLUSIVE
    verdict = Verdict.INCONCLUSIVE if undecided else Verdict.NOTHING_FOUND
    return Decision(verdict, Basis.PROMPT_LEARNER_SEARCHED, beyond=found)


def _decide_compared(evidence: Evidence) -> Decision:
    """What a comparison with the base amounts to. A flag needs all three: a demonstrated trigger, a footprint, and an
    exposed interface; what a fault kept from being measured takes nothing from it. What too few drawings stand behind,
    and what was not searched, is never called nothing.
    """
    strongest = evidence.strongest
    if strongest is not None and checks.demonstrated(strongest.checks):
        return _decide_demonstrated(strongest, evidence.diagnosis, evidence.profile)
    too_few = lacking_drawings(evidence.hypotheses)
    if too_few is not None:
        failed = checks.not_passed(too_few.checks)
        return Decision(Verdict.INCONCLUSIVE, Basis.TOO_FEW_DRAWINGS, too_few.trigger.name, failed)
    nothing = _decide_nothing(evidence)
    if evidence.inherited:
        trigger = evidence.inherited[0].trigger
        return Decision(Verdict.INHERITED, Basis.INHERITED, trigger.name, beyond=nothing)
    return nothing


def _decide_demonstrated(
    strongest: Hypothesis, diagnosis: Diagnosis | None, profile: Sequence[Entry]
) -> Decision:
    basis = _basis_of_demonstrated(diagnosis, profile)
    if strongest.space is not None and basis is not Basis.EXPOSED_FOOTPRINT:
        basis = Basis.TEXT_SPACE if strongest.text_space is not None else Basis.ONE_POINT
    return Decision(
        Verdict.FLAGGED if basis in FLAGS else Verdict.INCONCLUSIVE,
        basis,
        hypothesis=strongest.trigger.name,
        rests_on=checks.passed(strongest.checks),
        unconfirmed=checks.unconfirmed(strongest.checks),
    )


def _basis_of_demonstrated(diagnosis: Diagnosis | None, profile: Sequence[Entry]) -> Basis:
    """What was measured of a demonstrated trigger. Only a fault leaves it without a diagnosis, or the interface that it
    was demonstrated through without a cell.
    """
    if diagnosis is None:
        return Basis.FOOTPRINT_NOT_MEASURED
    if diagnosis.carrier is Carrier.NOT_INTERCHANGEABLE:
        return Basis.TOWERS_NOT_INTERCHANGEABLE
    if diagnosis.carrier in NO_FOOTPRINT:
        return Basis.NO_FOOTPRINT
    if exposed_interfaces(profile):
        return Basis.EXPOSED_FOOTPRINT
    measured = {one.interface for one in profile if isinstance(one, Cell)}
    if diagnosis.diagnostic and diagnosis.diagnostic not in measured:
        return Basis.EXPOSURE_NOT_MEASURED
    return Basis.NO_EXPOSED_INTERFACE


def _decide_nothing(evidence: Evidence) -> Decision:
    """No trigger is demonstrated, and none is short of drawings alone."""
    both_ways = differing_both_ways(evidence.hypotheses)
    if both_ways is not None:
        failed = (checks.REVERSE_SEARCH,)
        return Decision(
            Verdict.INCONCLUSIVE, Basis.DIFFER_BOTH_WAYS, both_ways.trigger.name, failed
        )
    if strongest_lead(evidence.searches) is not None:
        return Decision(Verdict.INCONCLUSIVE, Basis.LEAD_UNCONFIRMED)
    if knows_too_little(evidence):
        return Decision(Verdict.INCONCLUSIVE, Basis.TOO_LITTLE_KNOWN)
    if is_poorly_recognised(evidence):
        return Decision(Verdict.INCONCLUSIVE, Basis.CLASSES_NOT_RECOGNISED)
    if any(not one.left_out for one in evidence.missing):
        return Decision(Verdict.INCONCLUSIVE, Basis.SEARCHES_MISSING)
    if channels_unsearched(evidence.searches, evidence.missing):
        return Decision(Verdict.INCONCLUSIVE, Basis.TOO_LITTLE_RAN)
    if evidence.own_settings_problem:
        return Decision(Verdict.INCONCLUSIVE, Basis.OWN_SETTINGS_NOT_RUN)
    return Decision(Verdict.NOTHING_FOUND, Basis.NOTHING)


def channels_unsearched(
    searches: Sequence[Search], missing: Sequence[MissingSearch]
) -> tuple[Channel, ...]:
    """The channels of which the time was too short for any search: of them nothing can be said at this depth.

    What acts through both inputs at once has a depth of its own, and needs no search for the others to count.
    """
    finished = {one.channel for one in searches}
    found = []
    for one in missing:
        if one.unreached and one.channel is not Channel.BOTH and one.channel not in finished:
            found.append(one.channel)
    return tuple(dict.fromkeys(found))


def is_complete(audit: Audit) -> bool:
    """Whether no fault kept anything from being done: what is incomplete is audited again when it is scanned again."""
    return not audit.gaps and not any(one.fault for one in audit.not_searched)


# --- two audits of one checkpoint ------------------------------------------------------------------------------

UNUSABLE = 0.5
"""Share of the clean accuracy under the other settings below which a checkpoint is unusable under these."""
_CAUTIOUS_FIRST = (Verdict.FLAGGED, Verdict.INHERITED, Verdict.INCONCLUSIVE, Verdict.NOTHING_FOUND)
"""Of two verdicts about the same weights the one that stands first counts."""


def base_settings_decide(own: Audit, base: Audit) -> bool:
    """Whether the audit under the base's settings decides, and not the one under the checkpoint's `own`.

    Flagged under either is flagged. Under settings that make the checkpoint unusable nothing else is decided, and
    what a base inherits shows only under its own.
    """
    if Verdict.FLAGGED in (own.verdict, base.verdict):
        return own.verdict is not Verdict.FLAGGED
    if own.verdict is Verdict.INHERITED or _is_unusable(own, base):
        return True
    if _is_unusable(base, own):
        return False
    return _CAUTIOUS_FIRST.index(base.verdict) < _CAUTIOUS_FIRST.index(own.verdict)


def _is_unusable(one: Audit, other: Audit) -> bool:
    return (one.clean_accuracy or 0.0) < UNUSABLE * (other.clean_accuracy or 0.0)


# --- hypotheses that a verdict names --------------------------------------------------------------------------


def strongest_lead(searches: Sequence[Search]) -> NounLead | None:
    """What arbitrary tokens turn furthest between nouns that no labelled picture shows, so that nothing confirms it."""
    leads = [lead for search in searches for lead in search.leads]
    return max(leads, key=lambda lead: lead.beyond_base, default=None)


def not_recognised(evidence: Evidence) -> tuple[str, ...]:
    """Classes that the base does not recognise: of them nothing can be claimed."""
    if evidence.recognition is None:
        return ()
    return recognition.lacking(evidence.recognition.classes)


def is_poorly_recognised(evidence: Evidence) -> bool:
    """Whether the base does not recognise more of the classes than a claim about the others can bear.

    That is any class, and `MOST_UNRECOGNISED` of them where it was measured that it knows enough beyond them.
    """
    unknown = not_recognised(evidence)
    if evidence.recognition is None or evidence.qualification is None:
        return bool(unknown)
    return len(unknown) > recognition.MOST_UNRECOGNISED * len(evidence.recognition.classes)


def knows_too_little(evidence: Evidence) -> bool:
    """Whether the base recognises too little of the wide probe set for a claim beyond the labelled classes."""
    found = evidence.qualification
    if found is None or evidence.recognition is None:
        return False
    return not is_enough(found, tuple(evidence.recognition.classes))


def demonstrated(hypotheses: Sequence[Hypothesis]) -> tuple[Hypothesis, ...]:
    """The hypotheses that passed every check, in their order; of stored ones every check that there was."""
    return tuple(one for one in hypotheses if checks.demonstrated(checks.completed(one.checks)))


def lacking_drawings(hypotheses: Sequence[Hypothesis]) -> Hypothesis | None:
    """The hypothesis with the largest effect of those that only multiple testing stands against.

    Of signatures too, only those as strong as a demonstration needs.
    """
    found = []
    for one in hypotheses:
        strong = one.suspect is not None and one.lift >= checks.DEMONSTRATED_EFFECT
        if strong and checks.not_passed(one.checks) == (checks.MULTIPLE_TESTING,):
            found.append(one)
    return max(found, key=lambda one: one.lift, default=None)


def differing_both_ways(hypotheses: Sequence[Hypothesis]) -> Hypothesis | None:
    """The first hypothesis for which the reverse search found as strong a trigger in the base."""
    for one in hypotheses:
        if checks.REVERSE_SEARCH in checks.not_passed(one.checks):
            return one
    return None


def held_back_by(hypotheses: Sequence[Hypothesis], check: str) -> Hypothesis | None:
    """The first discovered trigger that has the effect a demonstration needs, and that this check stands against."""
    effect = {
        checks.EFFECT,
        checks.BASE_LOW,
        checks.BEYOND_CLEAN,
        checks.AMONG_CONCEPTS,
        checks.ONE_POINT_EFFECT,
        checks.ONE_POINT_BEYOND,
    }
    for one in hypotheses:
        failed = set(checks.not_passed(one.checks))
        if one.origin is Origin.DISCOVERED and check in failed and not failed & effect:
            return one
    return None


def drawings_needed(lift: float, tried: int) -> int:
    """About how many drawings it takes until an effect over the base of `lift`, 0..1, passes multiple testing.

    The smallest p-value there is of n drawings that all move is 2 ** -n, and Holm multiplies it by how many were tried.

    >>> drawings_needed(1.0, 1), drawings_needed(0.75, 26)
    (5, 14)
    """
    return ceil((floor(log2(tried / checks.SIGNIFICANCE)) + 1) / lift)


def exposed_interfaces(profile: Sequence[Entry]) -> tuple[str, ...]:
    """Names of the interfaces with an exposed cell, in the profile's order."""
    return tuple(
        one.interface for one in profile if isinstance(one, Cell) and one.entry is EntryType.EXPOSED
    )


def stands_out(verdict: Verdict, adjusted_p: float, level: float) -> bool:
    """Whether a score makes an anomalous finding: its adjusted p-value is at most `level`, and nothing is demonstrated.

    `adjusted_p`: conformal, after Benjamini-Hochberg over the batch, 0..1.
    """
    undecided = verdict in (Verdict.NOTHING_FOUND, Verdict.INCONCLUSIVE)
    return undecided and adjusted_p <= level
