"""Decide about a checkpoint for a deployment: what is decided about, and what has to be seen before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dife_scanner.app import files
from dife_scanner.app.files import Files
from dife_scanner.core.plain import plain
from dife_scanner.durable.clock import now
from dife_scanner.errors import UsageError
from dife_scanner.records import (
    DecisionState,
    Deployment,
    DeploymentDecision,
    Grounds,
    Standing,
)
from dife_scanner.sentences.decisions import decision_line
from dife_scanner.settings import Limits
from dife_scanner.store import Store, decisions, deployments, expiry, standings

LONGEST_TEXT = 2_000
"""Characters of a reason or of conditions."""
LONGEST_NAME = 100
"""Characters of an owner or an actor."""


@dataclass(frozen=True)
class Asked:
    """What somebody wants to be decided."""

    state: DecisionState
    reason: str
    actor: str
    conditions: str = ""
    owner: str = ""
    expires: str = ""
    """`2027-01-31` (counts through that day, UTC) or `90d`; empty for never."""
    despite_refusal: bool = False


def decide(store: Store, target: str, deployment: str, asked: Asked, limits: Limits) -> Standing:
    """Append a decision about the checkpoint that `target` stands for, and give what counts then.

    Raises `NotFound`, and `UsageError` for an approval without an audit, for one of what stands refused unless it is
    meant, and for texts that are missing or too long.
    """
    _check(asked)
    expires = expiry.end_of(asked.expires)
    found = files.decided_about(store, target, limits)
    with store.atomic("decisions.keep"):
        profile = deployments.deployment(store, deployment)
        before = decisions.standing(store, found.id, profile)
        _check_standing(before, asked)
        made = _made(found, profile, before.grounds, replace(asked, expires=expires))
        decisions.append(store, [made])
        return decisions.standing(store, found.id, profile)


def _made(
    found: Files, profile: Deployment, grounds: Grounds | None, asked: Asked
) -> DeploymentDecision:
    made = DeploymentDecision(
        id="",
        artefact=found.id,
        deployment=profile.profile.name,
        profile=profile.digest,
        state=asked.state,
        reason=asked.reason,
        owner=asked.owner or asked.actor,
        actor=asked.actor,
        at=now(),
        model=found.model,
        conditions=asked.conditions,
        expires=asked.expires,
    )
    if grounds is not None:
        made = replace(made, verdict=grounds.verdict, effect=grounds.effect, audit=grounds.audit)
    return replace(made, id=standings.decision_id(made))


# --- what may be decided ----------------------------------------------------------------------------------------


def _check(asked: Asked) -> None:
    texts = {"reason": asked.reason, "conditions": asked.conditions}
    for what, text in texts.items():
        _check_text(what, text, LONGEST_TEXT)
    for what, text in {"owner": asked.owner, "actor": asked.actor}.items():
        _check_text(what, text, LONGEST_NAME)
    if not asked.reason:
        raise UsageError("a decision needs a reason", "give --reason")
    if (asked.state is DecisionState.CONDITIONS) != bool(asked.conditions):
        raise UsageError(
            "conditions belong to the decision `conditions`, and to no other",
            "give --conditions with it, or decide otherwise",
        )


def _check_text(what: str, text: str, most: int) -> None:
    if plain(text, most) != text:
        raise UsageError(
            f"the {what} `{plain(text, 80)}` cannot be kept as it is",
            f"one line of visible characters, at most {most}, without spaces at either end",
        )


def _check_standing(before: Standing, asked: Asked) -> None:
    if asked.state not in standings.OPENING:
        return
    if before.grounds is None:
        raise UsageError(
            "these files have no audit here, so they cannot be approved",
            "`dife scan` audits them; they can be refused without",
        )
    refused = [
        one
        for one in (before.decision, *before.conflicts)
        if one is not None and one.state is DecisionState.REFUSED
    ]
    if refused and not asked.despite_refusal:
        raise UsageError(
            f"they were refused: {decision_line(refused[0])}",
            "settle it with them, and then give --despite-refusal",
        )
