"""Decisions in words: what the terminal, the window and a policy say of them."""

from __future__ import annotations

from dife_scanner.records import (
    DeploymentDecision,
    Grounds,
    Precedent,
    Standing,
    Why,
)

_WHY = {
    Why.NOBODY: "nobody has decided",
    Why.NOT_AUDITED: "these files have no audit here",
    Why.PROFILE_EDITED: "the deployment's profile was edited since",
    Why.FINDING_CHANGED: "its finding was confirmed or came back since",
    Why.CONFLICT: "another desk is stricter",
    Why.OTHER_DESK: "only another desk has decided",
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


def conflict_lines(standing: Standing) -> list[str]:
    """What other desks say otherwise."""
    return [f"conflict: {decision_line(one)}" for one in standing.conflicts]


def precedent_line(precedent: Precedent) -> str:
    """An earlier decision that proposes, and what is alike."""
    made = precedent.decision
    alike = ", ".join(precedent.alike)
    taken = "may be taken over" if precedent.may_be_taken_over else "only proposes"
    return f"same {alike} ({taken}): {made.model} was {decision_line(made)}"
