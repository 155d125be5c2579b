"""Every page and dialog can be read aloud, and nothing on it is cut at 200 %."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import every_page
import gui_factories as factories
from dife_gui.views.window import Window
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot
from waiting import BUSY_SECONDS

from dife_scanner.store import artefacts
from dife_scanner.store.db import Store

ROOT = Path(__file__).parents[2]


def a_model(store: Store) -> int:
    """One that has everything, with a later revision and a deployment."""
    factories.measure_for_a_shop(store)
    found = artefacts.newest_revision(store, "demo/clip-badencoder")
    assert found is not None
    return found.id


def test_everything_on_every_page_can_be_read_aloud(
    open_window: Callable[[], Window], filled: Store
) -> None:
    job = a_model(filled)
    pages = [(page, every_page.unnamed(top)) for page, top in every_page.walk(open_window(), job)]
    assert len(pages) == 12
    assert [found for found in pages if found[1]] == []


def test_a_first_start_can_be_read_aloud(open_window: Callable[[], Window], store: Store) -> None:
    assert every_page.unnamed(open_window()) == []


def test_nothing_on_any_page_is_cut_at_200_percent(filled: Store) -> None:
    """In a process of its own, which reads the scale when it begins."""
    job = a_model(filled)
    given = {
        "QT_QPA_PLATFORM": "offscreen",
        "QT_SCALE_FACTOR": "2",
        "PYTHONPATH": os.pathsep.join(str(one) for one in (ROOT / "gui", ROOT, ROOT / "tests")),
    }
    done = subprocess.run(
        [sys.executable, str(Path(every_page.__file__)), str(filled.home), str(job)],
        env=os.environ | given,
        capture_output=True,
        text=True,
        timeout=6 * BUSY_SECONDS,
    )
    assert done.stdout.splitlines() == ["walked through"], done.stderr


def test_what_has_no_name_and_what_is_cut_is_noticed(qtbot: QtBot) -> None:
    page = QWidget()
    layout = QVBoxLayout(page)
    nameless, narrow = QPushButton(), QLabel("a text that has no room here")
    narrow.setFixedWidth(20)
    layout.addWidget(nameless)
    layout.addWidget(narrow)
    qtbot.addWidget(page)
    page.show()
    assert every_page.unnamed(page) == ["QPushButton in QWidget"]
    assert every_page.cut(page) == ["cut: QLabel “a text that has no room here”"]
