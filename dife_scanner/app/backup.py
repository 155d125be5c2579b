"""A backup of a home that may be in use: its database as it is at one moment, then the files that it refers to."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import zipfile
from pathlib import Path

import dife_scanner
from dife_scanner.app.archive import (
    FOLDERS,
    FORMAT,
    MANIFEST,
    MANIFESTS,
    Entry,
    Manifest,
    counts,
    kind_of,
)
from dife_scanner.baselines.home import open_for_reading
from dife_scanner.durable.atomic import PARTIAL, atomic_write
from dife_scanner.durable.clock import now
from dife_scanner.durable.disk import free_bytes, says_full
from dife_scanner.errors import DiskFull, UsageError
from dife_scanner.reports.as_json import BackupDocument
from dife_scanner.sentences.numbers import bytes_text
from dife_scanner.settings import Settings
from dife_scanner.store import Store
from dife_scanner.store.db import DATABASE

_CHUNK = 1024**2


def make(settings: Settings, target: Path) -> BackupDocument:
    """Write a backup of the home to `target`, which must not exist; readable by this user only.

    Raises `UsageError` where there is no home or it cannot be written there, and `DiskFull`.
    """
    if not (settings.home / DATABASE).exists():
        raise UsageError(
            f"there is nothing to back up in {settings.home}", "give the directory with --home"
        )
    with open_for_reading(settings) as store:
        return _made(store, target.expanduser().absolute())


def _made(store: Store, target: Path) -> BackupDocument:
    if target.exists():
        raise UsageError(f"{target} exists already", "give another name; a backup replaces nothing")
    try:
        _check_room(store, target)
        manifest = _written(store, target)
    except OSError as error:
        if says_full(error):
            raise _too_little(target) from error
        raise UsageError(
            f"{error.filename or target}: {error.strerror or error}",
            "give a place you can write, and run it as the owner of the home",
        ) from error
    return BackupDocument(
        done="written",
        archive=str(target),
        home=str(store.home),
        made_at=manifest.made_at,
        version=manifest.version,
        schema=manifest.schema,
        bytes=target.stat().st_size,
        files=counts(manifest.entries),
        left_out=manifest.left_out,
    )


def _check_room(store: Store, target: Path) -> None:
    """The database is there twice for a while."""
    needed = 2 * store.size() + sum(size for _, size in _files(store.home))
    if needed > free_bytes(target.parent):
        raise _too_little(target, f": it needs up to {bytes_text(needed)}")


def _too_little(target: Path, why: str = "") -> DiskFull:
    return DiskFull(
        f"there is too little room for a backup on the disk of {target}{why}",
        "free some space, or give a place on another disk",
    )


def _written(store: Store, target: Path) -> Manifest:
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=target.parent) as folder:
        database = Path(folder) / DATABASE
        store.copy_to(database)
        # evidence is written before the rows that name it: what this copy names is there by now
        return write(target, database, store.home, store.schema)


def write(target: Path, database: Path, home: Path, schema: str) -> Manifest:
    """Write an archive of a database that rests and the files of a home; gives its manifest. Raises `OSError`."""
    entries = []
    with (
        atomic_write(target) as stream,
        zipfile.ZipFile(stream, "w") as archive,
    ):
        entries.append(_added(archive, database, DATABASE))
        for name, _ in _files(home):
            with contextlib.suppress(FileNotFoundError):  # a reference that was evicted meanwhile
                entries.append(_added(archive, home / name, name))
        manifest = Manifest(now(), dife_scanner.__version__, schema, tuple(entries), format=FORMAT)
        archive.writestr(_info(MANIFEST), MANIFESTS.dump_json(manifest, indent=1))
    return manifest


def _files(home: Path) -> list[tuple[str, int]]:
    """Every file that belongs into a backup besides the database: its name below the home, and its bytes.

    Links are left out, and what is removed meanwhile. Raises `OSError` for a folder that may not be read.
    """
    found = []
    for kind in FOLDERS:
        for folder, _, names in os.walk(home / kind, onerror=_unless_gone):
            for path in (Path(folder, name) for name in names):
                name = path.relative_to(home).as_posix()
                with contextlib.suppress(FileNotFoundError):
                    state = path.lstat()
                    if kind_of(name) and stat.S_ISREG(state.st_mode):
                        found.append((name, state.st_size))
    return sorted(found)


def _unless_gone(error: OSError) -> None:
    """A backup that leaves out what it may not read would be found wanting too late."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _added(archive: zipfile.ZipFile, path: Path, name: str) -> Entry:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as source, archive.open(_info(name), "w", force_zip64=True) as member:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            member.write(chunk)
    return Entry(name, size, digest.hexdigest())


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFREG | 0o600) << 16
    # weights and pictures do not get smaller
    packed = name in (DATABASE, MANIFEST)
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    return info
