"""What stood first for one query, without a trigger and with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RankedItem:
    """One candidate. Its ranks are those in the suspect, from 1."""

    name: str
    """What it is: a caption, or the class and the drawing of a picture. Somebody's own pictures may hold anything."""
    is_target: bool
    clean: int
    triggered: int


@dataclass(frozen=True)
class Ranking:
    """A typical query of one interface: of all, the one whose target's 1/rank moves most nearly as the mean of all."""

    interface: str
    query: str
    triggered: str
    """The query as it stands with the trigger."""
    queries: int
    """Of how many it is."""
    candidates: int
    items: tuple[RankedItem, ...]
    """Those that stand among the first five without the trigger or with it, by their rank with it."""
