"""Content-addressed evidence files: `evidence/ab/<sha256><suffix>`, written before any row refers to them.

What retention removed is named in `evidence/ab/removed.txt`, with the day, before it goes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import NotFound, StoreCorrupt

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
REMOVED = "removed.txt"
"""In each folder of evidence: a line for each file that was removed, its sha256 and the moment."""


def put(home: Path, content: bytes, suffix: str) -> str:
    """Keep `content` and return its sha256; temp file, fsync, rename. Putting it again changes nothing."""
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"not a file suffix: {suffix!r}")
    digest = hashlib.sha256(content).hexdigest()
    place = _place(home, digest, suffix)
    with disk_errors(home):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _lock(home):  # it is not removed as old once it is needed again
            if place.exists() and _digest(place) == digest:
                os.utime(place)
            else:
                _write(place, content)
    return digest


def path(home: Path, sha256: str) -> Path:
    """Find where the file lies. Raises `NotFound` when it does not."""
    if _SHA256.fullmatch(sha256):
        found = sorted((home / "evidence" / sha256[:2]).glob(sha256 + ".*"))
        if found:
            return found[0]
        removed = removed_on(home, sha256)
        if removed:
            raise NotFound(
                f"evidence removed by retention on {removed}", "an older backup may still hold it"
            )
    raise NotFound(
        f"no evidence file {sha256[:64]!r}",
        "it may have been removed by hand; put it back from a copy of the state directory",
    )


def read(home: Path, sha256: str) -> bytes:
    """Read the content, checked against its name. Raises `NotFound` or `StoreCorrupt`."""
    content = path(home, sha256).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise StoreCorrupt(
            f"evidence file {path(home, sha256)} has been changed", "restore it from a backup"
        )
    return content


def verify(home: Path, sha256: str) -> bool:
    """Tell whether the file is there and its content still has that hash."""
    try:
        return _digest(path(home, sha256)) == sha256
    except NotFound:
        return False


# --- removing what is old -------------------------------------------------------------------------------------


def stored(home: Path) -> Iterator[tuple[str, Path]]:
    """Every evidence file: its sha256 and where it lies."""
    for folder in sorted((home / "evidence").glob("[0-9a-f][0-9a-f]")):
        for file in sorted(folder.iterdir()):
            sha256, _, _ = file.name.partition(".")
            if _SHA256.fullmatch(sha256):
                yield sha256, file


def remove(home: Path, file: Path, at: str, before: float) -> int:
    """Remove one of `stored`, named as removed at `at` first, and return its bytes.

    0 where it was put after `before` (seconds since 1970), or is gone already.
    """
    with disk_errors(home), _lock(home), suppress(FileNotFoundError):
        state = file.stat()
        if state.st_mtime < before:
            _note_removed(file, at)
            file.unlink()
            return state.st_size
    return 0


def removed_on(home: Path, sha256: str) -> str:
    """The day on which retention removed a file that is not there; empty where it did not."""
    day = ""
    with suppress(FileNotFoundError):
        for line in (home / "evidence" / sha256[:2] / REMOVED).read_text("ascii").splitlines():
            name, _, at = line.partition(" ")
            if name == sha256 and len(at) >= len(
                "2026-01-31"
            ):  # a line that a kill cut off counts as none
                day = at[:10]
    return day


def _note_removed(file: Path, at: str) -> None:
    sha256, _, _ = file.name.partition(".")
    with (file.parent / REMOVED).open("a", encoding="ascii") as notes:
        notes.write(f"\n{sha256} {at}")  # begins a line, whatever a kill left of the last one
        notes.flush()
        os.fsync(notes.fileno())


def _lock(home: Path) -> FileLock:
    return FileLock(home / "evidence" / ".lock")


# --- files ----------------------------------------------------------------------------------------------------


def _place(home: Path, digest: str, suffix: str) -> Path:
    return home / "evidence" / digest[:2] / (digest + suffix)


def _digest(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(place: Path, content: bytes) -> None:
    with atomic_write(place) as file:
        file.write(content)
        crash_point("evidence.written")
    crash_point("evidence.renamed")
    sync_folder(place.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
