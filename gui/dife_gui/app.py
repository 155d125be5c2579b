"""Start the window on a home directory."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from dife_gui.collecting import Collector
from dife_gui.single import Single, hand_over
from dife_gui.views import theme
from dife_gui.views.window import Window

WIDTH, HEIGHT = 1280, 800
"""Pixels: a small laptop's screen."""
_SCHEMES = {
    "light": Qt.ColorScheme.Light,
    "dark": Qt.ColorScheme.Dark,
    "system": Qt.ColorScheme.Unknown,
}
_SETTLE_MILLISECONDS = 400
"""Between the last record shown and the screenshot: layouts are computed and scroll bars moved by later events."""


def main(
    home: Path,
    *,
    screenshot: Path | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    scheme: str = "system",
    filter: str = "",
    full: bool = False,
    link: str = "",
) -> int:
    """Show the window until it is closed; returns the exit code.

    With `screenshot` the window is drawn, saved there as PNG and closed: 0 when the file was written, else 3. `size` is
    in pixels, `scheme` `light`, `dark` or `system`, `filter` the text of the filter box, and `full` shows the selected
    model over the whole window. A `link` to a finding is shown. Without
    `screenshot` and `filter`, a window that is open on this home already shows it, or itself, and no other is opened.
    """
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setApplicationName("DIFE Scanner")
    app.setDesktopFileName("dife-scanner")
    if screenshot is None and not filter and hand_over(home, link):
        return 0
    choose_scheme(app, scheme)
    window = Window(home)
    window.resize(*size)
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


def choose_scheme(app: QApplication, scheme: str) -> None:
    app.styleHints().setColorScheme(_SCHEMES[scheme])
    # A platform without a dark scheme of its own ignores the hint.
    if scheme == "dark" and not theme.is_dark(app.palette()):
        app.setPalette(theme.dark_palette())


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
