"""What is watched, how far it has been read, and what the hub's own scanners say, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dife_scanner.records import HubScan, Job, Reach, Scope, WatchedModel
from dife_scanner.sentences.numbers import count

_NAMED = 3
"""Files with an issue that one line names."""
_SCOPES = {
    Scope.IN_USE: "the models in use",
    Scope.FINE_TUNES: "the models in use, and what was made from them or from their bases",
    Scope.EVERYTHING: "everything that looks like a CLIP",
}


def scope_text(scope: Scope, since: str) -> str:
    """What is watched, e.g. `everything that looks like a CLIP, back 30 days`."""
    if scope is Scope.IN_USE:
        return _SCOPES[scope]
    if since == "all":
        return f"{_SCOPES[scope]}, back to the first"
    back = f"back {since}" if since.endswith("days") else f"back to {since}"
    return f"{_SCOPES[scope]}, {back}"


def reading_text(unread: Mapping[str, Reach]) -> str:
    """How far the sources were read that are not read back to the time asked for; empty where all are."""
    if not unread:
        return ""
    reached = [reach.oldest[:10] for reach in unread.values() if reach.oldest]
    so_far = f", the furthest to {min(reached)} so far" if reached else ""
    return f"still reading back: {count(len(unread), 'source')}{so_far}"


def watched_lines(watched: Sequence[WatchedModel]) -> list[str]:
    """How many models are in use, and a line for each of which the hub has something to say."""
    if not watched:
        return []
    unseen = [one for one in watched if not one.looked_at]
    first = f"in use: {count(len(watched), 'model')}"
    if unseen:
        first += f", {len(unseen):,} not looked up yet"
    lines = [first]
    for one in watched:
        if one.reason:
            state = f"{one.state.value}: " if one.state else ""
            lines.append(f"  {one.wanted.repo_id} ({one.wanted.place}): {state}{one.reason}")
    return lines


def reason_text(job: Job) -> str:
    """Why a job is where it is, and where its checkpoint is used."""
    if not job.in_use:
        return job.reason
    if job.reason in ("", "in use"):
        return f"in use: {job.in_use}"
    return f"in use: {job.in_use}; {job.reason}"


def scan_text(scan: HubScan | None) -> str:
    """What the hub's own scanners say of a repository. They look for code in files, not for backdoors in weights."""
    if scan is None:
        return "The hub's own scan: nothing known of one, which does not mean safe."
    named = [f"{path} ({level})" for path, level in scan.files[:_NAMED]]
    more = len(scan.files) + scan.more - len(named)
    if named and more:
        named.append(f"{more:,} more")
    issues = f"issues in {', '.join(named)}" if named or more else ""
    if not scan.done:
        unfinished = "not finished, and not scanned does not mean safe"
        return f"The hub's own scan: {unfinished}{f'; {issues}' if issues else ''}."
    if issues:
        return f"The hub's own scan: {issues}."
    return "The hub's own scan: no file with an issue. It looks for malicious files, not for backdoors in weights."
