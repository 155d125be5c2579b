"""Room for what is fetched: a quota for weights, a floor of free space, and what goes first where they are hit."""

from __future__ import annotations

import contextlib
import logging
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from dife_scanner.checkpoints import cache_folder
from dife_scanner.durable.disk import free_bytes
from dife_scanner.durable.fetched import Fetched, disk_use, fetched_folders
from dife_scanner.errors import NoRoom
from dife_scanner.records import Job, ModelRef
from dife_scanner.sentences.numbers import bytes_text
from dife_scanner.settings import Disk
from dife_scanner.store import Store, leases

log = logging.getLogger(__name__)

COPIES = 2
"""Further times that a checkpoint lies on the disk during its audit: the private copy, and what is made of it."""
TRASH = "trash-"


def make_room(
    store: Store, job: Job, worker: str, wanted: int, disk: Disk, *, ahead: bool = False
) -> None:
    """Make room for the `wanted` bytes of a job that `worker` holds, and keep it for that job while it is held.

    Where quota or floor are hit, weights go that no worker needs just now: first those of jobs that have ended, then,
    unless this is only `ahead` of need, what was fetched longest ago. Raises `NoRoom` where that would not be enough;
    then nothing is removed. Raises `LeaseLost`.
    """
    own = cache_folder(store.home, job.ref)
    others = leases.reserve(store, job.id, worker, wanted)
    fetched = fetched_folders(store.home)
    sizes = {folder.path: folder.size for folder in fetched}
    missing = max(0, wanted - sizes.get(own, 0))
    promised = _promised(store.home, sizes, others)
    copies = 0 if ahead else COPIES * wanted
    over_quota = 0
    if missing:
        over_quota = sum(sizes.values()) + promised + missing - disk.quota_bytes
    under_floor = disk.free_bytes + promised + missing + copies - free_bytes(store.home)
    lacking = max(over_quota, under_floor)
    if lacking <= 0:
        return
    in_use = {own, *(cache_folder(store.home, ref) for ref in others)}
    removable = [folder for folder in fetched if folder.path not in in_use]
    if not _evict(store, removable, lacking, only_ended=ahead):
        quota = missing if over_quota > 0 else 0
        raise _no_room(store.home, job.ref, disk, quota=quota, floor=missing + copies)


def _promised(home: Path, sizes: Mapping[Path, int], others: Mapping[ModelRef, int]) -> int:
    """Bytes that jobs in work are still going to fetch."""
    promised = 0
    for ref, wanted in others.items():
        promised += max(0, wanted - sizes.get(cache_folder(home, ref), 0))
    return promised


def _no_room(home: Path, ref: ModelRef, disk: Disk, *, quota: int, floor: int) -> NoRoom:
    """What is needed where the quota leaves too little; else `floor`, what is needed of the disk itself."""
    use = disk_use(home, disk.quota_bytes, disk.free_bytes)
    if quota:
        return NoRoom(
            f"disk: {ref} needs {bytes_text(quota)}; fetched weights take {bytes_text(use.fetched)} of the "
            f"{bytes_text(use.quota)} that they may",
            "raise disk.quota_bytes, unless the audits before it free enough",
        )
    return NoRoom(
        f"disk: {ref} needs {bytes_text(floor)}; {bytes_text(use.free)} are free, and {bytes_text(use.floor)} "
        "of them stay free",
        "free some space, or lower disk.free_bytes",
    )


# --- removing -------------------------------------------------------------------------------------------------


def _evict(store: Store, removable: list[Fetched], lacking: int, *, only_ended: bool) -> bool:
    """Remove as many of these folders as it takes to win `lacking` bytes; none, and `False`, where they are too few."""
    chosen: list[Fetched] = []

    def choose(held: set[int], unfinished: set[ModelRef]) -> None:
        needed = {cache_folder(store.home, ref) for ref in unfinished}
        order = sorted(removable, key=lambda folder: (folder.path in needed, folder.at))
        if only_ended:
            order = [folder for folder in order if folder.path not in needed]
        chosen.extend(_as_many(order, lacking))
        for folder in chosen:
            log.info("removing %s to make room", folder.path)
            put_aside(store.home, folder.path)

    leases.while_none_changes(store, choose)
    empty_trash(store.home)
    return bool(chosen)


def _as_many(order: list[Fetched], lacking: int) -> list[Fetched]:
    """The first folders that hold `lacking` bytes together; none where all of them do not."""
    won = 0
    for number, folder in enumerate(order):
        won += folder.size
        if won >= lacking:
            return order[: number + 1]
    return []


def put_aside(home: Path, folder: Path) -> None:
    """Rename a folder, which is quick, so that `empty_trash` can remove it while others work on."""
    with contextlib.suppress(FileNotFoundError):
        folder.rename(home / "work" / f"{TRASH}{uuid.uuid4().hex}")


def empty_trash(home: Path) -> None:
    """Remove what was put aside."""
    for trash in (home / "work").glob(f"{TRASH}*"):
        shutil.rmtree(trash, ignore_errors=True)
