"""Sixty `kill -9` at random moments, of every process that a watcher consists of. Resumes where it was stopped.

    python benchmarks/soak.py [--kills 60] [--folder .lab/soak] [--seed 1] [--fresh]

Watcher, poll pass, workers, audit children, intake, retention, store and alert sender are the real ones; the audit
itself is a double that takes half a second, so that kills land everywhere in the path and not only in the encoding.
Each kind has its turn in a random order, and in one turn of each round it is any process at all. A run in which one of
the kinds was never killed is not sound.
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

from killing import KINDS, Rig

from dife_scanner.records import AlertState
from dife_scanner.store import audits, findings, jobs, open_store, outbox

MODELS_AT_FIRST = 6
PATIENCE_SECONDS = 10.0
"""For a process of the kind whose turn it is."""


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
            _kill_one(rig, state, rng, options.seed)
        code = rig.finish(3600.0)
        rig.killed = state.killed
        rig.ended_itself = state.ended_itself
        broken = rig.broken_rules()
        _summary(rig, state, time.monotonic() - began)
    if code:
        log = options.folder / "watcher.log"
        broken.append(f"the last run ended with exit code {code}; see {log}")
    broken += [f"no {kind} was ever killed" for kind in KINDS if not state.killed[kind]]
    for rule in broken:
        print(f"BROKEN: {rule}")
    print("not sound" if broken else "sound")
    return 1 if broken else 0


def _kill_one(rig: Rig, state: _State, rng: random.Random, seed: int) -> None:
    """Kill something at a random moment, add a model, and now and then a revision."""
    time.sleep(rng.uniform(0.0, 1.0))
    kind = rig.kill_one(rng, _wanted(state.kills, seed), PATIENCE_SECONDS)
    _add_up_to(rig, state, state.models + 1)
    if state.kills % 5 == 0:
        first = rig.hub.repositories.all()[0].repo_id
        rig.hub.commit(first, {"README.md": f"revision {state.kills}"})
    state.note(kind, rig.ended_itself)
    print(f"kill {state.kills:3d}: {kind}", flush=True)


def _wanted(kills: int, seed: int) -> str:
    """The kind whose turn it is after so many kills; empty for any process."""
    turns = [*KINDS, ""]
    which, turn = divmod(kills, len(turns))
    random.Random(f"{seed}:round {which}").shuffle(turns)
    return turns[turn]


class _State:
    """What was done so far, on disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {}
        self.port: int = kept.get("port", 0)
        self.models: int = kept.get("models", 0)
        self.killed: Counter[str] = Counter(kept.get("killed", {}))
        self.ended_itself: list[int] = kept.get("ended_itself", [])
        """Exit codes of watchers that nobody had killed."""

    @property
    def kills(self) -> int:
        return sum(self.killed.values())

    def note(self, kind: str, ended_itself: list[int]) -> None:
        self.killed[kind] += 1
        self.ended_itself += ended_itself
        ended_itself.clear()
        self.save()

    def save(self) -> None:
        part = self._path.with_suffix(".part")
        kept = {
            "port": self.port,
            "models": self.models,
            "killed": dict(self.killed),
            "ended_itself": self.ended_itself,
        }
        part.write_text(json.dumps(kept))
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
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--folder", type=Path, default=Path(".lab/soak"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fresh", action="store_true", help="forget an earlier run")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
