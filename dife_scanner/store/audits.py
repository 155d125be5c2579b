"""Completed audits, and the batches in which their p-values are corrected."""

# ruff: noqa: S608 - what is formatted into SQL are names from these files; values are always parameters

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dife_scanner.durable.clock import now
from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import (
    Audit,
    Budget,
    Carrier,
    Cell,
    Channel,
    EntryType,
    ModelRef,
    Tally,
    Verdict,
)
from dife_scanner.store import evidence, query, row_counts
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.conditions import condition
from dife_scanner.store.db import Store
from dife_scanner.store.fields import Column, Kind, choices
from dife_scanner.store.rows import begins_with, placeholders, sql_limit, to_ref


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


TRIGGER_COLUMNS = {
    "footprint": Column(
        "a.carrier", "component that carries the exposure", choices=choices(Carrier)
    ),
    "channel": Column("a.channel", "where the trigger enters", choices=choices(Channel)),
    "trigger": Column("a.trigger", "name of the trigger"),
    "source": Column("a.source", "what the trigger works on"),
    "target": Column("a.target", "where the trigger leads"),
    "interface": Column("a.interfaces", "exposed interfaces", Kind.LIST),
    "reference": Column("a.reference", "the clean base it was compared with"),
}
"""What is found of a trigger: wherever audits are in the statement."""
AUDIT_COLUMNS = {
    "id": Column("a.id", "its id"),
    "repo": Column("a.repo_id", "repository, or the path of a local checkpoint"),
    "revision": Column("a.revision", "commit"),
    "verdict": Column("a.verdict", "what the audit says", choices=choices(Verdict)),
    **TRIGGER_COLUMNS,
    "architecture": Column("a.architecture", "shape of the model"),
    "budget": Column("a.budget", "how much was spent", choices=choices(Budget)),
    "version": Column("a.audit_version", "version of the audit"),
    "pack": Column("a.pack", "calibration pack of its p-value"),
    "reason": Column("a.reason", "the reason in words"),
    "exposure": Column("a.exposure", "largest measured difference over the reference", Kind.NUMBER),
    "score": Column("a.score", "its score", Kind.NUMBER),
    "p_value": Column("a.p_value", "p-value of the score", Kind.NUMBER),
    "alarm_bound": Column("a.alarm_bound", "bound of the share of false alarms", Kind.NUMBER),
    "seconds": Column("a.seconds", "how long it took", Kind.NUMBER),
    "audited": Column("a.stored_at", "when it was stored", Kind.TIME),
    "age": Column("a.stored_at", "since it was stored", Kind.AGE),
}
"""Fields that a filter over audits knows."""


_RESTED_ON = """
SELECT record_sha256, stored_at >= ? OR id IN (
  SELECT audit_id FROM findings WHERE audit_id IS NOT NULL
  UNION SELECT audit_id FROM finding_history WHERE audit_id IS NOT NULL
  UNION SELECT j.audit_id FROM jobs AS j JOIN artefact_jobs AS l ON l.job_id = j.id
    JOIN decisions AS d ON d.artefact = l.artefact WHERE j.audit_id IS NOT NULL
) AS needed FROM audits
"""
"""Of each audit, whether its evidence is kept."""


# --- keeping --------------------------------------------------------------------------------------------------


def keep_record(store: Store, audit: Audit) -> str:
    """Write the whole record as an evidence file, before any row names it; returns its sha256."""
    return evidence.put(store.home, to_json(audit).encode("ascii"), ".json")


def insert_audit(store: Store, audit: Audit, record_sha256: str) -> str:
    """Inside a transaction: keep the row of a completed audit. Returns the id that is stored for this identity.

    The stored audit itself, calibrated anew or made again, replaces its record and waits for a batch again.
    """
    before = store.read(
        "SELECT id, record_sha256 FROM audits WHERE identity = ?", (audit.identity,)
    )
    if before:
        stored_id = str(before[0]["id"])
        if stored_id == audit.id and before[0]["record_sha256"] != record_sha256:
            _replace_record(store, audit, record_sha256)
        return stored_id
    row = _audit_values(audit, record_sha256)
    store.write(
        f"INSERT INTO audits ({', '.join(row)}) VALUES ({placeholders(tuple(row))})",
        tuple(row.values()),
    )
    return audit.id


def _audit_values(audit: Audit, record_sha256: str) -> dict[str, Any]:
    """The row of an audit, by column."""
    row = {
        "id": audit.id,
        "identity": audit.identity,
        "record_sha256": record_sha256,
        "repo_id": audit.ref.repo_id,
        "revision": audit.ref.revision,
        "local": int(audit.ref.local),
        "architecture": audit.architecture,
        "reference": audit.reference,
        "image_tower": audit.image_tower,
        "text_tower": audit.text_tower,
        "audit_version": audit.audit_version,
        "budget": audit.budget,
        "seed": audit.seed,
        "verdict": audit.verdict.value,
        "reason": audit.reason,
        "carrier": "",
        "channel": "",
        "trigger": "",
        "source": "",
        "target": "",
        "interfaces": json.dumps(_exposed_interfaces(audit)),
        "started_at": audit.started_at,
        "seconds": audit.seconds,
        "stored_at": now(),
        "score": audit.score,
        "exposure": _largest_exposure(audit),
        "cut": int(_is_cut(audit)),
        "device": audit.device,
    }
    if audit.encoded is not None:
        row |= asdict(audit.encoded)
    return row | _trigger_values(audit) | _calibration_values(audit)


def _is_cut(audit: Audit) -> bool:
    """Whether its time was too short for all that was to be searched, or a channel ended early."""
    return audit.plan is not None and not audit.plan.is_whole


def _trigger_values(audit: Audit) -> dict[str, Any]:
    """Trigger and footprint for lists, by column; nothing where nothing was found, whatever was examined."""
    row: dict[str, Any] = {}
    if audit.verdict is Verdict.NOTHING_FOUND:
        return row
    if audit.diagnosis:
        row["carrier"] = audit.diagnosis.carrier.value
        row["channel"] = audit.diagnosis.channel.value
    if audit.trigger:
        row["trigger"] = audit.trigger.name
        row["source"] = audit.trigger.source
        row["target"] = audit.trigger.target
    return row


def _calibration_values(audit: Audit) -> dict[str, Any]:
    """p-value, bound of the false-alarm rate, and the pack that gave them, by column."""
    calibration = audit.calibration
    if calibration is None or calibration.p_value is None:
        return {"p_value": None, "alarm_bound": None, "pack": ""}
    return {
        "p_value": calibration.p_value,
        "alarm_bound": calibration.alarm_bound,
        "pack": calibration.pack,
    }


def _replace_record(store: Store, audit: Audit, record_sha256: str) -> None:
    values = _audit_values(audit, record_sha256)
    columns = ", ".join(f"{column} = ?" for column in values)
    store.write(
        f"UPDATE audits SET {columns}, batch = '' WHERE id = ?", (*values.values(), audit.id)
    )


def _exposed_interfaces(audit: Audit) -> list[str]:
    found = []
    for entry in audit.profile:
        is_exposed = isinstance(entry, Cell) and entry.entry is EntryType.EXPOSED
        if is_exposed and entry.interface not in found:
            found.append(entry.interface)
    return found


def _largest_exposure(audit: Audit) -> float | None:
    """The largest difference over the reference of any interface with enough drawings; `None` without one."""
    found = []
    for entry in audit.profile:
        if isinstance(entry, Cell) and entry.entry is not EntryType.N_TOO_SMALL:
            found.append(entry.delta)
    return max(found, default=None)


# --- one audit ------------------------------------------------------------------------------------------------


def audit(store: Store, id_or_prefix: str) -> Audit:
    """Read the whole record. Raises `NotFound`, `UsageError` where a prefix fits several, `StoreCorrupt`."""
    rows = store.read(
        f"SELECT id, record_sha256 FROM audits WHERE {begins_with('id')} ORDER BY id != ?, id LIMIT 2",
        (id_or_prefix, id_or_prefix, id_or_prefix),
    )
    if not rows or not id_or_prefix:
        raise NotFound(f"there is no audit {query.shown(id_or_prefix)}", "`dife audits` lists them")
    if len(rows) > 1 and rows[0]["id"] != id_or_prefix:
        raise UsageError(f"{id_or_prefix} fits more than one audit", "give more of the id")
    return from_json(Audit, evidence.read(store.home, rows[0]["record_sha256"]))


def audit_by_identity(store: Store, identity: str) -> Audit | None:
    """Find the one completed audit of this identity."""
    rows = store.read("SELECT id FROM audits WHERE identity = ?", (identity,))
    if not rows:
        return None
    return audit(store, rows[0]["id"])


def is_audited(store: Store, identity_prefix: str) -> bool:
    """Tell whether an audit is stored whose identity begins with this, and whose searches all ran."""
    rows = store.read(
        f"SELECT 1 FROM audits WHERE {begins_with('identity')} AND NOT cut LIMIT 1",
        (identity_prefix, identity_prefix),
    )
    return bool(rows)


def cut_audits(store: Store, identity_prefix: str) -> list[Audit]:
    """Read the audits whose identity begins with this, the newest first: one of which nothing is left may have searched
    in another precision.
    """
    rows = store.read(
        f"SELECT id FROM audits WHERE {begins_with('identity')} ORDER BY stored_at DESC",
        (identity_prefix, identity_prefix),
    )
    return [audit(store, row["id"]) for row in rows]


def removable_evidence(store: Store, before: str) -> frozenset[str]:
    """The sha256 of every evidence file that only audits stored before name, on which no finding and no decision rests.

    A record itself is never among them. Reads every record; raises `NotFound` or `StoreCorrupt` for one that cannot be
    read, because nobody knows what it names.
    """
    removable: set[str] = set()
    needed: set[str] = set()
    for row in store.read(_RESTED_ON, (before,)):
        record = json.loads(evidence.read(store.home, row["record_sha256"]))
        needed.add(row["record_sha256"])
        named = needed if row["needed"] else removable
        named.update(file["sha256"] for file in record["evidence"])
    return frozenset(removable - needed)


# --- many audits ----------------------------------------------------------------------------------------------


def audits(store: Store, *, filter: str = "", limit: int | None = None) -> list[AuditRow]:
    """List audits, newest first. `filter` is the grammar of `query`; raises `QueryError`."""
    where, parameters = condition(store, filter, AUDIT_COLUMNS)
    rows = store.read(
        f"SELECT * FROM audits AS a WHERE {where} ORDER BY stored_at DESC LIMIT ?",
        (*parameters, sql_limit(limit)),
    )
    return [_to_audit_row(row) for row in rows]


def flagged_or_inherited(store: Store, image_tower: str, text_tower: str) -> list[Audit]:
    """Read the audits with one of these two verdicts on checkpoints of these very towers, newest first."""
    rows = store.read(
        "SELECT id FROM audits WHERE image_tower = ? AND text_tower = ? AND verdict IN ('flagged', 'inherited')"
        " ORDER BY stored_at DESC",
        (image_tower, text_tower),
    )
    return [audit(store, row["id"]) for row in rows]


_OF_LATE = 2000
"""Audits that may say how long one takes."""


def usual_seconds(store: Store, budget: Budget) -> float | None:
    """How long an audit at this budget took here: the mean of the newest fifty that compared something, or `None`.

    Of the newest thousands only: what was long ago says little, and to look at all takes long.
    """
    rows = store.read(
        "SELECT avg(seconds) AS mean FROM (SELECT seconds FROM"
        " (SELECT seconds, budget, verdict FROM audits ORDER BY stored_at DESC LIMIT ?)"
        " WHERE budget = ? AND verdict NOT IN ('identical', 'inconclusive') LIMIT 50)",
        (_OF_LATE, budget),
    )
    mean: float | None = rows[0]["mean"]
    return mean


def budgets_of_late(store: Store) -> dict[Budget, int]:
    """At which budget how many of the newest fifty audits were made, most first."""
    rows = store.read(
        "SELECT budget, count(*) AS made FROM (SELECT budget FROM audits ORDER BY stored_at DESC LIMIT 50)"
        " GROUP BY budget ORDER BY made DESC, budget"
    )
    return {Budget(row["budget"]): row["made"] for row in rows}


def tally(store: Store, *, filter: str = "") -> Tally:
    """Count over the audits that `audits` would list with this filter. Raises `QueryError`."""
    if not filter:
        return row_counts.tally(store)
    where, parameters = condition(store, filter, AUDIT_COLUMNS)
    rows = store.read(
        "SELECT count(*) AS audited, coalesce(sum(a.verdict = 'flagged'), 0) AS flagged,"
        " coalesce(sum(a.id IN (SELECT audit_id FROM findings WHERE kind = 'anomalous')), 0) AS anomalous,"
        " count(a.alarm_bound) AS rated, coalesce(sum(a.alarm_bound), 0.0) AS expected"
        f" FROM audits AS a WHERE {where}",
        parameters,
    )
    return Tally(**rows[0])


def _to_audit_row(row: dict[str, Any]) -> AuditRow:
    return AuditRow(
        id=row["id"],
        identity=row["identity"],
        record_sha256=row["record_sha256"],
        ref=to_ref(row),
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


# --- batches --------------------------------------------------------------------------------------------------


def open_batch(store: Store) -> list[Scored]:
    """List the audits with a p-value whose batch is not over yet."""
    return _scored(store, "batch = ''", ())


def scored(store: Store, audit_ids: Sequence[str]) -> list[Scored]:
    """List those of these audits that have a p-value."""
    return _scored(store, f"id IN ({placeholders(audit_ids)})", audit_ids)


def _scored(store: Store, where: str, parameters: Sequence[str]) -> list[Scored]:
    rows = store.read(
        f"SELECT id, p_value FROM audits WHERE p_value IS NOT NULL AND {where} ORDER BY stored_at, id",
        parameters,
    )
    return [Scored(row["id"], row["p_value"]) for row in rows]


def close_batch(store: Store, corrected: Sequence[Scored]) -> None:
    """Inside a transaction: note that these audits were corrected together."""
    at = now()
    for one in corrected:
        store.write("UPDATE audits SET batch = ? WHERE id = ?", (at, one.audit_id))
