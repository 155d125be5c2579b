"""The poller against a hub of two million models whose clock is simulated: first reading, a day, three days without us.

    python benchmarks/hub_at_size.py [--models 2000000] [--clip 30000] [--churn 0.01] [--quota 1000]

The hub is a generator behind a real HTTP server on this machine. It counts requests in the fixed windows that the real
one documents and refuses what is beyond them. Passes, store and client are real; nothing is fetched or audited.
What looking at the models would take is worked out from the documented limits, as `dife watch --plan` does.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np

from dife_scanner import settings as settings_
from dife_scanner.audit.pipeline import Plan
from dife_scanner.hub import budget
from dife_scanner.hub.poll import API_REQUESTS, RESOLVER_REQUESTS, WINDOW_SECONDS
from dife_scanner.hub.query import PAGE_SIZE
from dife_scanner.hub.scopes import SOURCES
from dife_scanner.lab.sinks.web import Answer, WebServer
from dife_scanner.queue.poller import PassResult, poll_pass
from dife_scanner.queue.work import Work
from dife_scanner.store import Store, jobs, open_store

DAY = 24 * 3600.0
AUTHORS = 40_000
YEARS_OF_MODELS = 4 * 365 * DAY
SECONDS_OF_A_REQUEST = 0.3
"""By which the simulated clock goes on with each request: what a page of the real hub takes."""
LOOKS = 2
FILES = 4
"""Requests to look at a model, and for its files: configuration, weights, two of a tokenizer."""
_PATHS = ("README.md", "open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json")


class SimulatedHub:
    """So many models, of which some are in one to three of our sources; `clock` is in seconds since 1970.

    Use in a `with` block: it serves at `endpoint`.
    """

    def __init__(self, models: int, clip: int, quota: int, clock: float, seed: int = 1) -> None:
        self.clock = clock
        self.quota = quota
        self.windows: dict[int, int] = {}
        """Requests by window."""
        self.refused = 0
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._changed = clock - self._rng.random(models) * YEARS_OF_MODELS
        self._revision = np.zeros(models, np.int32)
        self._clip = self._rng.choice(models, clip, replace=False)
        self._members = self._in_sources()
        self._server = WebServer(self.respond, "simulated-hub", method="GET")
        self.endpoint = self._server.address

    def _in_sources(self) -> dict[str, np.ndarray]:
        """The models of each source; large ones hold many, and each model is in at least one."""
        share = 1.0 / np.arange(1, len(SOURCES) + 1)
        found: dict[str, list[int]] = {source: [] for source in SOURCES}
        for number in self._clip:
            chosen = self._rng.choice(
                len(SOURCES), self._rng.integers(1, 4), replace=False, p=share / share.sum()
            )
            for at in chosen:
                found[SOURCES[at]].append(int(number))
        return {source: np.array(numbers, np.int64) for source, numbers in found.items()}

    def __enter__(self) -> SimulatedHub:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, tb)

    # --- what happens there -------------------------------------------------------------------------------------

    def go_on(self, seconds: float, churn: float) -> None:
        """Let time pass, in which a share `churn` of all models changes each day, at random moments."""
        models = len(self._changed)
        count = self._rng.binomial(models, min(1.0, churn * seconds / DAY))
        changed = self._rng.choice(models, count, replace=False)
        self._changed[changed] = self.clock + self._rng.random(count) * seconds
        self._revision[changed] += 1
        self.clock += seconds

    def truth(self) -> dict[str, str]:
        """The present commit of every model that a source shows."""
        found = {}
        for number in self._clip:
            found[_name(int(number))] = self._sha(int(number))
        return found

    def _sha(self, number: int) -> str:
        return f"{number:020x}{self._revision[number]:020x}"

    # --- answers ------------------------------------------------------------------------------------------------

    def respond(self, path: str, headers: Message, body: bytes) -> Answer:
        """`GET /api/models`, and 404 for everything else."""
        url = urlsplit(path)
        admitted, left, seconds = self.admit()
        said = {
            "Content-Type": "application/json",
            "RateLimit": f'"api";r={left};t={seconds}',
            "RateLimit-Policy": f'"fixed window";"api";q={self.quota};w={WINDOW_SECONDS:.0f}',
        }
        if not admitted:
            return Answer(429, json.dumps({"error": "too many requests"}), said)
        if url.path != "/api/models":
            return Answer(404, json.dumps({"error": "not found"}), said)
        query = parse_qs(url.query)
        items, cursor = self.page(query)
        if cursor:
            query["cursor"] = [cursor]
            address = f"{self.endpoint}/api/models?{urlencode(query, doseq=True)}"
            said["Link"] = f'<{address}>; rel="next"'
        return Answer(200, json.dumps(items), said)

    def admit(self) -> tuple[bool, int, int]:
        """Count a request: whether it is let in, how many are left in this window, and for how many seconds."""
        with self._lock:
            self.clock += SECONDS_OF_A_REQUEST
            window, passed = divmod(self.clock, WINDOW_SECONDS)
            used = self.windows.get(int(window), 0) + 1
            self.windows[int(window)] = used
            left = self.quota - used
            if left < 0:
                self.refused += 1
            return left >= 0, max(0, left), int(WINDOW_SECONDS - passed)

    def page(self, query: dict[str, list[str]]) -> tuple[list[dict[str, Any]], str]:
        """One page, newest change first, and the cursor of the next; an empty one where there is none."""
        members = np.empty(0, np.int64)
        for key in ("filter", "search", "pipeline_tag"):
            if key in query:
                members = self._members[f"{key}={query[key][0]}"]
        changed = self._changed[members]
        order = np.lexsort((members, -changed))
        start = 0
        if "cursor" in query:
            moment, number = query["cursor"][0].split(":")
            before = (changed > float(moment)) | (
                (changed == float(moment)) & (members <= int(number))
            )
            start = int(before.sum())
        shown = members[order][start : start + int(query["limit"][0])]
        items = [self._item(int(number)) for number in shown]
        if start + len(shown) >= len(members):
            return items, ""
        last = int(shown[-1])
        return items, f"{self._changed[last]!r}:{last}".replace("np.float64(", "").replace(")", "")

    def _item(self, number: int) -> dict[str, Any]:
        moment = datetime.fromtimestamp(float(self._changed[number]), UTC)
        name = _name(number)
        return {
            "_id": f"{number:024x}",
            "id": name,
            "author": name.partition("/")[0],
            "sha": self._sha(number),
            "lastModified": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "createdAt": "2024-01-01T00:00:00.000Z",
            "private": False,
            "gated": False,
            "disabled": False,
            "downloads": number % 3_000,
            "library_name": "open_clip",
            "tags": ["clip", "open_clip", "arxiv:2103.00020", "license:mit", "region:us"],
            "siblings": [{"rfilename": path} for path in _PATHS],
        }


def _name(number: int) -> str:
    return f"author{number % AUTHORS}/clip-{number}"


@dataclass
class Reading:
    """What some passes took."""

    passes: int = 0
    requests: int = 0
    new: int = 0
    hub_seconds: float = 0.0
    """On the simulated clock."""
    seconds: float = 0.0
    """On ours, the simulated hub's own work included."""
    last: PassResult | None = field(default=None, repr=False)

    def document(self) -> dict[str, float]:
        """For the report."""
        return {
            "passes": self.passes,
            "requests": self.requests,
            "new": self.new,
            "hub_minutes": round(self.hub_seconds / 60, 1),
            "seconds": round(self.seconds, 1),
        }


class Run:
    """Passes over a simulated hub, each an interval after the one before."""

    def __init__(self, store: Store, hub: SimulatedHub, churn: float) -> None:
        settings = settings_.load(store.home, endpoint=hub.endpoint, watch={"since": "all"})
        self._store = store
        self._hub = hub
        self._churn = churn
        self._interval = settings.interval_seconds
        self._work = Work(settings, Plan((), budget="quick"))

    def first(self) -> Reading:
        """Until everything was read."""
        found = Reading()
        while found.last is None or not found.last.complete:
            self._pass(found)
        return found

    def steady(self, days: float) -> Reading:
        """As many passes as the time has intervals."""
        found = Reading()
        for _ in range(round(days * DAY / self._interval)):
            self._pass(found)
        return found

    def after(self, days: float) -> Reading:
        """Nobody polls for so long; then until everything was read."""
        self._hub.go_on(days * DAY, self._churn)
        return self.first()

    def missing(self) -> int:
        """Models of which the store does not know the present commit."""
        known = jobs.known(self._store, self._hub.endpoint)
        return sum(known.get(name) != sha for name, sha in self._hub.truth().items())

    def _pass(self, found: Reading) -> None:
        self._hub.go_on(self._interval, self._churn)
        clock = self._hub.clock
        began = time.perf_counter()
        with mock.patch.object(budget, "moment", lambda: self._hub.clock):
            found.last = poll_pass(self._store, self._work)
        found.seconds += time.perf_counter() - began
        found.passes += 1
        found.requests += found.last.requests
        found.new += found.last.new
        found.hub_seconds += self._hub.clock - clock


def measure(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """All three, with what they leave in the home `folder`."""
    clock = (
        time.time() - 7 * DAY
    )  # all that happens there lies in the past of the client's own clock
    with (
        SimulatedHub(given.models, given.clip, given.quota, clock) as hub,
        open_store(folder) as store,
    ):
        run = Run(store, hub, given.churn)
        before = _peak_mib()
        first = run.first()
        peak = _peak_mib()
        lost = [run.missing()]
        size = _mib(folder)
        steady = run.steady(given.days)
        lost.append(run.missing())
        later = run.after(3.0)
        lost.append(run.missing())
        return {
            "models": given.models,
            "clip": given.clip,
            "sources": len(SOURCES),
            "page": PAGE_SIZE,
            "first": first.document() | looking(given.clip),
            "steady": steady.document() | {"days": given.days} | looking(steady.new),
            "after_three_days": later.document() | looking(later.new),
            "missing": lost,
            "most_in_a_window": max(hub.windows.values()),
            "quota": hub.quota,
            "refused": hub.refused,
            "peak_mib_before": round(before, 1),
            "peak_mib": round(peak, 1),
            "home_mib_after_first": round(size, 1),
            "home_mib": round(_mib(folder), 1),
        }


def looking(models: int) -> dict[str, float]:
    """Hours that looking at so many models and asking for their files takes at the documented limits, with a token."""
    api = LOOKS * models / API_REQUESTS[True] * WINDOW_SECONDS
    files = FILES * models / RESOLVER_REQUESTS[True] * WINDOW_SECONDS
    return {"hours_to_look": round(max(api, files) / 3600, 2)}


def _mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=int, default=2_000_000)
    parser.add_argument("--clip", type=int, default=30_000)
    parser.add_argument("--churn", type=float, default=0.01, help="share of all models a day")
    parser.add_argument("--quota", type=int, default=API_REQUESTS[True])
    parser.add_argument("--days", type=float, default=1.0, help="of the steady state")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given)
    print(json.dumps(found, indent=2))
    sound = not any(found["missing"]) and not found["refused"]
    return int(not sound)


if __name__ == "__main__":
    raise SystemExit(main())
