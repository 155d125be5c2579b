"""A private copy of exactly the files an audit reads, hashed while copying and compared with what was announced.

Everything after this works on the copy, so what is checked is what is loaded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from dife_scanner.durable import life
from dife_scanner.errors import (
    ContentMismatch,
    DiskFull,
    HomeUnwritable,
    LimitExceeded,
    Refused,
    Unsupported,
    UsageError,
)
from dife_scanner.models.layouts.open_clip import CONFIG_FILE, WEIGHT_FILES
from dife_scanner.records import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dife_scanner.records import HubFile

LEARNER_FILES = ("prompt_learner.safetensors", "learner.safetensors")
"""A prompt learner that comes with the checkpoint; only the first present is read."""
_CANONICAL = Contents(config=CONFIG_FILE, weights=WEIGHT_FILES)
"""What open_clip writes, either name of weights."""
LONGEST_NAME = 200
"""Characters of a file's name in a private copy."""

_CHUNK = 4 * 1024**2
_POINTER = b"version https://git-lfs.github.com/spec/v1"
_POINTER_READ = 64
"""Bytes read to recognise a pointer; enough for its first line."""
_OPEN_FLAGS = ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
"""Links are refused, and opening a pipe must not wait for a writer; not every system has each flag."""


class IntakeLimits(Protocol):
    """The bounds intake needs; `settings.Limits` has them."""

    @property
    def checkpoint_bytes(self) -> int: ...
    @property
    def small_file_bytes(self) -> int: ...
    @property
    def tokenizer_bytes(self) -> int: ...


@dataclass(frozen=True)
class StagedFile:
    """One read-only file of the private copy."""

    name: str
    path: Path
    size: int
    sha256: str
    git_oid: str
    """Git blob id; empty for files larger than `small_file_bytes`."""


@dataclass(frozen=True)
class Staged:
    """A private copy of one checkpoint."""

    folder: Path
    files: tuple[StagedFile, ...]

    def file(self, name: str) -> StagedFile:
        """The staged file of that name; `Unsupported` where there is none."""
        for file in self.files:
            if file.name == name:
                return file
        raise Unsupported(f"there is no {name}", "a checkpoint needs it; scan another revision")

    @property
    def config(self) -> StagedFile:
        """The staged `open_clip_config.json`; `Unsupported` where there is none."""
        return self.file(CONFIG_FILE)

    @property
    def learner(self) -> StagedFile | None:
        """The staged prompt learner, where one came with the checkpoint."""
        for file in self.files:
            if file.name in LEARNER_FILES:
                return file
        return None

    @property
    def weights(self) -> StagedFile:
        """The staged weights that open_clip saved; `Unsupported` where there are none."""
        by_name = {file.name: file for file in self.files}
        for name in WEIGHT_FILES:
            if name in by_name:
                return by_name[name]
        raise Unsupported(f"there is no {WEIGHT_FILES[0]}", "a checkpoint needs it")


# --- which files ----------------------------------------------------------------------------------------------


def find(folder: Path, *, follow_links: bool = False) -> dict[str, Path]:
    """The files of a checkpoint in `folder`, or next to a single `.safetensors` file of any name, for `stage`.

    `follow_links` is for a folder whose owner is trusted, such as the hub client's cache, which is made of links.
    Raises `Unsupported` where the configuration or the weights are missing.
    """
    if folder.suffix == ".safetensors" and not folder.is_dir():
        found = {CONFIG_FILE: folder.parent / CONFIG_FILE, WEIGHT_FILES[0]: folder}
    else:
        weights_file = _weights_name(folder)
        found = {
            CONFIG_FILE: folder / CONFIG_FILE,
            weights_file: folder / weights_file,
        }
    for name, path in found.items():
        _check_is_there(path, name, folder)
    if not follow_links:
        return found
    return {name: path.resolve() for name, path in found.items()}


def _check_is_there(path: Path, name: str, folder: Path) -> None:
    if not os.path.lexists(path):
        raise Unsupported(
            f"{folder} has no {name}",
            "it is read as it is only in the form in which open_clip saves safetensors",
        )


def _weights_name(folder: Path) -> str:
    for name in WEIGHT_FILES:
        if os.path.lexists(folder / name):
            return name
    return WEIGHT_FILES[0]


def weights(folder: Path) -> Path:
    """Where the weights of a checkpoint in `folder` lie. Raises `Unsupported` as `find` does."""
    found = find(folder)
    return next(found[name] for name in WEIGHT_FILES if name in found)


# --- the copy -------------------------------------------------------------------------------------------------


def stage(
    files: Mapping[str, Path],
    expected: Mapping[str, HubFile],
    dest: Path,
    limits: IntakeLimits,
    contents: Contents | None = None,
) -> Staged:
    """Copy `files` (name to path) into the new folder `dest`, read-only, and return what was copied.

    Each file must be a regular one and no link, at most `small_file_bytes` long (weights: `checkpoint_bytes`, a
    tokenizer: `tokenizer_bytes`), and, where `expected` names it, of the announced size and sha256 or git blob id.
    Where anything is wrong, `dest` is removed again; only a killed process leaves one behind.

    Raises `Refused` for a link, `Unsupported`, `LimitExceeded`, `ContentMismatch`, `DiskFull` or `HomeUnwritable`.
    """
    _check_names(files)
    _make_folder(dest)
    copied = []
    try:
        for name in sorted(files):
            bound = limit(name, limits, contents or _CANONICAL)
            copied.append(_stage_one(name, files[name], expected.get(name), dest, bound))
    except BaseException:
        shutil.rmtree(dest, ignore_errors=True)
        raise
    return Staged(dest, tuple(copied))


@dataclass(frozen=True)
class Bound:
    """The bytes that one file may have, and what it takes to have its git id computed too."""

    most: int
    setting: str
    small: int


def limit(name: str, limits: IntakeLimits, contents: Contents) -> Bound:
    """What bounds the size of the file called `name`: weights and tokenizers may be large."""
    small = limits.small_file_bytes
    if name in contents.weights:
        return Bound(limits.checkpoint_bytes, "limits.checkpoint_bytes", small)
    if name in contents.tokenizer:
        return Bound(limits.tokenizer_bytes, "limits.tokenizer_bytes", small)
    return Bound(small, "limits.small_file_bytes", small)


def _check_names(names: Iterable[str]) -> None:
    """Whoever calls makes file names of a hub's paths; none may lead out of the folder of the copy."""
    for name in sorted(names):
        is_plain = Path(name).name == name and name.isprintable() and name not in ("", "..")
        if not is_plain or len(name) > LONGEST_NAME:
            raise UsageError(f"{name[:LONGEST_NAME]!a} is no name of a file", "give a plain name")


def _make_folder(dest: Path) -> None:
    try:
        dest.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise UsageError(
            f"{dest} exists already", "a private copy starts in a folder of its own"
        ) from None
    except OSError as error:
        raise disk_error(error, dest) from error


def _stage_one(
    name: str, path: Path, announced: HubFile | None, dest: Path, bound: Bound
) -> StagedFile:
    with _opened(path, name) as source:
        size = _checked_size(source, name, announced, bound)
        copied = _copy(source, name, size, dest / name, with_git_oid=size <= bound.small)
    _compare_hash(copied, announced)
    return copied


def _opened(path: Path, name: str) -> BinaryIO:
    try:
        number = os.open(path, _open_flags())
    except OSError as error:
        if error.errno == errno.ELOOP or path.is_symlink():
            raise Refused(
                f"{name} is a symbolic link",
                "give the folder that holds the file itself",
            ) from None
        raise Unsupported(f"{name} cannot be read: {error.strerror}", f"check {path}") from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise Unsupported(f"{name} is not a regular file", f"check {path}")
    return os.fdopen(number, "rb", buffering=0)


def _open_flags() -> int:
    flags = os.O_RDONLY
    for name in _OPEN_FLAGS:
        flags |= getattr(os, name, 0)
    return flags


def _checked_size(source: BinaryIO, name: str, announced: HubFile | None, bound: Bound) -> int:
    size = os.fstat(source.fileno()).st_size
    if size > bound.most:
        raise LimitExceeded(
            f"{name} has {size} bytes; the limit is {bound.most}",
            f"raise {bound.setting} if you expect such a file",
        )
    if announced is not None and announced.size is not None:
        _compare_size(name, size, announced.size, source)
    return size


def _copy(source: BinaryIO, name: str, size: int, to: Path, *, with_git_oid: bool) -> StagedFile:
    sha256 = hashlib.sha256()
    git = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    copied = 0
    try:
        with to.open("xb") as out:
            while chunk := source.read(_CHUNK):
                life.sign()
                if copied == 0:
                    _refuse_pointer(name, chunk)
                copied += len(chunk)
                if copied > size:
                    break  # somebody writes to it; the copy is given up below
                out.write(chunk)
                sha256.update(chunk)
                if with_git_oid:
                    git.update(chunk)
        to.chmod(0o400)
    except OSError as error:
        raise disk_error(error, to) from error
    if copied != size:
        raise ContentMismatch(
            f"{name} changed while it was being copied",
            "try again once nobody writes to it",
        )
    git_oid = git.hexdigest() if with_git_oid else ""
    return StagedFile(name, to, size, sha256.hexdigest(), git_oid)


# --- what was announced ---------------------------------------------------------------------------------------


def _compare_size(name: str, size: int, announced: int, source: BinaryIO) -> None:
    if size == announced:
        return
    _refuse_pointer(name, os.pread(source.fileno(), _POINTER_READ, 0))
    kind = "truncated" if size < announced else "over-long"
    raise ContentMismatch(
        f"{name} is {kind}: it has {size} bytes, {announced} were announced",
        "download it again",
    )


def _refuse_pointer(name: str, start: bytes) -> None:
    if start.startswith(_POINTER):
        raise ContentMismatch(
            f"{name} is a Git-LFS pointer, a note that stands for the file, not the file itself",
            "fetch the real file, e.g. with `git lfs pull`",
        )


def _compare_hash(file: StagedFile, announced: HubFile | None) -> None:
    if announced is None:
        return
    if announced.sha256 is not None:
        _compare_digest(file.name, "sha256", file.sha256, announced.sha256)
    elif announced.git_oid is not None and file.git_oid:
        _compare_digest(file.name, "git blob id", file.git_oid, announced.git_oid)


def _compare_digest(name: str, kind: str, arrived: str, announced: str) -> None:
    if arrived != announced.lower():
        raise ContentMismatch(
            f"{name} is not the file that was announced: its {kind} is {arrived}",
            "download it again",
        )


def disk_error(error: OSError, path: Path) -> Exception:
    """The error with words for a failed write to `path`; `error` itself where there are none."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"the disk is full: {path} could not be written",
            "free some space and run again",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HomeUnwritable(
            f"{path} cannot be written: {error.strerror}",
            "check its owner and permissions",
        )
    return error
