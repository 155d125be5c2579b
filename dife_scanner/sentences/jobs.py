"""Where a revision without a verdict stands, and what the queue takes of the disk, in words."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from dife_scanner.records import DiskUse, Job, JobState
from dife_scanner.sentences.numbers import bytes_text
from dife_scanner.sentences.times import age_text, span_text, time_text
from dife_scanner.sentences.watching import reason_text

if TYPE_CHECKING:
    from dife_scanner.store.throughput import Throughput
    from dife_scanner.store.upcoming import Upcoming, Waiting

_PLACES = (
    "as a listing shows it",
    "another revision of it is flagged or approved",
    "in use",
    "requested by hand",
    "put first",
)
"""Why a job stands where it does, by its priority."""


def job_sentence(job: Job) -> str:
    """Where a revision without a verdict stands."""
    state = job.state.value.replace("-", " ")
    if job.state is JobState.DONE:
        return "Done."
    if job.state.is_final:
        return (
            f"No verdict: {state}. This says nothing about whether the checkpoint has a backdoor."
        )
    return f"No verdict yet: {state}."


def disk_text(use: DiskUse) -> str:
    """`disk: fetched weights take 1.2 GB of 107.4 GB; 73.0 GB are free, of which 5.4 GB stay free`."""
    return (
        f"disk: fetched weights take {bytes_text(use.fetched)} of {bytes_text(use.quota)}; "
        f"{bytes_text(use.free)} are free, of which {bytes_text(use.floor)} stay free"
    )


def waiting_text(one: Waiting, now: datetime) -> str:
    """Why a job waits in its place: `requested by hand`, `in 12 min: the hub did not answer`."""
    reason = reason_text(one.job)
    if not one.due and one.job.next_check_at:
        return f"{age_text(one.job.next_check_at, now)}: {reason}"
    place = _PLACES[min(max(one.priority, 0), len(_PLACES) - 1)]
    if one.priority == 0 and one.popularity:
        place = f"{place}, {10 ** (one.popularity - 1):,} downloads or more"
    if one.job.in_use:
        return reason
    return f"{place}; {reason}" if reason else place


def time_left_text(place: int, workers: int, seconds: float | None) -> str:
    """About when a job that waits is done, `place` counted from 0; empty where no audit says how long one takes."""
    if seconds is None:
        return ""
    minutes = (place // max(workers, 1) + 1) * seconds / 60
    if minutes < 1:
        return "< 1 min"
    if minutes < 120:
        return f"~ {minutes:.0f} min"
    return f"~ {minutes / 60:.0f} h"


def throughput_lines(found: Throughput) -> list[str]:
    """What was done of late, what failed, and when the queue is empty."""
    lines = [
        f"last {span_text(3600 * found.hours)}: {found.jobs_per_hour:.3g} jobs an hour, {found.audits:,} audits,"
        f" {found.reused:,} answered by an earlier audit, workers busy {found.busy:.0%} of one,"
        f" {found.requests:,} requests of passes"
    ]
    if found.audits:
        known = (
            "" if found.remembered is None else f", {found.remembered:.0%} of inputs known before"
        )
        use = [f"{device} {share:.0%}" for device, share in found.devices.items()]
        lines.append(
            f"audits encode {found.pictures_per_second:.3g} pictures and {found.texts_per_second:.3g} texts a second"
            f"{known}; in use: {', '.join(use) or 'not recorded'}"
        )
    if found.failures:
        kinds = [f"{count:,} {kind}" for kind, count in sorted(found.failures.items())]
        lines.append(f"failures: {', '.join(kinds)}")
    if found.oldest_waiting is not None:
        since = time_text(found.oldest_waiting)
        left = _left_text(found.hours_left)
        lines.append(f"waiting: {found.waiting:,}, the oldest since {since}; {left}")
    if found.oldest_unaudited is not None:
        oldest = found.oldest_unaudited
        lines.append(
            f"oldest unaudited: {oldest.ref}, discovered {time_text(oldest.created_at)}, {oldest.state.value}"
        )
    return lines


def _left_text(hours: float | None) -> str:
    if hours is None:
        return "nothing has ended to tell how long they take"
    return f"about {span_text(3600 * hours)} at this pace"


def backlog_text(found: Upcoming, hours_left: float | None) -> str:
    """`1 in work, 12 waiting, 2 stuck; about 3.0 h at this pace; paused by ada, 2026-11-23 13:42`."""
    parts = [queue_counts(found)]
    if found.waiting_count:
        parts.append(_left_text(hours_left))
    parts += [note for note in (queue_note(found),) if note]
    return "; ".join(parts)


def queue_counts(found: Upcoming) -> str:
    """`1 in work, 12 waiting, 2 stuck`."""
    return f"{len(found.working)} in work, {found.waiting_count:,} waiting, {found.stuck_count:,} stuck"


def queue_note(found: Upcoming) -> str:
    """By whom it is paused, and what is asked for and not done; empty where there is neither."""
    notes = []
    if found.paused is not None:
        notes.append(f"paused by {found.paused.actor}, {time_text(found.paused.created_at)}")
    if found.asked:
        asked = ", ".join(f"{one.kind.value} {one.target}".strip() for one in found.asked[:3])
        notes.append(f"asked for and not done: {asked}")
    return "; ".join(notes)
