"""Draw every page of the window, light and dark, at 100 % and 200 %, of a home with one model of every kind.

python benchmarks/screenshots.py [FOLDER] [--home HOME]

The home is made first (`shown_home.py`): its audits are real. `--home` takes one that was made before, and keeps it.
Pictures are named `PAGE-SCHEME-SCALE.png` and have few colours, so that all of them fit into the documentation. Beside
FOLDER go `window.png` and `bundle.png`: what `dife gui` and the bundle's program draw of it. No screen is needed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pydantic.fields  # noqa: F401 - before Qt, whose import hook it does not bear
from PIL import Image
from shown_home import REVISED, TEXTUAL, VISUAL

from dife_scanner.store import models, open_store, polls

if TYPE_CHECKING:
    from dife_gui.views.window import Window
    from PySide6.QtWidgets import QDialog

ROOT = Path(__file__).parents[1]
MOST_BYTES = 2_500_000
"""Of all pictures in the folder."""
SCHEMES = ("light", "dark")
SCALES = (100, 200)
SIZES = {100: (1280, 800), 200: (960, 540)}
"""Of the window, in points: at 200 % a whole screen of 1920 by 1080 pixels."""
WIDE = {100: (1120, 760), 200: (940, 520)}
COLOURS = 64
_SETTLE_MILLISECONDS = 600
_WAIT_MILLISECONDS = 20_000
_STEP_MILLISECONDS = 20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "docs" / "window")
    parser.add_argument("--home", type=Path, help="one that was made before; made anew without it")
    parser.add_argument("--one", nargs=2, metavar=("SCHEME", "SCALE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.folder = given.folder.resolve()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.one:
        draw(given.folder, given.home, given.one[0], int(given.one[1]))
        return
    with tempfile.TemporaryDirectory(prefix="dife-shown-") as made:
        home = (given.home or Path(made) / "home").resolve()
        if not (home / "dife.db").exists():
            make_home(home)
        draw_all(given.folder, home)
    taken = sum(file.stat().st_size for file in given.folder.glob("*.png"))
    print(f"{given.folder}: {taken:,} bytes")
    if taken > MOST_BYTES:
        raise SystemExit(f"the pictures take more than {MOST_BYTES:,} bytes: draw fewer colours")


def make_home(home: Path) -> None:
    """In a process of its own: what audits has nothing to do with what draws."""
    command = [sys.executable, str(ROOT / "benchmarks" / "shown_home.py"), str(home)]
    subprocess.run(command, check=True)


def draw_all(folder: Path, home: Path) -> None:
    """Each scheme and scale from a copy of the home, so that all show the same."""
    for scheme in SCHEMES:
        for scale in SCALES:
            surroundings = {"QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": str(scale / 100)}
            command = [sys.executable, __file__, str(folder), "--one", scheme, str(scale)]
            _run([*command, "--home", str(home)], surroundings)
    bundle = ROOT / "packaging" / "bundle" / "dife_window.py"
    for name, program in (
        ("window.png", ("-m", "dife_scanner", "gui")),
        ("bundle.png", (str(bundle),)),
    ):
        picture = folder.parent / name
        with _copy(home) as copied:
            command = [sys.executable, *program, "--home", str(copied)]
            _run([*command, "--screenshot", str(picture)], {"QT_QPA_PLATFORM": "offscreen"})
        reduce(picture)


def _run(command: list[str], surroundings: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=os.environ | surroundings)


@contextmanager
def _copy(home: Path) -> Iterator[Path]:
    """A home that may be looked at without leaving a trace in it."""
    with tempfile.TemporaryDirectory(prefix="dife-shown-") as kept:
        os.chdir(kept)  # a page names its home
        copied = Path("home")
        shutil.copytree(home, copied, ignore=shutil.ignore_patterns("cache", "hub", "work"))
        yield copied


def draw(folder: Path, home: Path, scheme: str, scale: int) -> None:
    """Every page in one scheme; Qt reads the scale when its process begins."""
    from dife_gui.views import theme
    from PySide6.QtWidgets import QApplication

    app = QApplication([])
    assert app is not None  # held as long as its windows
    theme.choose_scheme(scheme)
    with _copy(home) as copied:
        empty = opened(Path("empty"), scale)
        save(empty, folder / f"empty-{scheme}-{scale}.png")
        empty.close()
        with open_store(copied) as store:
            polls.beat(store, "watcher", os.getpid(), "watching")
            jobs: dict[str, int] = {}
            for row in models.model_rows(store):
                jobs[row.job.ref.repo_id] = max(row.job.id, jobs.get(row.job.ref.repo_id, 0))
        window = opened(copied, scale)
        pages(window, jobs, lambda page: save(window, folder / f"{page}-{scheme}-{scale}.png"))
        window.close()


def opened(home: Path, scale: int = 100) -> Window:
    """A window that has read its home."""
    from dife_gui.views.window import Window
    from PySide6.QtTest import QSignalSpy

    window = Window(home)
    window.resize(*SIZES[scale])
    settled = QSignalSpy(window.settled)
    window.show()
    window.start()
    settled.wait(_WAIT_MILLISECONDS)
    return window


def pages(window: Window, jobs: Mapping[str, int], kept: Callable[[str], None]) -> None:
    """Go through the pages and dialogs of a window; `kept(page)` is called on each once it is there.

    `jobs`: the newest revision of each model.
    """
    from dife_gui.views.keys import Help

    select(window, jobs[TEXTUAL])
    kept("list")
    window.frame.open_detail()
    kept("finding")
    to_card(window, "What it does to what is found and selected")
    kept("finding-below")
    select(window, jobs[VISUAL])
    to_card(window, "Exposure profile")
    kept("finding-visual")
    window.frame.to_table()
    window.commands.run("show_queue")
    until(lambda: window.queue.page.table.rowCount() > 0)
    kept("queue")
    window.commands.run("show_hub")
    until(lambda: window.queue.hub.cards["Disk"].isVisible())
    kept("hub")
    window.commands.run("show_models")
    select(window, jobs[REVISED])
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


def select(window: Window, job: int) -> None:
    """Show a model, with everything on its page."""
    window.models.choose(job)
    until(lambda: window.detail.detail is not None and window.detail.detail.row.job.id == job)


def to_card(window: Window, title: str) -> None:
    """Scroll a page to one of its cards."""
    from dife_gui.views.card import Card
    from PySide6.QtCore import QPoint
    from PySide6.QtTest import QTest

    QTest.qWait(_SETTLE_MILLISECONDS)
    page = window.detail.widget()
    (card,) = [one for one in page.findChildren(Card) if one.accessibleName() == title]
    window.detail.verticalScrollBar().setValue(card.mapTo(page, QPoint(0, 0)).y())


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
            # the platform without a screen pretends to a small one
            dialog.resize(*WIDE[round(100 * window.devicePixelRatioF())])
            QTest.qWait(_SETTLE_MILLISECONDS)
    shown = dialogs[-1] if dialogs else window
    shown.grab().save(str(file))
    reduce(file)
    for dialog in dialogs:
        dialog.reject()


def reduce(file: Path) -> None:
    """Keep a picture with few colours; the octree keeps those that are rare, such as the red of a verdict."""
    with Image.open(file) as picture:
        few = picture.convert("RGB").quantize(
            COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
        )
    few.save(file, optimize=True)


if __name__ == "__main__":
    main()
