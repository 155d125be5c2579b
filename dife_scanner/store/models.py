"""The models list: one line per discovered revision, with its result.

The table `model_lines` holds what is filtered, ordered and listed; triggers keep it (`migrations`). A list of 100,000
is never read whole: `order` gives the numbers of its jobs, and `rows_of` the lines of those that are in sight.
"""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dife_scanner.errors import NotFound
from dife_scanner.records import (
    Carrier,
    Channel,
    Confidence,
    JobState,
    ModelRow,
    Severity,
    TriageState,
    Verdict,
)
from dife_scanner.store import matching, query, row_counts
from dife_scanner.store.conditions import condition, without_index
from dife_scanner.store.db import Store, TookTooLong
from dife_scanner.store.fields import Column, Kind, choices
from dife_scanner.store.rows import overdue_days, placeholders, sql_limit, to_job

MODEL_COLUMNS = {
    "job": Column("m.job_id", "number of its job"),
    "repo": Column("m.repo_id", "repository, or the path of a local checkpoint"),
    "revision": Column("m.revision", "commit"),
    "endpoint": Column("m.endpoint", "address of its hub"),
    "author": Column("m.author", "who published it, as its hub says"),
    "state": Column("m.state", "where it stands", choices=choices(JobState)),
    "layout": Column("m.layout", "how the checkpoint is stored"),
    "verdict": Column("m.verdict", "what its audit says", choices=choices(Verdict)),
    "severity": Column("m.severity", "worst entry over its interfaces", choices=choices(Severity)),
    "confidence": Column(
        "m.confidence", "how much is known of its trigger", choices=choices(Confidence)
    ),
    "triage": Column("m.triage", "what people decided", choices=choices(TriageState)),
    "footprint": Column(
        "m.carrier", "component that carries the exposure", choices=choices(Carrier)
    ),
    "channel": Column("m.channel", "where the trigger enters", choices=choices(Channel)),
    "trigger": Column("m.trigger", "name of the trigger"),
    "source": Column("m.source", "what the trigger works on"),
    "target": Column("m.target", "where the trigger leads"),
    "interface": Column("m.interfaces", "exposed interfaces", Kind.LIST),
    "reference": Column("m.reference", "the clean base it was compared with"),
    "base": Column("m.reference", "the same as `reference`"),
    "finding": Column("m.fingerprint", "fingerprint of its finding"),
    "tag": Column("m.tags", "the first 20 tags that its hub shows", Kind.LIST),
    "assignee": Column("m.assignee", "who shall look at its finding"),
    "deadline": Column("m.deadline", "until when a dispute waits for an answer", Kind.TIME),
    "answer": Column("m.answer", "what the supplier of a disputed one answered"),
    "overdue": Column(
        overdue_days("m.triage", "m.deadline", "m.answer"),
        "days since an answer to a dispute was due, where there is none",
        Kind.NUMBER,
    ),
    "comment": Column("m.comment", "the latest note of a decision about its finding"),
    "reason": Column("m.reason", "the reason of its state in words"),
    "exposure": Column("m.exposure", "largest measured difference over the reference", Kind.NUMBER),
    "score": Column("m.score", "its audit's score", Kind.NUMBER),
    "p_value": Column("m.p_value", "p-value of the score", Kind.NUMBER),
    "alarm_bound": Column("m.alarm_bound", "bound of the share of false alarms", Kind.NUMBER),
    "downloads": Column("m.downloads", "downloads that its hub counts", Kind.NUMBER),
    "attempts": Column("m.attempts", "how often it was tried", Kind.NUMBER),
    "audited": Column("m.stored_at", "when its audit was stored", Kind.TIME),
    "discovered": Column("m.created_at", "when it was discovered", Kind.TIME),
    "updated": Column("m.updated_at", "when its state last changed", Kind.TIME),
    "modified": Column("m.last_modified", "when the hub says it was changed", Kind.TIME),
    "age": Column("m.created_at", "since it was discovered", Kind.AGE),
}
"""Fields that a filter over discovered revisions knows."""

LOOKED_AT = (500, 4000)
"""Lines that are looked at before all are; about 3 ms, and 20 ms."""
FEW_STEPS = 50_000
"""Of the database's machine, that looking at all may take after the first look: what the index knows few of is found
in these, about 3 ms."""
MOST_STEPS = 500_000
"""The same after the second look; some 30 ms. Reading all takes as long as it takes."""
MOST_SECONDS = 0.06
"""That each of the two may take by the clock, where rows come from the disk or the machine is busy."""
PART_CHARACTERS = 1 << 16
"""Of a list of numbers as text, that are taken at once."""
TABLES = "FROM model_lines AS m"
"""What `MODEL_COLUMNS` are columns of."""
_LINES = (
    "SELECT m.*, j.id, j.local, j.next_check_at, j.deaths, j.lost_leases, j.worker, j.audit_id, j.in_use"
    f" {TABLES} JOIN jobs AS j ON j.id = m.job_id"
)

URGENCY = "urgency"
"""The order of the list as it opens: what needs somebody first (`migrations.m020_lines_of_models`)."""
_SORTED_BY = {
    URGENCY: "m.urgency",
    "repo": "m.repo_id COLLATE NOCASE",
    "interface": "-json_array_length(m.interfaces)",
    "trigger": "m.trigger COLLATE NOCASE",
    "target": "m.target COLLATE NOCASE",
    "reason": "m.reason COLLATE NOCASE",
    "comment": "m.comment COLLATE NOCASE",
    "assignee": "m.assignee COLLATE NOCASE",
    "age": "-m.job_id",
    "discovered": "m.job_id",
}
"""Where an order is another than that of the field's own column. A job discovered later has a higher number."""


@dataclass(frozen=True)
class Sort:
    """In which order a list is: by a field of `MODEL_COLUMNS`, or by `URGENCY`."""

    field: str = URGENCY
    descending: bool = False


AT_FIRST = Sort()
"""As a list is before anybody chose."""


@dataclass(frozen=True)
class Order:
    """Which lines a list has, as the numbers of their jobs."""

    keys: array[int]
    whole: bool
    """Whether these are all of them."""


def order(
    store: Store, *, filter: str = "", sort: Sort = AT_FIRST, limit: int | None = None
) -> Order:
    """Give the lines that a filter lets through, in order; of equal ones the latest change first.

    With a `limit`, the first so many; where these take `MOST_STEPS` or `MOST_SECONDS` to find, those of them that a
    look at the beginning of the list found, if any. Raises `QueryError`, and `Interrupted` where nobody waits any more.
    """
    if limit is None:
        return Order(_all(store, filter, sort), True)
    seen = array("q")
    for looked_at, steps in zip(LOOKED_AT, (FEW_STEPS, MOST_STEPS), strict=True):
        if filter and sort == AT_FIRST:
            seen = _among_the_first(store, filter, limit + 1, looked_at)
            if len(seen) > limit:
                return Order(seen[:limit], False)
        try:
            keys = _all(store, filter, sort, limit + 1, steps)
        except TookTooLong:
            continue
        return Order(keys[:limit], len(keys) <= limit)
    return Order(seen, False)


def _all(
    store: Store, filter: str, sort: Sort, most: int | None = None, steps: int | None = None
) -> array[int]:
    """Every line that a filter lets through, in order, or the first so many of them. Raises `TookTooLong`."""
    where, parameters = condition(store, filter, MODEL_COLUMNS)
    # row by row as they are stored takes a tenth of what it takes in the order of an index, and few are to be sorted
    tables = f"{TABLES} NOT INDEXED" if filter else TABLES
    ordered = f"{tables} WHERE {where} ORDER BY {_ordering(sort)} LIMIT ?"
    return _keys(store, ordered, (*parameters, sql_limit(most)), steps)


def _among_the_first(store: Store, filter: str, most: int, looked_at: int) -> array[int]:
    """The first lines of an order, as far as they are among the first `looked_at` of the list without a filter.

    A filter that lets much through is answered by these alone; where one lets little through they cost little.
    """
    where, parameters = without_index(store, filter, MODEL_COLUMNS)
    ordering = _ordering(AT_FIRST)
    return _keys(
        store,
        f"FROM (SELECT * {TABLES} ORDER BY {ordering} LIMIT ?) AS m"
        f" WHERE {where} ORDER BY {ordering} LIMIT ?",
        (looked_at, *parameters, most),
    )


def _keys(
    store: Store, of: str, parameters: Sequence[Any], most_steps: int | None = None
) -> array[int]:
    # as one text: 100,000 rows that are handed over one by one would keep the other threads of Python waiting
    rows = store.read(
        f"SELECT group_concat(job_id, ' ') AS keys FROM (SELECT m.job_id {of})",
        parameters,
        most_steps=most_steps,
        most_seconds=MOST_SECONDS,
    )
    return _numbers_of(rows[0]["keys"] or "")


def _numbers_of(text: str) -> array[int]:
    """Part by part: millions of numbers as texts of their own would take ten times the room of the list."""
    found = array("q")
    begin = 0
    while begin < len(text):
        end = text.find(" ", begin + PART_CHARACTERS)
        end = len(text) if end < 0 else end
        found.extend(map(int, text[begin:end].split()))
        begin = end
    return found


def _ordering(sort: Sort) -> str:
    expression = _SORTED_BY.get(sort.field) or MODEL_COLUMNS[sort.field].sql
    direction = "DESC" if sort.descending else "ASC"
    return f"{expression} {direction}, m.updated_at DESC, m.job_id DESC"


def rows_of(store: Store, keys: Sequence[int]) -> list[ModelRow]:
    """Read the lines of these jobs, in no order; those that are gone are left out."""
    rows = store.read(f"{_LINES} WHERE m.job_id IN ({placeholders(keys)})", tuple(keys))
    return [_to_model_row(row) for row in rows]


def model_rows(store: Store, *, filter: str = "", limit: int | None = None) -> list[ModelRow]:
    """List one line per discovered revision, newest discovery first. Raises `QueryError`."""
    where, parameters = condition(store, filter, MODEL_COLUMNS)
    rows = store.read(
        f"{_LINES} WHERE {where} ORDER BY m.job_id DESC LIMIT ?", (*parameters, sql_limit(limit))
    )
    return [_to_model_row(row) for row in rows]


def model_row(store: Store, job_id: int) -> ModelRow:
    """Read the line of one job. Raises `NotFound`."""
    rows = rows_of(store, (job_id,))
    if not rows:
        raise NotFound(f"there is no job {job_id}", "`dife queue` lists them")
    return rows[0]


def why_matched(store: Store, job_id: int, filter: str) -> tuple[str, ...]:
    """The terms of a filter by which it lets this line through; none where it does not, or there is no such job.

    Raises `QueryError`.
    """
    rows = store.read(
        f"SELECT {matching.selected(MODEL_COLUMNS)} {TABLES} WHERE m.job_id = ?", (job_id,)
    )
    if not rows:
        return ()
    reasons = matching.why(query.parse(filter), rows[0], MODEL_COLUMNS)
    return tuple(query.show_part(reason) for reason in reasons)


def count_models(store: Store, *, filter: str = "") -> int:
    """Count the lines that `model_rows` would give without a limit. Raises `QueryError`."""
    if not filter:
        return sum(row_counts.of(store, "jobs").values())  # each has one line
    where, parameters = condition(store, filter, MODEL_COLUMNS)
    rows = store.read(f"SELECT count(*) AS n {TABLES} WHERE {where}", parameters)
    return int(rows[0]["n"])


def _to_model_row(row: dict[str, Any]) -> ModelRow:
    """A line; what belongs to an audit or a finding is empty where the job has none."""
    verdict = None
    if row["verdict"]:
        verdict = Verdict(row["verdict"])
    return ModelRow(
        job=to_job(row),
        verdict=verdict,
        carrier=row["carrier"],
        channel=row["channel"],
        trigger=row["trigger"],
        target=row["target"],
        interfaces=tuple(json.loads(row["interfaces"])),
        reference=row["reference"],
        layout=row["layout"],
        finding=row["fingerprint"] or None,
        last_modified=row["last_modified"],
        severity=row["severity"],
        confidence=row["confidence"],
        triage=row["triage"],
        author=row["author"],
        downloads=row["downloads"],
        exposure=row["exposure"],
        tags=tuple(json.loads(row["tags"])),
        comment=row["comment"],
        assignee=row["assignee"],
        deadline=row["deadline"],
        answer=row["answer"],
    )
