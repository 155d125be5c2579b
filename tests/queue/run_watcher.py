"""`python run_watcher.py HOME ENDPOINT [--once] [--audit=MODULE:FUNCTION]`: the real watcher with an audit double.

It prints a line of JSON for each event. With `--hours` it watches nothing: the clock is moved on hour by hour, and
alerts that were put off to a later one are sent, until none waits.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path

from dife_scanner.alerts import configured
from dife_scanner.durable import clock
from dife_scanner.errors import DifeError
from dife_scanner.queue import watch as watching
from dife_scanner.queue.alert_sender import send_due
from dife_scanner.queue.watch import Event, watch
from dife_scanner.queue.work import Work
from dife_scanner.records import AlertState
from dife_scanner.store import open_store, outbox


def main() -> int:
    from queue_kit import work_for

    watching.BEAT_SECONDS = 1.0  # a held database is noticed when something is to be written
    watching.GRACE_SECONDS = float(os.environ.get("DIFE_TEST_GRACE_SECONDS", "8"))
    watching.HELD_SECONDS = float(os.environ.get("DIFE_TEST_HELD_SECONDS", "2"))
    watching.FULL_SECONDS = float(os.environ.get("DIFE_TEST_FULL_SECONDS", "5"))
    hung = os.environ.get("DIFE_TEST_HUNG_SECONDS")
    if hung:
        watching.longest_silence = lambda _: float(hung)
    retention = os.environ.get("DIFE_TEST_RETENTION_SECONDS")
    if retention:
        watching.LOOK_SECONDS = float(retention)
        watching.is_due = lambda _: True
    home, endpoint, *flags = sys.argv[1:]
    doubles = [flag.removeprefix("--audit=") for flag in flags if flag.startswith("--audit=")]
    work = work_for(
        Path(home),
        endpoint,
        audit=doubles[0] if doubles else "queue_kit:audit",
        workers=int(os.environ.get("DIFE_TEST_WORKERS", "1")),
        interval_seconds=1.0,
        # a short one runs out on a busy disk, which has nothing to do with what most tests show
        lease_seconds=float(os.environ.get("DIFE_TEST_LEASE_SECONDS", "600")),
    )
    work = replace(work, channels=tuple(channel.name for channel in configured(work.settings)))

    if "--hours" in flags:
        return let_hours_pass(work)

    def tell(event: Event) -> None:
        print(json.dumps(asdict(event), default=str), flush=True)

    try:
        summary = watch(work, once="--once" in flags, on_event=tell)
    except DifeError as error:
        print(f"{error.what}; {error.advice}", file=sys.stderr)
        return error.exit_code
    return 0 if summary.error is None else 3


def let_hours_pass(work: Work) -> int:
    """The exit code: 1 where alerts wait after a day."""
    rules, channels = work.settings.alerts, configured(work.settings)
    with open_store(work.home) as store:
        for hour in range(25):
            if not outbox.alerts(store, state=AlertState.PENDING):
                return 0
            clock.set_ahead(3600.0 * hour)
            send_due(store, channels, rules)
    return 1


if __name__ == "__main__":
    sys.exit(main())
