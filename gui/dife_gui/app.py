"""Start the window on a home directory."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from dife_gui.collecting import Collector
from dife_gui.single import Single, hand_over
from dife_gui.views import theme
from dife_gui.views.window import Window

WIDTH, HEIGHT = 1280, 800
"""Pixels: a small laptop's screen."""
_SETTLE_MILLISECONDS = 400
"""Between the last record shown and the screenshot: layouts are computed and scroll bars moved by later events."""


def main(
    home: Path,
    *,
    screenshot: Path | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    scheme: str = "",
    filter: str = "",
    full: bool = False,
    link: str = "",
) -> int:
    """Show the window until it is closed; returns the exit code.

    With `screenshot` the window is drawn, saved there as PNG and closed: 0 when the file was written, else 3. `size` is
    in pixels, `scheme` one of `memory.SCHEMES` or empty for the one chosen last, `filter` the text of the filter box,
    and `full` shows the selected model over the whole window. A `link` to a finding is shown. Without `screenshot` and
    `filter`, a window that is open on this home already shows it, or itself, and no other is opened; else the
    window begins as the last one ended.
    """
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setApplicationName("DIFE Scanner")
    app.setDesktopFileName("dife-scanner")
    if screenshot is None and not filter and hand_over(home, link):
        return 0
    window = Window(home)
    theme.choose_scheme(scheme or window.looks.scheme)
    window.resize(*size)
    if screenshot is None and not filter:
        window.go_on()
    if filter:
        window.filter.set_text(filter)
    window.show()
    window.start()
    if link:
        window.open_link(link)
    collector = Collector()
    try:
        if screenshot is None:
            single = Single(home, window)
            single.asked.connect(window.answer)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: window.close())
            return app.exec()
        return _take_screenshot(app, window, screenshot, full=full)
    finally:
        collector.close()


def _take_screenshot(
    app: QApplication,
    window: Window,
    path: Path,
    *,
    full: bool,
) -> int:
    """Run the window until it has settled and save what it shows; returns the exit code."""
    saved: list[bool] = []

    def save() -> None:
        saved.append(window.grab().save(str(path), "PNG"))
        window.close()
        app.quit()

    def wait_and_save() -> None:
        window.settled.disconnect(wait_and_save)
        if full:
            window.frame.open_detail()
        QTimer.singleShot(_SETTLE_MILLISECONDS, save)

    window.settled.connect(wait_and_save)
    app.exec()
    if saved == [True]:
        return 0
    return 3
