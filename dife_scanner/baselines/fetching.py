"""Fetch a clean base once: look, compare with what is trusted, make room, check it like any suspect, keep it."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from dife_scanner import checkpoints
from dife_scanner.baselines import keeping, trusting
from dife_scanner.baselines.completing import prepared_whole, with_bases
from dife_scanner.baselines.keeping import Measure, Origin
from dife_scanner.baselines.registry import Base, Place
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import (
    BadToken,
    HubError,
    HubUnavailable,
    LimitExceeded,
    NotFound,
    Refused,
    Unreadable,
    Unsupported,
)
from dife_scanner.progress import SILENT, Progress
from dife_scanner.records import Manifest, ModelRef, Reference
from dife_scanner.settings import Settings
from dife_scanner.store import Store, jobs, references

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

_WAIT_SECONDS = 0.2
_NEXT_PLACE = (HubError, Unsupported, Unreadable, Refused)
"""What is wrong with one place may not be with the next …"""
_NO_PLACE = (HubUnavailable, BadToken)
"""… but for these."""


@dataclass(frozen=True)
class Fetching:
    """What fetching needs besides the base."""

    settings: Settings
    hub: Hub
    measure: Measure
    """Loads a base and hashes its towers."""
    channels: Sequence[str]
    """Names of the alert channels that are told of a repository that changed."""
    progress: Progress = SILENT
    check: Callable[[], None] = lambda: None
    """Called now and then; what it raises ends the fetch."""
    at_hand: Mapping[str, Path] = field(default_factory=dict)
    """Files by their sha256 that need not be fetched again."""
    needed: bool = False
    """Whether a checkpoint needs it; then it may give way later."""


def base_here(store: Store, base: Base) -> Reference | None:
    """The reference that is this base, if its files are here."""
    for reference in references.references(store):
        if reference.base == base.name and Path(reference.path).is_dir():
            return reference
    return None


def fetch_base(store: Store, base: Base, by: Fetching) -> Reference:
    """Bring a base here from the first of its places that has it; of two at a time one fetches and the other waits.

    Raises `BaseChanged`, `HubUnavailable`, `NotFound` where no place has it, `LimitExceeded` where there is no room.
    """
    with locked(by.settings.home, base.short, by.check):
        here = base_here(store, base)
        if here is not None:
            return here
        problems = []
        name = _free_name(store, base)
        for place in base.places:
            origin = Origin(place.repository, "", base.name, by.needed)
            try:
                return fetch(store, place, name, origin, by)
            except _NO_PLACE:
                raise
            except _NEXT_PLACE as error:
                log.info("%s is not fetched from %s: %s", base.name, place.repository, error.what)
                problems.append(error.what)
    raise NotFound(
        f"the base {base.name} cannot be fetched: {'; '.join(problems)}",
        "give its files by hand: `dife reference add FOLDER`",
    )


def _free_name(store: Store, base: Base) -> str:
    """What the base is called here: its short name, or the whole one where another reference has the short one."""
    for reference in references.references(store):
        if reference.name == base.short and reference.base != base.name:
            return base.name.replace("/", "--")
        if reference.base == base.name and reference.fetched:
            references.remove(store, reference.name)  # somebody removed its files
    return base.short


def fetch(store: Store, place: Place, name: str, origin: Origin, by: Fetching) -> Reference:
    """Fetch and keep what one repository holds, as the reference `name`. The caller holds its lock.

    Raises what `fetch_base` raises, the errors of access, and those of the intake.
    """
    limits = by.settings.limits
    trusted = trusting.trusted(store, place)
    by.progress("looking", note=place.repository)
    wanted = trusting.revision_of(trusted) or origin.revision
    seen = checkpoints.look(by.hub, ModelRef(place.repository, wanted), limits)
    manifest = seen.manifest
    revision = manifest.ref.revision
    if manifest.state.is_final:
        raise Unsupported(f"{place.repository}: {manifest.reason}", "")
    trusting.check_announced(store, trusted, revision, seen.model.files, by.channels)
    with_bases(
        store, by.settings, manifest, lambda known: checkpoints.judge(by.hub, seen, limits, known)
    )
    if origin.fetched:
        make_room(store, by.settings, manifest.bytes_to_fetch)
    cache = by.settings.home / "cache" / "bases" / place.repository.replace("/", "--") / revision
    _link(manifest, cache, by.at_hand)
    files = checkpoints.fetch(by.hub, manifest, cache, limits, by.progress, by.check)
    fetched = [file.path for file in manifest.files if (cache / file.path).is_file()]
    digests = trusting.digests_of({path: cache / path for path in fetched})
    trusting.check_fetched(store, trusted, revision, digests, by.channels)
    with _scratch(by.settings.home, name) as scratch:
        prepared = prepared_whole(store, by.settings, manifest, files, scratch, by.progress)
        came_from = Origin(place.repository, revision, origin.base, origin.fetched)
        kept = keeping.keep(store, prepared, name, came_from, limits, by.measure)
    trusting.remember(store, trusted, place.repository, revision, digests)
    shutil.rmtree(cache.parent, ignore_errors=True)
    if origin.base:
        _do_again(store, origin.base)
    return references.reference(store, kept.name)


def _do_again(store: Store, base: str) -> None:
    """Queue the jobs again that were audited without this base."""
    for job_id in references.take_wanting(store, base):
        jobs.requeue(store, job_id, reason=f"its base {base} is here now", pinned=False)


def announced_bytes(hub: Hub, base: Base, settings: Settings) -> int:
    """Bytes that fetching a base would take; 0 where none of its places answers with something that can be audited."""
    for place in base.places:
        try:
            seen = checkpoints.look(
                hub, ModelRef(place.repository, place.revision), settings.limits
            )
        except (*_NEXT_PLACE, LimitExceeded) as error:
            log.info("%s: %s", place.repository, error.what)
            continue
        if not seen.manifest.state.is_final:
            return seen.manifest.bytes_to_fetch
    return 0


@contextlib.contextmanager
def locked(home: Path, name: str, check: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of one reference; `check` is called while another process holds it."""
    with disk_errors(home):
        (home / "references").mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(home / "references" / f".{name}.lock")
    while True:
        try:
            lock.acquire(timeout=_WAIT_SECONDS)
            break
        except Timeout:
            check()
    try:
        yield
    finally:
        lock.release()


def make_room(store: Store, settings: Settings, needed: int) -> None:
    """Remove fetched bases, the one not used for the longest time first, until `needed` bytes fit under the quota.

    Raises `LimitExceeded` where they cannot.
    """
    quota = settings.references.quota_bytes
    if needed > quota:
        raise LimitExceeded(
            f"the base has {needed} bytes; the quota of fetched bases is {quota}",
            "raise references.quota_bytes",
        )
    while references.fetched_bytes(store) + needed > quota:
        evicted = references.evict_oldest(store)
        if evicted is None:
            raise LimitExceeded(
                f"there is no room for {needed} bytes more: running audits use every fetched base",
                "raise references.quota_bytes, or wait until they have ended",
            )
        log.info("the base %s made room for another", evicted.name)
        shutil.rmtree(evicted.path, ignore_errors=True)


def _link(manifest: Manifest, cache: Path, at_hand: Mapping[str, Path]) -> None:
    """Put files that are here already where the download would put them; it verifies them and asks for nothing."""
    for file in manifest.files:
        source = at_hand.get(file.sha256 or "")
        target = cache / file.path
        if source is None or target.exists():
            continue
        with contextlib.suppress(OSError):  # then it is downloaded
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)


@contextlib.contextmanager
def _scratch(home: Path, name: str) -> Iterator[Path]:
    folder = keeping.scratch_folder(home, name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
