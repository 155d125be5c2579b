"""What was fetched of hubs and lies on the disk: one folder for each revision, its files whole or in part."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.durable.disk import free_bytes
from dife_scanner.records import DiskUse


@dataclass(frozen=True)
class Fetched:
    """The files of one revision."""

    path: Path
    size: int
    """Bytes, those of parts included."""
    at: float
    """When the last of them arrived; seconds since 1970."""


def downloads(home: Path) -> Path:
    """The folder that holds a folder for each repository, with one for each revision in it."""
    return home / "cache" / "hub"


def fetched_folders(home: Path) -> list[Fetched]:
    """Every revision of which something was fetched, in no order. Others may remove some meanwhile."""
    found = []
    for repository in _within(downloads(home)):
        found += [_measured(path) for path in _within(repository)]
    return found


def _within(folder: Path) -> list[Path]:
    """What a folder holds; nothing where it is gone."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _measured(path: Path) -> Fetched:
    size = 0
    at = 0.0
    for folder, _, names in os.walk(path):  # which passes over a folder that is gone
        for name in names:
            try:
                found = Path(folder, name).lstat()
            except OSError:  # renamed or removed meanwhile, or not ours to look at
                continue
            if stat.S_ISREG(found.st_mode):
                size += found.st_size
                at = max(at, found.st_mtime)
    return Fetched(path, size, at)


def disk_use(home: Path, quota: int, floor: int) -> DiskUse:
    """What fetched weights take now, and what they may, in bytes."""
    fetched = sum(folder.size for folder in fetched_folders(home))
    return DiskUse(fetched, quota, free_bytes(home), floor)
