"""How the window does with a home of 100,000 findings while another process writes to it.

python benchmarks/large_home.py HOME
xvfb-run -s '-screen 0 1600x1000x24' python benchmarks/window.py HOME [--seconds 10] [--rate 1000]

Prints when the window was usable (from the start of its process to the list and the selected model on screen), how
long an answer to each keystroke in the filter took, the gaps between two paints of the list while the wheel turns and
another process inserts, and the memory. That process inserts `rate` findings a second into HOME, where they stay; none
with `--rate 0`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

TYPED = ("xylophone", "verdict:flagged !triage:new", "repo:~banana exposure>0.5", "dog | ship")
SIZE = (1600, 1000)
TURN_MILLISECONDS = 16
BATCHES = 10
"""Transactions of the inserting process in a second."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--part", choices=("window", "insert"), help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, default=0.0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part == "insert":
        insert(given.home, given.seconds, given.rate)
    elif given.part == "window":
        show(given.home, given.seconds, given.rate, given.began)
    else:
        subprocess.run([*own(given.home, "window", given), "--began", str(time.time())], check=True)


def own(home: Path, part: str, given: argparse.Namespace) -> list[str]:
    """This script as another process."""
    numbers = ["--seconds", str(given.seconds), "--rate", str(given.rate)]
    return [sys.executable, __file__, str(home), "--part", part, *numbers]


def insert(home: Path, seconds: float, rate: int) -> None:
    """Write so many findings a second, in a few transactions, as workers would."""
    import large_home

    database = sqlite3.connect(home / "dife.db", isolation_level=None, timeout=30)
    database.execute("PRAGMA synchronous = FULL")
    first = database.execute("SELECT max(id) FROM jobs").fetchone()[0] + 1_000_000
    record = database.execute("SELECT record_sha256 FROM audits LIMIT 1").fetchone()[0]
    chance = random.Random(first)
    began = time.monotonic()
    written = 0
    while time.monotonic() - began < seconds:
        due = int((time.monotonic() - began) * rate)
        if due - written >= rate // BATCHES:
            database.execute("BEGIN IMMEDIATE")
            for number in range(first + written, first + due):
                large_home.put(database, large_home.rows(chance, number, record))
            database.execute("COMMIT")
            written = due
        time.sleep(0.01)
    took, used = time.monotonic() - began, time.process_time()
    print(
        f"inserted {written:,} findings in {took:.1f} s, {used:.1f} s of the processor", flush=True
    )


def show(home: Path, seconds: float, rate: int, began: float) -> None:
    """Open the window and measure one thing after the other."""
    from dife_gui.app import choose_scheme
    from dife_gui.collecting import Collector
    from dife_gui.views.window import Window
    from PySide6.QtWidgets import QApplication

    app = QApplication(sys.argv[:1])
    choose_scheme(app, "light")
    window = Window(home)
    window.resize(*SIZE)
    window.show()
    window.start()
    collector = Collector()
    until(lambda: window.detail.detail is not None)
    said("usable", f"{time.time() - began:.2f} s, {time.process_time():.2f} s of the processor")
    type_filters(window)
    window.filter.set_text("")
    until(lambda: window.lister.is_idle and window.filter.state == "empty")
    given = argparse.Namespace(seconds=seconds, rate=rate)
    inserting = subprocess.Popen(own(home, "insert", given)) if rate else None
    turn_wheel(window, seconds)
    if inserting is not None:
        inserting.wait()
    memory()
    window.close()
    collector.close()


def until(done: object, most: float = 300.0) -> None:
    """Run the window until something is so."""
    from PySide6.QtCore import QCoreApplication, QEventLoop, QTimer

    awake = QTimer()
    awake.start(2)
    end = time.monotonic() + most
    while not done():  # type: ignore[operator]
        QCoreApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        if time.monotonic() > end:
            raise SystemExit("the window did not get there")


def type_filters(window: object) -> None:
    """Type each filter letter by letter; an answer is there once its first lines are in the list."""
    from PySide6.QtTest import QTest

    waits, cpu, own = [], [], []
    answered: list[str] = []
    window.lister.found.connect(lambda found: answered.append(found.asked.filter))
    for text in TYPED:
        window.filter.set_text("")
        until(lambda: window.lister.is_idle)
        for letter in text:
            answered.clear()
            began, used, here = time.perf_counter(), time.process_time(), time.thread_time()
            QTest.keyClick(window.filter.line, letter)
            wanted = window.filter.written
            if window.filter.state == "invalid" or wanted == window.filter.text:
                continue  # half a term, or a space: nothing to look for
            until(lambda wanted=wanted: wanted in answered)
            waits.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.process_time() - used))
            own.append(1000 * (time.thread_time() - here))
    used = f"of the processor: {spread(cpu)}, of which the window's own thread: {spread(own)}"
    said("keystrokes answered", f"{len(waits)}, ms: {spread(waits)}; {used}")


def turn_wheel(window: object, seconds: float) -> None:
    """Turn the wheel over the list all the time, up and down, and note when it is painted."""
    from PySide6.QtCore import QEvent, QObject, QPoint, QPointF, Qt, QTimer
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtWidgets import QApplication

    viewport = window.models.viewport()
    painted: list[float] = []

    class Paints(QObject):
        def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
            if event.type() == QEvent.Type.Paint:
                painted.append(time.perf_counter())
            return False

    paints = Paints()
    viewport.installEventFilter(paints)
    began = time.perf_counter()

    def turn() -> None:
        down = int((time.perf_counter() - began) / 2) % 2 == 0
        at = QPointF(viewport.rect().center())
        step = QPoint(0, -120 if down else 120)
        event = QWheelEvent(
            at,
            viewport.mapToGlobal(at),
            QPoint(),
            step,
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(viewport, event)

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(turn)
    used = time.process_time()
    rows = window.table.rowCount()
    timer.start(TURN_MILLISECONDS)
    until(lambda: time.perf_counter() - began > seconds)
    timer.stop()
    viewport.removeEventFilter(paints)
    gaps = [1000 * (b - a) for a, b in itertools.pairwise(painted)]
    share = (time.process_time() - used) / seconds
    said("paints while the wheel turned", f"{len(painted)}, gaps in ms: {spread(gaps)}")
    said(
        "processor meanwhile",
        f"{share:.0%} of one core; {window.table.rowCount() - rows:,} rows came",
    )


def memory() -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said("memory at most", f"{peak:.0f} MiB")


def spread(values: list[float]) -> str:
    """Median, 95th percentile and largest."""
    ordered = sorted(values)
    at = min(int(0.95 * len(ordered)), len(ordered) - 1)
    return f"median {statistics.median(ordered):.0f}, 95 % {ordered[at]:.0f}, largest {ordered[-1]:.0f}"


def said(what: str, text: str) -> None:
    print(f"{what}: {text} ({os.environ.get('QT_QPA_PLATFORM', 'display')})", flush=True)


if __name__ == "__main__":
    main()
