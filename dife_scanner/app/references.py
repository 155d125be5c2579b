"""Clean references: add one, and check that one is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dife_scanner.app.wiring import hub
from dife_scanner.errors import NotFound
from dife_scanner.records import Reference
from dife_scanner.settings import Settings
from dife_scanner.store import references
from dife_scanner.store.db import Store

if TYPE_CHECKING:
    from dife_scanner.progress import Progress


def add_reference(
    store: Store, settings: Settings, target: str, name: str, progress: Progress
) -> Reference:
    """Register a folder or a repository as clean. Raises what `baselines.references.register` raises."""
    from dife_scanner.baselines.references import register

    return register(store, settings, target, name, lambda: hub(settings), progress)


def check_reference(store: Store, name: str) -> None:
    """Check that a named reference is there, before anything is fetched. Raises `NotFound`."""
    from dife_scanner.checkpoints import is_local

    known = {reference.name for reference in references.references(store)}
    if not name or name in known:
        return
    advice = "`dife reference list` shows them"
    if is_local(name):
        advice = f"`dife reference add {name}` first"
    raise NotFound(f"there is no reference called {name!r}", advice)
