"""Open the window, once it is certain that Qt can: where it cannot, Qt ends the process there and then.

So it is tried in a child process first. Nothing of Qt is imported here.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dife_scanner.errors import NoWindow, UsageError

PROBE_SECONDS = 20.0
"""A display that has not answered by then (one forwarded from a machine that sleeps, say) counts as gone."""
_PROBE = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from PySide6 import QtWidgets
QtWidgets.QApplication(["dife"])
"""
_NAMED = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
_LIBRARY = re.compile(r"([\w.+-]+\.so[.\d]*): cannot open shared object file")
_UNKNOWN_PLATFORM = re.compile(r'Could not find the Qt platform plugin "([^"]*)"')
_NO_CONNECTION = ("could not connect to display", "Failed to create wl_display")
_IN_A_TERMINAL = "`dife findings` and `dife show` print the same in a terminal"


def open_window(home: Path, **options: Any) -> int:
    """Show the window until it is closed; returns the exit code. `options` are those of `app.main`.

    Raises `NoWindow` where there is no display or a library is missing, and `UsageError` without PySide6.
    """
    check()
    from dife_gui.app import main

    return main(home, **options)


def check() -> None:
    """Try whether Qt can open a window here. Raises `NoWindow`, or `UsageError` where PySide6 is not installed."""
    if importlib.util.find_spec("PySide6") is None:
        raise UsageError(
            "the window cannot be opened: PySide6 is not installed",
            "pip install 'dife-scanner[gui]'",
        )
    if sys.platform != "linux":
        return  # elsewhere there is a display wherever there is a user
    if not any(os.environ.get(name) for name in _NAMED):
        raise NoWindow(
            "there is no display to open a window on",
            f"start it from a desktop session; {_IN_A_TERMINAL}",
        )
    # Debugging its plugins, Qt names the library that one of them lacks.
    environment = {**os.environ, "QT_DEBUG_PLUGINS": "1"}
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            timeout=PROBE_SECONDS,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise NoWindow(
            f"{_display(os.environ)} does not answer", f"start it elsewhere; {_IN_A_TERMINAL}"
        ) from None
    if tried.returncode != 0:
        raise explained(tried.stderr.decode("utf-8", "replace"), os.environ)


def explained(said: str, environment: Mapping[str, str]) -> NoWindow:
    """The error for what Qt `said` before it ended the process."""
    display = _display(environment)
    library = _LIBRARY.search(said)
    platform = _UNKNOWN_PLATFORM.search(said)
    if any(words in said for words in _NO_CONNECTION):
        return NoWindow(
            f"{display} cannot be reached", f"start it from a desktop session; {_IN_A_TERMINAL}"
        )
    if library:
        return NoWindow(
            f"no window can be opened on {display}: the system's library {library[1]} is missing",
            f"install the package that holds {library[1]}; {_IN_A_TERMINAL}",
        )
    if platform:
        return NoWindow(
            f"no window can be opened: Qt knows no platform {platform[1]}",
            "correct the environment variable QT_QPA_PLATFORM",
        )
    last = said.strip().splitlines()[-1:] or ["Qt ended without a word"]
    return NoWindow(f"no window can be opened on {display}: {last[0]}", _IN_A_TERMINAL)


def _display(environment: Mapping[str, str]) -> str:
    """The display that a window would open on, as the environment names it."""
    named = []
    for name in _NAMED:
        if environment.get(name):
            named.append(f"{name}={environment[name]}")
    return f"the display ({', '.join(named)})"
