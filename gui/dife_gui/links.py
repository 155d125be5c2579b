"""Links to findings, `dife://finding/fp1:…`: written here, and read as text from a stranger."""

from __future__ import annotations

import re

from dife_scanner.errors import UsageError
from dife_scanner.store.query import shown

_START = "dife://finding/"
_FINGERPRINT = re.compile(r"fp1:[0-9a-f]{1,64}")
MOST_CHARACTERS = 100
"""Of a link."""


def link_of(fingerprint: str) -> str:
    """The link to a finding."""
    return f"{_START}{fingerprint}"


def finding_of(link: str) -> str:
    """The fingerprint that a link names; nothing else may stand in it. Raises `UsageError`."""
    name = link.removeprefix(_START)
    if name == link or not _FINGERPRINT.fullmatch(name):
        raise UsageError(
            f"{shown(link[:MOST_CHARACTERS])} is no link to a finding",
            "it looks like dife://finding/fp1:0123456789abcdef",
        )
    return name
