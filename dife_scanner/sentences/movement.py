"""What moved between two revisions of a repository, in words."""

from __future__ import annotations

from dife_scanner.records import ExposureChange, ModelRow, Movement
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.numbers import number, signed

_NOT_MEASURED = "not measured"
_NAMED = 3
"""Tensors, and cells, that one line names."""


def movement_text(moved: Movement) -> str:
    """`3f2a (audit 12ab), nothing found then: 34 of 398 tensors moved, …; retrieval ASR 0.020 → 0.810`."""
    then = f"{VERDICT_LABEL[moved.before]} then"
    parts = [f"{moved.since.revision[:12]} (audit {moved.audit_id}), {then}: {_tensors(moved)}"]
    furthest = []
    for one in moved.largest[:_NAMED]:
        distance = "" if one.distance is None else f" by {number(one.distance)}"
        furthest.append(f"{one.name}{distance}")
    if furthest:
        parts.append(f"furthest {', '.join(furthest)}")
    return "; ".join((*parts, *exposure_texts(moved)))


def revision_text(one: ModelRow, shown: int) -> str:
    """`3f2a…, audited 2026-11-25: nothing found; largest exposure +0.02`, and whether it is the one with this job."""
    verdict = VERDICT_LABEL[one.verdict] if one.verdict is not None else "no verdict"
    text = f"{one.job.ref.revision[:12]}, audited {one.job.updated_at[:10]}: {verdict}"
    if one.exposure is None:
        text += "; no exposure measured"
    else:
        text += f"; largest exposure {signed(one.exposure)}"
    return f"{text} (shown here)" if one.job.id == shown else text


def _tensors(moved: Movement) -> str:
    if not moved.moved:
        return f"none of {moved.tensors} tensors moved"
    text = f"{moved.moved} of {moved.tensors} tensors moved"
    if moved.distance is None:
        return text
    return f"{text}, by about {number(moved.distance)} of the length of all"


def exposure_texts(moved: Movement) -> list[str]:
    """The cells that changed most, before and after; each audit measured them with the trigger that it examined."""
    order = sorted(moved.exposures, key=_change, reverse=True)
    return [
        f"{one.interface} {one.metric} {_value(one.before)} → {_value(one.after)}"
        for one in order[:_NAMED]
    ]


def _change(one: ExposureChange) -> float:
    return abs((one.after or 0.0) - (one.before or 0.0))


def _value(value: float | None) -> str:
    return _NOT_MEASURED if value is None else number(value)
