"""Content-addressed evidence files: `evidence/ab/<sha256><suffix>`, written before any row refers to them."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import NotFound, StoreCorrupt

_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def put(home: Path, content: bytes, suffix: str) -> str:
    """Keep `content` and return its sha256; temp file, fsync, rename. Putting it again changes nothing."""
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"not a file suffix: {suffix!r}")
    digest = hashlib.sha256(content).hexdigest()
    place = _place(home, digest, suffix)
    with disk_errors(home):
        if place.exists() and _digest(place) == digest:
            return digest
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(place, content)
    return digest


def path(home: Path, sha256: str) -> Path:
    """Find where the file lies. Raises `NotFound` when it does not."""
    if _SHA256.fullmatch(sha256):
        found = sorted((home / "evidence" / sha256[:2]).glob(sha256 + ".*"))
        if found:
            return found[0]
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
