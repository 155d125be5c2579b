"""Running `dife` from the window: a watcher, which lives on after the window is closed, and commands that end."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment


def start_watcher(home: Path) -> bool:
    """Start `dife watch` on this home in the environment that the window runs in; whether it could be started."""
    process = dife(home, ["watch"])
    log = str(home / "logs" / "watch.log")
    process.setStandardOutputFile(log, QProcess.OpenModeFlag.Append)
    process.setStandardErrorFile(log, QProcess.OpenModeFlag.Append)
    started, _ = process.startDetached()
    return bool(started)


def dife(home: Path, arguments: Sequence[str], parent: QObject | None = None) -> QProcess:
    """`dife` with these arguments on this home, in the environment that the window runs in; not started yet."""
    name = "dife.exe" if os.name == "nt" else "dife"
    environment = QProcessEnvironment.systemEnvironment()
    environment.insert("DIFE_HOME", str(home))
    process = QProcess(parent)
    process.setProcessEnvironment(environment)
    process.setProgram(str(Path(sys.executable).with_name(name)))
    process.setArguments(list(arguments))
    return process
