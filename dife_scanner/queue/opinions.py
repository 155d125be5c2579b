"""Second opinions on the private copy of a job, kept beside whatever we make of it ourselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dife_scanner.errors import LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.models.opinions import OpinionLimits, ask, find
from dife_scanner.records import Job
from dife_scanner.settings import Settings
from dife_scanner.store import Store, opinions

STAGED = "checkpoint"
"""The private copy, in the work folder of its job."""
_OUR_JUDGEMENTS = (Refused, Unreadable, Unsupported, LimitExceeded)


@contextmanager
def second_opinions(
    store: Store, job: Job, settings: Settings, work: Path, check: Callable[[], None]
) -> Iterator[None]:
    """Ask the scanners that are there about what was copied to `work / STAGED` inside, once we have judged it.

    What they say is kept with the job and changes nothing. Raises what the inside and `check` raise.
    """
    try:
        yield
    except _OUR_JUDGEMENTS:
        _ask(store, job, settings, work, check)
        raise
    _ask(store, job, settings, work, check)


def _ask(store: Store, job: Job, settings: Settings, work: Path, check: Callable[[], None]) -> None:
    chosen = settings.opinions
    programs = find(chosen)
    copied = work / STAGED
    if not programs or not copied.is_dir():
        return
    files = sorted(file for file in copied.iterdir() if file.is_file())
    if files:
        limits = OpinionLimits(chosen.seconds, chosen.memory_mib)
        opinions.keep(store, job.id, ask(files, programs, limits, work, check))
