"""The commit of the code that makes rows."""

from __future__ import annotations

import subprocess
from importlib.resources import files

CHANGED = "-changed"
"""Ends a commit from which files of the package differ."""


def commit() -> str:
    """The commit of the package on disk, in short; empty where it is not in a repository, or there is no git."""
    folder = str(files("dife_scanner"))
    if _asked(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return ""  # an installed package may lie inside somebody else's repository
    found = _asked(folder, "rev-parse", "--short=12", "HEAD")
    if not found:
        return ""
    changed = _asked(folder, "status", "--porcelain", "--", ".")
    return f"{found}{CHANGED}" if changed else found


def _asked(folder: str, *arguments: str) -> str | None:
    """What git says; `None` where it cannot."""
    command = ["git", "-C", folder, *arguments]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
