"""The file that a home is backed up in: a zip with the database, files of three folders, and a manifest with hashes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import TypeAdapter

from dife_scanner.store.db import DATABASE

MANIFEST = "manifest.json"
FORMAT = "dife/backup-manifest-1"
EVIDENCE, REFERENCES, CALIBRATION = "evidence", "references", "calibration"
FOLDERS = (EVIDENCE, REFERENCES, CALIBRATION)
KINDS = (*FOLDERS, DATABASE)
"""In the order in which they are put into a home: without its database it is none."""
LEFT_OUT = (
    "secrets and keys",
    "config.toml",
    "caches and fetched weights",
    "logs",
    "the seed of this installation's samples",
)
"""What is never in a backup, as a person reads it."""
_EVIDENCE = re.compile(
    r"evidence/[0-9a-f]{2}/([0-9a-f]{64}\.[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?|removed\.txt)"
)
_DEPTHS = {REFERENCES: 3, CALIBRATION: 2}
"""How many parts the name of a file there has."""
_LONGEST_PART = 255


@dataclass(frozen=True)
class Entry:
    """One file of a backup."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What is in a backup."""

    made_at: str
    version: str
    """Of the program that made it."""
    schema: str
    """The latest change that its database went through."""
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = LEFT_OUT
    format: str = FORMAT


MANIFESTS: TypeAdapter[Manifest] = TypeAdapter(Manifest)
"""Writes and reads manifests."""


def kind_of(path: str) -> str:
    """Which of `KINDS` a file of a backup belongs to, by its name; empty for a name that none has."""
    if path == DATABASE:
        return DATABASE
    if _EVIDENCE.fullmatch(path):
        return EVIDENCE
    first, *rest = path.split("/")
    if _DEPTHS.get(first) == 1 + len(rest) and all(_is_plain(part) for part in rest):
        return first
    return ""


def counts(entries: tuple[Entry, ...]) -> dict[str, int]:
    """How many files of each kind there are."""
    found = dict.fromkeys(KINDS, 0)
    for entry in entries:
        found[kind_of(entry.path)] += 1
    return found


def _is_plain(part: str) -> bool:
    """Whether it is the name of a file that is neither hidden nor leads anywhere else."""
    return (
        0 < len(part) <= _LONGEST_PART
        and part.isprintable()
        and part[0] != "."
        and "\\" not in part
    )
