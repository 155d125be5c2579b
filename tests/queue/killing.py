"""A hub, a Slack that takes alerts, a watcher with its children, and somebody who kills any of them at random.

Used by `test_crash.py` (a few kills) and `benchmarks/soak.py` (sixty, or a thousand). The audit is the double of
`queue_kit`; all processes are the real ones. Retention is due every other second instead of once a day.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import psutil
from queue_kit import checkpoint, work_for

from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.lab.sinks import SlackSink
from dife_scanner.records import AlertState, JobState
from dife_scanner.store import audits, evidence, findings, jobs, open_store, outbox

SCRIPT = Path(__file__).with_name("run_watcher.py")
NAMED = {
    "dife-worker": "worker",
    "dife-poller": "poll pass",
    "dife-alerts": "alert sender",
    "dife-retention": "retention",
    "dife-audit": "audit child",
}
"""Children by what they call themselves (`processes.end_with_parent`)."""
KINDS = (
    "watcher",
    *NAMED.values(),
    "intake child",
    "server of intake",
    "server of the watcher",
    "server of a worker",
    "resource tracker",
)
"""All that a watcher with local workers consists of."""
SENDS = ("watcher", "server of the watcher", "alert sender")
"""Those with whom the alert sender ends."""
_FINGERPRINT = re.compile(r"fp1:[0-9a-f]{16}")
_SEVERAL = re.compile(r"(\d+) (?:findings|alerts)$")
STORM = 2
"""So few alerts an hour go alone, so that a short run has some that are put off."""
NAMES = ("clip-bad", "clip-fine", "clip-sleepless", "clip-other")


@dataclass(frozen=True)
class Told:
    """What one message says: which findings it names, and how many alerts it stands for."""

    named: frozenset[str]
    alerts: int


def told_by(payload: str) -> Told:
    """Read a message to Slack. One of several alerts says how many, and names as many as it has room for."""
    named = frozenset(_FINGERPRINT.findall(payload))
    several = _SEVERAL.search(json.loads(payload)["text"])
    return Told(named, int(several[1]) if several else 1)


def broken_deliveries(alerts: list[str], messages: list[Told], sender_kills: int) -> list[str]:
    """What is wrong with how these alerts (the finding of each, empty for news) were delivered; empty when nothing is.

    Each is in one message. Whoever sends may be killed after a message arrived and before that was noted, so each such
    kill allows one message with what came before.
    """
    wanted = Counter(alerts)
    named: Counter[str] = Counter()
    unnamed = repeats = 0
    for message in messages:
        named.update(message.named)
        unnamed += message.alerts - len(message.named)
        repeats += any(named[one] > wanted[one] for one in message.named)
    broken = []
    missing = sum((wanted - named).values())
    if missing > unnamed:
        broken.append(f"{missing - unnamed} alerts arrived in no message")
    if repeats > sender_kills:
        broken.append(f"{repeats} messages told again, after {sender_kills} kills of who sends")
    delivered = sum(message.alerts for message in messages)
    if not repeats and delivered > len(alerts):
        broken.append(f"messages stand for {delivered} alerts, and there are {len(alerts)}")
    return broken


def kind_of(process: psutil.Process, parent: str) -> str:
    """What a process below the watcher is, by its command line, its name, and what its parent is."""
    command = " ".join(process.cmdline())
    if "resource_tracker" in command:
        return "resource tracker"
    if "confinement.fork_server" in command:
        return "intake child" if parent == "server of intake" else "server of intake"
    if "forkserver" not in command:
        return "another"
    if parent == "watcher":
        return "server of the watcher"
    if parent == "worker":
        return "server of a worker"
    return NAMED.get(process.name(), "a child that starts")


@dataclass
class Rig:
    """Everything one trial of kills needs, under `folder`."""

    folder: Path
    audit_seconds: float = 0.4
    port: int = 0
    watcher: subprocess.Popen[bytes] | None = None
    killed: Counter[str] = field(default_factory=Counter)
    ended_itself: list[int] = field(default_factory=list)
    """Exit codes of watchers that nobody had killed."""
    put_off: int = 0
    """Alerts that waited for the end of an hour in which there had been more than `STORM`, when all else was done."""

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.folder.mkdir(parents=True, exist_ok=True)
        work_for(self.home)  # makes the probe folder
        self.hub = LoopbackHub(self.folder / "hub", port=self.port)
        self.slack = SlackSink(self.folder / "slack" / str(time.time_ns()))

    def __enter__(self) -> Rig:
        self.hub.start()
        self.slack.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self.watcher and self.watcher.poll() is None:
            self.watcher.kill()
            self.watcher.wait()
        self.slack.__exit__(kind, error, tb)
        self.hub.close()

    def add_models(self, count: int, start: int = 0) -> None:
        for number in range(start, start + count):
            name = f"org{number}/{NAMES[number % len(NAMES)]}"
            self.hub.add_repo(name, checkpoint(number), last_modified=later(0))

    # --- processes --------------------------------------------------------------------------------------------

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        environment = {
            "DIFE_TEST_AUDIT_SECONDS": str(self.audit_seconds),
            "DIFE_TEST_LEASE_SECONDS": "5",
            "DIFE_TEST_RETENTION_SECONDS": "2",
            "DIFE_ALERTS__SLACK__ENABLED": "true",
            "DIFE_ALERTS__STORM": str(STORM),
            "DIFE_ALERTS__GROUP_SECONDS": "0.5",
            "DIFE_SLACK_WEBHOOK": self.slack.url,
        }
        with (self.folder / "watcher.log").open("ab") as log:
            self.watcher = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(self.home), self.hub.endpoint, *flags],
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
            )
        return self.watcher

    def kill_one(self, rng: random.Random, kind: str = "", patience: float = 60.0) -> str:
        """Kill one process of `kind` (default: any process), restarting the watcher where needed; the kind killed.

        Where none of that kind is seen within `patience` seconds, any process is killed instead.
        """
        end = time.monotonic() + patience
        while True:
            self._keep_watching()
            found = self.victims()
            if not kind or kind in found or time.monotonic() > end:
                break
            time.sleep(0.005)
        chosen = kind if kind in found else rng.choice(sorted(found))
        with contextlib.suppress(psutil.Error):
            rng.choice(found[chosen]).kill()
        if chosen == "watcher":
            self.watcher.wait()
        self.killed[chosen] += 1
        return chosen

    def _keep_watching(self) -> None:
        """Start the watcher where it does not run, and note where it ended though nobody had killed it."""
        code = None if self.watcher is None else self.watcher.poll()
        if code is not None and code != -signal.SIGKILL:
            self.ended_itself.append(code)
        if self.watcher is None or code is not None:
            self.start()

    def victims(self) -> dict[str, list[psutil.Process]]:
        """The running processes of the watcher by kind, itself included."""
        assert self.watcher is not None
        watcher = psutil.Process(self.watcher.pid)
        kinds = {watcher.pid: "watcher"}
        found = {"watcher": [watcher]}
        for process in watcher.children(recursive=True):  # parents come before their children
            with contextlib.suppress(psutil.Error):
                kind = kind_of(process, kinds.get(process.ppid(), ""))
                kinds[process.pid] = kind
                found.setdefault(kind, []).append(process)
        return found

    def finish(self, seconds: float = 300.0) -> int:
        """Stop what runs, let a last `--once` do the rest and hours pass for alerts; the exit code."""
        if self.watcher and self.watcher.poll() is None:
            self.watcher.send_signal(signal.SIGTERM)
            self.watcher.wait(60)
        code = self.start("--once").wait(seconds)
        with open_store(self.home, read_only=True) as store:
            self.put_off = len(outbox.alerts(store, state=AlertState.PENDING))
        return code or self.start("--hours").wait(seconds)

    def messages(self) -> list[Told]:
        """Everything that Slack was sent, in the order in which it came."""
        found = []
        for path in sorted((self.folder / "slack").glob("*/*.json")):
            found.append(told_by(path.read_text()))
        return found

    # --- the rules ----------------------------------------------------------------------------------------------

    def broken_rules(self) -> list[str]:
        """What is not as it has to be after any number of kills; empty when all is well."""
        with open_store(self.home) as store:
            broken = [f"integrity: {line}" for line in store.integrity()]
            broken += [f"the watcher ended by itself: {code}" for code in self.ended_itself]
            every = jobs.jobs(store)
            broken += [
                f"job {job.id} of {job.ref} is {job.state.value}"
                for job in every
                if not job.state.is_final
            ]
            places = Counter((job.endpoint, job.ref) for job in every)
            broken += [
                f"{ref} was discovered twice" for (_, ref), count in places.items() if count > 1
            ]
            on_hub = {(repo.repo_id, repo.head.sha) for repo in self.hub.repositories.all()}
            missing = on_hub - {(job.ref.repo_id, job.ref.revision) for job in every}
            broken += [f"{name}@{sha} was never discovered" for name, sha in missing]
            rows = audits.audits(store)
            identities = Counter(row.identity for row in rows)
            broken += [
                f"{count} audits of identity {name}"
                for name, count in identities.items()
                if count > 1
            ]
            ids = {row.id for row in rows}
            for job in every:
                if job.state is JobState.DONE and job.audit_id not in ids:
                    broken.append(f"job {job.id} is done without its audit")
            for row in rows:
                whole = audits.audit(store, row.id)
                broken += [
                    f"evidence {f.sha256} is gone"
                    for f in whole.evidence
                    if not evidence.verify(self.home, f.sha256)
                ]
            kept = outbox.alerts(store)
            sent = [alert for alert in kept if alert.state is AlertState.SENT]
            broken += [f"alert {alert.key} is {alert.state}" for alert in kept if alert not in sent]
            flagged = [
                found.fingerprint for found in findings.findings(store, filter="kind:flagged")
            ]
            alerted = {alert.fingerprint for alert in outbox.alerts(store)}
            broken += [
                f"finding {fingerprint} has no alert"
                for fingerprint in flagged
                if fingerprint not in alerted
            ]
            told = [alert.fingerprint for alert in sent]
            sender_kills = sum(self.killed[kind] for kind in SENDS)
            broken += broken_deliveries(told, self.messages(), sender_kills)
        left = [str(path.name) for path in (self.home / "work").iterdir() if path.is_dir()]
        return broken + [f"work folder {name} was left" for name in left]
