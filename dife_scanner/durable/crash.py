"""Points at which the crash tests kill a process: after each commit, rename and send."""

from __future__ import annotations

import os
import signal

CRASH_POINTS: tuple[str, ...] = (
    "evidence.written",
    "evidence.renamed",
    "hub.renamed",
    "jobs.discover",
    "jobs.mark_in_use",
    "jobs.claim",
    "jobs.claim_job",
    "jobs.claim_ahead",
    "jobs.reserve",
    "jobs.heartbeat",
    "jobs.advance",
    "jobs.keep_manifest",
    "jobs.retry_later",
    "jobs.finish",
    "jobs.record_death",
    "jobs.requeue_lost",
    "jobs.requeue",
    "jobs.recheck",
    "jobs.while_none_changes",
    "jobs.cancel",
    "jobs.pause",
    "jobs.release",
    "opinions.keep",
    "announced.keep",
    "artefacts.keep",
    "revisions.keep_marks",
    "batch.settle",
    "polls.complete_pass",
    "polls.keep_reach",
    "polls.beat",
    "polls.forget",
    "watchlist.replace_all",
    "watchlist.keep",
    "findings.triage",
    "deployments.keep",
    "measurements.keep",
    "decisions.keep",
    "outbox.news",
    "outbox.planned",
    "outbox.delivered",
    "outbox.sent",
    "outbox.failed",
    "outbox.dead",
    "outbox.pause",
    "outbox.revive",
    "outbox.forget_news",
    "silences.keep",
    "operations.told",
    "references.add",
    "references.remove",
    "references.use",
    "qualifications.keep",
    "trust.keep",
    "requests.add",
    "requests.take",
    "discovery.kept",
    "inversion.kept",
    "readings.kept",
    "child.outcome",
    "worker.fetched",
    "worker.staged",
    "worker.audited",
)
"""After each commit (the name given to `Store.atomic`), rename and send. A test compares this with the call sites."""

_hits: dict[str, int] = {}


def crash_point(name: str) -> None:
    """Kill this process here when `DIFE_CRASH_AT` is `name` (or `name:n`: on the n-th passage). For crash tests.

    With `DIFE_CRASH_MARK` only once over all processes: whoever can create that file is the one that dies.
    """
    wanted = os.environ.get("DIFE_CRASH_AT")
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    if point != name:
        return
    _hits[name] = _hits.get(name, 0) + 1
    if _hits[name] == int(count or 1) and _first_to_die():
        os.kill(os.getpid(), signal.SIGKILL)


def _first_to_die() -> bool:
    mark = os.environ.get("DIFE_CRASH_MARK")
    if not mark:
        return True
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True
