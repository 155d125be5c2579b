"""What reading one place gives, and which names and revisions are let through."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from dife_scanner.hub import listing
from dife_scanner.hub.listing import MalformedError
from dife_scanner.plain import plain
from dife_scanner.records import InUse

MAX_ENTRIES = 10_000
"""Models in use of one home. Each costs two requests."""
_PLACE_CHARACTERS = 200
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,249}")
"""Of a branch, tag or commit: git allows more, the hub's pages do not."""
HUB_PREFIXES = ("hf-hub:", "hf_hub:")
"""How open_clip and timm write that a name is a repository's."""


class UnreadableError(ValueError):
    """A file, or a part of one, that is not read; says why in a few words that quote nothing."""


@dataclass(frozen=True)
class Found:
    """The models in use that one or several places name."""

    entries: tuple[InUse, ...] = ()
    skipped: dict[str, int] = field(default_factory=dict)
    """What was not read, counted by reason."""

    def __add__(self, other: Found) -> Found:
        skipped = Counter(self.skipped) + Counter(other.skipped)
        return Found(self.entries + other.entries, dict(skipped))


def entry(name: object, revision: object = "", place: str = "") -> InUse | None:
    """An entry from a name as programs write it, `org/name` or `org/name@revision`; `None` for what is none."""
    if not isinstance(name, str):
        return None
    for prefix in HUB_PREFIXES:
        name = name.removeprefix(prefix)
    name, _, after = name.strip().partition("@")
    revision = after or (revision.strip() if isinstance(revision, str) else "")
    try:
        repo_id = listing.repo_id(name)
    except MalformedError:
        return None
    if "/" not in repo_id or (revision and not _is_revision(revision)):
        return None
    return InUse(repo_id, revision, plain(place, _PLACE_CHARACTERS))


def _is_revision(text: str) -> bool:
    return _REVISION.fullmatch(text) is not None and ".." not in text and "//" not in text


def each_once(entries: Iterable[InUse]) -> tuple[InUse, ...]:
    """Each model and revision once, with the first place and how many more there are; `MAX_ENTRIES` at most."""
    places: dict[tuple[str, str], list[str]] = {}
    for one in entries:
        key = (one.repo_id, one.revision)
        if key not in places and len(places) >= MAX_ENTRIES:
            continue
        kept = places.setdefault(key, [])
        if one.place not in kept:
            kept.append(one.place)
    return tuple(InUse(*key, _together(kept)) for key, kept in places.items())


def _together(places: list[str]) -> str:
    first, *others = places
    return f"{first} and {len(others)} more" if others else first
