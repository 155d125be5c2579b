"""What stands around the list: queue, status line, notices, help; labels for what strangers wrote."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gui_factories as factories
from dife_gui.feed import Overview
from dife_gui.views.keys import KEYS, Help
from dife_gui.views.status import (
    Status,
    changed_bases_text,
    coverage_text,
    dead_letters_text,
    overview_text,
    queue_text,
    unaudited_text,
)
from dife_gui.views.text import Label
from dife_gui.views.window import Window
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from dife_scanner.records import (
    Alert,
    FindingKind,
    Job,
    JobState,
    ModelRef,
    Tally,
)
from dife_scanner.sentences.alerts import notice_of
from dife_scanner.sentences.times import time_text
from dife_scanner.store import jobs
from dife_scanner.store.db import Store
from dife_scanner.store.polls import Beat


def texts(widget: QWidget) -> str:
    """Everything that labels under `widget` say."""
    return "\n".join(label.text() for label in widget.findChildren(QLabel))


# --- filter, status, help -------------------------------------------------------------------------------------


def test_the_queue_line_names_states_that_are_present() -> None:
    assert (
        queue_text({"auditing": 1, "done": 1200, "failed": 2})
        == "1 auditing · 2 failed · 1,200 done"
    )
    assert queue_text({}) == "queue empty"


def test_the_status_line_says_what_the_audits_come_to_and_what_chance_may_have_made() -> None:
    def told(tally: Tally) -> str:
        return overview_text(Overview(0, {"done": 12}, None, None, None, (), tally, ()))

    shown = told(Tally(12, 1, 2, 12, 0.36))
    assert shown.startswith(
        "12 done · 12 audited, 1 flagged, 2 anomalous; by chance alone at most 0.36 flags"
    )
    assert told(Tally(0, 0, 0, 0, 0.0)) == "12 done"


def test_the_status_line_says_what_matters_first_and_is_not_cut_on_a_small_screen(
    qtbot: QtBot,
) -> None:
    tally = Tally(12, 1, 2, 12, 0.36)
    counts = {"auditing": 2, "queued": 1234, "retry-wait": 12, "failed": 34, "done": 5678}
    found = Overview(0, counts, None, None, "2026-11-23T09:00:00.000000+00:00", (), tally, ())
    status = Status(Path("/home"))
    qtbot.addWidget(status)
    status.resize(1280, status.sizeHint().height())
    status.show()
    status.show_overview(found)
    queue = next(one for one in status.findChildren(Label) if one.accessibleName() == "Queue")
    qtbot.waitUntil(lambda: queue.width() >= queue.fontMetrics().horizontalAdvance(queue.text()))
    assert queue.text().startswith("1 flagged, at most 0.36 by chance, 2 anomalous · 2 auditing")
    assert "12 audited, 1 flagged, 2 anomalous" in queue.toolTip()


def test_the_status_line_says_since_when_nothing_new_is_known() -> None:
    """A watcher that is gone, and one whose last pass failed, are blind since the last complete one."""
    now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    alive, gone = (
        Beat("watcher", os.getpid(), "", datetime.now(UTC).isoformat()),
        Beat("watcher", 1, "", "2026-11-23T09:00"),
    )
    failed = Beat("poller", 1, "failed: the hub did not answer", now.isoformat())

    def told(watcher: Beat, poller: Beat | None, last: str | None) -> str:
        tally = Tally(0, 0, 0, 0, 0.0)
        return coverage_text(Overview(0, {}, watcher, poller, last, (), tally, ()), now)

    earlier = (now - timedelta(minutes=3)).isoformat()
    clock = time_text(earlier)[11:]
    assert told(alive, None, earlier) == "Last complete poll 3 min ago"
    assert told(gone, None, earlier) == f"Blind since {clock}: no watcher runs"
    assert told(gone, None, "2026-11-20T09:00:00+00:00").startswith("Blind since 2026-11-20")
    assert told(alive, None, None) == "No complete poll yet"
    assert "no watcher runs" in told(gone, None, None)
    assert told(alive, failed, earlier).endswith(": no watcher runs") is False


def test_a_revision_after_an_approved_one_is_named_with_a_plain_name() -> None:
    def told(job: Job | None) -> str:
        return unaudited_text(
            Overview(0, {}, None, None, None, (), Tally(0, 0, 0, 0, 0.0), (), job)
        )

    assert told(None) == ""
    text = told(factories.make_job(repo_id=factories.HOSTILE, state=JobState.QUEUED))
    assert "is not audited since 2026-11-23" in text and "(queued)" in text
    assert text.isprintable() and "\u202e" not in text


def test_a_line_that_has_no_room_is_cut_and_told_in_full(qtbot: QtBot) -> None:
    """At any width the status line lies beside its neighbours and never over them."""
    status = Status(Path("/home"))
    qtbot.addWidget(status)
    beat = Beat("watcher", 1, "", "2026-11-23T09:00")
    counts = {state.value: 1000 for state in JobState}
    status.show_overview(
        Overview(0, counts, beat, None, "2026-11-20T09:00", (), Tally(9, 1, 1, 9, 0.3), ())
    )
    for width in (700, 1600):
        status.resize(width, status.sizeHint().height())
        status.show()
        qtbot.wait(1)
        shown = [one for one in status.findChildren(QWidget) if one.isVisible()]
        places = sorted((one.geometry() for one in shown), key=lambda place: place.left())
        assert all(a.right() < b.left() for a, b in itertools.pairwise(places))
        assert places[-1].right() <= width
    (queue,) = (one for one in shown if one.accessibleName() == "Queue")
    assert "1,000 auditing" in queue.toolTip() and "1,000 gated" in queue.toolTip()


def test_a_message_has_the_line_for_itself(qtbot: QtBot) -> None:
    """Also where it is read meanwhile how things stand: nothing lies over it, and the button comes back after it."""
    status = Status(Path("/home"))
    qtbot.addWidget(status)
    stopped = Overview(0, {}, None, None, "2026-11-20T09:00", (), Tally(9, 1, 1, 9, 0.3), ())
    status.show()
    status.show_overview(stopped)
    assert status.start.isVisible()
    status.showMessage("1 finding set to “confirmed”")
    status.show_overview(stopped)
    assert not status.start.isVisible()
    status.clearMessage()
    assert status.start.isVisible()


def test_models_that_cannot_be_audited_are_counted_and_listed_on_a_click(
    qtbot: QtBot, open_window: Callable[[], Window], filled: Store
) -> None:
    """From any page; what is listed is as many as was counted."""
    for number, state in enumerate((JobState.GATED, JobState.GATED, JobState.UNSUPPORTED)):
        ref = ModelRef(f"closed/model-{number}", f"{number:040x}")
        jobs.discover(filled, ref, endpoint=factories.ENDPOINT, state=state, reason="closed")
    window = open_window()
    button = window.around.status.barred
    counts = jobs.counts(filled)
    number = counts["gated"] + counts["unsupported"]
    qtbot.waitUntil(lambda: button.accessibleName() == f"{number} cannot be audited")
    assert f"{counts['gated']} gated" in button.toolTip()
    window.commands.run("show_hub")
    budget = window.queue.hub.cards["Budget"]
    qtbot.waitUntil(lambda: "newest audits: 6 at default" in texts(budget), timeout=20_000)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.table.rowCount() == number, timeout=20_000)
    assert window.pages.shown == "models"
    assert window.filter.text == "state:unsupported | state:gated"


def test_dead_letters_say_which_channel_and_why() -> None:
    finding = factories.make_finding(factories.make_audit())
    dead = tuple(
        Alert(str(n), channel, "new", notice_of(finding), last_error="gone")
        for n, channel in enumerate(("slack", "e-mail"))
    )
    assert (
        dead_letters_text(dead)
        == "2 alerts could not be delivered (e-mail, slack). They are kept. Last answer: gone"
    )
    assert dead_letters_text(()) == ""


def test_a_base_that_changed_is_told_with_what_to_do_and_the_others_are_counted() -> None:
    finding = replace(
        factories.make_finding(factories.make_audit()),
        ref=ModelRef("acme/one", "b" * 40),
        kind=FindingKind.CHANGED,
        reason="the weights are another file; `dife reference pin acme/one --revision COMMIT`",
    )
    told = changed_bases_text((finding, finding, finding))
    assert told.startswith("Clean base changed in acme/one. Changed: the weights are another file;")
    assert "dife reference pin acme/one" in told and f"dife triage {finding.fingerprint}" in told
    assert told.endswith("And 2 more: `dife findings kind:changed` lists them.")
    assert "more" not in changed_bases_text((finding,))
    assert changed_bases_text(()) == ""


def test_help_lists_every_key(qtbot: QtBot) -> None:
    dialog = Help()
    qtbot.addWidget(dialog)
    shown = texts(dialog)
    assert all(key.shown.split()[0] in shown and key.does in shown for key in KEYS)


def test_labels_never_guess_at_markup(qtbot: QtBot) -> None:
    label = Label("<h1>big</h1>\x1b[31m\nred")
    qtbot.addWidget(label)
    assert label.text() == "<h1>big</h1> red"
    assert label.textFormat() is Qt.TextFormat.PlainText
