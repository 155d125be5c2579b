"""Exporting from the window: the command's own bytes, with the filter in force, while the window goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import calling
import pytest
from activating import activate
from dife_gui.views.exporting import FORMATS, ExportDialog
from dife_gui.views.window import Window
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.cli.export import Format
from dife_scanner.store.db import Store

Open = Callable[[], Window]
SOON = round(1000 * BUSY_SECONDS)
FILTER = "verdict:flagged"


def asked(qtbot: QtBot, window: Window, format: str, out: Path) -> ExportDialog:
    """The dialog that Ctrl+E opens, filled in."""
    activate(qtbot, window)
    window.models.setFocus()
    qtbot.keyClick(window.models, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    dialog = window.exporting.dialog
    assert dialog is not None
    dialog.format.setCurrentIndex(dialog.format.findData(format))
    dialog.file.setText(str(out))
    return dialog


def save(dialog: ExportDialog) -> None:
    dialog.buttons.button(QDialogButtonBox.StandardButton.Save).click()


def test_every_format_of_the_command_is_offered() -> None:
    assert {name for name, _, _ in FORMATS} == {one.value for one in Format}
    endings = [ending for _, _, ending in FORMATS]
    assert len(set(endings)) == len(endings)


@pytest.mark.parametrize("with_triggers", [False, True])
def test_what_the_filter_shows_is_written_as_the_command_writes_it(
    qtbot: QtBot, open_window: Open, filled: Store, tmp_path: Path, with_triggers: bool
) -> None:
    window, out = open_window(), tmp_path / "flagged.json"
    window.filter.set_text(FILTER)
    qtbot.waitUntil(lambda: window.filter.text == FILTER, timeout=SOON)
    dialog = asked(qtbot, window, "json", out)
    assert not dialog.with_triggers.isChecked()
    dialog.with_triggers.setChecked(with_triggers)
    looks: list[int] = []
    window.feed.looked.connect(lambda: looks.append(1))
    save(dialog)
    assert not dialog.format.isEnabled()  # and the window goes on
    qtbot.waitUntil(lambda: window.exporting.dialog is None, timeout=SOON)
    assert looks
    options = ["--with-triggers"] if with_triggers else []
    done = calling.dife("export", "--home", filled.home, *options, "--format", "json", FILTER)
    assert out.read_text(encoding="utf-8") == done.stdout
    told = json.loads(done.stdout)
    assert told["subjects"] and {one["audit"]["verdict"] for one in told["subjects"]} == {"flagged"}
    assert [one["told"] is not None for one in told["subjects"]] == [with_triggers] * len(
        told["subjects"]
    )


def test_a_file_that_is_there_is_replaced_only_when_asked_twice(
    qtbot: QtBot, open_window: Open, filled: Store, tmp_path: Path
) -> None:
    window, out = open_window(), tmp_path / "there.csv"
    out.write_text("mine")
    dialog = asked(qtbot, window, "csv", out)
    save(dialog)
    assert "Save once more" in dialog._problem.text() and out.read_text() == "mine"
    save(dialog)
    qtbot.waitUntil(lambda: window.exporting.dialog is None, timeout=SOON)
    assert out.read_text().startswith("model,")


def test_a_place_that_cannot_be_written_is_said_and_another_can_be_given(
    qtbot: QtBot, open_window: Open, filled: Store, tmp_path: Path
) -> None:
    window = open_window()
    dialog = asked(qtbot, window, "md", tmp_path / "no" / "such" / "folder.md")
    save(dialog)
    qtbot.waitUntil(lambda: "cannot be written" in dialog._problem.text(), timeout=SOON)
    assert dialog.file.isEnabled()
    dialog.file.setText(str(tmp_path))
    save(dialog)
    assert "which file" in dialog._problem.text()
    dialog.reject()
    assert window.exporting.dialog is None


def test_without_the_command_the_window_says_what_to_run(
    qtbot: QtBot,
    open_window: Open,
    filled: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    dialog = asked(qtbot, open_window(), "html", tmp_path / "page.html")
    save(dialog)
    qtbot.waitUntil(lambda: "could not be started" in dialog._problem.text(), timeout=SOON)
    assert f"dife --home {filled.home} export --format html" in dialog._problem.text()


def test_the_name_ends_as_files_of_the_format_do(qtbot: QtBot) -> None:
    dialog = ExportDialog("")
    qtbot.addWidget(dialog)
    dialog.file.setText("/tmp/week.html")
    for name, _, ending in FORMATS:
        dialog.format.setCurrentIndex(dialog.format.findData(name))
        assert dialog.file.text() == f"/tmp/week.{ending}"


def test_a_window_that_is_closed_leaves_no_half_a_file(
    qtbot: QtBot, open_window: Open, filled: Store, tmp_path: Path
) -> None:
    window, out = open_window(), tmp_path / "page.html"
    save(asked(qtbot, window, "html", out))
    window.close()
    assert not out.exists() or out.read_text(encoding="utf-8").endswith("</html>\n")
