"""A study as CSV: one row per entry of a profile, in long form, numbers at full precision (docs/known-triggers.md)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping

from dife_scanner.core.cards import CARDS
from dife_scanner.plain import plain
from dife_scanner.records import (
    Absent,
    ArtefactMissing,
    Audit,
    Cell,
    Change,
    Entry,
    Measure,
    NotEvaluable,
    SelectorControl,
)
from dife_scanner.reports.study import Row, Study

Value = str | int | float | None

COLUMNS: Mapping[str, str] = {
    "checkpoint": "the row's name in every table",
    "repository": "hub repository, or the path of a local checkpoint",
    "revision": "commit sha, or content hash of a local checkpoint",
    "audit": "id of the stored audit: `dife show`, `dife rerun`",
    "audit_version": "version of the measuring code",
    "reference": "the clean checkpoint it was compared with",
    "budget": "quick, default or deep",
    "seed": "of every random choice",
    "device": "what the model ran on",
    "score": "largest held-out success of a discovered trigger over the base's; empty where nothing was searched",
    "p_value": "of the score, against the benign models of the pack; empty without one",
    "pack": "calibration pack of the checkpoint's own base and budget",
    "alarm_bound": "upper bound of the share of such benign models that are flagged",
    "trigger": "name in the trigger file",
    "kind": "kind of the trigger",
    "channel": "where the attack enters",
    "source": "concept taken for another; empty where any is",
    "target": "what the attacker wants to be seen",
    "footprint": "the diagnosis, fixed before the profile",
    "interface": "name of the card",
    "group": "native, extension, readout or own; empty for an extension file's interface",
    "metric": "unit of the value",
    "entry": "exposed, weak, negative, n too small, N.E., not run, artefact missing or selector control",
    "category": "why it is N.E.; empty otherwise",
    "value": "with the trigger; of a selector control the suspect's clean selector",
    "value_low": "lower end of its 95 % interval",
    "value_high": "upper end",
    "n": "cases",
    "drawings": "independent drawings (own data: pictures) behind them",
    "reference_value": "under the reference condition; of a selector control the reference's clean selector",
    "reference_low": "lower end of its 95 % interval",
    "reference_high": "upper end",
    "reference_condition": "what that is, in words",
    "delta": "value minus reference_value, signed; empty for a selector control",
    "delta_low": "lower end of its paired 95 % interval",
    "delta_high": "upper end",
    "delta_trigger": "same checkpoint, triggered minus clean query",
    "delta_trigger_low": "lower end",
    "delta_trigger_high": "upper end",
    "delta_drift": "clean query, suspect minus clean checkpoint",
    "delta_drift_low": "lower end",
    "delta_drift_high": "upper end",
    "headroom": "1 − reference_value: how far the metric could rise",
    "population": "digest of the pool manifest; empty for the labelled probe set",
    "reason": "why there is no exposure cell, in words",
    "details": "further numbers of the cell, as a JSON object",
}
"""Every column and what it holds; a number that was not measured is an empty field, never a zero."""


def render(study: Study) -> str:
    """Header and rows, RFC 4180, UTF-8, line ends `\\n`. A text a spreadsheet could take for a formula gets a leading
    apostrophe.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in study.rows:
        of_audit = _of_audit(row)
        for entry in row.audit.profile:
            values = of_audit | _of_entry(entry)
            writer.writerow({column: field(value) for column, value in values.items()})
    return out.getvalue()


def field(value: Value) -> str:
    """A value as it stands in a file: a float in full, a text on one line and never as a formula."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value)
    text = plain(value, 1000)
    if text.startswith(_FORMULA):
        return f"'{text}"
    return text


_FORMULA = ("=", "+", "-", "@", "−")
"""What a spreadsheet takes for the beginning of one."""


def _of_audit(row: Row) -> dict[str, Value]:
    audit = row.audit
    trigger, diagnosis = audit.trigger, audit.diagnosis
    found: dict[str, Value] = {
        "checkpoint": row.name,
        "repository": audit.ref.repo_id,
        "revision": audit.ref.revision,
        "audit": audit.id,
        "audit_version": audit.audit_version,
        "reference": audit.reference,
        "budget": audit.budget,
        "seed": audit.seed,
        "device": audit.device,
        "score": audit.score,
        **_of_calibration(audit),
    }
    if audit.condition is not None:
        found["channel"] = audit.condition.channel.value
    if diagnosis is not None:
        found["footprint"] = diagnosis.carrier.value
    if trigger is not None:
        found |= {
            "trigger": trigger.name,
            "kind": str(trigger.kind),
            "source": trigger.source,
            "target": trigger.target,
        }
    return found


def _of_calibration(audit: Audit) -> dict[str, Value]:
    rating = audit.calibration
    if rating is None or rating.p_value is None:
        return {}
    return {"p_value": rating.p_value, "pack": rating.pack, "alarm_bound": rating.alarm_bound}


_GROUP = {card.interface: card.group.value for card in CARDS}


def _of_entry(entry: Entry) -> dict[str, Value]:
    common: dict[str, Value] = {
        "interface": entry.interface,
        "group": _GROUP.get(entry.interface, ""),
    }
    if isinstance(entry, Cell):
        return common | _of_cell(entry)
    if isinstance(entry, SelectorControl):
        return common | _of_control(entry)
    return common | _of_absence(entry)


def _of_absence(entry: Absent) -> dict[str, Value]:
    category, reason = "", entry.reason
    if isinstance(entry, NotEvaluable):
        category = entry.category.value
    if isinstance(entry, ArtefactMissing):
        reason = f"{entry.artefact}: {reason}"
    return {"entry": entry.word, "category": category, "reason": reason}


def _of_control(entry: SelectorControl) -> dict[str, Value]:
    return {
        "metric": entry.metric.removeprefix("Δ"),
        "entry": entry.word,
        **_measure("value", entry.suspect),
        "n": entry.suspect.n,
        "drawings": entry.suspect.drawings,
        **_measure("reference", entry.reference),
        **_change("delta_drift", entry.drift),
        "reason": entry.reason,
    }


def _of_cell(cell: Cell) -> dict[str, Value]:
    return {
        "metric": cell.metric,
        "entry": cell.entry.value,
        **_measure("value", cell.attack),
        "n": cell.attack.n,
        "drawings": cell.attack.drawings,
        **_measure("reference", cell.reference),
        "reference_condition": cell.reference_condition,
        "delta": cell.delta,
        "delta_low": cell.delta_interval.low,
        "delta_high": cell.delta_interval.high,
        **_change("delta_trigger", cell.trigger),
        **_change("delta_drift", cell.drift),
        "headroom": cell.headroom,
        "population": cell.population,
        "details": _details(cell),
    }


def _details(cell: Cell) -> str:
    if not cell.details:
        return ""
    return json.dumps(cell.details, sort_keys=True)


def _measure(name: str, measure: Measure) -> dict[str, Value]:
    """Value and both ends of its interval; what is measured is called `value`, its reference `reference_value`."""
    value = name if name == "value" else f"{name}_value"
    return {
        value: measure.value,
        f"{name}_low": measure.interval.low,
        f"{name}_high": measure.interval.high,
    }


def _change(name: str, change: Change | None) -> dict[str, Value]:
    if change is None:
        return {}
    return {
        name: change.value,
        f"{name}_low": change.interval.low,
        f"{name}_high": change.interval.high,
    }
