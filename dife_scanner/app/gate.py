"""The gate: whether a target may be used for a deployment, asked of the store or of a policy file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from dife_scanner.app import policy as policies
from dife_scanner.app.files import Files
from dife_scanner.errors import NotFound
from dife_scanner.records import DecisionState, GateAnswer
from dife_scanner.sentences.decisions import (
    conflict_lines,
    expiry_text,
    measured_text,
    why_text,
)
from dife_scanner.store import Store, decisions, deployments, standings

APPROVED = 0
REFUSED = 1
NOT_APPROVED = 2
"""Exit codes, as the contract has them; the last for everything that is neither approved nor refused."""


@dataclass(frozen=True)
class Terms:
    """What whoever asks accepts."""

    accept_conditions: bool = False
    ignore: frozenset[str] = frozenset()
    """Names of weights beside the artefact's that may be there."""
    most_audit_days: float | None = None
    most_policy_days: float = 30.0


def exit_code(answer: GateAnswer) -> int:
    """0 where the gate opens, 1 for what is refused, 2 for everything else."""
    if answer.opens:
        return APPROVED
    return REFUSED if answer.state is DecisionState.REFUSED else NOT_APPROVED


# --- the answer -------------------------------------------------------------------------------------------------


def ask_store(store: Store, target: Files, deployment: str, terms: Terms) -> GateAnswer:
    """What counts in this home. Raises `NotFound` for a deployment that there is not."""
    profile = deployments.deployment(store, deployment)
    if target.unknown:
        return _unknown(target, deployment)
    standing = decisions.standing(store, target.id, profile)
    said = (why_text(standing), *conflict_lines(standing), measured_text(standing))
    reason = "; ".join(line for line in said if line)
    conditions = standing.decision.conditions if standing.decision else ""
    answer = GateAnswer(
        target.name,
        target.id,
        deployment,
        standing.state,
        False,
        reason,
        conditions,
        exposed=standing.exposed,
        measured=standing.measured is not None,
    )
    audited_at = standing.grounds.at if standing.grounds else ""
    return _opened(answer, target, terms, audited_at)


def ask_policy(
    policy: policies.Policy, digest: str, target: Files, deployment: str, terms: Terms
) -> GateAnswer:
    """What counted when the policy was made, and counts still. Raises `NotFound` for a deployment not in it."""
    if deployment not in {one.name for one in policy.deployments}:
        raise NotFound(
            f"the policy says nothing of the deployment `{deployment}`",
            "`dife decisions policy` writes one that does",
        )
    if target.unknown:
        return replace(_unknown(target, deployment), policy=digest)
    entry = policy.entry(target.id, deployment)
    if entry is None:
        nothing = _pending(target, deployment, "the policy says nothing of these files")
        return replace(nothing, policy=digest)
    answer = GateAnswer(
        target.name, target.id, deployment, entry.state, False, entry.reason, entry.conditions
    )
    if policies.is_expired(entry):
        answer = _shut(answer, f"it expired on {expiry_text(entry.expires)}")
    too_old = policies.stale(policy.made_at, terms.most_policy_days)
    if too_old and answer.state is not DecisionState.REFUSED:
        answer = _shut(answer, f"the policy is stale: {too_old}")
    return replace(_opened(answer, target, terms, entry.audited_at), policy=digest)


def _unknown(target: Files, deployment: str) -> GateAnswer:
    return _pending(target, deployment, target.unknown)


def _pending(target: Files, deployment: str, reason: str) -> GateAnswer:
    return GateAnswer(target.name, target.id, deployment, DecisionState.PENDING, False, reason)


def _opened(answer: GateAnswer, target: Files, terms: Terms, audited_at: str) -> GateAnswer:
    """The answer with the gate open, where the state and the terms allow it; else with why not."""
    beside = _not_ignored(target.beside, terms.ignore)
    answer = replace(answer, beside=beside)
    if answer.state not in standings.OPENING:
        return answer
    if beside:
        return _shut(
            answer, f"beside them lie weights that no audit looked at: {', '.join(beside)}"
        )
    if terms.most_audit_days is not None:
        too_old = policies.stale(audited_at, terms.most_audit_days)
        if too_old:
            return _shut(answer, f"the audit is stale: {too_old}")
    if answer.state is DecisionState.CONDITIONS and not terms.accept_conditions:
        return replace(answer, reason=f"{answer.reason}; nobody said that the conditions are kept")
    return replace(answer, opens=True)


def _not_ignored(beside: Collection[str], ignore: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in beside if name not in ignore)


def _shut(answer: GateAnswer, reason: str) -> GateAnswer:
    return replace(answer, state=DecisionState.PENDING, reason=f"{reason}; {answer.reason}")
