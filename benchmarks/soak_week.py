"""Seven days in minutes: polls, audits, alerts, digests, retention and backups on a clock that is moved on.

    python benchmarks/soak_week.py [--days 7] [--folder .lab/soak-week]

Each day has three new models, of which two have weights of their own and are really audited (signatures alone, at
`quick`), one that is refused, a revision, a decision, and hours without a mail server. Ends with 1 where anything
was lost or told twice, or where memory, open files or database grow (`tests/queue/week.py`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load_file, save

TESTS = Path(__file__).resolve().parents[1] / "tests" / "queue"
sys.path.insert(0, str(TESTS))

from week import DAY, Files, Scanner, around, growing, live_a_day  # noqa: E402

from dife_scanner import settings  # noqa: E402
from dife_scanner.baselines.home import open_home  # noqa: E402
from dife_scanner.lab import demo  # noqa: E402
from dife_scanner.queue.work import default_work  # noqa: E402
from dife_scanner.store import Store, audits, findings, jobs, outbox  # noqa: E402

SPECIMENS = {"bad": "badencoder", "fine": "badencoder-twin"}
MOVED = "visual.ln_post.bias"
"""The tensor that is moved a little, so that each day's models are new ones."""


def models(names: dict[str, Path]) -> Callable[[str, int], Files]:
    """Makes the files of a day's model from the specimen of its kind."""

    def model(kind: str, day: int) -> Files:
        folder = names[SPECIMENS[kind]]
        weights = dict(load_file(folder / demo.WEIGHTS))
        weights[MOVED] = weights[MOVED] + weights[MOVED].dtype.type(day * 1e-4)
        return {demo.CONFIG: folder / demo.CONFIG, demo.WEIGHTS: save(weights)}

    return model


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--days", type=int, default=7)
    options.add_argument("--folder", type=Path, default=Path(".lab/soak-week"))
    given = options.parse_args()
    if given.days < 3:
        options.error("three days at least, or nothing can be said of growth")
    shutil.rmtree(given.folder, ignore_errors=True)
    demo.isolate()
    model = models(demo.build_specimens(SPECIMENS.values()))
    began = time.monotonic()
    home = (given.folder / "home").absolute()
    with around(home.parent) as world:
        read = settings.load(home, budget="quick", discover=False, disk={"free_bytes": 0})
        with open_home(read) as store:
            scanner = Scanner(store, default_work(read), world)
            samples = []
            for day in range(1, given.days + 1):
                live_a_day(scanner, day, model, every=1)
                samples.append(scanner.sample(day))
                print(samples[-1], flush=True)
            scanner.go_on(DAY)
            scanner.work()
            broken = [*scanner.broken_rules(), *growing(samples)]
            summarise(store, scanner, time.monotonic() - began)
    for rule in broken:
        print(f"BROKEN: {rule}")
    print("not sound" if broken else "sound")
    return 1 if broken else 0


def summarise(store: Store, scanner: Scanner, seconds: float) -> None:
    """What was done in those days."""
    alerts = Counter(f"{alert.channel} {alert.event}" for alert in outbox.alerts(store))
    ends = Counter(str(job.state) for job in jobs.jobs(store))
    verdicts = Counter(str(audit.verdict) for audit in audits.audits(store))
    print(
        f"{scanner.passes} passes, {scanner.reports} daily reports, revisions {dict(ends)}, audits {dict(verdicts)}"
    )
    print(f"{len(findings.findings(store))} findings, alerts {dict(alerts)}")
    print((store.home / "logs" / "retention.log").read_text(), end="")
    print(f"{len(scanner.backups)} backups, the last restored; {seconds:.0f} s")


if __name__ == "__main__":
    raise SystemExit(main())
