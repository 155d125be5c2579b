"""Deployments, decisions and the gate's answers in the terminal; what others wrote is made plain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from dife_scanner.records import (
    DecisionState,
    Deployment,
    DeploymentDecision,
    DeploymentMeasurement,
    GateAnswer,
    OwnData,
    Standing,
)
from dife_scanner.reports import table
from dife_scanner.reports.as_json import AboutDocument, HandoverDocument
from dife_scanner.reports.layout import columns, heading, safe
from dife_scanner.sentences.decisions import (
    conflict_lines,
    expiry_text,
    grounds_text,
    measured_lines,
    measured_text,
    precedent_line,
    who,
    why_text,
)
from dife_scanner.sentences.times import time_text

_STYLE = {
    DecisionState.APPROVED: "green",
    DecisionState.CONDITIONS: "green",
    DecisionState.REFUSED: "bold red",
    DecisionState.PENDING: "yellow",
}
_SHORT_ID = 17
"""Characters of an artefact's id in a table; the beginning finds it."""
_LONGEST = 1500


# --- deployments ------------------------------------------------------------------------------------------------


def deployments(rows: Sequence[Deployment]) -> RenderableType:
    """Deployments, one per line."""
    if not rows:
        return Text("No deployment yet; `dife deployments add` makes one.", "dim")
    made = columns("deployment", "version", "interfaces", "classes", "queries", "K", "changed")
    for row in rows:
        profile = row.profile
        made.add_row(
            safe(profile.name),
            str(row.version),
            safe(", ".join(profile.interfaces), 200),
            str(len(profile.classes)),
            str(len(profile.queries)),
            str(profile.k),
            safe(f"{time_text(row.at)} by {row.actor}"),
        )
    return made


def deployment(row: Deployment) -> RenderableType:
    """Everything that the profile of one deployment says."""
    profile = row.profile
    removed = ", removed" if row.removed else ""
    lines = [
        f"{profile.name}, version {row.version}{removed}, {time_text(row.at)} by {row.actor}",
        f"digest: {row.digest}",
        f"interfaces: {', '.join(profile.interfaces)}",
        f"templates: {', '.join(profile.templates) or 'those of the audit'}",
        f"classes: {', '.join(profile.classes) or 'none'}",
        f"queries: {', '.join(profile.queries) or 'none'}",
        f"K: {profile.k}",
        f"pictures: {_own(profile.pictures)}",
        f"pool: {_own(profile.pool)}",
    ]
    head, *said = lines
    return Group(
        safe(head, _LONGEST), *(Padding(safe(line, _LONGEST), (0, 0, 0, 2)) for line in said)
    )


def _own(data: OwnData | None) -> str:
    return f"{data.path} (sha256 {data.digest[:16]}…)" if data else "none of its own"


def measurements(rows: Sequence[DeploymentMeasurement]) -> RenderableType:
    """What was measured for a deployment, one audit after the other."""
    parts: list[RenderableType] = []
    for row in rows:
        severity = row.severity.value or "nothing measured"
        head = f"audit {row.audit}, {row.deployment} version {row.version}: {severity}"
        parts.append(safe(head, 200, "bold"))
        parts += [Padding(safe(line, _LONGEST), (0, 0, 0, 2)) for line in measured_lines(row)]
    return Group(*parts) if parts else Text("Nothing to measure.", "dim")


def for_deployments(rows: Sequence[Standing], *, full: bool = False) -> list[RenderableType]:
    """One line for each deployment: what counts, and how severe it is there; `full`: with every interface."""
    parts: list[RenderableType] = [heading("for deployments")] if rows else []
    for row in rows:
        head = Text.assemble(row.deployment, ": ", (row.state.value, _STYLE[row.state]), "; ")
        head.append_text(safe(measured_text(row) or why_text(row), _LONGEST))
        parts.append(head)
        if full and row.measured is not None:
            parts += [
                Padding(safe(line, _LONGEST), (0, 0, 0, 2)) for line in measured_lines(row.measured)
            ]
    return parts


# --- decisions --------------------------------------------------------------------------------------------------


def standings(rows: Sequence[Standing]) -> RenderableType:
    """What counts now, one per line, and below what has to be known besides."""
    if not rows:
        return Text("No decision matches; what nobody has decided is pending.", "dim")
    made = columns("model", "artefact", "deployment", "standing", "owner", "expires", "audit")
    for row in rows:
        decision = row.decision
        made.add_row(
            safe(row.model),
            safe(row.artefact[:_SHORT_ID]),
            safe(row.deployment),
            Text(row.state.value, _STYLE[row.state]),
            safe(decision.owner if decision else ""),
            safe(expiry_text(decision.expires) if decision else ""),
            safe(grounds_text(row.grounds)),
        )
    return Group(made, *_notes(rows))


def _notes(rows: Sequence[Standing]) -> Iterator[RenderableType]:
    for row in rows:
        lines = [why_text(row), *conflict_lines(row)]
        if measured := measured_text(row):
            lines.append(measured)
        for line in lines:
            yield safe(
                f"{row.model or row.artefact[:_SHORT_ID]}, {row.deployment}: {line}", _LONGEST
            )


def log(rows: Sequence[DeploymentDecision]) -> RenderableType:
    """Decisions as they were made, one per line."""
    if not rows:
        return Text("No decision matches.", "dim")
    made = columns("decided", "by", "model", "artefact", "deployment", "decision", "reason")
    for row in rows:
        made.add_row(
            safe(time_text(row.at)),
            safe(who(row)),
            safe(row.model),
            safe(row.artefact[:_SHORT_ID]),
            safe(row.deployment),
            Text(row.state.value, _STYLE[row.state]),
            safe(row.reason, 200),
        )
    return made


def gate(answers: Sequence[GateAnswer]) -> RenderableType:
    """Whether the gate opens for each target, and why."""
    lines: list[RenderableType] = []
    for one in answers:
        word = "open" if one.opens else "shut"
        style = "green" if one.opens else _STYLE[DecisionState.REFUSED]
        head = Text.assemble((word, style), " ")
        head.append_text(safe(f"{one.target}, {one.deployment}: {one.state}", 300))
        lines.append(head)
        details = [one.reason]
        if one.conditions:
            details.append(f"conditions: {one.conditions}")
        if one.artefact:
            details.append(f"artefact {one.artefact}")
        lines += [Padding(safe(text, _LONGEST), (0, 0, 0, 2)) for text in details]
    return Group(*lines)


def about(document: AboutDocument) -> RenderableType:
    """One checkpoint: what counts for each deployment, earlier decisions on what is like it, and its log."""
    parts: list[RenderableType] = [safe(f"{document.target}: {document.artefact}", 200, "bold")]
    parts.append(standings(document.standings))
    for title, found in (("may be taken over", True), ("only proposes", False)):
        rows = [one for one in document.precedents if one.may_be_taken_over is found]
        if rows:
            parts.append(heading(f"precedents, {title}"))
            parts += [
                safe(f"{one.decision.deployment}: {precedent_line(one)}", _LONGEST) for one in rows
            ]
    parts.append(heading("log"))
    parts.append(log(document.log))
    return Group(*parts)


# --- handover ---------------------------------------------------------------------------------------------------


def handover(document: HandoverDocument) -> RenderableType:
    """What waits for somebody, part by part; a part with nothing in it says so."""
    counts = document.counts
    within = f"{document.days:g} days"
    parts: list[RenderableType] = [safe(f"Handover of {time_text(document.at)}", style="bold")]
    parts += _part("open findings", counts["open"], document.open, table.findings)
    parts += _part("disputed", counts["disputed"], document.disputed, table.findings)
    for finding in document.disputed:
        if finding.answer:
            parts.append(safe(f"  {finding.ref}: the supplier answered: {finding.answer}"))
    overdue = document.overdue
    parts += _part("disputed, answer overdue", counts["overdue"], overdue, table.findings)
    parts += _part("to be decided", len(document.pending), document.pending, standings)
    expiring = document.expiring
    parts += _part(f"decisions that expire within {within}", len(expiring), expiring, standings)
    parts += _part("quarantined", counts["quarantined"], document.quarantined, table.queue)
    parts += _part("silenced", counts["silenced"], document.silenced, table.findings)
    return Group(*parts)


def _part(
    title: str, count: int, rows: Sequence[Any], shown: Callable[[Any], RenderableType]
) -> Iterator[RenderableType]:
    more = f", the newest {len(rows)} are" if count > len(rows) else ""
    yield heading(f"{title}: {count or 'none'}{more}")
    if rows:
        yield shown(rows)
