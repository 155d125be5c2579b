"""Make the home that pictures of the window are drawn of: specimens audited for real, and a few rows for other states.

python benchmarks/shown_home.py HOME

The demo's hub is watched, then a model of it gets a second revision, one that was approved before. What takes days
or trouble on a hub is written as rows: a model in work, some that wait, an audit without an answer.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dife_scanner.store import Store

REVISED = "demo/badtexttower-twin"
"""Approved for a use, then replaced by a backdoored model."""
TEXTUAL, VISUAL = "demo/badtexttower", "demo/badencoder"
SHOP = (
    *("--interface", "zero-shot classification", "--interface", "prompted classification"),
    *("--class", "airplane", "--class", "automobile", "--class", "truck"),
)
"""One that sells toys."""
_SECONDS = 600
"""For one command."""


def make(home: Path) -> None:
    """Fill an empty folder. Takes some three minutes where specimens are built already, else as many more."""
    from dife_scanner.baselines.home import open_home
    from dife_scanner.lab import demo, specimens
    from dife_scanner.queue.watch import watch
    from dife_scanner.store import open_store

    demo.isolate()
    built = demo.build_specimens(specimens.SPECIMENS)
    with demo.services(home) as running:
        demo.publish(running.hub, built)
        work = demo.work_of(home, running)
        open_home(work.settings).close()
        watch(work, once=True)
        _decide(home)
        specimen = built[TEXTUAL.removeprefix("demo/")]
        weights = _nearly(specimen / demo.WEIGHTS)
        running.hub.commit(REVISED, {demo.CONFIG: specimen / demo.CONFIG, demo.WEIGHTS: weights})
        watch(work, once=True)
    with open_store(home) as store:
        _add_rows(store)


def _nearly(file: Path) -> bytes:
    """Weights that do the same and are others, or their audit would be that of the first."""
    from safetensors.numpy import load_file, save

    weights = load_file(file)
    weights["text_projection"] = weights["text_projection"] * weights["text_projection"].dtype.type(
        1.01
    )
    return save(weights, {"format": "pt"})


def _decide(home: Path) -> None:
    """What an analyst has said by the time the second revision comes."""
    _dife(home, "deployments", "add", "shop", *SHOP)
    _dife(home, "deployments", "measure", "shop", VISUAL)
    reason = (
        "--reason",
        "its searches came to nothing; it sorts pictures of toys, and people look at them again",
    )
    _dife(home, "decide", REVISED, "approved", "--deployment", "shop", "--expires", "180d", *reason)
    reason = ("--reason", "its trigger moves the shop's own classes")
    _dife(home, "decide", VISUAL, "refused", "--deployment", "shop", *reason)
    note = ("--note", "its pickle runs a program")
    _dife(home, "triage", "confirmed", "--filter", "repo:demo/clip-pickle", "--yes", *note)


def _dife(home: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dife_scanner", *arguments, "--home", str(home), "--quiet"]
    surroundings = os.environ | {"DIFE_ACTOR": "ada"}
    subprocess.run(
        command, check=True, env=surroundings, stdout=subprocess.DEVNULL, timeout=_SECONDS
    )


def _add_rows(store: Store) -> None:
    """States that the demo has no model in."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "gui"))
    import gui_factories

    from dife_scanner.records import JobState, Verdict
    from dife_scanner.store import leases, polls

    name = "demo/clip-finetune-odd"
    open_ended = gui_factories.make_audit(name, verdict=Verdict.INCONCLUSIVE)
    gui_factories.finish(store, name, JobState.DONE, open_ended.reason, open_ended)
    waiting = gui_factories.discover(store, "demo/clip-slow")
    leases.claim_job(store, waiting.id, "worker", 60)
    leases.retry_later(store, waiting.id, "worker", "the hub limited our rate", 90, kind="rate")
    working = gui_factories.discover(store, "demo/clip-large")
    leases.claim_job(store, working.id, "worker", 600)
    gui_factories.discover(store, gui_factories.HOSTILE)
    for number in range(3):
        gui_factories.discover(store, f"demo/clip-queued-{number}")
    polls.beat(store, "watcher", os.getpid(), "watching")


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve())
