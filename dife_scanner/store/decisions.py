"""The log of decisions, appended and never changed: those of this desk, and those that were imported."""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.records import (
    DecisionState,
    Deployment,
    DeploymentDecision,
    Grounds,
    Precedent,
    Standing,
)
from dife_scanner.store import artefacts, deployments
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
    """What counts now about an artefact for a deployment, with precedents where nobody has decided."""
    events = about(store, artefact, deployment.profile.name)
    grounds = artefacts.grounds(store, artefact)
    found = rules.standing(artefact, deployment, events, grounds, now())
    if found.decision is not None or grounds is None:
        return found
    return replace(found, precedents=_precedents(store, artefact, deployment, grounds))


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


def _precedents(
    store: Store, artefact: str, deployment: Deployment, grounds: Grounds
) -> tuple[Precedent, ...]:
    """The latest decision of this desk about each other artefact with an equal tower, for the same deployment."""
    rows = store.read(
        "SELECT d.record, max(b.image_tower = a.image_tower) AS image,"
        " max(b.text_tower = a.text_tower) AS text FROM audits AS a"
        " JOIN audits AS b ON b.image_tower = a.image_tower OR b.text_tower = a.text_tower"
        " JOIN jobs AS j ON j.audit_id = b.id JOIN artefact_jobs AS l ON l.job_id = j.id"
        " JOIN decisions AS d ON d.artefact = l.artefact"
        " WHERE a.id = ? AND d.artefact != ? AND d.deployment = ? AND d.desk = ''"
        " AND d.id = (SELECT max(o.id) FROM decisions AS o WHERE o.artefact = d.artefact"
        " AND o.deployment = d.deployment AND o.desk = '')"
        " GROUP BY d.id ORDER BY d.id DESC LIMIT ?",
        (grounds.audit, artefact, deployment.profile.name, MOST_PRECEDENTS),
    )
    found = []
    for row in rows:
        equal = _equal_towers(bool(row["image"]), bool(row["text"]))
        found.append(Precedent(from_json(DeploymentDecision, row["record"]), equal))
    return tuple(found)


def _equal_towers(image: bool, text: bool) -> str:
    if image and text:
        return "both towers"
    return "image tower" if image else "text tower"
