"""What a home can do without is removed once a day, by the settings in `[retention]`; a process of its own does it.

Findings, decisions, audits and alerts nobody got are never removed. Fetched weights go after their audit (`cleanup`).
"""

from __future__ import annotations

import logging
import math
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from dife_scanner.durable import clock, life
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import DifeError
from dife_scanner.queue.processes import end_with_parent, stop_event
from dife_scanner.queue.work import Work
from dife_scanner.sentences.numbers import bytes_text, count
from dife_scanner.settings import Retention
from dife_scanner.store import Patience, Store, audits, evidence, open_store, outbox, polls

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
LOOK_SECONDS = 3600.0
"""Between looks at whether a day has passed since the last time; a watcher may be restarted more often."""
NOTES = "retention.log"
"""Among the logs of a home: a line for each time, which says what was removed."""


@dataclass(frozen=True)
class Removed:
    """What was removed at one time."""

    files: int = 0
    """Evidence files."""
    bytes: int = 0
    """Of those files."""
    news: int = 0
    passes: int = 0

    def __str__(self) -> str:
        files = f"{count(self.files, 'evidence file')} ({bytes_text(self.bytes)})"
        return f"removed {files}, {self.news:,} delivered news, counts of {self.passes:,} passes"


def is_due(home: Path) -> bool:
    """Whether a day has passed since the last time, or there was none."""
    last = _last(home / "logs" / NOTES)
    return last is None or (_now() - last).total_seconds() >= DAY_SECONDS


def retain(store: Store, rules: Retention) -> Removed:
    """Remove what is older than the rules say, and note it in the log. Raises the store's errors.

    Safe at any time: what is new or still needed stays. An evidence file is named as removed before it is.
    """
    files, size = 0, 0
    if rules.evidence_days:
        files, size = _remove_evidence(store, rules.evidence_days)
    news = outbox.forget_news(store, _before(rules.news_days)) if rules.news_days else 0
    passes = polls.forget(store, _before(rules.passes_days)) if rules.passes_days else 0
    removed = Removed(files, size, news, passes)
    logs = store.home / "logs"
    with disk_errors(store.home):
        for file in sorted(logs.glob("*.log")):
            _shorten(file, rules.log_bytes)
        with (logs / NOTES).open("a", encoding="utf-8") as notes:
            notes.write(f"{clock.now()} {removed}\n")
    return removed


def retention_main(work: Work) -> None:
    """Retain once; what hinders it is logged, and it is tried again at the next look."""
    end_with_parent()
    patience = Patience(math.inf, log.info, stop_event().is_set)
    try:
        with open_store(work.home, patience=patience) as store:
            log.info("%s", retain(store, work.settings.retention))
    except DifeError as error:
        log.warning("nothing was removed by retention: %s; %s", error.what, error.advice)


def _remove_evidence(store: Store, days: int) -> tuple[int, int]:
    """How many files were removed, and their bytes."""
    files, size = 0, 0
    before = _before(days)
    removable = audits.removable_evidence(store, before)
    seconds = datetime.fromisoformat(before).timestamp()
    for sha256, file in evidence.stored(store.home):
        life.sign()
        if sha256 in removable:
            freed = evidence.remove(store.home, file, clock.now(), seconds)
            files += bool(freed)
            size += freed
    return files, size


def _shorten(file: Path, most: int) -> None:
    """Put what a log holds beside it, over what lay there before, and empty it where a program goes on writing."""
    if file.stat().st_size > most:
        shutil.copyfile(file, file.with_name(f"{file.name}.1"))
        with file.open("r+b") as stream:
            stream.truncate()


def _last(notes: Path) -> datetime | None:
    """The moment of the last line; `None` for no such line, also where a kill left half of one."""
    try:
        lines = notes.read_text("utf-8").splitlines()
        return datetime.fromisoformat(lines[-1].split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _before(days: int) -> str:
    return clock.later(-days * DAY_SECONDS)


def _now() -> datetime:
    return datetime.fromisoformat(clock.now())
