"""From a hub to everybody who is told, and back through the window: each thing arrives once, whatever was away.

The hub, the mail server (STARTTLS and a login) and Slack are real servers on loopback, the watcher is a process, and
the window is one offscreen. Later moments are given to the sender, which looks at no clock of its own.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import calling
import psutil
import pytest
import trustme
from activating import activate
from bills import bom
from dife_gui.views.window import Window
from flagged_audit import TRIGGER
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from queue_kit import checkpoint, probes_folder
from waiting import BUSY_SECONDS

from dife_scanner import settings
from dife_scanner.alerts import configured, deliver
from dife_scanner.durable.clock import later
from dife_scanner.lab.loopback import LoopbackHub
from dife_scanner.lab.sinks import Posted, SlackApiSink, SmtpOptions, SmtpSink
from dife_scanner.queue.alert_sender import exposure_picture
from dife_scanner.records import AlertState, TriageState
from dife_scanner.store import Store, findings, outbox

MODEL, ROOM, LOGIN = "org/clip-bad", "C0ALERTS", ("dife", "a-long-password")
WATCHER = Path(__file__).parents[1] / "queue" / "run_watcher.py"
SOON = round(1000 * BUSY_SECONDS)
_CONFIG = """\
[alerts]
group_seconds = 0
[alerts.email]
host = "127.0.0.1"
port = {mail}
sender = "dife@scanner.test"
recipients = ["soc@example.org"]
username = "dife"
security = "starttls"
[alerts.slack]
enabled = true
channel = "C0ALERTS"
api = "http://127.0.0.1:{slack}/api/"
"""


@dataclass
class Around:
    """Everything that the scanner talks to, each of which can be away."""

    home: Path
    hub: LoopbackHub
    context: ssl.SSLContext
    mail_port: int = 0
    slack_port: int = 0
    printed: str = ""
    """What watchers said."""
    commands: set[str] = field(default_factory=set)
    """Command lines of watchers and their children."""

    def mail(self) -> SmtpSink:
        """The mail server, on the port that it had before."""
        return SmtpSink(
            port=self.mail_port, options=SmtpOptions(starttls=self.context, login=LOGIN)
        )

    def slack(self, messages: list[Posted]) -> SlackApiSink:
        """Slack, on the port that it had before and with the messages that it had."""
        sink = SlackApiSink(channels=(ROOM,), port=self.slack_port)
        sink.messages = messages
        return sink

    def watch_once(self) -> int:
        """The exit code of one pass, all its audits and alerts, by a watcher of its own."""
        where = [sys.executable, str(WATCHER), str(self.home), self.hub.endpoint]
        with (self.home.parent / "printed").open("w") as printed:
            running = subprocess.Popen(
                [*where, "--once", "--audit=flagged_audit:audit"],
                stdout=printed,
                stderr=printed,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            end = time.monotonic() + 200
            while running.poll() is None:
                assert time.monotonic() < end, "waited too long"
                self.commands |= command_lines(running.pid)
                time.sleep(0.2)
        told = (self.home.parent / "printed").read_text()
        assert "Traceback" not in told, told
        self.printed += told
        return running.returncode

    def send(self, store: Store, minutes: float) -> None:
        """What the sender does so many minutes from now."""
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        channels = configured(settings.load(self.home))
        moment = at.isoformat(timespec="microseconds")
        deliver(store, channels, moment, draw=lambda about: exposure_picture(store, about))


@pytest.fixture
def around(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Around]:
    """The parts, of which only the hub serves already; the home's settings name them all."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    probes_folder(tmp_path / "probes")
    with LoopbackHub(tmp_path / "hub") as hub:
        made = Around(home, hub, context)
        with made.mail() as mail, made.slack([]) as slack:
            made.mail_port, made.slack_port = mail.port, slack.port
            token = slack.token
        home.mkdir(exist_ok=True)
        config = _CONFIG.format(mail=made.mail_port, slack=made.slack_port)
        (home / "config.toml").write_text(config)
        _keep_secret(home, "smtp-password", LOGIN[1])
        _keep_secret(home, "slack-token", token)
        yield made


def command_lines(pid: int) -> set[str]:
    """Those of a process and of all below it; of one that ends meanwhile none."""
    found = set()
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            found.add(" ".join(one.cmdline()))
    return found


def check_secrets_are_nowhere(around: Around) -> None:
    """Not in the database, a log, an argument, an export or a report: they lie where they were put alone."""
    token = (around.home / "secrets" / "slack-token").read_text()
    told = [around.printed, *around.commands]
    assert len(around.commands) > 2
    for command in (["export"], ["report"], ["info"], ["status"], ["doctor", "--offline"]):
        done = calling.dife(*command, "--home", around.home)
        told += [done.stdout, done.stderr]
    texts = [text.encode() for text in told]
    kept = [path for path in around.home.rglob("*") if path.is_file()]
    assert "dife.db" in {path.name for path in kept}
    texts += [path.read_bytes() for path in kept if path.parent.name != "secrets"]
    for secret in (LOGIN[1], token):
        assert not [text for text in texts if secret.encode() in text]


def _keep_secret(home: Path, name: str, value: str) -> None:
    (home / "secrets").mkdir(mode=0o700, exist_ok=True)
    file = home / "secrets" / name
    file.touch(mode=0o600)
    file.write_text(value)


def shown(window: Window) -> list[str]:
    """The models in the list that have a finding."""
    rows = [window.table.row(at) for at in range(window.table.rowCount())]
    return [row.job.ref.repo_id for row in rows if row is not None and row.finding]


def confirm(qtbot: QtBot, window: Window, store: Store) -> None:
    """Press C, as somebody does who has read what is shown."""
    detail = window.detail
    qtbot.waitUntil(
        lambda: detail.detail is not None and detail.detail.finding is not None, timeout=SOON
    )
    activate(qtbot, window)
    window.models.setFocus()
    qtbot.keyClick(window.models, Qt.Key.Key_C)
    confirmed = TriageState.CONFIRMED
    qtbot.waitUntil(
        lambda: [one.triage for one in findings.findings(store)] == [confirmed], timeout=SOON
    )


def vex(home: Path) -> dict[str, Any]:
    """The exported bill, once it was held against the standard's schema."""
    done = calling.dife("export", "--home", home, "--format", "cyclonedx")
    assert done.returncode == 0 and TRIGGER not in done.stdout
    return bom(done.stdout)


def states(store: Store) -> dict[str, int]:
    """How many alerts are in each state."""
    found = [alert.state for alert in outbox.alerts(store)]
    return {state.value: found.count(state) for state in AlertState if state in found}


def check_all_arrived_once(mail: SmtpSink, posted: list[Posted], *, edits: int) -> None:
    """One mail and one thread, each with the picture, and in Slack what was decided; no trigger anywhere."""
    assert mail.recipients == [("soc@example.org",)]
    (arrived,) = mail.mails
    kinds = [part.get_content_type() for part in arrived.walk()]
    assert kinds.count("image/png") == kinds.count("text/html") == kinds.count("text/plain") == 1
    (thread,) = posted
    assert (thread.edits, thread.thread) == (edits, "")
    assert [name for name, _ in thread.files] == ["exposure.png"]
    assert "decided confirmed" in json.dumps(thread.payload)
    for text in (arrived.as_string(), str(thread.payload), str(thread.files)):
        assert TRIGGER not in text


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_a_finding_is_told_decided_about_and_exported(
    qtbot: QtBot, open_window: Callable[[], Window], store: Store, around: Around
) -> None:
    hub, posted = around.hub, list[Posted]()
    for number, name in enumerate((MODEL, "org/clip-fine")):
        hub.add_repo(name, checkpoint(number), last_modified=later(-60))
    window = open_window()
    assert shown(window) == []
    with around.mail() as mail, around.slack(posted) as slack:
        assert around.watch_once() == 0
        qtbot.waitUntil(lambda: shown(window) == [MODEL], timeout=SOON)
        assert states(store) == {"sent": 2}
        assert vex(around.home)["vulnerabilities"] == []

        confirm(qtbot, window, store)
        around.send(store, 1)
        check_all_arrived_once(mail, posted, edits=1)
        assert slack.problems == []
        around.send(store, 600)
        check_all_arrived_once(mail, posted, edits=1)
    (told,) = vex(around.home)["vulnerabilities"]
    assert told["analysis"]["state"] == "exploitable"
    check_secrets_are_nowhere(around)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_whatever_was_away_for_a_while_gets_everything_once(
    qtbot: QtBot, open_window: Callable[[], Window], store: Store, around: Around
) -> None:
    hub, posted = around.hub, list[Posted]()
    hub.add_repo(MODEL, checkpoint(), last_modified=later(-60))
    hub.close()
    assert around.watch_once() == 3  # the hub is away: said, and nothing is lost
    hub.start()
    assert around.watch_once() == 0  # mail and Slack are away
    waiting = outbox.alerts(store)
    assert [(one.state, one.attempts) for one in waiting] == [(AlertState.PENDING, 1)] * 2
    assert all("refused" in one.last_error for one in waiting)

    window = open_window()  # it was closed while the finding came
    assert shown(window) == [MODEL]
    with around.slack(posted):
        around.send(store, 2)  # mail is still away
    assert states(store) == {"sent": 1, "pending": 1}
    confirm(qtbot, window, store)
    window.close()
    around.send(store, 10)  # both are away again
    assert states(store) == {"sent": 1, "pending": 2}

    with around.mail() as mail, around.slack(posted) as slack:
        around.send(store, 60)
        around.send(store, 600)
        check_all_arrived_once(mail, posted, edits=1)
        assert slack.problems == []
        assert set(states(store)) == {"sent"}
    (told,) = vex(around.home)["vulnerabilities"]
    assert told["analysis"]["state"] == "exploitable"
