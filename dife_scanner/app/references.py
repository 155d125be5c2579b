"""Clean references: add one, and check that one is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dife_scanner.errors import NotFound
from dife_scanner.records import Reference
from dife_scanner.settings import Settings
from dife_scanner.store import references
from dife_scanner.store.db import Store

if TYPE_CHECKING:
    from dife_scanner.progress import Progress
from dife_scanner.app.wiring import hub


def add_reference(store: Store, settings: Settings, target: str, name: str, progress: Progress) -> Reference:
    """Register a folder or a repository as clean. Raises what `queue.references.register` raises."""
    from dife_scanner.baselines import references as chosen

    return chosen.register(store, settings, target, name, lambda: hub(settings), progress)


def check_reference(store: Store, name: str) -> None:
    """Raises `NotFound` for a reference that is not there, before anything is fetched."""
    from dife_scanner.checkpoints import is_local

    if not name or any(one.name == name for one in references.references(store)):
        return
    advice = f"`dife reference add {name}` first" if is_local(name) else "`dife reference list` shows them"
    raise NotFound(f"there is no reference called {name!r}", advice)
