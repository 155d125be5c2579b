"""A filled store, a window on it, and Qt without a screen."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import gui_factories as factories
import leftovers
import pytest
from dife_gui.views.window import Window
from pytestqt.qtbot import QtBot
from qt_messages import ALLOWED_MESSAGES

from dife_scanner.store import polls
from dife_scanner.store.db import Store, open_store

SOON = 20_000
"""Milliseconds that something may take which is a matter of moments on a machine that does nothing else."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every other message of Qt fails the test."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.qt_log_ignore(*ALLOWED_MESSAGES))


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A window, a thread or a timer that a test leaves behind fails it. Torn down last, because it is set up first."""
    if "qapp" not in request.fixturenames:
        yield
        return
    request.getfixturevalue("qapp")
    before = leftovers.alive()
    yield
    found = leftovers.left(before)
    assert not found, f"left behind: {', '.join(found)}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    """A writable handle, as a watcher would hold it."""
    with open_store(home) as opened:
        yield opened


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Filled once; tests get copies."""
    home = tmp_path_factory.mktemp("filled") / "home"
    with open_store(home) as store:
        factories.fill(store)
    return home


@pytest.fixture
def filled(filled_home: Path, home: Path) -> Iterator[Store]:
    """One model of every kind, and a watcher that was heard of just now."""
    shutil.copytree(filled_home, home)
    with open_store(home) as opened:
        polls.beat(opened, "watcher", os.getpid(), "")
        yield opened


@pytest.fixture
def open_window(qtbot: QtBot, home: Path) -> Iterator[Callable[[], Window]]:
    """Makes a window that has read the store once; every window is closed at the end."""
    made: list[Window] = []

    def make() -> Window:
        window = Window(home, milliseconds=20)
        made.append(window)
        qtbot.addWidget(window)
        window.resize(1280, 800)
        window.show()
        with qtbot.waitSignal(window.settled, timeout=SOON):
            window.start()
        return window

    yield make
    for window in made:
        window.close()
