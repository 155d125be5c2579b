"""Starting a watcher from the window; it lives on after the window is closed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from PySide6.QtCore import QProcess, QProcessEnvironment


def start_watcher(home: Path) -> bool:
    """Start `dife watch` on this home in the environment that the window runs in; whether it could be started."""
    started, _ = _process(home).startDetached()
    return bool(started)


def _process(home: Path) -> QProcess:
    name = "dife.exe" if os.name == "nt" else "dife"
    environment = QProcessEnvironment.systemEnvironment()
    environment.insert("DIFE_HOME", str(home))
    process = QProcess()
    process.setProcessEnvironment(environment)
    process.setProgram(str(Path(sys.executable).with_name(name)))
    process.setArguments(["watch"])
    log = str(home / "logs" / "watch.log")
    process.setStandardOutputFile(log, QProcess.OpenModeFlag.Append)
    process.setStandardErrorFile(log, QProcess.OpenModeFlag.Append)
    return process
