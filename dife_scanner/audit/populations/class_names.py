"""Names of classes as a model reads them: which two are one, and which say nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from dife_scanner.audit.populations.errors import DataError
from dife_scanner.plain import plain

_SHOWN = 60
"""Characters of a name that errors show."""


def as_read(name: str) -> str:
    """A name as text towers read it: letters of one case, one space between words, one code for one character.

    >>> as_read("Hot  Dog") == as_read("hot dog")
    True
    """
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def shown(name: str) -> str:
    """A name in an error: its beginning, in quotes, without control characters."""
    return repr(plain(name, _SHOWN))


def check_apart(names: Sequence[str], pool: str) -> None:
    """Check that every class has a name of its own. Raises `DataError`, which names the two that are one."""
    first: dict[str, str] = {}
    for name in names:
        read = as_read(name)
        if not read:
            raise DataError(f"{pool} has a class without a name", "give each class a name")
        if read in first:
            both = f"{shown(first[read])} and {shown(name)}"
            raise DataError(
                f"{pool} has the classes {both}, which a model reads as one name (in a folder's, _ is a space)",
                "make one class of them, or rename one",
            )
        first[read] = name
