"""What is dropped on the window is asked to be scanned: folders, files, addresses of models; nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from activating import activate
from dife_gui.views.window import Window
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.settings import DEFAULT_ENDPOINT
from dife_scanner.store import requests
from dife_scanner.store.db import Store

Open = Callable[[], Window]
SOON = round(1000 * BUSY_SECONDS)
BUTTON, HELD = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
COPY = Qt.DropAction.CopyAction


def drop(window: Window, *urls: QUrl) -> bool:
    """As a file manager or a browser does; whether the window takes it."""
    data = QMimeData()
    data.setUrls(list(urls))
    entered = QDragEnterEvent(QPoint(50, 50), COPY, data, BUTTON, HELD)
    QApplication.sendEvent(window, entered)
    if entered.isAccepted():
        QApplication.sendEvent(window, QDropEvent(QPointF(50, 50), COPY, data, BUTTON, HELD))
    return entered.isAccepted()


def asked(store: Store) -> list[str]:
    return [one.target for one in requests.waiting(store)]


def test_a_folder_a_file_and_an_address_are_scanned(
    qtbot: QtBot, open_window: Open, filled: Store, tmp_path: Path
) -> None:
    folder = tmp_path / "a model"
    folder.mkdir()
    weights = folder / "open_clip_model.safetensors"
    weights.write_bytes(b"weights")
    window = open_window()
    hub = QUrl(f"{DEFAULT_ENDPOINT}/org/name/tree/abc123")
    assert drop(window, QUrl.fromLocalFile(str(folder)), QUrl.fromLocalFile(str(weights)), hub)
    wanted = [str(folder), str(weights), "org/name@abc123"]
    qtbot.waitUntil(lambda: asked(filled) == wanted, timeout=SOON)
    told = window.around.status
    qtbot.waitUntil(lambda: told.currentMessage().startswith("3 scans asked for"), timeout=SOON)
    assert requests.waiting(filled)[0].actor


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://elsewhere.example/org/name", "is not the hub that is scanned here"),
        (f"{DEFAULT_ENDPOINT}/org", "names no model"),
        (f"{DEFAULT_ENDPOINT}/datasets/org/name", "names no model"),
        ("file:///no/such/folder", "There is no /no/such/folder"),
        ("javascript:alert(1)", "names no model"),
    ],
)
def test_what_names_no_model_is_refused_whole(
    qtbot: QtBot, open_window: Open, filled: Store, url: str, told: str
) -> None:
    window = open_window()
    assert drop(window, QUrl(f"{DEFAULT_ENDPOINT}/org/name"), QUrl(url))
    assert told in window.around.status.currentMessage()
    assert not asked(filled)


def test_an_address_can_be_pasted(qtbot: QtBot, open_window: Open, filled: Store) -> None:
    window = open_window()
    QGuiApplication.clipboard().setText(f"{DEFAULT_ENDPOINT}/org/other")
    activate(qtbot, window)
    window.models.setFocus()
    qtbot.keyClick(window.models, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: asked(filled) == ["org/other"], timeout=SOON)
