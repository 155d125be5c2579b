"""A scanner whose clock is moved on by hand: what a watcher's processes do in an hour, done in turn by this one.

Poll pass, worker, sender, retention and backup are the watcher's own functions; what opens a stranger's file is a
process of its own, as always. Hub, mail server and Slack are servers on loopback.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from queue_kit import EMPTY_ZIP

from dife_scanner.alerts.calendar import digest_before
from dife_scanner.app import backup
from dife_scanner.app.restore import restore
from dife_scanner.durable import clock
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.lab.sinks import SlackSink, SmtpSink
from dife_scanner.queue import alert_sender, retention
from dife_scanner.queue.poller import poll_pass
from dife_scanner.queue.work import Work
from dife_scanner.queue.worker import work_loop
from dife_scanner.records import AlertEvent, AlertState, JobState, Notice, TriageState
from dife_scanner.store import Store, findings, jobs, open_store, outbox, triage

HOUR = 3600.0
DAY = 24 * HOUR
BEGINS_AT = 13
"""The hour, UTC, at which the clock stands first, whatever time it is. A gap without work that holds two daily reports
brings one, rightly; none of the gaps is to hold two."""
MEMORY_MIB_A_DAY = 2.0
"""Of the line through the samples of the second day on; in the first one everything is loaded."""
MORE_HANDLES = 3
"""Than after the first day; a worker's own are open or not at the moment of a sample."""
DATABASE_KIB_A_DAY = 1024.0
UNEVEN = 1.5
"""How many times the usual day's growth of the database any day's may be: each has the same work."""
SETTINGS = """\
endpoint = "{hub.endpoint}"
[retention]
evidence_days = 2
[alerts]
group_seconds = 30
[alerts.email]
host = "{mail.host}"
port = {mail.port}
sender = "scanner@example.org"
recipients = ["analyst@example.org"]
[alerts.slack]
enabled = true
[[alerts.routes]]
to = ["email"]
[[alerts.routes]]
to = ["slack"]
digest = "daily"
"""

Files = Mapping[str, Any]


@dataclass(frozen=True)
class Sample:
    """What the scanner takes, at the end of a day."""

    day: int
    memory_mib: float
    handles: int
    database_kib: float
    rows: int
    """Jobs, which is what the database grows by."""


def growing(samples: Sequence[Sample]) -> list[str]:
    """What is not flat from the first day's sample on, one sentence each; of three days at least."""
    days = [sample.day for sample in samples[1:]]
    slope = float(np.polyfit(days, [sample.memory_mib for sample in samples[1:]], 1)[0])
    broken = []
    if slope > MEMORY_MIB_A_DAY:
        broken.append(f"memory grows by {slope:.1f} MiB a day")
    most = max(sample.handles for sample in samples)
    if most > samples[0].handles + MORE_HANDLES:
        broken.append(f"open files rose from {samples[0].handles} to {most}")
    growth = np.diff([sample.database_kib for sample in samples])
    usual = float(np.median(growth))
    if growth.max() > DATABASE_KIB_A_DAY:
        broken.append(f"the database grew by {growth.max():.0f} KiB in a day")
    if growth.max() > UNEVEN * max(usual, 64.0):
        broken.append(f"the database grew by {growth.max():.0f} KiB, usual are {usual:.0f} a day")
    return broken


def _seconds_until(hour: int) -> float:
    """From now until it is that hour, UTC."""
    at = clock.moment()
    passed = at - at.replace(hour=hour, minute=0, second=0, microsecond=0)
    return -passed.total_seconds() % DAY


@dataclass
class World:
    """What the scanner talks to."""

    hub: LoopbackHub
    slack: SlackSink
    mail: SmtpSink

    def mail_goes(self) -> None:
        """From now on nobody answers at the mail server's port."""
        self.mail.__exit__(None, None, None)

    def mail_comes_back(self) -> None:
        """At the port that it had."""
        self.mail = SmtpSink(port=self.mail.port)
        self.mail.__enter__()


class Scanner:
    """One home and the world around it, at a moment that only moves when it is told to."""

    def __init__(self, store: Store, work: Work, world: World) -> None:
        self.store = store
        self.world = world
        self.passes = 0
        self.incomplete = 0
        self.reports = 0
        """Daily reports by mail."""
        self.backups: list[Path] = []
        self.told_by_mail: Counter[str] = Counter()
        """By repository: mails that name it."""
        self.told_by_slack: Counter[str] = Counter()
        self.expected: dict[str, JobState] = {}
        """How each repository has to end."""
        self._work = work
        self._ahead = _seconds_until(BEGINS_AT)
        clock.set_ahead(self._ahead)
        current = alert_sender.Current(work.settings)
        self._operations = alert_sender.Operations(store, current)
        self._rules = current.rules
        self._began = clock.now()
        self._channels = current.channels

    def go_on(self, seconds: float) -> None:
        """Let so much time pass in which nothing is done."""
        self._ahead += seconds
        clock.set_ahead(self._ahead)

    def publish(self, repo_id: str, files: Files, ends: JobState = JobState.DONE) -> None:
        """Somebody publishes a model now."""
        tags = ["clip", "open_clip"]
        self.world.hub.add_repo(
            repo_id, files, tags=tags, library="open_clip", last_modified=clock.now()
        )
        self.expected[repo_id] = ends

    def revise(self, repo_id: str, text: str) -> None:
        """The same model gets another model card."""
        self.world.hub.commit(repo_id, {"README.md": text}, last_modified=clock.now())

    def work(self) -> None:
        """What falls due now: a pass, its jobs, the ends of decisions, alerts, retention."""
        result = poll_pass(self.store, self._work)
        self.passes += 1
        self.incomplete += not result.complete
        work_loop(self._work, threading.Event(), until_idle=True)
        triage.expire(self.store)
        self._operations.note()
        self._operations.tell_switch()
        for _ in range(2):  # planned, then sent once nobody waits for others any more
            alert_sender.send_due(self.store, self._channels, self._rules)
            self.go_on(60)
        if retention.is_due(self.store.home):
            retention.retain(self.store, self._work.settings.retention)
        self._read_messages()

    def back_up(self) -> None:
        """A new backup; the one before the last is deleted."""
        target = self.store.home.parent / f"backup-{len(self.backups)}.zip"
        backup.make(self._work.settings, target)
        self.backups.append(target)
        for old in self.backups[:-1]:
            old.unlink(missing_ok=True)

    def decide(self, repo_id: str) -> None:
        """Somebody looks at a finding, and it is none."""
        (finding,) = findings.findings(self.store, filter=f'repo:"{repo_id}"')
        about = triage.seen(self.store, (finding.fingerprint,))
        triage.decide(self.store, TriageState.FALSE_POSITIVE, about, actor="ada", note="ours")

    def sample(self, day: int) -> Sample:
        """What is taken now, by this process and by its database with everything written into it."""
        gc.collect()
        with closing(sqlite3.connect(self.store.home / "dife.db")) as own:
            own.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        process = psutil.Process()
        return Sample(
            day,
            process.memory_info().rss / 1024**2,
            process.num_fds(),
            (self.store.home / "dife.db").stat().st_size / 1024,
            len(jobs.jobs(self.store)),
        )

    def broken_rules(self) -> list[str]:
        """What was lost, told twice or not done, one sentence each."""
        broken = [*self._wrong_ends(), *self._wrong_messages(), *self._wrong_reports()]
        if self.incomplete:
            broken.append(f"{self.incomplete} of {self.passes} passes were not complete")
        there = {one.fingerprint for one in findings.findings(self.store)}
        new = self.store.home.parent / "restored"
        restore(self.backups[-1], new, self._work.settings.limits)
        with open_store(new, read_only=True) as restored:
            kept = {one.fingerprint for one in findings.findings(restored)}
        if kept != there:
            broken.append(f"the backup has {len(kept)} of {len(there)} findings")
        return broken

    def _wrong_reports(self) -> Iterator[str]:
        ends = []
        for at in (self._began, clock.now()):
            ends.append(datetime.fromisoformat(digest_before(self._rules, at)))
        wanted = round((ends[1] - ends[0]).total_seconds() / DAY)
        if self.reports != wanted:
            yield f"{self.reports} daily reports by mail in {wanted} days"

    def _wrong_ends(self) -> Iterator[str]:
        latest = {job.ref.repo_id: job for job in sorted(jobs.jobs(self.store), key=lambda j: j.id)}
        for repo_id, state in self.expected.items():
            job = latest.get(repo_id)
            if job is None or job.state is not state:
                yield f"{repo_id} is {job.state if job else 'unknown'}, not {state}"

    def _wrong_messages(self) -> Iterator[str]:
        alerts = outbox.alerts(self.store)
        for alert in alerts:
            waits = alert.due_at > clock.now() and alert.event is AlertEvent.HEARTBEAT
            if alert.state is not AlertState.SENT and not waits:  # for the next digest
                yield f"an alert by {alert.channel} is {alert.state}: {alert.last_error}"
            if alert.event is AlertEvent.TROUBLE:
                yield f"the scanner told of trouble: {alert.about}"
        wanted: Counter[tuple[str, str]] = Counter()
        for alert in alerts:
            if isinstance(alert.about, Notice):
                wanted[alert.channel, alert.about.ref.repo_id] += 1
        for (channel, repo_id), number in wanted.items():
            by_mail = channel == "email"
            told = (self.told_by_mail if by_mail else self.told_by_slack)[repo_id]
            if told != number if by_mail else not 1 <= told <= number:
                yield f"{repo_id} has {number} alerts by {channel} and is in {told} messages"

    def _read_messages(self) -> None:
        """Count what came, and forget it: the servers are within this process, and not what is measured."""
        for mail in self.world.mail.mails:
            self.reports += "Daily report" in str(mail["Subject"])
            self._note(self.told_by_mail, mail.as_string())
        for payload in self.world.slack.payloads:
            self._note(self.told_by_slack, json.dumps(payload))
        self.world.mail.mails.clear()
        self.world.mail.recipients.clear()
        self.world.slack.payloads.clear()
        self.world.hub.requests.clear()

    def _note(self, told: Counter[str], text: str) -> None:
        for repo_id in self.expected:
            told[repo_id] += repo_id in text.replace("=\n", "")


@contextmanager
def around(folder: Path) -> Iterator[World]:
    """The servers, and a home in `folder` whose settings name them."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    with LoopbackHub(folder / "hub") as hub, SlackSink() as slack:
        world = World(hub, slack, SmtpSink())
        world.mail.__enter__()
        (home / "config.toml").write_text(SETTINGS.format(hub=hub, mail=world.mail))
        secret = home / "secrets" / "slack-webhook"
        secret.parent.mkdir(mode=0o700)
        secret.touch(mode=0o600)
        secret.write_text(slack.url)
        try:
            yield world
        finally:
            clock.set_ahead(0)
            world.mail_goes()


def live_a_day(scanner: Scanner, day: int, model: Callable[[str, int], Files], every: int) -> None:
    """One day, with a turn of work each `every` hours; `model` makes the files of the day's `bad` and `fine` one."""
    for hour in range(24):
        if hour == 1:
            scanner.publish(f"lab{day}/clip-bad", model("bad", day))
        if hour == 3:
            scanner.publish(f"lab{day}/clip-fine", model("fine", day))
        if hour == 5:
            scanner.publish(f"mirror{day}/clip-bad", model("bad", day))
        if hour == 7 and day > 1:
            scanner.revise(f"lab{day - 1}/clip-fine", "# seen again")
        if hour == 9 and day > 1:
            scanner.decide(f"lab{day - 1}/clip-bad")
        if hour == 12:
            scanner.world.mail_goes()
        if hour == 13:
            files = model("fine", day)
            (name,) = [name for name in files if name.endswith(".safetensors")]
            broken = {**files, name: read(files[name]) + EMPTY_ZIP}
            scanner.publish(f"lab{day}/clip-two-formats", broken, JobState.REFUSED)
        if hour == 18:
            scanner.world.mail_comes_back()
        if hour % every == 0:
            scanner.work()
        if hour == 23:
            scanner.back_up()
        scanner.go_on(HOUR)


def read(content: Any) -> bytes:
    """A file's content, given as such or by its path."""
    return content.read_bytes() if isinstance(content, Path) else content
