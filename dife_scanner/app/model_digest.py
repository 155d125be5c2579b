"""The digest of a model's folder as OpenSSF model signing computes it: what an attestation is bound to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from dife_scanner.errors import LimitExceeded, UsageError

MOST_FILES = 10_000
_IGNORED = (".git", ".gitattributes", ".github", ".gitignore")
"""At the top of the folder; model signing leaves them out by default."""
_BLOCK = 1 << 20


def model_digest(folder: Path) -> str:
    """sha256, as hex, over the sha256 of every file, in the order of their paths.

    Raises `UsageError` for what is no folder, for symbolic links and what else is no file, and where something cannot
    be read; `LimitExceeded` for too many files.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "give the folder that holds the model")
    digest = hashlib.sha256()
    try:
        for path in sorted(_files(folder)):
            digest.update(_sha256(folder / path))
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be read: {error.strerror or error}", "check its files"
        ) from error
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[PurePosixPath]:
    found = 0
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise UsageError(
                f"{path} is a symbolic link, which model signing does not follow",
                "copy the model's files into a folder of their own",
            )
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        if path.is_dir() or relative.parts[0] in _IGNORED:
            continue
        if not path.is_file():
            raise UsageError(f"{path} is no file", "take it out of the folder")
        found += 1
        if found > MOST_FILES:
            raise LimitExceeded(
                f"{folder} holds more than {MOST_FILES:,} files", "give the folder of one model"
            )
        yield relative


def _sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.digest()
