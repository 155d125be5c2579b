"""A home ready for work: the store open, and the clean bases that ship with the package registered in it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from dife_scanner.records import CastTowers, Qualification, Reference
from dife_scanner.settings import Settings
from dife_scanner.store import qualifications, references
from dife_scanner.store.codec import from_json
from dife_scanner.store.db import Patience, Store, open_store


def open_home(settings: Settings) -> Store:
    """Open the writable store of this home. A bundled base that changed with a new version replaces its former self."""
    store = open_store(settings.home, patience=Patience(settings.database_seconds))
    stored = {reference.name: reference for reference in references.references(store)}
    for bundled in bundled_references():
        before = stored.get(bundled.name)
        same_weights = before is not None and before.weights_sha256 == bundled.weights_sha256
        same_path = before is not None and before.path == bundled.path
        same_casts = before is not None and before.cast_towers == bundled.cast_towers
        if before and not same_weights:
            references.remove(store, bundled.name)
        if not (same_weights and same_path and same_casts):
            references.add(store, bundled)
    _keep_bundled_qualifications(store)
    return store


def _keep_bundled_qualifications(store: Store) -> None:
    """What the bundled bases recognise was measured when they were built."""
    for path in sorted(qualified_folder().glob("*.json")):
        found = from_json(Qualification, path.read_bytes())
        if not qualifications.has(store, found):
            qualifications.keep(store, found)


def qualified_folder() -> Path:
    """The folder of what bundled bases recognise of the wide probe set."""
    return Path(str(files("dife_scanner") / "assets" / "wide-probes" / "qualified"))


def open_for_reading(settings: Settings) -> Store:
    """Open the store of this home to look at it: nothing is registered, and the home may be somebody else's."""
    return open_store(settings.home, read_only=True, patience=Patience(settings.database_seconds))


def bases_folder() -> Path:
    """The folder of the clean bases that ship with the package."""
    return Path(str(files("dife_scanner") / "assets" / "bases"))


def bundled_references() -> tuple[Reference, ...]:
    """List the clean bases that ship with the package; their tower hashes are checked by a test, not at every start."""
    found = []
    for description in sorted(bases_folder().glob("*/reference.json")):
        fields = json.loads(description.read_text(encoding="utf-8"))
        cast = tuple(CastTowers(**one) for one in fields.pop("cast_towers"))
        path = str(description.parent)
        found.append(Reference(**fields, path=path, added_at="", bundled=True, cast_towers=cast))
    return tuple(found)
