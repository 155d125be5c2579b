"""Draw every page of the window, light and dark, at 100 % and 200 %, of a home with one model of every kind.

python benchmarks/screenshots.py [FOLDER]

Pictures are named `PAGE-SCHEME-SCALE.png` and have 64 colours, so that all of them fit into the documentation. No
screen is needed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from dife_scanner import settings  # before Qt, whose import hook its libraries do not bear

if TYPE_CHECKING:
    from dife_gui.views.window import Window
    from PySide6.QtWidgets import QDialog

ROOT = Path(__file__).parents[1]
SCHEMES = ("light", "dark")
SCALES = (100, 200)
SIZE = (1280, 800)
WIDE = (1120, 760)
COLOURS = 64
_SETTLE_MILLISECONDS = 600
_WAIT_MILLISECONDS = 20_000
_STEP_MILLISECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "docs" / "window")
    parser.add_argument("--one", nargs=2, metavar=("SCHEME", "SCALE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.folder = given.folder.resolve()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.one:
        draw(given.folder, given.one[0], int(given.one[1]))
        return
    for scheme in SCHEMES:
        for scale in SCALES:
            environment = {"QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": str(scale / 100)}
            command = [sys.executable, __file__, str(given.folder), "--one", scheme, str(scale)]
            subprocess.run(command, check=True, env=os.environ | environment)


def draw(folder: Path, scheme: str, scale: int) -> None:
    """Every page in one scheme; Qt reads the scale when its process begins."""
    sys.path.insert(0, str(ROOT / "tests" / "gui"))
    import gui_factories
    from dife_gui.views import theme
    from PySide6.QtWidgets import QApplication

    from dife_scanner.store import open_store, polls

    app = QApplication([])
    assert app is not None  # held as long as its windows
    theme.choose_scheme(scheme)
    with tempfile.TemporaryDirectory() as kept:
        os.chdir(kept)  # the page names its home
        empty = opened(Path("empty"))
        save(empty, folder / f"empty-{scheme}-{scale}.png")
        empty.close()
        home = settings.load(Path(kept) / "home").home
        with open_store(home) as store:
            gui_factories.fill(store)
            gui_factories.measure_for_a_shop(store)
            later = gui_factories.revise(store, "demo/clip-badtexttower")
            polls.beat(store, "watcher", os.getpid(), "watching")
        window = opened(home)
        pages(window, later.id, lambda page: save(window, folder / f"{page}-{scheme}-{scale}.png"))
        window.close()


def opened(home: Path) -> Window:
    """A window that has read its home."""
    from dife_gui.views.window import Window
    from PySide6.QtTest import QSignalSpy

    window = Window(home)
    window.resize(*SIZE)
    settled = QSignalSpy(window.settled)
    window.show()
    window.start()
    settled.wait(_WAIT_MILLISECONDS)
    return window


def pages(window: Window, revised: int, kept: Callable[[str], None]) -> None:
    """Go through the pages and dialogs of a window; `kept(page)` is called on each once it is there."""
    from dife_gui.views.keys import Help

    kept("list")
    window.frame.open_detail()
    kept("finding")
    bar = window.detail.verticalScrollBar()
    bar.setValue(bar.pageStep())
    kept("finding-below")
    window.frame.to_table()
    window.commands.run("show_queue")
    until(lambda: window.queue.page.table.rowCount() > 0)
    kept("queue")
    window.commands.run("show_hub")
    until(lambda: window.queue.hub.cards["Disk"].isVisible())
    kept("hub")
    window.commands.run("show_models")
    window.models.choose(revised)
    for page, command in (
        ("compare", "compare"),
        ("decide", "decide_about_many"),
        ("deployment", "decide_for_deployment"),
        ("palette", "show_palette"),
    ):
        window.commands.run(command)
        until(lambda: bool(dialogs_of(window)))
        kept(page)
        until(lambda: not dialogs_of(window))
        window.table.set_marks(window.table.keys[:2], on=True)
    Help(parent=window).show()
    kept("keys")


def until(done: Callable[[], bool]) -> None:
    """Run the window until something is so."""
    from PySide6.QtTest import QTest

    waited = 0
    while not done():
        QTest.qWait(_STEP_MILLISECONDS)
        waited += _STEP_MILLISECONDS
        if waited > _WAIT_MILLISECONDS:
            raise SystemExit("the window did not get there")


def dialogs_of(window: Window) -> list[QDialog]:
    from PySide6.QtWidgets import QDialog

    return [one for one in window.findChildren(QDialog) if one.isVisible()]


def save(window: Window, file: Path) -> None:
    """What is on top: a dialog, which is closed then, or the window."""
    from PySide6.QtTest import QTest

    QTest.qWait(_SETTLE_MILLISECONDS)
    dialogs = dialogs_of(window)
    for dialog in dialogs:
        if dialog.accessibleName() == "Compare models":
            dialog.resize(*WIDE)  # the platform without a screen pretends to a small one
            QTest.qWait(_SETTLE_MILLISECONDS)
    shown = dialogs[-1] if dialogs else window
    shown.grab().save(str(file))
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(file, optimize=True)
    for dialog in dialogs:
        dialog.reject()


if __name__ == "__main__":
    main()
