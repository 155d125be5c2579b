"""Decisions in words: what the terminal, the window and a policy say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dife_scanner.records import (
    DecisionState,
    DeploymentDecision,
    DeploymentMeasurement,
    Grounds,
    JobState,
    MeasuredTrigger,
    Precedent,
    Severity,
    Standing,
    Verdict,
    Why,
)
from dife_scanner.sentences.numbers import count
from dife_scanner.sentences.profile import entry_sentence
from dife_scanner.store.deciding import NOT_AUDITED, Proposal, Scope
from dife_scanner.store.standings import OPENING

_AGAINST = (Verdict.FLAGGED.value, Verdict.INHERITED.value, JobState.REFUSED.value)
"""What audits or the look at the files said that somebody should have seen before a checkpoint is let pass."""
_WHY = {
    Why.NOBODY: "nobody has decided",
    Why.NOT_AUDITED: "these files have no audit here",
    Why.PROFILE_EDITED: "the deployment's profile was edited since",
    Why.FINDING_CHANGED: "its finding was confirmed or came back since",
    Why.CONFLICT: "another desk is stricter",
    Why.OTHER_DESK: "only another desk has decided",
    Why.EXPOSED_SINCE: "measured for this deployment since, and found exposed",
}
"""The others name what they are about."""


def who(decision: DeploymentDecision) -> str:
    """Who decided, and at which desk where that is another one."""
    return f"{decision.actor} (desk {decision.desk})" if decision.desk else decision.actor


def decision_line(decision: DeploymentDecision) -> str:
    """One decision on one line: what, who, when, why."""
    line = f"{decision.state} by {who(decision)} on {decision.at[:10]}: {decision.reason}"
    if decision.conditions:
        line += f"; conditions: {decision.conditions}"
    return line


def expiry_text(expires: str) -> str:
    """The moment from which a decision counts no longer; empty where it always counts."""
    return f"{expires[:16].replace('T', ' ')} UTC" if expires else ""


def why_text(standing: Standing) -> str:
    """Why a standing is what it is."""
    decision = standing.decision
    if decision is None:
        text = _WHY[Why.NOBODY]
        return text if standing.grounds else f"{text}; {_WHY[Why.NOT_AUDITED]}"
    if standing.why is Why.DECIDED:
        return decision_line(decision)
    return f"{_changed(standing, decision)}; {decision_line(decision)}"


def _changed(standing: Standing, decision: DeploymentDecision) -> str:
    if standing.why is Why.EXPIRED:
        return f"it expired on {expiry_text(decision.expires)}"
    if standing.why is Why.AUDIT_CHANGED and standing.grounds is not None:
        before = _result(decision.verdict, decision.effect)
        after = _result(standing.grounds.verdict, standing.grounds.effect)
        return f"a later audit says {after}, and it rests on {before}"
    return _WHY[standing.why]


def _result(verdict: str, effect: str) -> str:
    return f"{verdict or 'no audit'} ({effect})" if effect else verdict or "no audit"


def grounds_text(grounds: Grounds | None) -> str:
    """What the latest audit of the files says."""
    if grounds is None:
        return "not audited here"
    return _result(grounds.verdict, grounds.effect)


_SEVERITY = {
    Severity.EXPOSED: "exposed",
    Severity.WEAK: "not exposed",
    Severity.NOT_MEASURED: "nothing could be measured",
}


def measured_text(standing: Standing) -> str:
    """How severe what an audit found is for a deployment, and whether that was measured for it; empty for nothing."""
    grounds = standing.grounds
    if grounds is None or not grounds.audit or not (grounds.effect or grounds.interfaces):
        return ""
    through = f" through {', '.join(standing.exposed)}" if standing.exposed else ""
    measured = standing.measured
    if measured is None:
        found = f"exposed{through}" if standing.exposed else "not exposed"
        return f"{found} as the audit measured it; not measured with this deployment's own profile"
    return (
        f"{_SEVERITY[measured.severity]}{through}, as measured with its own profile "
        f"(version {measured.version}) on {measured.at[:10]}"
    )


def measured_lines(measured: DeploymentMeasurement) -> list[str]:
    """Each interface under each trigger: what was measured, or why nothing was."""
    lines: list[str] = []
    for one in measured.triggers:
        lines += _of_trigger(one)
    if measured.added:
        names = ", ".join(measured.added)
        lines.append(f"classes added because a trigger is about them: {names}")
    return lines


def _of_trigger(one: MeasuredTrigger) -> list[str]:
    moves = f"{one.source or 'anything'} into {one.target or 'one point that is no concept'}"
    head = f"{one.trigger} (turns {moves})"
    if one.problem:
        return [f"{head}: not measured: {one.problem}"]
    return [f"{head}: {entry_sentence(entry)}" for entry in one.entries]


def conflict_lines(standing: Standing) -> list[str]:
    """What other desks say otherwise."""
    return [f"conflict: {decision_line(one)}" for one in standing.conflicts]


def precedent_line(precedent: Precedent) -> str:
    """An earlier decision that proposes, and what is alike."""
    made = precedent.decision
    alike = ", ".join(precedent.alike)
    taken = "may be taken over" if precedent.may_be_taken_over else "only proposes"
    return f"same {alike} ({taken}): {made.model} was {decision_line(made)}"


# --- what is about to be decided, and what came of it -------------------------------------------------------------


def stand_text(deployment: str, counts: Mapping[DecisionState, int]) -> str:
    """How checkpoints stand for a deployment now: `For shop now: 2 pending, 1 refused.`"""
    parts = [f"{counts[state]:,} {state}" for state in DecisionState if counts.get(state)]
    return f"For {deployment} now: {', '.join(parts)}." if parts else ""


def found_text(scope: Scope) -> str:
    """What audits say of what is decided about: `Audited: flagged; exposed through text reranking.`"""
    if not scope.verdicts:
        return ""
    if len(scope.subjects) == 1:
        said = next(iter(scope.verdicts))
        through = ", ".join(scope.exposed)
        exposed = f"; exposed through {through}, which {scope.deployment} uses" if through else ""
        return f"Audited: {said}{exposed}." if said != NOT_AUDITED else "Not audited here."
    parts = [f"{number:,} {said}" for said, number in scope.verdicts.items()]
    most = max(scope.exposed.values(), default=0)
    exposed = f"; at least {most:,} exposed through what {scope.deployment} uses" if most else ""
    return f"Audited: {', '.join(parts)}{exposed}."


def warning_text(scope: Scope, chosen: str | None) -> str:
    """What somebody should have seen who lets this pass; empty where nothing speaks against that."""
    if chosen not in set(OPENING):
        return ""
    speaks = sum(scope.verdicts.get(verdict, 0) for verdict in _AGAINST)
    through = ", ".join(scope.exposed)
    if not speaks and not through:
        return ""
    these = "It was" if len(scope.subjects) == 1 else f"{speaks:,} of them were"
    found = " or ".join(verdict for verdict in _AGAINST if scope.verdicts.get(verdict))
    text = f"{these} {found} here." if speaks else ""
    if through:
        text += f" {scope.deployment} uses interfaces through which it is exposed: {through}."
    return text.strip()


def proposal_line(one: Proposal) -> str:
    """An earlier decision that would be taken over for a checkpoint."""
    return f"{one.subject.model}: as for {one.decision.model}, {decision_line(one.decision)}"


def passed_text(why: str, number: int) -> str:
    """Why nothing is taken over for some checkpoints."""
    return f"not for {count(number, 'checkpoint')}: {why}"


def kept_text(made: Sequence[Standing]) -> str:
    """What was just decided."""
    if len(made) == 1:
        return f"{made[0].model} is {made[0].state} for {made[0].deployment} now"
    names = ", ".join(dict.fromkeys(one.deployment for one in made))
    states = ", ".join(dict.fromkeys(one.state.value for one in made))
    return f"Decided about {count(len(made), 'checkpoint')} for {names}: {states}"
