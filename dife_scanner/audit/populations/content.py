"""What somebody's own data holds, by content: a picture replaced under its old name is other data."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import file_digest, sha256
from pathlib import Path

from dife_scanner.audit.populations.errors import DataError
from dife_scanner.core import frozen_repr
from dife_scanner.plain import plain

PlainValues = str | int | float | None | list["PlainValues"] | tuple["PlainValues", ...]
"""Plain values only: a record's `repr` changes with every field that it gets, and so would the digest."""


def digest(values: PlainValues, files: Iterable[Path]) -> str:
    """sha256 over what was read of the data and over the bytes of its files, in order; nothing is decoded.

    Stored identities hold it: callers name what goes into `values` one by one, and never give it a record. Raises
    `frozen_repr.Newer` for one, and `DataError` for a file that cannot be read.
    """
    # without forms this is `repr`, except that it refuses records and enums
    found = sha256(frozen_repr.text(values, {}).encode("utf-8", "backslashreplace"))
    for file in files:
        found.update(_of(file))
    return found.hexdigest()


def _of(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return file_digest(opened, "sha256").digest()
    except OSError as error:
        raise DataError(
            f"{plain(str(file), 200)} cannot be read: {error.strerror}", "give a file that can be"
        ) from error
