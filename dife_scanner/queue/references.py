"""Which clean checkpoint a suspect is compared with."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.errors import NotComparable, NotFound
from dife_scanner.records import Reference


def choose(known: Sequence[Reference], architecture: str, base_claim: str, wanted: str = "") -> Reference | None:
    """The reference called `wanted`, or the one of the same architecture that the card names, or the first added.

    `None` where none fits: an unknown base. Raises `NotFound` for an unknown `wanted` and `NotComparable` where its
    architecture is another one.
    """
    if wanted:
        return _wanted(known, architecture, wanted)
    fitting = sorted((one for one in known if one.architecture == architecture), key=lambda one: one.added_at)
    claimed = [one for one in fitting if one.name.lower() in _names(base_claim)]
    return next(iter([*claimed, *fitting]), None)


def _wanted(known: Sequence[Reference], architecture: str, wanted: str) -> Reference:
    found = next((one for one in known if one.name == wanted), None)
    if found is None:
        raise NotFound(f"there is no reference called {wanted!r}", "`dife reference list` shows them")
    if found.architecture != architecture:
        raise NotComparable(
            f"the reference {wanted} is a {found.architecture}, the checkpoint a {architecture}",
            "choose a reference of the same architecture, or leave it to the scanner",
        )
    return found


def _names(base_claim: str) -> set[str]:
    """What a card's claims could be called here: `org/name` and `name`."""
    claims = [claim.split(" (")[0].strip().lower() for claim in base_claim.split(",")]
    return {name for claim in claims if claim for name in (claim, claim.rsplit("/", 1)[-1])}
