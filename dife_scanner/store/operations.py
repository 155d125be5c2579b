"""What the scanner itself has to tell: how a day went, when a hub was read, revisions that came after an approval."""

# ruff: noqa: S608 - what is formatted into SQL are names from this file; values are always parameters

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records import JobState, ModelRef
from dife_scanner.store.db import Store

_FAILED = (JobState.FAILED, JobState.QUARANTINED, JobState.LIMIT_EXCEEDED)
_APPROVING = ("approved", "conditions")


@dataclass(frozen=True)
class Day:
    """What was done between two moments."""

    audited: int
    failed: int
    found: int
    """Findings seen for the first time, those that only stand out included."""


@dataclass(frozen=True)
class NewRevision:
    """A revision that came after another one of its repository was approved."""

    ref: ModelRef
    approved: str
    """The revision that was."""
    deployment: str
    state: str
    """Of its job."""


def day(store: Store, begin: str, end: str) -> Day:
    """Count what was done from `begin` up to `end`."""
    failed = ", ".join(f"'{state.value}'" for state in _FAILED)
    queries = (
        "SELECT count(*) AS n FROM audits WHERE stored_at >= ? AND stored_at < ?",
        f"SELECT count(*) AS n FROM jobs WHERE updated_at >= ? AND updated_at < ? AND state IN ({failed})",
        "SELECT count(*) AS n FROM findings WHERE created_at >= ? AND created_at < ?",
    )
    audited, failures, found = (int(store.read(query, (begin, end))[0]["n"]) for query in queries)
    return Day(audited, failures, found)


def last_pass(store: Store, *, complete: bool = False) -> str:
    """When the latest pass over a hub ended, or the latest complete one; empty where there was none."""
    rows = store.read("SELECT max(at) AS at FROM passes WHERE complete >= ?", (int(complete),))
    return str(rows[0]["at"] or "")


def first_pass(store: Store) -> str:
    """When the first pass over a hub ended; empty where there was none."""
    rows = store.read("SELECT min(at) AS at FROM passes")
    return str(rows[0]["at"] or "")


def told_pass(store: Store) -> str:
    """The latest complete pass that a dead man's switch was told of; empty where there was none."""
    rows = store.read("SELECT max(pass_at) AS at FROM pings")
    return str(rows[0]["at"] or "")


def note_told(store: Store, pass_at: str) -> None:
    """Note that a dead man's switch was told of a complete pass."""
    with store.atomic("operations.told"):
        store.write("DELETE FROM pings")
        store.write("INSERT INTO pings VALUES (?)", (pass_at,))


def revisions_after_approval(store: Store, since: str) -> list[NewRevision]:
    """Revisions discovered since, of repositories of which this desk's latest decision had approved another before."""
    marks = ", ".join("?" * len(_APPROVING))
    rows = store.read(
        "SELECT DISTINCT n.repo_id, n.revision, n.state, o.revision AS approved, d.deployment FROM jobs AS n"
        " JOIN jobs AS o ON o.endpoint = n.endpoint AND o.repo_id = n.repo_id AND o.id != n.id"
        " JOIN artefact_jobs AS l ON l.job_id = o.id JOIN decisions AS d ON d.artefact = l.artefact"
        " WHERE n.created_at >= ? AND n.local = 0 AND d.desk = '' AND d.at < n.created_at"
        f" AND d.state IN ({marks}) AND d.id = (SELECT max(x.id) FROM decisions AS x"
        " WHERE x.artefact = d.artefact AND x.deployment = d.deployment AND x.desk = '')"
        " AND NOT EXISTS (SELECT 1 FROM artefact_jobs AS same"
        " WHERE same.job_id = n.id AND same.artefact = d.artefact) ORDER BY n.id, d.id",
        (since, *_APPROVING),
    )
    found = []
    for row in rows:
        ref = ModelRef(row["repo_id"], row["revision"])
        found.append(NewRevision(ref, row["approved"], row["deployment"], row["state"]))
    return found
