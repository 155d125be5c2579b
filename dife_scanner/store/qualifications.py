"""What each base recognises of the wide probe set, measured once."""

from __future__ import annotations

from dife_scanner.durable.clock import now
from dife_scanner.records import Qualification, Reference
from dife_scanner.store.codec import from_json, to_json
from dife_scanner.store.db import Store


def keep(store: Store, found: Qualification) -> None:
    """Keep what was measured; the same again takes its place."""
    with store.atomic("qualifications.keep"):
        store.write(
            "INSERT OR REPLACE INTO qualifications (image_tower, text_tower, probes, version, found, at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                found.image_tower,
                found.text_tower,
                found.probes,
                found.version,
                to_json(found),
                now(),
            ),
        )


def has(store: Store, found: Qualification) -> bool:
    """Whether the same was measured before."""
    return (
        _found(store, found.image_tower, found.text_tower, found.probes, found.version) is not None
    )


def of(store: Store, reference: Reference, probes: str, version: str) -> Qualification | None:
    """What was measured of a reference on these pictures; `None` where nothing was."""
    found = _found(store, reference.image_tower, reference.text_tower, probes, version)
    return from_json(Qualification, found) if found else None


def _found(
    store: Store, image_tower: str, text_tower: str, probes: str, version: str
) -> str | None:
    rows = store.read(
        "SELECT found FROM qualifications WHERE image_tower = ? AND text_tower = ? AND probes = ? AND version = ?",
        (image_tower, text_tower, probes, version),
    )
    return rows[0]["found"] if rows else None
