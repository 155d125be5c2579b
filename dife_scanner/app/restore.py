"""A home made of a backup. The backup counts as a stranger's file until every name, size and hash in it was checked."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dife_scanner.app.archive import (
    FORMAT,
    KINDS,
    MANIFEST,
    MANIFESTS,
    REFERENCES,
    Entry,
    Manifest,
    counts,
    kind_of,
)
from dife_scanner.durable import zips
from dife_scanner.durable.atomic import PARTIAL
from dife_scanner.durable.disk import disk_errors, free_bytes
from dife_scanner.errors import (
    DiskFull,
    LimitExceeded,
    NewerSchema,
    NotTrusted,
    Refused,
    StoreCorrupt,
    UsageError,
)
from dife_scanner.plain import plain
from dife_scanner.reports.as_json import BackupDocument
from dife_scanner.sentences.numbers import bytes_text
from dife_scanner.settings import Limits
from dife_scanner.store import open_store, references
from dife_scanner.store.db import DATABASE
from dife_scanner.store.evidence import sync_folder

MOST_FILES = 1_000_000
MANIFEST_BYTES = 256 * 1024**2
_CHUNK = 1024**2
_MAY_BE_THERE = ("config.toml", "secrets")
"""In the new home: whoever restores may prepare what no backup holds."""
_NOTHING_KEPT = "nothing of it was kept; take another backup"


def restore(source: Path, home: Path, limits: Limits) -> BackupDocument:
    """Make `home`, which has to be new or empty, of a backup; an older schema is brought up to date.

    Raises `NotTrusted` for what is not as its manifest says, `Refused` for a name that leads out and for a link,
    `LimitExceeded`, `NewerSchema`, `DiskFull` and `UsageError`. Then nothing of it is kept.
    """
    home = home.expanduser().absolute()
    was_there = home.exists()
    _check_empty(home)
    try:
        with disk_errors(home):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            stage = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=home))
            try:
                made = _restored(source, stage, home, limits)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    except BaseException:
        if not was_there:
            with contextlib.suppress(OSError):
                home.rmdir()
        raise
    return made


def _check_empty(home: Path) -> None:
    if not home.exists():
        return
    if not home.is_dir() or any(path.name not in _MAY_BE_THERE for path in home.iterdir()):
        raise UsageError(
            f"{home} is not empty, and a backup is never restored over anything",
            "give a new directory with --home; config.toml and secrets may be in it already",
        )


def _restored(source: Path, stage: Path, home: Path, limits: Limits) -> BackupDocument:
    with _sound(source), zipfile.ZipFile(source) as archive:
        members = _members(archive, limits)
        manifest = _manifest(archive, members)
        _check_room(manifest, home)
        for entry in manifest.entries:
            _extract(archive, entry, stage)
    schema, forgotten = _brought_up_to_date(source, manifest, stage, home)
    for name in KINDS:
        if (stage / name).exists():
            (stage / name).rename(home / name)
    sync_folder(home)
    return BackupDocument(
        done="restored",
        archive=str(source),
        home=str(home),
        made_at=plain(manifest.made_at, 40),
        version=plain(manifest.version, 40),
        schema=schema,
        bytes=sum(entry.bytes for entry in manifest.entries),
        files=counts(manifest.entries),
        left_out=tuple(plain(one, 100) for one in manifest.left_out[:20]),
        forgotten=forgotten,
    )


# --- what is in the archive -------------------------------------------------------------------------------------


@contextmanager
def _sound(source: Path) -> Iterator[None]:
    """Say of errors over the archive which file it was."""
    try:
        yield
    except zips.BROKEN as error:
        raise NotTrusted(
            f"{source} is no backup, or damaged: {plain(str(error), 120)}", _NOTHING_KEPT
        ) from error
    except OSError as error:
        if error.errno == errno.EINVAL:  # an offset that lies outside of the file
            raise NotTrusted(f"{source} is damaged", _NOTHING_KEPT) from error
        if str(error.filename) != str(source):
            raise
        raise UsageError(f"{source} cannot be read: {error.strerror}", "check the path") from error


def _members(archive: zipfile.ZipFile, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive by name, each checked as far as can be without reading it."""
    infos = archive.infolist()
    if len(infos) > MOST_FILES:
        raise LimitExceeded(f"the backup names more than {MOST_FILES:,} files", _NOTHING_KEPT)
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        _check(info, limits)
        if info.filename in found:
            raise Refused(f"the backup holds {_shown(info)} twice", _NOTHING_KEPT)
        found[info.filename] = info
    return found


def _check(info: zipfile.ZipInfo, limits: Limits) -> None:
    mode = info.external_attr >> 16
    parts = info.filename.replace("\\", "/").split("/")
    if ".." in parts or parts[0] == "" or ":" in parts[0] or stat.S_ISLNK(mode):
        raise Refused(
            f"the backup holds {_shown(info)}, which leads out of it", "do not use this file"
        )
    known = info.filename == MANIFEST or bool(kind_of(info.filename))
    if not (zips.is_file(info) and zips.is_plainly_packed(info) and known):
        raise NotTrusted(f"the backup holds {_shown(info)}, which no backup does", _NOTHING_KEPT)
    if info.file_size > limits.checkpoint_bytes:
        raise LimitExceeded(
            f"{_shown(info)} of the backup has {bytes_text(info.file_size)}",
            "raise limits.checkpoint_bytes if that is what it should be",
        )


def _shown(info: zipfile.ZipInfo) -> str:
    return repr(plain(info.filename, 120))


def _manifest(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> Manifest:
    """What the archive says is in it, which has to be what is in it."""
    if MANIFEST not in members or DATABASE not in members:
        raise NotTrusted("the file has no manifest or no database: it is no backup", _NOTHING_KEPT)
    if members[MANIFEST].file_size > MANIFEST_BYTES:
        raise LimitExceeded("the manifest of the backup is too large", _NOTHING_KEPT)
    with archive.open(MANIFEST) as member:
        manifest = MANIFESTS.validate_json(member.read(MANIFEST_BYTES))
    if manifest.format != FORMAT:
        raise NotTrusted(
            f"the backup has the format {plain(manifest.format, 40)!r}, which this version does not know",
            "restore it with the version that made it, or a later one",
        )
    sizes = {name: info.file_size for name, info in members.items() if name != MANIFEST}
    said = {entry.path: entry.bytes for entry in manifest.entries}
    if said != sizes or len(said) != len(manifest.entries):
        raise NotTrusted("the backup does not hold what its manifest says", _NOTHING_KEPT)
    return manifest


def _check_room(manifest: Manifest, home: Path) -> None:
    needed = sum(entry.bytes for entry in manifest.entries)
    free = free_bytes(home)
    if needed > free:
        raise DiskFull(
            f"the backup needs {bytes_text(needed)}, and {bytes_text(free)} are free for {home}",
            "free some space, or give a --home on another disk",
        )


def _extract(archive: zipfile.ZipFile, entry: Entry, stage: Path) -> None:
    """Write one file below `stage`; never more than the manifest says, and only these very bytes."""
    target = stage / entry.path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest = hashlib.sha256()
    size = 0
    with archive.open(entry.path) as member, target.open("xb") as stream:
        target.chmod(0o600)
        while size <= entry.bytes and (chunk := member.read(_CHUNK)):
            size += len(chunk)
            digest.update(chunk)
            stream.write(chunk)
    if size != entry.bytes or digest.hexdigest() != entry.sha256:
        raise NotTrusted(f"{entry.path} of the backup is not what its manifest says", _NOTHING_KEPT)


# --- the database -----------------------------------------------------------------------------------------------


def _brought_up_to_date(
    source: Path, manifest: Manifest, stage: Path, home: Path
) -> tuple[str, tuple[str, ...]]:
    """Migrate the database, check it, and say where its references lie now: its schema, and those without files."""
    kept = {
        entry.path.split("/")[1] for entry in manifest.entries if kind_of(entry.path) == REFERENCES
    }
    forgotten = []
    try:
        with open_store(stage) as store:
            if store.integrity():
                raise StoreCorrupt(f"the database in {source} is damaged", _NOTHING_KEPT)
            for reference in references.references(store):
                if reference.name in kept:
                    path = str(home / REFERENCES / reference.name)
                    references.add(store, replace(reference, path=path))
                elif not reference.bundled:
                    references.remove(store, reference.name)
                    forgotten.append(reference.name)
            return store.schema, tuple(forgotten)
    except NewerSchema:
        raise NewerSchema(
            f"{source} was made by a newer version of DIFE Scanner ({plain(manifest.version, 40)})",
            "install that version or a later one, and restore with it; nothing was kept",
        ) from None
