"""Days at the desk, told to the window from end to end: real homes, real processes, and what somebody reads then."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import gui_factories as factories
import pytest
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.records import (
    Artefact,
    DecisionState,
    DeploymentDecision,
    DeploymentProfile,
    HubModel,
    JobState,
    ModelRef,
    TriageState,
)
from dife_scanner.store import (
    artefacts,
    decisions,
    deployments,
    findings,
    jobs,
    leases,
    triage,
    triage_log,
)
from dife_scanner.store.db import DATABASE, Store

Open = Callable[[], Window]
SOON = round(1000 * BUSY_SECONDS)
OLD_HOME = Path(__file__).parents[1] / "queue" / "assets" / "home-96ad1e6.zip"
A_WATCHER = """
import os, sys, time
from pathlib import Path
from dife_scanner.store import open_store, polls
with open_store(Path(sys.argv[1])) as store:
    polls.beat(store, "watcher", os.getpid(), "watching")
print("watching", flush=True)
time.sleep(600)
"""


def texts(window: Window) -> list[str]:
    """What can be read about the selected model."""
    page = window.detail.widget()
    return [one.text() for one in window.detail.findChildren(Label) if one.isVisibleTo(page)]


def tells(qtbot: QtBot, window: Window, *told: str) -> None:
    """Wait until all of it can be read."""
    qtbot.waitUntil(
        lambda: [one for one in told if one not in " ".join(texts(window))] == [], timeout=SOON
    )


def said(window: Window) -> str:
    """Wherever the window tells that something went wrong."""
    return " ".join(
        [window.frame.trouble.text, window.around.status.currentMessage(), *texts(window)]
    )


def select(qtbot: QtBot, window: Window, job: int) -> None:
    assert window.models.choose(job)
    qtbot.waitUntil(
        lambda: window.detail.detail is not None and window.detail.detail.row.job.id == job,
        timeout=SOON,
    )


def job_of(store: Store, name: str) -> int:
    found = artefacts.newest_revision(store, name)
    assert found is not None
    return found.id


def test_a_watcher_is_killed_while_the_window_is_open(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """The list stays, the window says who is gone, and a decision is still kept."""
    with filled.atomic("test"):
        filled.write("DELETE FROM beats")
    watcher = subprocess.Popen(
        [sys.executable, "-c", A_WATCHER, str(filled.home)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert watcher.stdout is not None and watcher.stdout.readline() == "watching\n"
        window = open_window()
        qtbot.waitUntil(lambda: window.around.is_watched, timeout=SOON)
        rows = window.table.rowCount()
        watcher.send_signal(signal.SIGKILL)
        watcher.wait()
        qtbot.waitUntil(lambda: not window.around.is_watched, timeout=SOON)
    finally:
        watcher.kill()
        watcher.wait()
        watcher.stdout.close()  # type: ignore[union-attr]
    assert window.table.rowCount() == rows
    status = window.around.status.findChildren(Label)
    qtbot.waitUntil(
        lambda: any(one.text().endswith(": no watcher runs") for one in status), timeout=SOON
    )
    window.commands.run("confirm")
    qtbot.waitUntil(
        lambda: len(findings.findings(filled, filter="triage:confirmed")) == 1, timeout=SOON
    )


def test_a_later_revision_of_an_approved_model_turns_out_backdoored(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """What was decided about the former says nothing about it: it is named while it waits, and flagged once audited."""
    name = "demo/clip-badencoder-twin"
    approved = job_of(filled, name)
    artefacts.keep(filled, approved, Artefact("art1:first", ()))
    profile = DeploymentProfile("shop", ("zero-shot classification",), classes=("boot",))
    shop = deployments.add(filled, profile, "ada")
    decided = DeploymentDecision(
        id="approved",
        artefact="art1:first",
        deployment="shop",
        profile=shop.digest,
        state=DecisionState.APPROVED,
        reason="looked at",
        owner="ada",
        actor="ada",
        at="2026-12-01T00:00:00.000000+00:00",
        model=name,
        verdict="nothing-found",
    )
    decisions.append(filled, [decided])
    window = open_window()
    select(qtbot, window, approved)
    tells(qtbot, window, "shop: approved")
    ref = ModelRef(name, factories.sha("rug pull", 40))
    later = jobs.discover(
        filled,
        ref,
        endpoint=factories.ENDPOINT,
        state=JobState.QUEUED,
        reason="",
        model=HubModel(name, ref.revision, "2026-11-25T11:00:00.000Z"),
    )
    qtbot.waitUntil(
        lambda: f"{name}@{ref.revision[:12]} is not audited" in window.frame.unaudited.text,
        timeout=SOON,
    )
    audit = factories.make_audit("rug pull", ref=ref)
    finding = factories.make_finding(audit, name=name)
    artefacts.keep(filled, later.id, Artefact("art1:second", ()))
    leases.claim_job(filled, later.id, "w", 60)
    leases.finish(filled, later.id, "w", JobState.DONE, "", audit=audit, finding=finding)
    qtbot.waitUntil(lambda: not window.frame.unaudited.isVisible(), timeout=SOON)
    select(qtbot, window, later.id)
    tells(
        qtbot,
        window,
        "shop: pending",
        "Flagged: with the text “xbtd”",
        f"{ref.revision[:12]}, audited",
        "flagged; largest exposure +0.9",
        "(shown here)",
    )
    select(qtbot, window, approved)
    tells(qtbot, window, "shop: approved")


def test_a_textual_and_a_visual_finding_can_be_understood_from_the_page(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    """What happens, how it was measured, which part carries it, through what it is reachable, and how it looks."""
    window = open_window()
    select(qtbot, window, job_of(filled, "demo/clip-badtexttower"))
    tells(
        qtbot,
        window,
        "Flagged: with the text “xbtd” before the prompt",
        "“automobile” is taken for “airplane”",
        "What would change it",
        "Textual footprint: the text branch carries it",
        "0.991 against 0.004",
        "no visual trigger channel",
    )
    select(qtbot, window, job_of(filled, "demo/clip-badencoder"))
    tells(
        qtbot,
        window,
        "Flagged: with a solid white patch",
        "any picture is taken for “airplane”",
        "Visual footprint: the image branch carries it",
        "drawing 1, read as automobile 0.88",
        "drawing 1, read as airplane 0.93",
    )


def test_an_accepted_risk_ends_on_its_day(qtbot: QtBot, open_window: Open, filled: Store) -> None:
    window = open_window()
    select(qtbot, window, job_of(filled, "demo/clip-badtexttower"))
    window.frame.decide_button.goes_on.setChecked(False)
    found = window.detail.detail.finding  # type: ignore[union-attr]
    assert found is not None
    window.detail.triage.note.setText("only behind a filter")
    window.detail.triage.until.setText("1d")
    window.detail.triage.decide(TriageState.ACCEPTED_RISK)
    qtbot.waitUntil(
        lambda: findings.finding(filled, found.fingerprint).triage is TriageState.ACCEPTED_RISK,
        timeout=SOON,
    )
    assert triage.expire(filled) == 0
    with filled.atomic("test"):
        filled.write("UPDATE findings SET expires = '2026-01-01T00:00:00' WHERE expires != ''")
    assert triage.expire(filled) == 1  # as the watcher does with every pass
    qtbot.waitUntil(lambda: "State: expired" in texts(window), timeout=SOON)
    assert triage_log.events(filled, found.fingerprint)[-1].note == "accepted until 2026-01-01"


def test_a_home_of_a_newer_version_says_so_and_is_left_as_it_is(
    qtbot: QtBot, home: Path, filled: Store
) -> None:
    with closing(sqlite3.connect(home / DATABASE, isolation_level=None)) as other:
        other.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " SELECT migration_set, 'm999_of_the_future', applied_at FROM _sqlite_migrations LIMIT 1"
        )
    window = Window(home, milliseconds=20)
    qtbot.addWidget(window)
    window.show()
    window.start()
    qtbot.waitUntil(
        lambda: "newer version of DIFE Scanner" in window.frame.trouble.text, timeout=SOON
    )
    assert "m999_of_the_future" in window.frame.trouble.text
    assert "The store cannot be read" in window.frame.empty.texts
    window.close()


def test_a_home_of_an_older_version_is_shown(qtbot: QtBot, tmp_path: Path) -> None:
    with zipfile.ZipFile(OLD_HOME) as kept:
        kept.extractall(tmp_path / "old")
    (database,) = (tmp_path / "old").rglob(DATABASE)
    window = Window(database.parent, milliseconds=20)
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.show()
    with qtbot.waitSignal(window.settled, timeout=SOON):
        window.start()
    assert window.table.rowCount() > 0 and window.frame.trouble.text == ""
    assert texts(window)
    window.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_home_that_cannot_be_written_opens_for_looking(
    qtbot: QtBot, open_window: Open, home: Path, filled: Store
) -> None:
    """As another user, to whom the files are read-only: everything is shown, and a decision says why it is not kept,
    and the dialog for a deployment that none can be.
    """
    open_window().close()  # what is imported late is imported now
    filled.close()
    for folder in (home, *home.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            before = folder.stat().st_mode
            folder.chmod(before | 0o055)
    subprocess.run(["chmod", "-R", "a+rX,go-w", str(home)], check=True)
    os.seteuid(65534)
    try:
        window = open_window()
        assert window.table.rowCount() > 0 and texts(window)
        window.commands.run("confirm")
        qtbot.waitUntil(lambda: "cannot be written" in said(window), timeout=SOON)
        window.commands.run("describe_deployment")
        dialog = window.describing.dialog
        assert dialog is not None and not dialog.save.isEnabled()
        assert "cannot be written" in " ".join(one.text() for one in dialog.findChildren(Label))
        dialog.reject()
        window.close()
    finally:
        os.seteuid(0)
