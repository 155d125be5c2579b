"""Populations fixed before any scoring."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import sha256


@dataclass(frozen=True)
class PoolItem:
    """One picture of a pool, named by its content."""

    id: str
    sha256: str
    caption: str = ""
    label: str = ""
    source: str = ""
    """Where it came from: a drawing, a file, a data set's row."""
    licence: str = ""


_ITEM_FIELDS = frozenset(("id", "sha256", "caption", "label", "source", "licence"))
_MANIFEST_FIELDS = frozenset(
    ("name", "kind", "seed", "version", "items", "lists", "targets", "queries")
)
"""What stored manifests hold, at its default too. A field that came later is written only away from its default, so
that the digests of stored manifests stay what they are: add nothing here."""


def _written(record: PoolItem | PoolManifest, always: frozenset[str]) -> dict[str, object]:
    """The fields of a manifest or of an item that its JSON has."""
    found = {}
    for part in fields(record):
        value = getattr(record, part.name)
        if part.name in always or value != part.default:
            found[part.name] = value
    return found


@dataclass(frozen=True)
class PoolManifest:
    """A population fixed before any scoring: enough to build it again and to see that it is the same."""

    name: str
    kind: str
    seed: int
    version: str
    """Of the code that drew it."""
    items: tuple[PoolItem, ...]
    lists: tuple[tuple[int, ...], ...] = ()
    """Candidate lists or groups, as positions in `items`."""
    targets: tuple[tuple[int, ...], ...] = ()
    """Positions in `items` that count as target: one tuple per list, or a single one for the whole pool."""
    queries: tuple[str, ...] = ()

    def json(self) -> str:
        """Canonical JSON: sorted keys, no spaces, ASCII. What is stored, and what `digest` is made from."""
        plain = _written(self, _MANIFEST_FIELDS)
        plain["items"] = [_written(item, _ITEM_FIELDS) for item in self.items]
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @cached_property
    def digest(self) -> str:
        """sha256 of `json()`, and so the name of the stored evidence file."""
        return sha256(self.json().encode("ascii")).hexdigest()
