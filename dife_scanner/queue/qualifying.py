"""Qualifies a base: once, in a process that loads nothing else, and kept in the store.

What is embedded on the way is kept in the cache as it comes: a process that is killed costs a few seconds.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.audit import qualification
from dife_scanner.baselines.fetching import locked
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import AuditError
from dife_scanner.progress import Progress
from dife_scanner.queue import child, outcome
from dife_scanner.records import Qualification, Reference
from dife_scanner.settings import Limits, Settings
from dife_scanner.store import Store, qualifications
from dife_scanner.store.codec import from_json, to_json

if TYPE_CHECKING:
    from dife_scanner.audit.cache import Memory

_FOUND = "qualification.json"
_MOST_BYTES = 4 * 1024**2
_SAVE_SECONDS = 5.0
"""Of embeddings that a killed process may lose."""


def kept(store: Store, reference: Reference) -> Qualification | None:
    """What was measured of a reference on the bundled sets; `None` where nothing was."""
    digest = qualification.bundled_digest()
    return qualifications.of(store, reference, digest, qualification.VERSION)


def qualify(
    store: Store,
    reference: Reference,
    settings: Settings,
    progress: Progress,
    check: Callable[[], None] = lambda: None,
    *,
    threads: int = 0,
    start: str = child.FORKSERVER,
) -> Qualification:
    """What a reference recognises, measured now unless it was before; of two at a time one measures, the other waits.

    Raises what loading and measuring raise, `LimitExceeded`, `child.ChildDied`, and what `check` raises.
    """
    towers = f"{reference.image_tower[:16]}{reference.text_tower[:16]}"
    with locked(store.home, f"qualifying-{towers}", check):
        found = kept(store, reference)
        if found is not None:
            return found
        found = _measured(store.home, towers, reference, settings, progress, check, threads, start)
        qualifications.keep(store, found)
        return found


def _measured(
    home: Path,
    towers: str,
    reference: Reference,
    settings: Settings,
    progress: Progress,
    check: Callable[[], None],
    threads: int,
    start: str,
) -> Qualification:
    """Measure in a child, whose folder is emptied first: the one before may have been killed."""
    folder = home / "work" / f"qualifying-{towers}"
    shutil.rmtree(folder, ignore_errors=True)
    with disk_errors(home):
        folder.mkdir(mode=0o700, parents=True)
    limits = settings.limits
    allowed = child.Limits(
        limits.audit_seconds, limits.audit_rss_mib, f"qualifying {reference.name}"
    )
    cache = home / "cache" / "embeddings"
    arguments = (Path(reference.path), settings.device, limits, cache, folder, threads)
    try:
        exitcode = child.apart(_main, arguments, allowed, progress, check, start=start)
        return _received(folder, exitcode, reference)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _received(folder: Path, exitcode: int | None, reference: Reference) -> Qualification:
    """What the child left. Raises the error that it ended in."""
    path = folder / _FOUND
    if not path.is_file():
        outcome.read(folder)
        raise child.death(exitcode, folder)
    if path.stat().st_size > _MOST_BYTES:
        raise AuditError(
            f"the process that qualified {reference.name} left more than {_MOST_BYTES} bytes"
        )
    found = from_json(Qualification, path.read_bytes())
    if (found.image_tower, found.text_tower) != (reference.image_tower, reference.text_tower):
        raise AuditError(
            f"the files of the reference {reference.name} are not those that were added",
            f"`dife reference verify {reference.name}`",
        )
    return found


# --- inside the child -----------------------------------------------------------------------------------------


def _main(
    path: Path,
    device: str,
    limits: Limits,
    cache: Path,
    folder: Path,
    threads: int,
    writer: Connection,
) -> None:
    child.begin(threads)
    with child.exit_where_full():
        try:
            found = _measure(path, device, limits, cache, Progress(child.Sender(writer)))
            with atomic_write(folder / _FOUND) as stream:
                stream.write(to_json(found).encode())
        except Exception as error:  # whatever it is, the parent puts it in words
            outcome.write_error(folder, error)


def _measure(
    path: Path, device: str, limits: Limits, cache: Path, progress: Progress
) -> Qualification:
    from dife_scanner.audit.cache import CachedEncoder, Memory
    from dife_scanner.models.load import load

    memory = Memory(cache)
    encoder = CachedEncoder(load(path, device=device, limits=limits), memory, keeps_pictures=False)
    saving = _Saving(memory, (encoder.image_tower, encoder.text_tower))
    found = qualification.measure(encoder, qualification.bundled(), progress, saving)
    saving.save()
    return found


class _Saving:
    """Saves what was embedded, every few seconds."""

    def __init__(self, memory: Memory, towers: tuple[str, str]) -> None:
        self._memory = memory
        self._towers = towers
        self._at = time.monotonic()

    def __call__(self) -> None:
        if time.monotonic() - self._at > _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Save now."""
        self._memory.save(self._towers)
        self._at = time.monotonic()
