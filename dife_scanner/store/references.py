"""Clean checkpoints that suspects are compared with."""

from __future__ import annotations

from typing import Any

from dife_scanner.errors import NotFound, UsageError
from dife_scanner.records import Reference
from dife_scanner.store import query
from dife_scanner.store.db import Store


def add(store: Store, reference: Reference) -> None:
    """Keep a reference. The same name and weights again change nothing; other weights raise `UsageError`."""
    with store.atomic("references.add"):
        before = _rows(store, reference.name)
        if before and before[0]["weights_sha256"] != reference.weights_sha256:
            raise UsageError(
                f"there is already a reference {reference.name} with other weights",
                "choose another name",
            )
        store.write(
            "INSERT INTO model_references (name, path, image_tower, text_tower, weights_sha256, architecture, added_at,"
            " bundled) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET path = excluded.path,"
            " image_tower = excluded.image_tower, text_tower = excluded.text_tower, bundled = excluded.bundled",
            (
                reference.name,
                reference.path,
                reference.image_tower,
                reference.text_tower,
                reference.weights_sha256,
                reference.architecture,
                reference.added_at,
                int(reference.bundled),
            ),
        )


def remove(store: Store, name: str) -> None:
    """Forget a reference; audits that used it keep its name. Raises `NotFound`."""
    with store.atomic("references.remove"):
        if store.write("DELETE FROM model_references WHERE name = ?", (name,)).rowcount == 0:
            raise _unknown(name)


def references(store: Store) -> list[Reference]:
    """List references in the order of their names."""
    rows = store.read("SELECT * FROM model_references ORDER BY name")
    return [_to_reference(row) for row in rows]


def reference(store: Store, name: str) -> Reference:
    """Read one reference by its name. Raises `NotFound`."""
    rows = _rows(store, name)
    if not rows:
        raise _unknown(name)
    return _to_reference(rows[0])


def _rows(store: Store, name: str) -> list[dict[str, Any]]:
    return store.read("SELECT * FROM model_references WHERE name = ?", (name,))


def _unknown(name: str) -> NotFound:
    return NotFound(
        f"there is no reference {query.shown(name)}", "`dife reference list` shows them"
    )


def _to_reference(row: dict[str, Any]) -> Reference:
    return Reference(**{**row, "bundled": bool(row["bundled"])})
