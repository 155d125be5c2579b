"""What counts now, from a log of decisions, the deployment as it is, and the latest audit. Pure, without a clock.

`docs/decisions.md` has the rules in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from dife_scanner.records import (
    Cell,
    DecisionState,
    Deployment,
    DeploymentDecision,
    DeploymentMeasurement,
    DeploymentProfile,
    EntryType,
    Grounds,
    OwnData,
    Severity,
    Standing,
    Why,
)
from dife_scanner.store.codec import to_json
from dife_scanner.store.expiry import is_past

_STRICTNESS = (
    DecisionState.APPROVED,
    DecisionState.CONDITIONS,
    DecisionState.PENDING,
    DecisionState.REFUSED,
)
"""From what opens the gate to what closes it."""
OPENING = frozenset({DecisionState.APPROVED, DecisionState.CONDITIONS})
"""States with which a checkpoint is used."""


def profile_digest(profile: DeploymentProfile) -> str:
    """sha256 of what a profile says; own pictures enter by what they hold, wherever they lie."""
    placeless = replace(
        profile, pictures=_placeless(profile.pictures), pool=_placeless(profile.pool)
    )
    return sha256(to_json(placeless).encode()).hexdigest()


def _placeless(data: OwnData | None) -> OwnData | None:
    return replace(data, path="") if data else None


def decision_id(decision: DeploymentDecision) -> str:
    """sha256 of everything that a decision says; not of the desk that it came from."""
    bare = replace(decision, id="", desk="")
    return sha256(to_json(bare).encode()).hexdigest()


def standing(
    artefact: str,
    deployment: Deployment,
    log: Sequence[DeploymentDecision],
    grounds: Grounds | None,
    now: str,
    measured: DeploymentMeasurement | None = None,
) -> Standing:
    """What counts about an artefact for a deployment. `log`: its decisions in the order in which they came here.

    `measured`: the audit of `grounds` with the profile as it is now.
    """
    name = deployment.profile.name
    own = [one for one in log if not one.desk]
    base = Standing(
        artefact, name, DecisionState.PENDING, Why.NOBODY, grounds=grounds, measured=measured
    )
    if log:
        base = replace(base, model=log[-1].model)
    if grounds is not None:
        base = replace(base, exposed=_exposed(deployment, grounds, measured))
    others = _of_other_desks(log, deployment)
    if not own:
        return _decided_elsewhere(base, others)
    decision = own[-1]
    base = replace(base, decision=decision, model=decision.model)
    why = _counts_no_longer(decision, deployment, grounds, now)
    if why is None and _is_exposed_since(decision, measured):
        why = Why.EXPOSED_SINCE
    if why is not None:
        return replace(base, why=why, conflicts=_differing(decision, others))
    return _beside_others(base, decision, others)


def _exposed(
    deployment: Deployment, grounds: Grounds, measured: DeploymentMeasurement | None
) -> tuple[str, ...]:
    """The interfaces through which it is exposed: as measured for the deployment, else as the audit found."""
    found = grounds.interfaces if measured is None else exposed_through(measured)
    return tuple(one for one in deployment.profile.interfaces if one in found)


def exposed_through(measured: DeploymentMeasurement) -> tuple[str, ...]:
    """The interfaces through which any of the triggers exposes it, each once."""
    names: dict[str, None] = {}
    for one in measured.triggers:
        for entry in one.entries:
            if isinstance(entry, Cell) and entry.entry is EntryType.EXPOSED:
                names[entry.interface] = None
    return tuple(names)


def _is_exposed_since(decision: DeploymentDecision, measured: DeploymentMeasurement | None) -> bool:
    """Whether whoever let it pass could not know what was measured for this deployment since."""
    if measured is None or decision.state not in OPENING:
        return False
    return measured.severity is Severity.EXPOSED and measured.at > decision.at


def _of_other_desks(
    log: Sequence[DeploymentDecision], deployment: Deployment
) -> list[DeploymentDecision]:
    """What other desks said since this one decided, about the profile as it is: each state of each desk once.

    A desk that takes a refusal back settles nothing here: its name is all that an import shows of it.
    """
    said: dict[tuple[str, DecisionState], DeploymentDecision] = {}
    for one in log:
        if not one.desk:
            said.clear()  # whoever decided here has seen them
        elif one.profile == deployment.digest:
            said[one.desk, one.state] = one
    return list(said.values())


def _decided_elsewhere(base: Standing, others: list[DeploymentDecision]) -> Standing:
    """An import can close the gate, and never open it."""
    if not others:
        return base
    strictest = max(others, key=_strictness)
    differing = _differing(strictest, others)
    if strictest.state is DecisionState.REFUSED:
        state, why = DecisionState.REFUSED, Why.DECIDED
    else:
        state, why = DecisionState.PENDING, Why.OTHER_DESK
    return replace(
        base,
        state=state,
        why=why,
        decision=strictest,
        model=strictest.model,
        conflicts=differing,
    )


def _beside_others(
    base: Standing, decision: DeploymentDecision, others: list[DeploymentDecision]
) -> Standing:
    conflicts = _differing(decision, others)
    stricter = [one for one in conflicts if _strictness(one) > _strictness(decision)]
    if stricter:
        return replace(base, why=Why.CONFLICT, conflicts=conflicts)
    return replace(base, state=decision.state, why=Why.DECIDED, conflicts=conflicts)


def _differing(
    decision: DeploymentDecision, others: list[DeploymentDecision]
) -> tuple[DeploymentDecision, ...]:
    return tuple(one for one in others if one.state is not decision.state)


def _strictness(decision: DeploymentDecision) -> int:
    return _STRICTNESS.index(decision.state)


def _counts_no_longer(
    decision: DeploymentDecision, deployment: Deployment, grounds: Grounds | None, now: str
) -> Why | None:
    """Why a decision of this desk does not count any more; `None` where it does."""
    if decision.profile != deployment.digest:
        return Why.PROFILE_EDITED
    if is_past(decision.expires, now):
        return Why.EXPIRED
    if decision.state not in OPENING:
        return None
    if grounds is None:
        return Why.NOT_AUDITED
    if (grounds.verdict, grounds.effect) != (decision.verdict, decision.effect):
        return Why.AUDIT_CHANGED
    if grounds.looked_again_at > decision.at:
        return Why.FINDING_CHANGED
    return None
