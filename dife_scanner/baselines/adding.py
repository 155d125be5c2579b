"""A person adds a clean reference: by a name of the registry, a repository, or a folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner import checkpoints
from dife_scanner.baselines import fetching, keeping
from dife_scanner.baselines.completing import prepared_whole
from dife_scanner.baselines.fetching import Fetching
from dife_scanner.baselines.keeping import Origin
from dife_scanner.baselines.registry import Base, Place, registry
from dife_scanner.checkpoints import is_local
from dife_scanner.errors import Unsupported, UsageError
from dife_scanner.hub.manifest import local_manifest
from dife_scanner.progress import Progress
from dife_scanner.records import Layout, Reference
from dife_scanner.settings import Settings
from dife_scanner.store import Store, references

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub


def register(
    store: Store,
    settings: Settings,
    target: str,
    name: str,
    hub: Callable[[], Hub],
    progress: Progress,
    channels: Sequence[str],
) -> Reference:
    """Load a checkpoint as strictly as a suspect and keep a copy as a clean reference.

    `target` is a name of the registry, a folder, or `org/name[@revision]` on the hub. Without a `name` the reference is
    called after it. A tower alone and an adapter become a whole with the nearest reference that is here. `channels`:
    names of the alert channels that are told of a repository that changed. Raises what fetching and loading raise,
    `NeedsBase` where none has what is missing, and `UsageError` for a name that cannot be had.
    """
    base = None
    if not is_local(target) and "@" not in target:
        base = registry(settings.references.registry).resolve(target)
    name = keeping.check_name(name or (base.short if base else _default_name(target)))
    here = fetching.base_here(store, base) if base else None
    if here is not None and here.name == name:
        references.add(
            store, replace(here, fetched=False)
        )  # from now on it is a person's, and stays
        return references.reference(store, name)
    if name in {reference.name for reference in references.references(store)}:
        raise UsageError(f"there is already a reference {name}", "choose another name with --name")
    if is_local(target):
        return _keep_local(store, settings, _folder(target), name, progress)
    by = Fetching(settings, hub(), keeping.towers_here, channels, progress)
    if base is not None and name == base.short:
        return fetching.fetch_base(store, _readable(base), by)
    return _fetch_repository(store, target, name, base, by)


def _readable(base: Base) -> Base:
    if base.unread:
        raise Unsupported(f"{base.name} is not read by this version: {base.unread}", "")
    return base


def _default_name(target: str) -> str:
    """The last part of a path, or of a repository's name."""
    if is_local(target):
        return Path(target).expanduser().resolve().name
    repo_id, _, _ = target.partition("@")
    return Path(repo_id).name


def _folder(target: str) -> Path:
    path = Path(target).expanduser()
    if not path.exists():
        raise UsageError(f"{path} does not exist", "give the folder of a checkpoint, or org/name")
    return path.resolve()


def _keep_local(
    store: Store, settings: Settings, path: Path, name: str, progress: Progress
) -> Reference:
    """Copy and check the files that a folder holds, and keep them."""
    limits = settings.limits
    found = local_manifest(
        path,
        checkpoint_bytes=limits.checkpoint_bytes,
        small_file_bytes=limits.small_file_bytes,
    )
    if found.state.is_final:
        raise Unsupported(f"{path}: {found.reason}", "give a checkpoint that can be audited")
    files = checkpoints.local_files(found)
    with fetching.locked(settings.home, name):
        scratch = keeping.scratch_folder(settings.home, name)
        try:
            prepared = prepared_whole(store, settings, found, files, scratch, progress)
            return keeping.keep(store, prepared, name, Origin(), limits, keeping.towers_here)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _fetch_repository(
    store: Store, target: str, name: str, base: Base | None, by: Fetching
) -> Reference:
    """Fetch a repository that the registry does not know, or one of it under a name of one's own."""
    repository, _, revision = target.partition("@")
    place = Place(repository, Layout.OTHER)
    if base is not None:
        place = _readable(base).places[0]
    origin = Origin(place.repository, revision, base.name if base else "")
    with fetching.locked(by.settings.home, name, by.check):
        return fetching.fetch(store, place, name, origin, by)
