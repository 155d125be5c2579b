"""The log of decisions, appended and never changed: those of this desk, and those that were imported."""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.records import (
    Alike,
    Carrier,
    DecisionState,
    Deployment,
    DeploymentDecision,
    Grounds,
    Job,
    Precedent,
    Standing,
    Why,
)
from dife_scanner.store import artefacts, deployments, measurements
from dife_scanner.store import standings as rules
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.conditions import condition
from dife_scanner.store.db import Store
from dife_scanner.store.fields import Column, Kind, choices

MOST_PRECEDENTS = 20
DECISION_COLUMNS = {
    "artefact": Column("d.artefact", "id of the files"),
    "deployment": Column("d.deployment", "what it was decided for"),
    "decision": Column("d.state", "what was decided then", choices=choices(DecisionState)),
    "model": Column("d.model", "what the checkpoint was called then"),
    "reason": Column("d.reason", "why, in words"),
    "owner": Column("d.owner", "who answers for it"),
    "actor": Column("d.actor", "who decided"),
    "desk": Column("d.desk", "desk that it was imported from; empty for this one"),
    "decided": Column("d.at", "when it was decided", Kind.TIME),
    "expires": Column("d.expires", "from when it counts no longer", Kind.TIME),
    "age": Column("d.at", "since it was decided", Kind.AGE),
}
"""Fields that a filter over decisions knows."""


# --- the log --------------------------------------------------------------------------------------------------


def append(store: Store, made: Sequence[DeploymentDecision]) -> list[DeploymentDecision]:
    """Keep decisions in this order, all or none; gives those that were not there already."""
    new = []
    with store.atomic("decisions.keep"):
        for one in made:
            if not _is_kept(store, one):
                _insert(store, one)
                new.append(one)
    return new


def _is_kept(store: Store, one: DeploymentDecision) -> bool:
    """Whether it is there: from the same desk, or as our own that comes back."""
    rows = store.read(
        "SELECT 1 FROM decisions WHERE event = ? AND desk IN (?, '')", (one.id, one.desk)
    )
    return bool(rows)


def _insert(store: Store, one: DeploymentDecision) -> None:
    row = {
        "event": one.id,
        "desk": one.desk,
        "artefact": one.artefact,
        "deployment": one.deployment,
        "state": one.state.value,
        "reason": one.reason,
        "owner": one.owner,
        "actor": one.actor,
        "model": one.model,
        "at": one.at,
        "expires": one.expires,
        "record": to_json(one),
        "stored_at": now(),
    }
    marks = ", ".join("?" * len(row))
    store.write(f"INSERT INTO decisions ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def log(store: Store, *, filter: str = "") -> list[DeploymentDecision]:
    """Decisions in the order in which they came here. `filter` is the grammar of `query`; raises `QueryError`."""
    where, parameters = condition(store, filter, DECISION_COLUMNS)
    rows = store.read(
        f"SELECT d.record FROM decisions AS d WHERE {where} ORDER BY d.id", parameters
    )
    return _to_decisions(rows)


def own(store: Store) -> list[DeploymentDecision]:
    """The decisions of this desk, oldest first."""
    rows = store.read("SELECT d.record FROM decisions AS d WHERE d.desk = '' ORDER BY d.id")
    return _to_decisions(rows)


def about(store: Store, artefact: str, deployment: str) -> list[DeploymentDecision]:
    """Everything that was decided about an artefact for a deployment, in the order in which it came here."""
    rows = store.read(
        "SELECT d.record FROM decisions AS d WHERE d.artefact = ? AND d.deployment = ? ORDER BY d.id",
        (artefact, deployment),
    )
    return _to_decisions(rows)


def _to_decisions(rows: Sequence[dict[str, Any]]) -> list[DeploymentDecision]:
    return [from_json(DeploymentDecision, row["record"]) for row in rows]


# --- what counts ----------------------------------------------------------------------------------------------


def standing(store: Store, artefact: str, deployment: Deployment) -> Standing:
    """What counts now about an artefact for a deployment."""
    events = about(store, artefact, deployment.profile.name)
    grounds = artefacts.grounds(store, artefact)
    measured = None
    if grounds is not None:
        measured = measurements.of(store, grounds.audit, deployment.digest)
    return rules.standing(artefact, deployment, events, grounds, now(), measured)


def standings_of(store: Store, job: Job) -> tuple[Standing, ...]:
    """What counts now about the files of a job, for every deployment; none where they were not recorded."""
    found = artefacts.of_job(store, job)
    if found is None:
        return ()
    return tuple(standing(store, found.id, one) for one in deployments.deployments(store))


def standings(store: Store, *, filter: str = "") -> list[Standing]:
    """What counts now, of everything that a decision passes the filter of and whose deployment there is.

    Newest decision first. Raises `QueryError`.
    """
    known = {one.profile.name: one for one in deployments.deployments(store)}
    pairs: dict[tuple[str, str], None] = {}
    for event in reversed(log(store, filter=filter)):
        if event.deployment in known:
            pairs[event.artefact, event.deployment] = None
    return [standing(store, artefact, known[name]) for artefact, name in pairs]


def decided_about(store: Store, deployment: str) -> tuple[str, ...]:
    """The artefacts about which anybody decided for a deployment, whatever counts of it now."""
    rows = store.read(
        "SELECT DISTINCT d.artefact FROM decisions AS d WHERE d.deployment = ? ORDER BY d.artefact",
        (deployment,),
    )
    return tuple(row["artefact"] for row in rows)


def tally(store: Store, deployment: Deployment, artefacts: Sequence[str]) -> Counter[DecisionState]:
    """How many of these artefacts stand how for a deployment."""
    return Counter(standing(store, one, deployment).state for one in artefacts)


def undecided(store: Store, deployment: str) -> int:
    """How many artefacts are on record here about which nobody decided for a deployment."""
    (row,) = store.read(
        "SELECT (SELECT count(*) FROM artefacts) - (SELECT count(DISTINCT d.artefact) FROM decisions AS d"
        " JOIN artefacts AS a ON a.id = d.artefact WHERE d.deployment = ?) AS left",
        (deployment,),
    )
    return int(row["left"])


# --- precedents -------------------------------------------------------------------------------------------------

_ALIKE = {
    Alike.IMAGE_TOWER: "b.image_tower = a.image_tower",
    Alike.TEXT_TOWER: "b.text_tower = a.text_tower",
    Alike.TRIGGER: "(a.trigger != '' AND b.trigger = a.trigger)",
    Alike.TARGET: "(a.target != '' AND b.target = a.target)",
    Alike.AUTHOR: "EXISTS (SELECT 1 FROM artefact_jobs AS ml JOIN jobs AS mj ON mj.id = ml.job_id"
    " WHERE ml.artefact = this.artefact AND mj.local = 0 AND j.local = 0"
    " AND substr(j.repo_id, 1, instr(j.repo_id, '/')) = substr(mj.repo_id, 1, instr(mj.repo_id, '/')))",
}
"""`a` is the audit of these files, `b` and `j` audit and job of the others."""
_CARRIED_BY: dict[str, set[Alike]] = {
    Carrier.VISUAL: {Alike.IMAGE_TOWER},
    Carrier.TEXTUAL: {Alike.TEXT_TOWER},
}


def precedents(store: Store, artefact: str, deployment: Deployment) -> tuple[Precedent, ...]:
    """The latest decisions of this desk, for the same deployment, about other artefacts that have something in common.

    Those with equal towers first, then the newest; at most `MOST_PRECEDENTS`.
    """
    grounds = artefacts.grounds(store, artefact)
    if grounds is None or not grounds.audit:
        return ()
    flags = ", ".join(f"max({sql}) AS '{alike.value}'" for alike, sql in _ALIKE.items())
    equal_towers = f"max({_ALIKE[Alike.IMAGE_TOWER]}) + max({_ALIKE[Alike.TEXT_TOWER]})"
    rows = store.read(
        "WITH this AS (SELECT ? AS artefact, ? AS audit, ? AS deployment)"
        f" SELECT d.record, {flags} FROM this JOIN audits AS a ON a.id = this.audit"
        " JOIN decisions AS d ON d.deployment = this.deployment AND d.artefact != this.artefact"
        " JOIN artefact_jobs AS l ON l.artefact = d.artefact JOIN jobs AS j ON j.id = l.job_id"
        " JOIN audits AS b ON b.id = j.audit_id"
        " WHERE d.desk = '' AND d.id = (SELECT max(o.id) FROM decisions AS o"
        " WHERE o.artefact = d.artefact AND o.deployment = d.deployment AND o.desk = '')"
        f" AND ({' OR '.join(_ALIKE.values())}) GROUP BY d.id"
        f" ORDER BY {equal_towers} DESC, d.id DESC LIMIT ?",
        (artefact, grounds.audit, deployment.profile.name, MOST_PRECEDENTS),
    )
    return tuple(_to_precedent(store, row, deployment, grounds) for row in rows)


def likeness(store: Store, artefact: str) -> tuple[str, ...]:
    """What decides which decisions may be taken over for an artefact that nobody decided about: two with the same have
    the same. Empty where it has no audit.
    """
    grounds = artefacts.grounds(store, artefact)
    if grounds is None or not grounds.audit:
        return ()
    rows = store.read("SELECT image_tower, text_tower FROM audits WHERE id = ?", (grounds.audit,))
    towers = tuple(value for row in rows for value in (row["image_tower"], row["text_tower"]))
    return (*towers, grounds.verdict, grounds.effect)


def _to_precedent(
    store: Store, row: dict[str, Any], deployment: Deployment, grounds: Grounds
) -> Precedent:
    decision = from_json(DeploymentDecision, row["record"])
    alike = tuple(one for one in Alike if row[one.value])
    if not _is_same_effect(decision, grounds, set(alike)):
        return Precedent(decision, alike)
    there = standing(store, decision.artefact, deployment)
    counts = there.why is Why.DECIDED and not there.is_pending and not there.conflicts
    return Precedent(decision, alike, may_be_taken_over=counts)


def _is_same_effect(decision: DeploymentDecision, grounds: Grounds, alike: set[Alike]) -> bool:
    """Whether both do the same by the same tower. What was found to do nothing has no effect to be the same."""
    if not grounds.effect or (decision.verdict, decision.effect) != (
        grounds.verdict,
        grounds.effect,
    ):
        return False
    return carried_by(artefacts.carrier(grounds.effect)) <= alike


def carried_by(carrier: str) -> set[Alike]:
    """The towers that have to be equal for an effect to be the same; of a carrier that is neither of them both."""
    return _CARRIED_BY.get(carrier, {Alike.IMAGE_TOWER, Alike.TEXT_TOWER})
