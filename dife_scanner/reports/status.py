"""How things stand, in lines."""

from __future__ import annotations

from rich.console import Group, RenderableType

from dife_scanner.records import Scope
from dife_scanner.reports.as_json import StatusDocument
from dife_scanner.reports.layout import safe
from dife_scanner.sentences.alerts import alert_lines
from dife_scanner.sentences.jobs import disk_text, throughput_lines
from dife_scanner.sentences.times import time_text
from dife_scanner.sentences.watching import reading_text, scope_text, watched_lines


def render(document: StatusDocument) -> RenderableType:
    """What runs, what is watched, what waits and what it takes of the disk."""
    return Group(*(safe(line, 300) for line in lines(document)))


def lines(document: StatusDocument) -> list[str]:
    """The same as texts that still have to be made safe to show."""
    found = ["watching" if document.watching else "not watching; start with `dife watch`"]
    for beat in document.processes:
        place = f", {beat.device}" if beat.device else ""
        found.append(
            f"  {beat.role} (process {beat.pid}{place}): {beat.note}, {time_text(beat.at)}"
        )
    found.append(f"scope: {scope_text(Scope(document.scope), document.since)}")
    found += [text for text in (reading_text(document.unread),) if text]
    last = time_text(document.last_pass_at) if document.last_pass_at else "never"
    found.append(f"last complete poll: {last}")
    states = [f"{count} {state}" for state, count in document.counts.items() if count]
    found.append(", ".join(states) or "no model discovered yet")
    if document.throughput is not None:
        found += throughput_lines(document.throughput)
    if document.hub_left:
        left = [f"{count:,} of {limit}" for limit, count in document.hub_left.items()]
        found.append(f"requests left in the hub's window: {', '.join(left)}")
    found += alert_lines(
        document.alerts_pending, document.alerts_dead, document.alerts_error, document.silences
    )
    found.append(disk_text(document.disk))
    found += watched_lines(document.in_use)
    return found
