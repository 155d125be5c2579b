"""Everything that is wrong with the settings, each with its key, its line and what to do."""

from __future__ import annotations

from pathlib import Path

from dife_scanner import settings
from dife_scanner.alerts import configured
from dife_scanner.alerts.planning import problems
from dife_scanner.errors import SettingsError


def errors(home: Path | None) -> list[SettingsError]:
    """What keeps the settings of a home from being used, in their order; none where they can be."""
    found = settings.errors(home)
    if found:
        return found
    read = settings.load(home)
    path = settings.config_path(read.home)
    for key, error in problems(read.alerts):
        where = settings.place(path, key)
        found.append(SettingsError(f"{where}: {error.what}", error.advice))
    if not found:
        try:
            configured(read)
        except SettingsError as error:
            found.append(error)
    return found
