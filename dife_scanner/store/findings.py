"""Completed audits, findings with their history, and what people decided about them."""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import (
    Audit,
    Budget,
    Cell,
    Confidence,
    EntryType,
    Finding,
    FindingKind,
    ModelRef,
    ModelRow,
    Severity,
    Tally,
    TriageState,
    Verdict,
)
from dife_scanner.store import evidence, query
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store
from dife_scanner.store.query import Column
from dife_scanner.store.rows import to_job

BY_HAND = frozenset(TriageState) - {TriageState.NEW, TriageState.REGRESSED, TriageState.EXPIRED}
"""What a person can set; the others happen."""


@dataclass(frozen=True)
class AuditRow:
    """The key columns of one completed audit; the whole record is `audit(store, id)`."""

    id: str
    identity: str
    record_sha256: str
    ref: ModelRef
    architecture: str
    reference: str
    audit_version: str
    budget: Budget
    verdict: Verdict
    reason: str
    carrier: str
    channel: str
    trigger: str
    source: str
    target: str
    interfaces: tuple[str, ...]
    started_at: str
    seconds: float
    score: float | None = None
    """The audit's one score; `None` where nothing was searched."""
    p_value: float | None = None
    """Of the score, from a pack of the audit's own stratum; `None` without one."""
    pack: str = ""
    """Name of that pack."""
    alarm_bound: float | None = None
    """Upper bound of the share of benign models that are flagged, from the same pack."""


@dataclass(frozen=True)
class Scored:
    """An audit's p-value, for correction over its batch."""

    audit_id: str
    p_value: float


@dataclass(frozen=True)
class TriageEvent:
    fingerprint: str
    state: TriageState
    actor: str
    note: str
    at: str


def _text(sql: str) -> Column:
    return Column(sql)


def _listed(sql: str) -> Column:
    return Column(sql, listed=True)


AUDIT_COLUMNS = {
    "id": _text("a.id"),
    "repo": _text("a.repo_id"),
    "revision": _text("a.revision"),
    "verdict": _text("a.verdict"),
    "footprint": _text("a.carrier"),
    "channel": _text("a.channel"),
    "trigger": _text("a.trigger"),
    "source": _text("a.source"),
    "target": _text("a.target"),
    "interface": _listed("a.interfaces"),
    "reference": _text("a.reference"),
    "architecture": _text("a.architecture"),
    "budget": _text("a.budget"),
    "version": _text("a.audit_version"),
    "pack": _text("a.pack"),
    "reason": _text("a.reason"),
}
"""Fields that a filter over audits knows."""

FINDING_COLUMNS = {
    "id": _text("f.fingerprint"),
    "repo": _text("f.repo_id"),
    "revision": _text("f.revision"),
    "kind": _text("f.kind"),
    "verdict": _text("f.kind"),
    "severity": _text("f.severity"),
    "confidence": _text("f.confidence"),
    "footprint": _text("f.carrier"),
    "channel": _text("f.channel"),
    "trigger": _text("f.trigger"),
    "source": _text("f.source"),
    "target": _text("f.target"),
    "interface": _listed("f.interfaces"),
    "triage": _text("f.triage"),
    "reason": _text("f.reason"),
}
"""Fields that a filter over findings knows."""

MODEL_COLUMNS = {
    "job": _text("CAST(j.id AS TEXT)"),
    "repo": _text("j.repo_id"),
    "revision": _text("j.revision"),
    "endpoint": _text("j.endpoint"),
    "state": _text("j.state"),
    "layout": _text("j.layout"),
    "verdict": _text("a.verdict"),
    "footprint": _text("a.carrier"),
    "channel": _text("a.channel"),
    "trigger": _text("a.trigger"),
    "source": _text("a.source"),
    "target": _text("a.target"),
    "interface": _listed("a.interfaces"),
    "reference": _text("a.reference"),
    "finding": _text("j.fingerprint"),
    "triage": _text("f.triage"),
    "severity": _text("f.severity"),
    "reason": _text("j.reason"),
}
"""Fields that a filter over discovered revisions knows."""


# --- audits ---------------------------------------------------------------------------------------------------

_OF_IDENTITY = "(identity = ? OR id IN (SELECT audit_id FROM identities WHERE identity = ?))"
"""The audit of an identity: the one it was stored with, or one that it is known under since."""


def keep_record(store: Store, audit: Audit) -> str:
    """Write the whole record as an evidence file, before any row names it; returns its sha256."""
    return evidence.put(store.home, to_json(audit).encode("ascii"), ".json")


def insert_audit(store: Store, audit: Audit, record_sha256: str) -> str:
    """Inside a transaction: the row of a completed audit. Returns the id that is stored for this identity.

    The stored audit itself, calibrated anew, replaces its record and waits for a batch again.
    """
    before = store.read(f"SELECT id, record_sha256 FROM audits WHERE {_OF_IDENTITY}", (audit.identity,) * 2)
    if before:
        if before[0]["id"] == audit.id and before[0]["record_sha256"] != record_sha256:
            _recalibrate(store, audit, record_sha256)
        return str(before[0]["id"])
    store.write(
        "INSERT INTO audits (id, identity, record_sha256, repo_id, revision, local, architecture, reference,"
        " image_tower, text_tower, audit_version, budget, seed, verdict, reason, carrier, channel, trigger, source,"
        " target, interfaces, started_at, seconds, stored_at, score, p_value, alarm_bound, pack)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            audit.id,
            audit.identity,
            record_sha256,
            audit.ref.repo_id,
            audit.ref.revision,
            int(audit.ref.local),
            audit.architecture,
            audit.reference,
            audit.image_tower,
            audit.text_tower,
            audit.audit_version,
            audit.budget,
            audit.seed,
            audit.verdict.value,
            audit.reason,
            audit.diagnosis.carrier.value if audit.diagnosis else "",
            audit.diagnosis.channel.value if audit.diagnosis else "",
            audit.trigger.name if audit.trigger else "",
            audit.trigger.source if audit.trigger else "",
            audit.trigger.target if audit.trigger else "",
            json.dumps(_exposed(audit)),
            audit.started_at,
            audit.seconds,
            now(),
            audit.score,
            *_reading(audit),
        ),
    )
    return audit.id


def _reading(audit: Audit) -> tuple[float | None, float | None, str]:
    """p-value, bound of the false-alarm rate, and the pack that gave them."""
    said = audit.calibration
    return (said.p_value, said.alarm_bound, said.pack) if said and said.p_value is not None else (None, None, "")


def _recalibrate(store: Store, audit: Audit, record_sha256: str) -> None:
    store.write(
        "UPDATE audits SET record_sha256 = ?, p_value = ?, alarm_bound = ?, pack = ?, batch = '' WHERE id = ?",
        (record_sha256, *_reading(audit), audit.id),
    )


def _exposed(audit: Audit) -> list[str]:
    cells = [cell for cell in audit.profile if isinstance(cell, Cell) and cell.entry is EntryType.EXPOSED]
    return list(dict.fromkeys(cell.interface for cell in cells))


def audit(store: Store, id_or_prefix: str) -> Audit:
    """The whole record. Raises `NotFound`, `UsageError` where a prefix fits several, `StoreCorrupt`."""
    rows = store.read(
        "SELECT id, record_sha256 FROM audits WHERE substr(id, 1, ?) = ? ORDER BY id != ?, id LIMIT 2",
        (len(id_or_prefix), id_or_prefix, id_or_prefix),
    )
    if not rows or not id_or_prefix:
        raise NotFound(f"there is no audit {query.shown(id_or_prefix)}", "`dife audits` lists them")
    if len(rows) > 1 and rows[0]["id"] != id_or_prefix:
        raise UsageError(f"{id_or_prefix} fits more than one audit", "give more of the id")
    return from_json(Audit, evidence.read(store.home, rows[0]["record_sha256"]))


def audit_by_identity(store: Store, identity: str) -> Audit | None:
    """The one completed audit of this identity."""
    found = _id_of(store, identity)
    return audit(store, found) if found else None


def recognised(store: Store, identity: str, legacy: str) -> Audit | None:
    """The one completed audit of a legacy identity, which is found by `identity` too from then on.

    Row and record keep the identity that they were stored with: the record is named by its content, and findings,
    bundles and exports of that time name it. What is added is a line that says under what else it is known.
    """
    found = _id_of(store, legacy)
    if not found:  # as most are: nothing is to be written
        return None
    with store.atomic("findings.recognised"):
        if not _id_of(store, identity):
            values = (identity, found, now())
            store.write("INSERT INTO identities (identity, audit_id, added_at) VALUES (?, ?, ?)", values)
    return audit(store, found)


def _id_of(store: Store, identity: str) -> str:
    rows = store.read(f"SELECT id FROM audits WHERE {_OF_IDENTITY}", (identity,) * 2)
    return str(rows[0]["id"]) if rows else ""


def is_audited(store: Store, identity_prefix: str) -> bool:
    """Whether an audit of which an identity begins so is stored."""
    given = (len(identity_prefix), identity_prefix)
    begins = "substr(identity, 1, ?) = ?"
    stored = f"SELECT 1 FROM audits WHERE {begins} UNION ALL SELECT 1 FROM identities WHERE {begins}"
    return bool(store.read(stored, given * 2))


def demonstrated_in(store: Store, image_tower: str, text_tower: str) -> list[Audit]:
    """Audits that demonstrated a trigger in a checkpoint of these very towers, or found it inherited, newest first.

    A flag that only stands out (a signature with corrected evidence and a small effect) is none of them: what it does
    is too little to be told from what clean checkpoints do.
    """
    rows = store.read(
        "SELECT id FROM audits WHERE image_tower = ? AND text_tower = ? AND verdict IN ('flagged', 'inherited')"
        " ORDER BY stored_at DESC",
        (image_tower, text_tower),
    )
    audits = [audit(store, row["id"]) for row in rows]
    return [one for one in audits if one.verdict is Verdict.INHERITED or _demonstrated(store, one.id)]


def _demonstrated(store: Store, audit_id: str) -> bool:
    found = of_audit(store, audit_id)
    return found is not None and found.confidence == Confidence.DEMONSTRATED


def usual_seconds(store: Store, budget: str) -> float | None:
    """What an audit at this budget took here, the mean of the newest fifty that compared something; `None` without."""
    rows = store.read(
        "SELECT avg(seconds) AS mean FROM (SELECT seconds FROM audits WHERE budget = ?"
        " AND verdict NOT IN ('identical', 'inconclusive') ORDER BY stored_at DESC LIMIT 50)",
        (budget,),
    )
    return None if rows[0]["mean"] is None else float(rows[0]["mean"])


def audits(store: Store, *, filter: str = "", limit: int | None = None) -> list[AuditRow]:
    """Newest first. `filter` is the grammar of `query`; raises `QueryError`."""
    where, parameters = query.to_sql(query.parse(filter), AUDIT_COLUMNS)
    rows = store.read(
        f"SELECT * FROM audits AS a WHERE {where} ORDER BY stored_at DESC LIMIT ?", (*parameters, _limit(limit))
    )
    return [_to_audit_row(row) for row in rows]


def _to_audit_row(row: dict[str, Any]) -> AuditRow:
    return AuditRow(
        id=row["id"],
        identity=row["identity"],
        record_sha256=row["record_sha256"],
        ref=ModelRef(row["repo_id"], row["revision"], bool(row["local"])),
        architecture=row["architecture"],
        reference=row["reference"],
        audit_version=row["audit_version"],
        budget=Budget(row["budget"]),
        verdict=Verdict(row["verdict"]),
        reason=row["reason"],
        carrier=row["carrier"],
        channel=row["channel"],
        trigger=row["trigger"],
        source=row["source"],
        target=row["target"],
        interfaces=tuple(json.loads(row["interfaces"])),
        started_at=row["started_at"],
        seconds=row["seconds"],
        score=row["score"],
        p_value=row["p_value"],
        pack=row["pack"],
        alarm_bound=row["alarm_bound"],
    )


def tally(store: Store, *, filter: str = "") -> Tally:
    """Over the audits that `audits` would list with this filter. Raises `QueryError`."""
    where, parameters = query.to_sql(query.parse(filter), AUDIT_COLUMNS)
    (row,) = store.read(
        "SELECT count(*) AS audited, coalesce(sum(a.verdict = 'flagged'), 0) AS flagged,"
        " coalesce(sum(a.id IN (SELECT audit_id FROM findings WHERE kind = 'anomalous')), 0) AS anomalous,"
        " count(a.alarm_bound) AS rated, coalesce(sum(a.alarm_bound), 0.0) AS expected"
        f" FROM audits AS a WHERE {where}",
        parameters,
    )
    return Tally(**row)


# --- batches --------------------------------------------------------------------------------------------------


def waiting(store: Store, audit_ids: Sequence[str] | None = None) -> list[Scored]:
    """Audits with a p-value: these, or all whose batch is not over yet."""
    where, parameters = "batch = ''", tuple(audit_ids or ())
    if audit_ids is not None:
        where = f"id IN ({', '.join('?' * len(audit_ids))})"
    rows = store.read(
        f"SELECT id, p_value FROM audits WHERE p_value IS NOT NULL AND {where} ORDER BY stored_at, id", parameters
    )
    return [Scored(row["id"], row["p_value"]) for row in rows]


def close_batch(store: Store, audits: Sequence[Scored]) -> None:
    """Inside a transaction: these audits were corrected together."""
    at = now()
    for one in audits:
        store.write("UPDATE audits SET batch = ? WHERE id = ?", (at, one.audit_id))


# --- findings -------------------------------------------------------------------------------------------------


def insert_finding(store: Store, finding: Finding, job_id: int | None) -> None:
    """Inside a transaction: keep a finding and its history.

    A fingerprint seen before keeps its first date and its triage, except that one triaged `fixed-upstream` that
    returns in a revision where it was never seen becomes `regressed`.
    """
    at = now()
    before = store.read("SELECT triage FROM findings WHERE fingerprint = ?", (finding.fingerprint,))
    seen_here = store.read(
        "SELECT 1 FROM finding_history WHERE fingerprint = ? AND revision = ? LIMIT 1",
        (finding.fingerprint, finding.ref.revision),
    )
    values = _finding_values(finding)
    if before:
        _update_finding(store, finding.fingerprint, values, at)
    else:
        _new_finding(store, finding, values, at)
    store.write(
        "INSERT INTO finding_history (fingerprint, job_id, revision, audit_id, record, at) VALUES (?, ?, ?, ?, ?, ?)",
        (finding.fingerprint, job_id, finding.ref.revision, finding.audit_id, to_json(finding), at),
    )
    if before and before[0]["triage"] == TriageState.FIXED_UPSTREAM and not seen_here:
        note = f"seen again in revision {finding.ref.revision[:12]}"
        _add_event(store, finding.fingerprint, TriageState.REGRESSED, "dife", note)


def _finding_values(finding: Finding) -> dict[str, Any]:
    return {
        "repo_id": finding.ref.repo_id,
        "revision": finding.ref.revision,
        "local": int(finding.ref.local),
        "kind": finding.kind,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "carrier": finding.carrier,
        "channel": finding.channel,
        "trigger": finding.trigger,
        "source": finding.source,
        "target": finding.target,
        "interfaces": json.dumps(finding.interfaces),
        "reason": finding.reason,
        "audit_id": finding.audit_id,
    }


def _update_finding(store: Store, fingerprint: str, values: dict[str, Any], at: str) -> None:
    changes = ", ".join(f"{column} = ?" for column in values)
    store.write(
        f"UPDATE findings SET {changes}, last_seen_at = ? WHERE fingerprint = ?", (*values.values(), at, fingerprint)
    )


def _new_finding(store: Store, finding: Finding, values: dict[str, Any], at: str) -> None:
    row = {
        "fingerprint": finding.fingerprint,
        "triage": finding.triage.value,
        "created_at": finding.created_at or at,
        "last_seen_at": at,
        **values,
    }
    store.write(f"INSERT INTO findings ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def finding(store: Store, fingerprint: str) -> Finding:
    """By fingerprint or a unique beginning of it. Raises `NotFound` or `UsageError`."""
    rows = store.read(
        "SELECT * FROM findings WHERE substr(fingerprint, 1, ?) = ? ORDER BY fingerprint != ?, fingerprint LIMIT 2",
        (len(fingerprint), fingerprint, fingerprint),
    )
    if not rows or not fingerprint:
        raise NotFound(f"there is no finding {query.shown(fingerprint)}", "`dife findings` lists them")
    if len(rows) > 1 and rows[0]["fingerprint"] != fingerprint:
        raise UsageError(f"{fingerprint} fits more than one finding", "give more of the fingerprint")
    return _to_finding(rows[0])


def find(store: Store, fingerprint: str) -> Finding | None:
    """The finding of exactly this fingerprint, or `None`."""
    rows = store.read("SELECT * FROM findings WHERE fingerprint = ?", (fingerprint,))
    return _to_finding(rows[0]) if rows else None


def findings(store: Store, *, filter: str = "", limit: int | None = None) -> list[Finding]:
    """Last seen first. `filter` is the grammar of `query`; raises `QueryError`."""
    where, parameters = query.to_sql(query.parse(filter), FINDING_COLUMNS)
    rows = store.read(
        f"SELECT * FROM findings AS f WHERE {where} ORDER BY last_seen_at DESC LIMIT ?", (*parameters, _limit(limit))
    )
    return [_to_finding(row) for row in rows]


def of_audit(store: Store, audit_id: str) -> Finding | None:
    """The finding that this audit amounted to when it was made."""
    rows = store.read("SELECT record FROM finding_history WHERE audit_id = ? ORDER BY id LIMIT 1", (audit_id,))
    return from_json(Finding, rows[0]["record"]) if rows else None


def history(store: Store, fingerprint: str) -> list[Finding]:
    """The finding as it was each time it was seen, oldest first."""
    rows = store.read("SELECT record FROM finding_history WHERE fingerprint = ? ORDER BY id", (fingerprint,))
    return [from_json(Finding, row["record"]) for row in rows]


def _to_finding(row: dict[str, Any]) -> Finding:
    return Finding(
        fingerprint=row["fingerprint"],
        ref=ModelRef(row["repo_id"], row["revision"], bool(row["local"])),
        kind=FindingKind(row["kind"]),
        severity=Severity(row["severity"]),
        confidence=Confidence(row["confidence"]),
        carrier=row["carrier"],
        channel=row["channel"],
        trigger=row["trigger"],
        source=row["source"],
        target=row["target"],
        interfaces=tuple(json.loads(row["interfaces"])),
        reason=row["reason"],
        audit_id=row["audit_id"],
        created_at=row["created_at"],
        triage=TriageState(row["triage"]),
    )


# --- triage ---------------------------------------------------------------------------------------------------


def triage(store: Store, fingerprint: str, state: TriageState, *, actor: str, note: str = "") -> Finding:
    """Record what somebody decided; nothing decided before is changed. Raises `NotFound` or `UsageError`."""
    if state not in BY_HAND:
        raise UsageError(
            f"{state.value} cannot be set by hand", f"one of: {', '.join(sorted(s.value for s in BY_HAND))}"
        )
    with store.atomic("findings.triage"):
        found = finding(store, fingerprint)
        _add_event(store, found.fingerprint, state, actor, note)
    return finding(store, found.fingerprint)


def triage_events(store: Store, fingerprint: str) -> list[TriageEvent]:
    """Oldest first."""
    rows = store.read("SELECT * FROM triage_events WHERE fingerprint = ? ORDER BY id", (fingerprint,))
    return [
        TriageEvent(row["fingerprint"], TriageState(row["state"]), row["actor"], row["note"], row["at"]) for row in rows
    ]


def _add_event(store: Store, fingerprint: str, state: TriageState, actor: str, note: str) -> None:
    store.write(
        "INSERT INTO triage_events (fingerprint, state, actor, note, at) VALUES (?, ?, ?, ?, ?)",
        (fingerprint, state.value, actor, note, now()),
    )
    store.write("UPDATE findings SET triage = ? WHERE fingerprint = ?", (state.value, fingerprint))


# --- the models table -----------------------------------------------------------------------------------------

_MODELS = (
    "FROM jobs AS j LEFT JOIN audits AS a ON a.id = j.audit_id LEFT JOIN findings AS f ON f.fingerprint = j.fingerprint"
)


def model_rows(store: Store, *, filter: str = "", limit: int | None = None, offset: int = 0) -> list[ModelRow]:
    """One line per discovered revision, newest discovery first. Raises `QueryError`."""
    where, parameters = query.to_sql(query.parse(filter), MODEL_COLUMNS)
    rows = store.read(
        "SELECT j.*, a.verdict, a.carrier, a.channel, a.trigger, a.target, a.interfaces, a.reference"
        f" {_MODELS} WHERE {where} ORDER BY j.id DESC LIMIT ? OFFSET ?",
        (*parameters, _limit(limit), offset),
    )
    return [_to_model_row(row) for row in rows]


def model_row(store: Store, job_id: int) -> ModelRow:
    """The line of one job. Raises `NotFound`."""
    rows = model_rows(store, filter=f"job:{job_id}")
    if not rows:
        raise NotFound(f"there is no job {job_id}", "`dife queue` lists them")
    return rows[0]


def count_models(store: Store, *, filter: str = "") -> int:
    """How many lines `model_rows` would give without a limit. Raises `QueryError`."""
    where, parameters = query.to_sql(query.parse(filter), MODEL_COLUMNS)
    return int(store.read(f"SELECT count(*) AS n {_MODELS} WHERE {where}", parameters)[0]["n"])


def _to_model_row(row: dict[str, Any]) -> ModelRow:
    return ModelRow(
        job=to_job(row),
        verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        carrier=row["carrier"] or "",
        channel=row["channel"] or "",
        trigger=row["trigger"] or "",
        target=row["target"] or "",
        interfaces=tuple(json.loads(row["interfaces"] or "[]")),
        reference=row["reference"] or "",
        layout=row["layout"],
        finding=row["fingerprint"],
        last_modified=row["last_modified"],
    )


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit
