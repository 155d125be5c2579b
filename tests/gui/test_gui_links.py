"""Links to findings, and the one window of a home that shows them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from dife_gui.links import finding_of, link_of
from dife_gui.single import Single, hand_over
from dife_gui.views.window import Window
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.errors import UsageError
from dife_scanner.store import findings
from dife_scanner.store.db import Store

Open = Callable[[], Window]
_OTHER = """
import sys
from pathlib import Path
from dife_gui.single import hand_over
sys.exit(not hand_over(Path(sys.argv[1]), sys.argv[2]))
"""
"""A second window that is started, as far as the first one knows it."""
SOON = round(1000 * BUSY_SECONDS)


@pytest.mark.parametrize(
    "link",
    [
        "",
        "fp1:00ff",
        "dife://finding/",
        "dife://finding/fp1:00ff/..",
        "dife://finding/fp1:00ff?home=/tmp",
        "dife://finding/fp1:00ff\n",
        'dife://finding/fp1:" | repo:~a',
        "dife://finding/fp1:" + "0" * 10_000,
        "DIFE://finding/fp1:00ff",
        "file:///etc/passwd",
        "dife://finding/fp1:\u0660",
    ],
)
def test_a_link_that_is_not_written_as_one_is_refused(link: str) -> None:
    with pytest.raises(UsageError, match="is no link to a finding"):
        finding_of(link)


def test_a_link_is_shown_in_the_window_of_its_home(
    qtbot: QtBot, open_window: Open, filled: Store, home: Path
) -> None:
    window = open_window()
    single = Single(home, window)
    single.asked.connect(window.answer)
    (wanted,) = findings.findings(filled, filter="repo:demo/clip-badtexttower")
    window.filter.set_text("state:refused")
    qtbot.waitUntil(lambda: window.table.rowCount() == 1, timeout=SOON)
    other = subprocess.Popen([sys.executable, "-c", _OTHER, str(home), link_of(wanted.fingerprint)])
    qtbot.waitUntil(
        lambda: bool(window.detail.detail and window.detail.detail.finding == wanted), timeout=SOON
    )
    qtbot.waitUntil(lambda: other.poll() is not None, timeout=SOON)
    assert other.wait() == 0
    window.commands.run("copy_link")
    assert QGuiApplication.clipboard().text() == link_of(wanted.fingerprint)
    single.close()
    assert not hand_over(home, "")


def test_a_link_to_nothing_says_so_and_changes_nothing(
    qtbot: QtBot, open_window: Open, filled: Store
) -> None:
    window = open_window()
    message = window.around.status.currentMessage
    before = window.models.current_job
    window.answer("dife://finding/fp1:00ff")
    qtbot.waitUntil(lambda: "no finding fp1:00ff" in message(), timeout=SOON)
    window.answer("javascript:alert(1)")
    assert "is no link to a finding" in message()
    assert window.models.current_job == before
