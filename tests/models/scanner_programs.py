"""Programs that stand in for picklescan and modelaudit: shell scripts that print what those print.

`make peers` runs the real ones.
"""

from __future__ import annotations

from pathlib import Path

SUMMARY = """----------- SCAN SUMMARY -----------
Scanned files: {scanned}
Infected files: {dangerous}
Suspicious globals: {suspicious}
Dangerous globals: {dangerous}
"""


def picklescan_answer(scanned: int = 1, suspicious: int = 0, dangerous: int = 0) -> str:
    """The end of picklescan's output."""
    return SUMMARY.format(scanned=scanned, suspicious=suspicious, dangerous=dangerous)


def program(folder: Path, name: str, script: str) -> Path:
    """An executable of this name; `script` is for a shell, which has only its own commands: it can start nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def printing(folder: Path, name: str, answer: str, code: int = 0) -> Path:
    """A program that prints this and ends with this exit code."""
    return program(folder, name, f"echo '{answer}'\nexit {code}")
