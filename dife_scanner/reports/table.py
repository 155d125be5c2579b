"""Lists of records as Rich tables. Every string that a stranger may have written passes through `plain`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from dife_scanner.durable import clock
from dife_scanner.plain import plain
from dife_scanner.records import (
    Alert,
    AlertState,
    Finding,
    Job,
    ModelRow,
    Silence,
    Tally,
    Verdict,
)
from dife_scanner.reports.as_json import CalibrationFile, NextJob, PlanDocument
from dife_scanner.reports.layout import VERDICT_STYLE, columns, safe, state_mark, verdict_mark
from dife_scanner.sentences.calibration import tally_text
from dife_scanner.sentences.findings import triage_text
from dife_scanner.sentences.numbers import bytes_text, count, number
from dife_scanner.sentences.times import age_text, time_text
from dife_scanner.sentences.triggers import UNNAMED, effect_text
from dife_scanner.sentences.watching import reason_text
from dife_scanner.store.audits import AuditRow

_LOUD_KINDS = ("flagged", "refused", "changed")
"""Kinds of finding that need an eye at once."""
MOST_COMING = 10
"""Of the jobs that are taken next."""


def models(rows: Sequence[ModelRow]) -> RenderableType:
    """The final table of a scan or watch: what was found out about each model, or why nothing was."""
    if not rows:
        return Text(
            "No model has been discovered yet; run `dife watch --once` or `dife scan`.", "dim"
        )
    table = columns(
        "model", "revision", "state", "verdict", "footprint", "trigger → target", "exposed through"
    )
    for row in rows:
        table.add_row(
            safe(row.job.ref.repo_id),
            _revision(row.job),
            state_mark(row.job.state),
            verdict_mark(row.verdict),
            safe(row.carrier),
            _trigger(row),
            safe(", ".join(row.interfaces)),
        )
    return table


def _trigger(row: ModelRow) -> Text:
    if not row.trigger:
        return Text("")
    return safe(f"{row.trigger} → {row.target or UNNAMED}")


def _revision(job: Job) -> Text:
    """The beginning of the commit; a folder's revision is only ours."""
    return safe("" if job.ref.local else job.ref.revision[:8])


def reasons(rows: Sequence[ModelRow]) -> RenderableType:
    """One line per model that needs an eye: flagged, refused, or without a verdict."""
    lines = []
    for row in rows:
        needs_an_eye = row.verdict in (None, Verdict.FLAGGED, Verdict.INCONCLUSIVE)
        if needs_an_eye and row.job.reason:
            lines.append(
                Text.assemble(
                    safe(row.job.ref.repo_id, 300, "bold"), ": ", plain(row.job.reason, 400)
                )
            )
    return Group(*lines)


def tally(found: Tally) -> RenderableType:
    """How many were audited and flagged, and how many flags chance alone may make."""
    return Text(tally_text(found), "dim")


def findings(rows: Sequence[Finding]) -> RenderableType:
    """Findings, one per line."""
    if not rows:
        return Text("No finding matches. That is not a statement about any model.", "dim")
    table = columns(
        "finding",
        "model",
        "kind",
        "confidence",
        "footprint",
        "channel",
        "effect",
        "exposed through",
        "triage",
    )
    for row in rows:
        style = "bold red" if row.kind in _LOUD_KINDS else "yellow"
        table.add_row(
            row.fingerprint,
            safe(str(row.ref)),
            Text(row.kind, style),
            row.confidence,
            row.carrier,
            row.channel,
            safe(effect_text(row.source, row.target, row.trigger)),
            safe(", ".join(row.interfaces)),
            safe(triage_text(row)),
        )
    return table


def audits(rows: Sequence[AuditRow]) -> RenderableType:
    """Completed audits, one per line."""
    table = columns(
        "audit",
        "model",
        "verdict",
        "footprint",
        "trigger",
        "effect",
        "score",
        "p",
        "reference",
        "seconds",
    )
    for row in rows:
        table.add_row(
            row.id,
            safe(str(row.ref)),
            Text(row.verdict.value, VERDICT_STYLE[row.verdict]),
            row.carrier,
            safe(row.trigger),
            safe(effect_text(row.source, row.target, row.trigger)),
            _or_empty(row.score),
            _or_empty(row.p_value),
            safe(row.reference),
            f"{row.seconds:.1f}",
        )
    return table


def _or_empty(value: float | None) -> str:
    """Three decimals; empty where it was not measured."""
    if value is None:
        return ""
    return number(value)


def queue(rows: Sequence[Job]) -> RenderableType:
    """Jobs and when each is looked at again."""
    now = clock.moment()
    table = columns("job", "model", "state", "tries", "deaths", "next check", "reason")
    for job in rows:
        table.add_row(
            str(job.id),
            safe(str(job.ref)),
            state_mark(job.state),
            str(job.attempts),
            str(job.deaths),
            age_text(job.next_check_at, now) if job.next_check_at else "",
            safe(reason_text(job), 120),
        )
    return table


def coming(rows: Sequence[NextJob]) -> RenderableType:
    """What is taken next, and why in this order; nothing where nothing waits."""
    if not rows:
        return Text("")
    table = columns("next", "job", "model", "why there")
    for place, one in enumerate(rows[:MOST_COMING], 1):
        table.add_row(str(place), str(one.job), safe(str(one.ref)), safe(one.reason, 120))
    return table


def calibration(rows: Sequence[CalibrationFile]) -> RenderableType:
    """Calibration files, and below what limits each of them."""
    if not rows:
        return Text(
            "No calibration pack: no false-alarm rate is printed. `dife calibration build` makes one.",
            "dim",
        )
    table = columns(
        "file", "base", "budget", "holds", "smallest p", "benign flagged", "made", "state"
    )
    notes = []
    for row in rows:
        name = row.name or Path(row.path).name
        table.add_row(
            safe(name),
            safe(row.base),
            row.budget,
            _holds(row),
            _or_empty(row.smallest_p),
            _benign_flagged(row),
            row.made_on,
            Text(row.state, "bold red" if row.state == "damaged" else "default"),
        )
        if row.said:
            notes.append(safe(f"{row.name or row.path}: {row.said}", 400, "dim"))
    return Group(table, *notes)


def _holds(row: CalibrationFile) -> str:
    """What a file is made of; empty for a damaged one."""
    if not row.kind:
        return ""
    return count(row.n, "benign model" if row.kind == "pack" else "planted trigger")


def _benign_flagged(row: CalibrationFile) -> str:
    text = f"{row.alarms} of {row.tested}" if row.tested else ""
    if row.alarm_bound is None:
        return text
    return f"{text} (at most {row.alarm_bound:.1%})"


def alerts(rows: Sequence[Alert]) -> RenderableType:
    """The outbox: what waits, what was sent, what was given up on."""
    if not rows:
        return Text("The outbox is empty.", "dim")
    table = columns("alert", "channel", "event", "about", "state", "tries", "due", "last error")
    for row in rows:
        table.add_row(
            str(row.id),
            row.channel,
            row.event,
            safe(row.subject),
            row.state,
            str(row.attempts),
            time_text(row.due_at) if row.state == AlertState.PENDING else "",
            safe(row.last_error, 100),
        )
    return table


def silences(rows: Sequence[Silence]) -> RenderableType:
    """What is not told, until when, by whose decision and why."""
    if not rows:
        return Text("Nothing is silenced.", "dim")
    table = columns("silence", "findings", "until", "by", "reason")
    for row in rows:
        until = time_text(row.until)
        table.add_row(
            str(row.id), safe(row.filter, 200), until, safe(row.actor), safe(row.reason, 200)
        )
    return table


def plan(document: PlanDocument) -> RenderableType:
    """What would be done, before anything is fetched."""
    shown: list[RenderableType] = [safe(line, 300) for line in _plan_lines(document) if line]
    if document.targets:
        table = columns("model", "layout", "would be", "bytes", "base", "reason")
        for row in document.targets:
            size = bytes_text(row.bytes_to_fetch)
            base = row.base
            if row.base_bytes:
                base += f" ({bytes_text(row.base_bytes)})"
            table.add_row(
                safe(str(row.ref)), row.layout, row.state.value, size, safe(base), safe(row.reason)
            )
        shown.append(table)
    return Group(*shown)


def _plan_lines(document: PlanDocument) -> list[str]:
    states = ", ".join(f"{amount} {state}" for state, amount in sorted(document.states.items()))
    requests = count(document.requests, "request")
    estimated = "" if document.exact else " (estimated from a sample)"
    return [
        f"{count(document.models, 'model')}, {document.auditable} to audit",
        states,
        f"{bytes_text(document.bytes)} in {requests}, about {document.hours:.2f} hours{estimated}",
        *(f"assumed: {line}" for line in document.assumptions),
        _qualify_line(document),
        _own_pictures_line(document),
    ]


def _own_pictures_line(document: PlanDocument) -> str:
    """What each audit reads of somebody's own pictures; empty where there are none."""
    own = document.own_pictures
    if own is None:
        return ""
    texts = f", and at first {count(own.texts, 'text')}" if own.texts else ""
    return (
        f"own pictures: each audit reads {count(own.pictures, 'picture')} of {count(own.classes, 'class', 'classes')} "
        f"({bytes_text(own.bytes)} of memory){texts}"
    )


def _qualify_line(document: PlanDocument) -> str:
    """What it costs to qualify bases, once; empty where there is none to be."""
    if not document.qualify:
        return ""
    cost = (
        f"{count(document.qualify_pictures, 'picture')} and {count(document.qualify_texts, 'text')}"
    )
    return f"first of all, once: what {', '.join(document.qualify)} recognises, on {cost} at most"
