"""Second opinions on the files of a job, kept beside whatever we make of them ourselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.errors import LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.models.opinions import OpinionLimits, ask, find
from dife_scanner.records import Job
from dife_scanner.settings import Settings
from dife_scanner.store import Store, opinions

_OUR_JUDGEMENTS = (Refused, Unreadable, Unsupported, LimitExceeded)


@dataclass(frozen=True)
class SecondOpinions:
    """Called with the private copies of the files, a context inside which we judge them ourselves."""

    store: Store
    job: Job
    settings: Settings
    scratch: Path
    """Where each scanner gets an empty folder."""
    check: Callable[[], None]
    """Called several times a second; what it raises ends a scanner and goes through."""

    @contextmanager
    def __call__(self, files: Sequence[Path]) -> Iterator[None]:
        """Ask the scanners that are there once we have judged; what they say is kept and changes nothing."""
        try:
            yield
        except _OUR_JUDGEMENTS:
            self._ask(files)
            raise
        self._ask(files)

    def _ask(self, files: Sequence[Path]) -> None:
        chosen = self.settings.opinions
        programs = find(chosen)
        if not programs or not files:
            return
        limits = OpinionLimits(chosen.seconds, chosen.memory_mib)
        said = ask(files, programs, limits, self.scratch, self.check)
        opinions.keep(self.store, self.job.id, said)
