"""Which audit the files that a hub announced led to."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.durable.clock import now
from dife_scanner.store.db import Store


@dataclass(frozen=True)
class Led:
    """Where the files of a checkpoint led."""

    identity: str
    """Of the audit."""
    reference: str
    """Name of the reference that was chosen for it; empty for none."""


def keep(store: Store, key: str, led: Led) -> None:
    """Keep where a checkpoint with the files and circumstances of `key` led."""
    with store.atomic("announced.keep"):
        store.write(
            "INSERT INTO announced (key, identity, reference, added_at) VALUES (?, ?, ?, ?) ON CONFLICT (key)"
            " DO UPDATE SET identity = excluded.identity, reference = excluded.reference, added_at = excluded.added_at",
            (key, led.identity, led.reference, now()),
        )


def led_to(store: Store, key: str) -> Led | None:
    """Where these files led; `None` where they were not audited."""
    rows = store.read("SELECT identity, reference FROM announced WHERE key = ?", (key,))
    if not rows:
        return None
    return Led(rows[0]["identity"], rows[0]["reference"])
