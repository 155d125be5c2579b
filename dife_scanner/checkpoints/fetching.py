"""The files of a checkpoint brought into the cache, verified, and removed from it again."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.checkpoints.parts import Files, contents_of, files_of, staged_names
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.fetched import downloads
from dife_scanner.progress import Progress
from dife_scanner.records import HubFile, Manifest, ModelRef
from dife_scanner.settings import Limits

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

Check = Callable[[], None]


def fetch(
    hub: Hub, found: Manifest, cache: Path, limits: Limits, progress: Progress, check: Check
) -> Files:
    """Bring the files an audit reads into `cache`, verified; a former try's parts are used."""
    names = staged_names(contents_of(found))
    wanted = [file for file in found.files if file.path in names]
    total = sum(file.size or 0 for file in wanted)
    before = 0
    where: dict[str, Path] = {}
    for file in wanted:
        on_bytes = _BytesProgress(file, before, total, progress, check)
        where[file.path] = hub.fetch(
            found.ref, file, cache, on_bytes, limit=limits.checkpoint_bytes
        )
        before += file.size or 0
        crash_point("worker.fetched")
    return files_of(found, where)


class _BytesProgress:
    """Turns a file's bytes into progress over all of them."""

    def __init__(
        self, file: HubFile, before: int, total: int, progress: Progress, check: Check
    ) -> None:
        self._file = file
        self._before = before
        self._total = total
        self._progress = progress
        self._check = check

    def __call__(self, done: int, total: int | None) -> None:
        self._check()
        self._progress("downloading", self._before + done, self._total, self._file.path)


def cache_folder(home: Path, ref: ModelRef) -> Path:
    """Where the files of one revision are fetched to."""
    name = ref.repo_id.replace("/", "--")
    return downloads(home) / name / ref.revision


def forget(home: Path, ref: ModelRef) -> None:
    """Remove what was fetched for a job that has ended."""
    folder = cache_folder(home, ref)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(
        OSError
    ):  # other revisions are in it, or another process removed it just now
        folder.parent.rmdir()
