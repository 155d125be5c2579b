"""`python run_watcher.py HOME ENDPOINT [--once] [--audit=MODULE:FUNCTION]`: the real watcher with an audit double.

It prints a line of JSON for each event.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

from dife_scanner.alerts import configured
from dife_scanner.errors import DifeError
from dife_scanner.queue import watch as watching
from dife_scanner.queue.watch import Event, watch


def main() -> int:
    from queue_kit import work_for

    watching.BEAT_SECONDS = 1.0  # a held database is noticed when something is to be written
    home, endpoint, *flags = sys.argv[1:]
    doubles = [flag.removeprefix("--audit=") for flag in flags if flag.startswith("--audit=")]
    work = work_for(
        Path(home),
        endpoint,
        audit=doubles[0] if doubles else "queue_kit:audit",
        workers=2,
        interval_seconds=1.0,
        lease_seconds=float(os.environ.get("DIFE_TEST_LEASE_SECONDS", "5")),
    )
    work = replace(work, channels=tuple(channel.name for channel in configured(work.settings)))

    def tell(event: Event) -> None:
        print(json.dumps(asdict(event), default=str), flush=True)

    try:
        summary = watch(work, once="--once" in flags, on_event=tell)
    except DifeError as error:
        print(f"{error.what}; {error.advice}", file=sys.stderr)
        return error.exit_code
    return 0 if summary.error is None else 3


if __name__ == "__main__":
    sys.exit(main())
