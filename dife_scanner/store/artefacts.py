"""Which files each audited checkpoint is made of, and the latest audit of such files."""

from __future__ import annotations

import json
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.records import (
    Artefact,
    DecisionState,
    Grounds,
    Job,
    JobState,
    ModelRef,
    TriageState,
)
from dife_scanner.store import findings
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store
from dife_scanner.store.rows import placeholders, state_values, to_job

_BETWEEN = " · "
"""Between the words of an effect: kind of finding, channel, carrier, target."""
_LOOKED_AGAIN = (TriageState.CONFIRMED, TriageState.REGRESSED)
"""What happens to a finding that speaks against whoever approved it before."""
_SETTLED = (JobState.REFUSED, JobState.DELETED, JobState.SUPERSEDED)
"""States without an audit in which a revision needs none: it was judged, is gone, or a later one stands for it."""


# --- keeping --------------------------------------------------------------------------------------------------


def keep(store: Store, job_id: int, found: Artefact) -> None:
    """Say which files a job is about; a job is about one revision, so they stay the same."""
    with store.atomic("artefacts.keep"):
        store.write(
            "INSERT OR IGNORE INTO artefacts (id, record, first_at) VALUES (?, ?, ?)",
            (found.id, to_json(found), now()),
        )
        store.write(
            "INSERT OR REPLACE INTO artefact_jobs (job_id, artefact) VALUES (?, ?)",
            (job_id, found.id),
        )


def of_job(store: Store, job: Job) -> Artefact | None:
    """The files that a job is about; `None` where they were not recorded, as before it was looked at."""
    rows = store.read(
        "SELECT a.record FROM artefact_jobs AS j JOIN artefacts AS a ON a.id = j.artefact"
        " WHERE j.job_id = ?",
        (job.id,),
    )
    return from_json(Artefact, rows[0]["record"]) if rows else None


# --- looking up -----------------------------------------------------------------------------------------------


def job_of(store: Store, ref: ModelRef) -> Job | None:
    """The latest job about this revision of a repository, or this content of a folder."""
    return _one_job(
        store, "repo_id = ? AND revision = ? ORDER BY id DESC", ref.repo_id, ref.revision
    )


def newest_revision(store: Store, repo_id: str, revision: str = "") -> Job | None:
    """The job of the newest revision known of a repository, or of the one that begins so."""
    return _one_job(
        store,
        "local = 0 AND repo_id = ? AND substr(revision, 1, ?) = ?"
        " ORDER BY last_modified DESC, id DESC",
        repo_id,
        len(revision),
        revision,
    )


def oldest_unaudited_of_approved(store: Store) -> Job | None:
    """The unaudited revision, discovered after one of its repository that this desk approved, that waits longest.

    An approval that counts no longer counts here too: somebody relied on the model once.
    """
    rows = store.read(
        "SELECT j.* FROM decisions AS d CROSS JOIN artefact_jobs AS l ON l.artefact = d.artefact"  # noqa: S608 - from this file
        " CROSS JOIN jobs AS approved ON approved.id = l.job_id"
        " CROSS JOIN jobs AS j ON j.endpoint = approved.endpoint AND j.repo_id = approved.repo_id"
        " WHERE d.desk = '' AND d.state IN (?, ?) AND approved.local = 0 AND j.local = 0 AND j.id > approved.id"
        f" AND j.audit_id IS NULL AND j.state NOT IN ({placeholders(_SETTLED)})"
        " ORDER BY j.created_at, j.id LIMIT 1",
        (DecisionState.APPROVED, DecisionState.CONDITIONS, *state_values(_SETTLED)),
    )
    return to_job(rows[0]) if rows else None


def _one_job(store: Store, where: str, *values: Any) -> Job | None:
    rows = store.read(f"SELECT * FROM jobs WHERE {where} LIMIT 1", values)  # noqa: S608 - from this file
    return to_job(rows[0]) if rows else None


def grounds(store: Store, artefact_id: str) -> Grounds | None:
    """The latest audit of these files here, or that they were refused; `None` where neither was done."""
    rows = store.read(
        "SELECT j.* FROM artefact_jobs AS l JOIN jobs AS j ON j.id = l.job_id"
        " WHERE l.artefact = ? AND (j.state = ? OR (j.state = ? AND j.audit_id IS NOT NULL))"
        " ORDER BY j.updated_at DESC, j.id DESC LIMIT 1",
        (artefact_id, JobState.REFUSED.value, JobState.DONE.value),
    )
    if not rows:
        return None
    job = to_job(rows[0])
    if job.state is JobState.REFUSED:
        return Grounds("", job.state.value, "", job.updated_at)
    return _of_audit(store, artefact_id, job.audit_id or "")


def _of_audit(store: Store, artefact_id: str, audit_id: str) -> Grounds:
    (row,) = store.read(
        "SELECT id, verdict, interfaces, stored_at FROM audits WHERE id = ?", (audit_id,)
    )
    return Grounds(
        audit=row["id"],
        verdict=row["verdict"],
        effect=effect(store, audit_id),
        at=row["stored_at"],
        interfaces=tuple(json.loads(row["interfaces"])),
        looked_again_at=_looked_again(store, artefact_id),
    )


def effect(store: Store, audit_id: str) -> str:
    """What the audit's finding is by its effect, whatever the checkpoint is called."""
    found = findings.of_audit(store, audit_id)
    if found is None:
        return ""
    return _BETWEEN.join((found.kind.value, found.channel, found.carrier, found.target))


def carrier(effect: str) -> str:
    """Which component carries an effect; empty where there is none, or none was named."""
    words = effect.split(_BETWEEN)
    return words[2] if len(words) > 2 else ""  # the closed words come first


def _looked_again(store: Store, artefact_id: str) -> str:
    """When a finding of these files was last confirmed, or came back, where nobody decided about it since."""
    rows = store.read(
        "SELECT e.state, e.at FROM triage_events AS e WHERE e.id IN ("
        " SELECT max(t.id) FROM triage_events AS t WHERE t.fingerprint IN ("
        " SELECT j.fingerprint FROM artefact_jobs AS l JOIN jobs AS j ON j.id = l.job_id"
        " WHERE l.artefact = ?) AND t.assigns = 0"
        " AND NOT EXISTS (SELECT 1 FROM triage_events AS u WHERE u.id = t.undoes AND u.assigns)"
        " GROUP BY t.fingerprint)",
        (artefact_id,),
    )
    return max((row["at"] for row in rows if row["state"] in _LOOKED_AGAIN), default="")
