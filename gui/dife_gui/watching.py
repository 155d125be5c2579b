"""Running `dife` from the window: a watcher, which lives on after the window is closed, and commands that end."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment

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


def start_watcher(home: Path, program: Path, options: Sequence[str] = ()) -> bool:
    """Start `dife watch` on this home with the `dife` that `scanner` found; whether it could be started."""
    return _start(home, ["watch", *options], program, "watch.log")


def start_demo(home: Path, program: Path) -> bool:
    """Start `dife demo --gui`, which has a home of its own and opens its own window; whether it could be started."""
    return _start(home, ["demo", "--gui"], program, "demo.log")


def _start(home: Path, arguments: Sequence[str], program: Path, name: str) -> bool:
    """Start a program that lives on, with what it says appended to this log."""
    process = dife(home, arguments, program)
    log = str(home / "logs" / name)
    process.setStandardOutputFile(log, QProcess.OpenModeFlag.Append)
    process.setStandardErrorFile(log, QProcess.OpenModeFlag.Append)
    # by its type it returns a pair; in fact a bool where, as here, no place for a process id is given
    started: object = process.startDetached()
    return started is True


def dife(
    home: Path, arguments: Sequence[str], program: Path, parent: QObject | None = None
) -> QProcess:
    """`program`, a `dife` that `scanner` found, with these arguments on this home; not started yet."""
    process = QProcess(parent)
    process.setProcessEnvironment(_surroundings(home))
    process.setProgram(str(program))
    process.setArguments(list(arguments))
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
