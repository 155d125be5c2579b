"""The files of a local folder, in the terms of a repository's."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from dife_scanner.records import HubFile

MOST_LOOKED_AT = 10_000
"""Names of a local folder that are looked at; the folder may be the root of a disk."""
_REVISION_DIGITS = 34
"""With `local-` before them as long as a commit: 40 characters."""


def listed(folder: Path) -> tuple[HubFile, ...]:
    """The files in a folder and in the folders in it, relative to it, with sizes; no layout is deeper."""
    found: list[HubFile] = []
    for path in islice(_inside(folder), MOST_LOOKED_AT):
        if is_file(path):
            found.append(HubFile(path.relative_to(folder).as_posix(), path.stat().st_size))
    return tuple(sorted(found, key=lambda file: file.path))


def is_listed_whole(folder: Path) -> bool:
    """Whether `listed` looks at every name that is so near."""
    return next(islice(_inside(folder), MOST_LOOKED_AT, None), None) is None


def _inside(folder: Path) -> Iterator[Path]:
    return chain(folder.glob("*"), folder.glob("*/*"))


def small(folder: Path, names: Iterable[str], limit: int) -> dict[str, bytes]:
    """The bytes of those files that have at most `limit`, by name."""
    found: dict[str, bytes] = {}
    for name in names:
        with (folder / name).open("rb") as stream:
            raw = stream.read(limit + 1)
        if len(raw) <= limit:
            found[name] = raw
    return found


def revision(files: Iterable[HubFile]) -> str:
    """A name for the contents: the same files anywhere have the same one."""
    content = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        content.update(f"{file.path}\0{file.sha256}\n".encode())
    return f"local-{content.hexdigest()[:_REVISION_DIGITS]}"


def is_file(path: Path) -> bool:
    """A regular file, or a link to one: no pipe, which would wait for ever when read."""
    return path.exists() and stat.S_ISREG(path.stat().st_mode)


def hashed(folder: Path, name: str) -> HubFile:
    """One file with its size and hash."""
    with (folder / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return HubFile(name, (folder / name).stat().st_size, sha256=digest.hexdigest())
