"""Fifty `kill -9` at random moments: of the watcher, of workers, of audit children. Resumes where it was stopped.

    python benchmarks/soak.py [--kills 50] [--folder .lab/soak] [--seed 1] [--fresh]

Watcher, poll pass, workers, audit children, intake, store and alert sender are the real ones; the audit itself is a
double that takes half a second, so that kills land everywhere in the path and not only in the encoding.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "queue"))

from killing import Rig

from dife_scanner.records import AlertState
from dife_scanner.store import audits, findings, jobs, open_store, outbox

MODELS_AT_FIRST = 6


def main() -> int:
    options = _options()
    if options.fresh:
        shutil.rmtree(options.folder, ignore_errors=True)
    state = _State(options.folder / "state.json")
    rng = random.Random(f"{options.seed}:{state.kills}")
    began = time.monotonic()
    with Rig(options.folder, port=state.port) as rig:
        state.port = int(rig.hub.endpoint.rsplit(":", 1)[1])
        _add_up_to(rig, state, MODELS_AT_FIRST)
        rig.start()
        while state.kills < options.kills:
            _kill_one(rig, state, rng)
        code = rig.finish(3600.0)
        rig.killed = state.killed
        broken = rig.broken_rules()
        _summary(rig, state, time.monotonic() - began)
    for rule in broken:
        print(f"BROKEN: {rule}")
    if code:
        print(
            f"BROKEN: the last run ended with exit code {code}; see {options.folder / 'watcher.log'}"
        )
    print("sound" if not broken and not code else "not sound")
    return 1 if broken or code else 0


def _kill_one(rig: Rig, state: _State, rng: random.Random) -> None:
    """Kill something at a random moment, add a model, and now and then a revision."""
    time.sleep(rng.uniform(0.0, 2.0))
    role = rig.kill_one(rng, rng.choice(("watcher", "worker", "audit child")))
    _add_up_to(rig, state, state.models + 1)
    if state.kills % 5 == 0:
        first = rig.hub.repositories.all()[0].repo_id
        rig.hub.commit(first, {"README.md": f"revision {state.kills}"})
    state.note(role)
    print(f"kill {state.kills:3d}: {role}", flush=True)


class _State:
    """What was done so far, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {}
        self.port: int = kept.get("port", 0)
        self.models: int = kept.get("models", 0)
        self.killed: Counter[str] = Counter(kept.get("killed", {}))

    @property
    def kills(self) -> int:
        return sum(self.killed.values())

    def note(self, role: str) -> None:
        self.killed[role] += 1
        self.save()

    def save(self) -> None:
        part = self._path.with_suffix(".part")
        part.write_text(
            json.dumps({"port": self.port, "models": self.models, "killed": dict(self.killed)})
        )
        part.replace(self._path)


def _add_up_to(rig: Rig, state: _State, models: int) -> None:
    if state.models < models:
        rig.add_models(models - state.models, start=state.models)
        state.models = models
        state.save()


def _summary(rig: Rig, state: _State, seconds: float) -> None:
    with open_store(rig.home, read_only=True) as store:
        print(f"\n{state.kills} kills: {_counted(state.killed)}")
        print(f"revisions by final state: {_counted(jobs.counts(store))}")
        every = jobs.jobs(store)
        print(
            f"leases lost {sum(job.lost_leases for job in every)}, deaths seen {sum(job.deaths for job in every)}"
        )
        print(
            f"completed audits {len(audits.audits(store))}, findings {len(findings.findings(store))}"
        )
        sent = len(outbox.alerts(store, state=AlertState.SENT))
        kept = len(outbox.alerts(store))
        print(
            f"alerts {kept}, sent {sent}, of which {rig.put_off} only in a later hour, to which they were put off;"
            f" this run took {seconds:.0f} s"
        )


def _counted(counts: Mapping[str, int]) -> str:
    """How many of each, by name."""
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--folder", type=Path, default=Path(".lab/soak"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
