"""What an audit of a checkpoint's files cannot tell anything about."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.plain import plain
from dife_scanner.records import Manifest

NAMED = 3
"""Files that a note names; of more it says how many."""


def notes(found: Manifest) -> tuple[str, ...]:
    """Say what an audit of these files cannot tell anything about."""
    told = []
    if found.unread:
        named = _named(found.unread)
        told.append(f"not searched: a prompt learner in a format that is not read ({named})")
    if found.other_weights:
        named = _named(found.other_weights)
        told.append(f"not audited: further tensor files, which were not asked for ({named})")
    return tuple(told)


def _named(files: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    named = ", ".join(plain(name, 80) for name in files[:NAMED])
    if len(files) > NAMED:
        named += f" and {len(files) - NAMED} more"
    return named
