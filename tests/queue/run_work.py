"""`python run_work.py ARGUMENT…`: `dife work` as a program of its own, with the audit double of `queue_kit`."""

from __future__ import annotations

from queue_kit import work_for

from dife_scanner.cli import main
from dife_scanner.queue import work as works
from dife_scanner.queue.work import Work
from dife_scanner.settings import Settings


def double(settings: Settings) -> Work:
    return work_for(settings.home, settings.endpoint)


if __name__ == "__main__":
    works.default_work = double
    main()
