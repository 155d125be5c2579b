"""What is watched on a hub: how much of it, and the models that somebody uses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dife_scanner.records.vocabulary import JobState


class Scope(StrEnum):
    """How much of a hub is watched. The models in use are watched in every scope."""

    IN_USE = "in-use"
    """Only the models on the watch-lists."""
    FINE_TUNES = "fine-tunes"
    """These, and what was made from them or from their bases, as far as cards say."""
    EVERYTHING = "everything"
    """Every repository that looks like a CLIP."""


@dataclass(frozen=True)
class InUse:
    """One model that somebody uses, as it was written where it was found."""

    repo_id: str
    revision: str = ""
    """Branch, tag or commit; empty where nothing pins one."""
    place: str = ""
    """Where it says so, e.g. `train.py:12`."""


@dataclass(frozen=True)
class WatchedModel:
    """A model in use, and what the hub last said of it."""

    wanted: InUse
    found_as: str = ""
    """The repository's name on the hub, which may be a new one; empty before the hub answered."""
    sha: str = ""
    """The commit that the revision meant then."""
    state: JobState | None = None
    """Where it ended without a job of its own: `deleted`, `private`, `gated` or `disabled`. `None`: see its job."""
    reason: str = ""
    """Why, or what the hub said last, in words."""
    misses: int = 0
    """Answers in a row that there is no such repository."""
    bases: tuple[str, ...] = ()
    """What its card says it was made from; not verified."""
    looked_at: str = ""


@dataclass(frozen=True)
class Reach:
    """How far back a source of a hub has been read."""

    next: str = ""
    """Address of the page to go on with; empty: from the top."""
    oldest: str = ""
    """The earliest change read, as ISO 8601 in UTC; empty: nothing was read."""
    ended: bool = False
    """The source shows nothing older."""
    pages: int = 0
