"""From what a person types to one thing that is stored: a job's number, an id or its beginning, a checkpoint."""

# ruff: noqa: S608 - what is formatted into SQL are conditions from this file; values are always parameters

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import JobState, ModelRef
from dife_scanner.store import query
from dife_scanner.store.db import Store
from dife_scanner.store.rows import begins_with, to_ref

LISTED = 6
"""Most choices that an error spells out: more than fit a glance help nobody."""
_LONGEST_NUMBER = 12
"""A job's number has fewer digits; longer ones are ids that happen to have no letter in them."""


class Kind(StrEnum):
    """What a person can ask to be shown."""

    AUDIT = "audit"
    FINDING = "finding"
    JOB = "job"


@dataclass(frozen=True)
class Match:
    """One thing that is stored."""

    kind: Kind
    id: str
    """The whole id: typed again, it means this and nothing else."""
    ref: ModelRef
    outcome: str
    """Verdict, kind of finding, or state of the job."""

    def __str__(self) -> str:
        return f"{self.kind} {self.id} of {self.ref} ({self.outcome})"


def find(store: Store, text: str) -> Match:
    """Find the one audit, finding or job that `text` stands for.

    In this order: a job's number or a whole id; `org/name`, `org/name@revision` (its beginning will do) or the path of
    a scanned folder or file; the beginning of an audit's id or of a fingerprint. Raises `NotFound`, and `UsageError`
    with the choices where it stands for several.
    """
    text = text.encode("utf-8", "replace").decode()  # an argument may hold bytes that are no text
    exact = _exact(store, text)
    if exact is not None:
        return exact
    matches = [*_of_checkpoint(store, text), *_with_prefix(store, text)]
    if not matches:
        raise _not_found(store, text)
    if len(matches) > 1:
        raise _ambiguous(text, matches)
    return matches[0]


def _exact(store: Store, text: str) -> Match | None:
    if _is_number(text):
        jobs = _jobs(store, "id = ?", int(text))
        if jobs:
            return jobs[0]
    matches = [*_audits(store, "id = ?", text), *_findings(store, "fingerprint = ?", text)]
    if not matches:
        return None
    return matches[0]


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < _LONGEST_NUMBER


def _of_checkpoint(store: Store, text: str) -> list[Match]:
    """What is kept of a repository, a revision of it, or a local checkpoint: its audits, and jobs without one.

    A revision that was overtaken before anybody looked at it counts only where there is nothing else.
    """
    for name, revision in _spellings(text):
        is_checkpoint = "repo_id = ? AND substr(revision, 1, ?) = ?"
        values = (name, len(revision), revision)
        audits = _audits(store, is_checkpoint, *values)
        shared = _with_audit_elsewhere(store, is_checkpoint, values)
        jobs = _jobs(store, f"{is_checkpoint} AND audit_id IS NULL", *values)
        current = [job for job in jobs if job.outcome != JobState.SUPERSEDED]
        if audits or shared or jobs:
            return [*audits, *shared, *current] or jobs
    return []


def _with_audit_elsewhere(
    store: Store, is_checkpoint: str, values: tuple[str, int, str]
) -> list[Match]:
    """Jobs whose audit is stored under another name, because equal checkpoints share one; the latest per audit."""
    return _jobs(
        store,
        f"{is_checkpoint} AND audit_id IS NOT NULL"
        f" AND id IN (SELECT max(id) FROM jobs WHERE {is_checkpoint} GROUP BY audit_id)"
        f" AND audit_id NOT IN (SELECT id FROM audits WHERE {is_checkpoint})",
        *values,
        *values,
        *values,
    )


def _spellings(text: str) -> Iterator[tuple[str, str]]:
    """(repository or path, beginning of the revision) that `text` may mean; a local path is stored absolute."""
    yield text, ""
    yield _absolute(text), ""
    name, at, revision = text.rpartition("@")
    if at and revision:
        yield name, revision
        yield _absolute(name), revision


def _absolute(text: str) -> str:
    try:
        return str(Path(text).expanduser().resolve())
    except (
        OSError,
        RuntimeError,
        ValueError,
    ):  # no such user, a circle of links, a NUL: no path, then
        return text


def _with_prefix(store: Store, text: str) -> list[Match]:
    if not text:
        return []
    audits = _audits(store, begins_with("id"), text, text)
    return [*audits, *_findings(store, begins_with("fingerprint"), text, text)]


def _audits(store: Store, where: str, *values: str | int) -> list[Match]:
    columns = "repo_id, revision, local, id, verdict AS outcome"
    rows = store.read(
        f"SELECT {columns} FROM audits WHERE {where} ORDER BY stored_at DESC, id", values
    )
    return [_match(Kind.AUDIT, row) for row in rows]


def _findings(store: Store, where: str, *values: str | int) -> list[Match]:
    columns = "repo_id, revision, local, fingerprint AS id, kind AS outcome"
    rows = store.read(
        f"SELECT {columns} FROM findings WHERE {where} ORDER BY last_seen_at DESC, id", values
    )
    return [_match(Kind.FINDING, row) for row in rows]


def _jobs(store: Store, where: str, *values: str | int) -> list[Match]:
    columns = "repo_id, revision, local, id, state AS outcome"
    rows = store.read(f"SELECT {columns} FROM jobs WHERE {where} ORDER BY id DESC", values)
    return [_match(Kind.JOB, row) for row in rows]


def _match(kind: Kind, row: dict[str, Any]) -> Match:
    return Match(kind, str(row["id"]), to_ref(row), row["outcome"])


def _ambiguous(text: str, matches: list[Match]) -> UsageError:
    named = matches[:LISTED]
    choices = ", ".join(str(match) for match in named)
    if len(matches) > LISTED:
        choices += f", and {len(matches) - LISTED} more"
    commands = [f"`dife show {match.id}`" for match in named]
    return UsageError(
        f"{query.shown(text)} fits {len(matches)} things: {choices}", " or ".join(commands)
    )


def _not_found(store: Store, text: str) -> NotFound:
    name, at, _ = text.rpartition("@")
    shown = query.shown(text)
    if at and name:
        others = _of_checkpoint(store, name)
        if others:
            commands = dict.fromkeys(
                f"`dife show {match.id}` ({match.ref.revision[:12]})" for match in others
            )
            return NotFound(
                f"there is no such revision of {query.shown(name)} here: {shown}",
                f"known are {', '.join(list(commands)[:LISTED])}",
            )
    if text.startswith("fp1:"):
        return NotFound(f"there is no finding {shown}", "`dife findings` lists them")
    if _is_number(text):
        return NotFound(
            f"there is no job {shown}, and no audit whose id begins so",
            "`dife queue` lists the jobs",
        )
    if "/" in text:
        return NotFound(
            f"nothing is kept of {shown}", "`dife queue` lists what is, and `dife scan` audits"
        )
    return NotFound(f"there is no audit {shown}", "`dife audits` lists them")
