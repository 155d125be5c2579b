"""How the window does with a home of 100,000 findings while another process writes to it.

xvfb-run -s '-screen 0 1600x1000x24' python benchmarks/window.py HOME [--seconds 10] [--rate 1000]

Makes HOME with `large_home.py` where it is not there. Prints when the window was usable (from the start of its process
to the list and the selected model on screen), how long an answer to each keystroke in the filter took, once while
nobody writes and once while another process does, the gaps between two paints of the list while the wheel turns and
the other process goes on, and the memory. That process commits `rate` findings a second to HOME, each in a transaction
of its own as workers do; they stay there. An answer is there once its first lines are in the list, or once it is known
that there are none. With `--rate 0` nobody writes.
"""

from __future__ import annotations

import argparse
import itertools
import math
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
TYPING_SECONDS = 6.0
"""That the other process writes beside those in which the wheel turns."""
INDEX_SECONDS = 10.0
"""Between two looks of the inserting process at texts that wait for their index: a watcher looks as often."""
AIMS = {"usable": 1.5, "keystroke": 100.0, "gap": 33.0, "memory": 500.0}
"""Seconds, milliseconds (95 %) twice, and MB."""


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
        if not given.home.exists():
            subprocess.run(
                [sys.executable, Path(__file__).with_name("large_home.py"), given.home], check=True
            )
        subprocess.run([*own(given.home, "window", given), "--began", str(time.time())], check=True)


def own(home: Path, part: str, given: argparse.Namespace) -> list[str]:
    """This script as another process."""
    numbers = ["--seconds", str(given.seconds), "--rate", str(given.rate)]
    return [sys.executable, __file__, str(home), "--part", part, *numbers]


def insert(home: Path, seconds: float, rate: int) -> None:
    """Commit so many findings a second one by one, as workers would, and keep the index of texts as a watcher does."""
    import large_home

    from dife_scanner.store import trigrams

    database = sqlite3.connect(home / "dife.db", isolation_level=None, timeout=30)
    database.execute("PRAGMA synchronous = FULL")
    first = database.execute("SELECT max(id) FROM jobs").fetchone()[0] + 1_000_000
    record = database.execute("SELECT record_sha256 FROM audits LIMIT 1").fetchone()[0]
    chance = random.Random(first)
    print("began", flush=True)
    began = time.monotonic()
    written, index_at = 0, began + INDEX_SECONDS
    while time.monotonic() - began < seconds:
        if written >= (time.monotonic() - began) * rate:
            time.sleep(0.001)
            continue
        database.execute("BEGIN IMMEDIATE")
        large_home.put(database, large_home.rows(chance, first + written, record))
        database.execute("COMMIT")
        written += 1
        if time.monotonic() > index_at:
            trigrams.catch_up(database)
            index_at = time.monotonic() + INDEX_SECONDS
    took, used = time.monotonic() - began, time.process_time()
    print(
        f"inserted {written:,} findings in {took:.1f} s: {written / took:,.0f} a second,"
        f" {used:.1f} s of the processor",
        flush=True,
    )


def show(home: Path, seconds: float, rate: int, began: float) -> None:
    """Open the window and measure one thing after the other."""
    from dife_gui.collecting import Collector
    from dife_gui.views import theme
    from dife_gui.views.window import Window
    from PySide6.QtWidgets import QApplication

    app = QApplication(sys.argv[:1])
    assert app is not None  # held as long as its window
    theme.choose_scheme("light")
    window = Window(home)
    window.resize(*SIZE)
    window.show()
    window.start()
    collector = Collector()
    until(lambda: window.detail.detail is not None)
    took = time.time() - began
    said("usable", took, "usable", f"{took:.2f} s, {time.process_time():.2f} s of the processor")
    type_filters(window, "nobody writes")
    if not rate:
        window.filter.set_text("")
        until(lambda: window.lister.is_idle and window.filter.state == "empty")
        turn_wheel(window, seconds)
    else:
        given = argparse.Namespace(seconds=seconds + TYPING_SECONDS, rate=rate)
        inserting = own(home, "insert", given)
        with subprocess.Popen(inserting, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            other.stdout.readline()  # that it began
            type_filters(window, "another process writes")
            turn_wheel(window, seconds)
            print(other.stdout.read().strip(), flush=True)
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


def type_filters(window: object, meanwhile: str) -> None:
    """Type each filter letter by letter, each letter once the one before is answered."""
    from PySide6.QtTest import QTest

    waits, cpu, own = [], [], []
    answered: list[str] = []

    def note(found: object) -> None:
        if found.found or found.whole:
            answered.append(found.asked.filter)

    window.lister.found.connect(note)
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
    window.lister.found.disconnect(note)
    window.filter.set_text("")
    until(lambda: window.lister.is_idle and window.filter.state == "empty")
    used = f"of the processor: {spread(cpu)}, of which the window's own thread: {spread(own)}"
    text = f"{len(waits)}, ms: {spread(waits)}; {used}"
    said(f"keystrokes answered while {meanwhile}", most(waits), "keystroke", text)


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
    text = f"{len(painted)}, gaps in ms: {spread(gaps)}"
    said("paints while the wheel turned and another process writes", most(gaps), "gap", text)
    came = window.table.rowCount() - rows
    print(f"processor meanwhile: {share:.0%} of one core; {came:,} rows came", flush=True)


def memory() -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    said("memory at most", peak * 1.048576, "memory", f"{peak:.0f} MiB")


def spread(values: list[float]) -> str:
    """Median, 95th percentile and largest."""
    return f"median {statistics.median(values):.0f}, 95 % {most(values):.0f}, largest {max(values):.0f}"


def most(values: list[float]) -> float:
    """The 95th percentile: the least value that 95 of 100 do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def said(what: str, value: float, aim: str, text: str) -> None:
    met = "met" if value <= AIMS[aim] else "not met"
    platform = os.environ.get("QT_QPA_PLATFORM", "display")
    print(f"{what}: {text}; aim {AIMS[aim]:g} {met} ({platform})", flush=True)


if __name__ == "__main__":
    main()
