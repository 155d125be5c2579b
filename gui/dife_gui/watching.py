"""Starting a watcher from the window; it lives on after the window is closed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from PySide6.QtCore import QProcess, QProcessEnvironment

_OWN_LIBRARIES = "LD_LIBRARY_PATH"
"""A bundle of the window sets it for itself, and keeps what was there before under this name with `_ORIG`."""


def scanner() -> Path | None:
    """The `dife` of the environment that the window runs in, else the one on the path; none where none is installed."""
    name = "dife.exe" if os.name == "nt" else "dife"
    beside = Path(sys.executable).with_name(name)
    if beside.is_file():
        return beside
    found = shutil.which("dife")
    return Path(found) if found else None


def start_watcher(home: Path, program: Path) -> bool:
    """Start `dife watch` on this home with the `dife` that `scanner` found; whether it could be started."""
    # by its type it returns a pair; in fact a bool where, as here, no place for a process id is given
    started: object = _process(home, program).startDetached()
    return started is True


def _process(home: Path, program: Path) -> QProcess:
    process = QProcess()
    process.setProcessEnvironment(_surroundings(home))
    process.setProgram(str(program))
    process.setArguments(["watch"])
    log = str(home / "logs" / "watch.log")
    process.setStandardOutputFile(log, QProcess.OpenModeFlag.Append)
    process.setStandardErrorFile(log, QProcess.OpenModeFlag.Append)
    return process


def _surroundings(home: Path) -> QProcessEnvironment:
    """Variables of this process for another program: without the libraries of a bundle."""
    environment = QProcessEnvironment.systemEnvironment()
    environment.insert("DIFE_HOME", str(home))
    if getattr(sys, "frozen", False):
        environment.remove(_OWN_LIBRARIES)
        before = environment.value(f"{_OWN_LIBRARIES}_ORIG")
        if before:
            environment.insert(_OWN_LIBRARIES, before)
    return environment
