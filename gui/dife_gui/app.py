"""Start the window on a home directory."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from dife_gui.views import theme
from dife_gui.views.window import Window
from dife_scanner.errors import DifeError

WIDTH, HEIGHT = 1280, 800
_SCHEMES = {"light": Qt.ColorScheme.Light, "dark": Qt.ColorScheme.Dark, "system": Qt.ColorScheme.Unknown}
_SETTLE_MILLISECONDS = 400


def main(
    home: Path,
    *,
    screenshot: Path | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    scheme: str = "system",
    filter: str = "",
    full: bool = False,
) -> int:
    """Show the window until it is closed; returns the exit code.

    With `screenshot` the window is drawn, saved there as PNG and closed: 0 when the file was written, else 3. `full`
    shows the selected model over the whole window. Raises `DifeError` where there is no display.
    """
    _need_display()
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setApplicationName("DIFE Scanner")
    app.setDesktopFileName("dife-scanner")
    _choose_scheme(app, scheme)
    window = Window(home)
    window.resize(*size)
    if filter:
        window.filter.set_text(filter)
    window.show()
    window.start()
    if screenshot is None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: window.close())
        return app.exec()
    return _take(app, window, screenshot, full=full)


def _need_display() -> None:
    """Qt ends the process when it finds no display; say so before it does."""
    named = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in named):
        raise DifeError(
            "there is no display to open a window on",
            "start it from a desktop session; `dife findings` and `dife show` print the same in a terminal",
        )


def _choose_scheme(app: QApplication, scheme: str) -> None:
    app.styleHints().setColorScheme(_SCHEMES[scheme])
    if scheme == "dark" and not theme.is_dark(app.palette()):
        app.setPalette(theme.dark_palette())


def _take(app: QApplication, window: Window, path: Path, *, full: bool) -> int:
    saved: list[bool] = []

    def shoot() -> None:
        saved.append(window.grab().save(str(path), "PNG"))
        window.close()
        app.quit()

    def soon() -> None:
        window.settled.disconnect(soon)
        if full:
            window.open_detail()
        QTimer.singleShot(_SETTLE_MILLISECONDS, shoot)

    window.settled.connect(soon)
    app.exec()
    return 0 if saved == [True] else 3
