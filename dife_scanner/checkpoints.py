"""From a job to a private, checked copy of its checkpoint: look, fetch, stage, inspect."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.core.plain import plain
from dife_scanner.durable.crash import crash_point
from dife_scanner.errors import DifeError, LimitExceeded, Unsupported
from dife_scanner.hub.manifest import local_manifest, manifest, small_files
from dife_scanner.models import intake, sandbox
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts.open_clip import WEIGHT_FILES
from dife_scanner.models.load import parse_limits
from dife_scanner.progress import Progress
from dife_scanner.records import HubFile, HubModel, JobState, Manifest, ModelRef, Reference
from dife_scanner.settings import Limits

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

Check = Callable[[], None]
NAMED = 3
"""Files that a note names; of more it says how many."""


@dataclass(frozen=True)
class Prepared:
    """A private copy that passed every check that needs no weights in memory."""

    folder: Path
    weights: Path
    weights_sha256: str
    config_digest: str
    """sha256 of the sanitised configuration, tokenizer and preprocessing included, and of a prompt learner with it."""
    config: ClipConfig
    """Under which every tensor of the file was found …"""
    own_settings_problem: str = ""
    """… and why that is a reference's and not its own, in words; empty where it is its own."""

    @property
    def architecture(self) -> str:
        """Short and stable, as in `records.Manifest.architecture`."""
        return self.config.architecture


def is_local(target: str) -> bool:
    """Tell whether `target` is a path: it exists, or is written like one."""
    return (
        target.startswith(("/", "./", "../", "~")) or target in (".", "..") or Path(target).exists()
    )


def first_look(model: HubModel, token: bool) -> Manifest:
    """Judge by a listing alone; with a `token`, a gated or private model may be open to us and is queued."""
    found = manifest(model, {})
    if token and found.state in (JobState.GATED, JobState.PRIVATE):
        return replace(found, state=JobState.QUEUED, reason="")
    return found


def look(hub: Hub, ref: ModelRef, limits: Limits) -> tuple[HubModel, Manifest]:
    """Ask the hub for sizes and hashes at this commit and read what decides. Raises the hub's errors."""
    model = hub.info(ref.repo_id, ref.revision)
    most = limits.small_file_bytes
    pinned = ModelRef(model.repo_id, model.sha)
    small = {}
    for file in small_files(model, limit=most):
        small[file.path] = hub.read_small(pinned, file, most)
    found = manifest(model, small, checkpoint_bytes=limits.checkpoint_bytes, small_file_bytes=most)
    return model, replace(found, ref=ModelRef(ref.repo_id, model.sha))


def fetch(
    hub: Hub, found: Manifest, cache: Path, limits: Limits, progress: Progress, check: Check
) -> dict[str, Path]:
    """Bring the files an audit reads into `cache`, verified; a former try's parts are used. Name to path."""
    wanted = [file for file in found.files if file.path in intake.KNOWN_FILES]
    total = sum(file.size or 0 for file in wanted)
    before = 0
    files: dict[str, Path] = {}
    for file in wanted:
        on_bytes = _BytesProgress(file, before, total, progress, check)
        files[file.path] = hub.fetch(
            found.ref, file, cache, on_bytes, limit=limits.checkpoint_bytes
        )
        before += file.size or 0
        crash_point("worker.fetched")
    return files


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
    return home / "cache" / "hub" / name / ref.revision


def forget(home: Path, ref: ModelRef) -> None:
    """Remove what was fetched for a job that has ended."""
    folder = cache_folder(home, ref)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.is_dir() and not any(folder.parent.iterdir()):
        folder.parent.rmdir()


def local_files(found: Manifest) -> tuple[dict[str, Path], dict[str, HubFile]]:
    """Find a local checkpoint's files by the names an audit knows, and what they were when the audit was requested."""
    folder = Path(found.ref.repo_id)
    files: dict[str, Path] = {}
    expected: dict[str, HubFile] = {}
    for file in found.files:
        name = file.path
        if _is_other_weights(file.path):
            name = WEIGHT_FILES[0]
        if name in intake.KNOWN_FILES:
            files[name] = (
                folder / file.path
            ).resolve()  # a hub cache is all links; the hash is compared anyway
            expected[name] = file
    return files, expected


def _is_other_weights(name: str) -> bool:
    return name.endswith(".safetensors") and name not in intake.KNOWN_FILES


def look_local(ref: ModelRef, manifest_: Manifest | None) -> Manifest:
    """Give the manifest that a local job was queued with; without one the folder is looked at again."""
    return manifest_ or local_manifest(Path(ref.repo_id))


def notes(found: Manifest) -> tuple[str, ...]:
    """Say what an audit of these files cannot tell anything about."""
    if not found.unread:
        return ()
    named = ", ".join(plain(name, 80) for name in found.unread[:NAMED])
    if len(found.unread) > NAMED:
        named += f" and {len(found.unread) - NAMED} more"
    return (f"not searched: a prompt learner in a format that is not read ({named})",)


def prepare(
    files: Mapping[str, Path],
    expected: Mapping[str, HubFile],
    dest: Path,
    limits: Limits,
    known: Sequence[Reference] = (),
) -> Prepared:
    """Copy, hash, and inspect in a limited child. Raises what `intake.stage` and `sandbox.inspect_files` raise.

    Tensors decide what a checkpoint is. Where its configuration cannot be run or does not fit them, one of the `known`
    references whose configuration does stands in for it.
    """
    expected_here = {name: file for name, file in expected.items() if name in files}
    staged = intake.stage(files, expected_here, dest, limits)
    crash_point("worker.staged")
    if not staged.files:
        raise Unsupported(
            "there is nothing that an audit could read", "only open_clip checkpoints can be audited"
        )
    config, problem = _configuration(staged, limits, known)
    canonical = json.dumps(config.as_json(), sort_keys=True, separators=(",", ":"))
    if problem:
        canonical += staged.config.sha256
    if staged.learner is not None:
        canonical += staged.learner.sha256
    return Prepared(
        folder=staged.folder,
        weights=staged.weights.path,
        weights_sha256=staged.weights.sha256,
        config_digest=hashlib.sha256(canonical.encode()).hexdigest(),
        config=config,
        own_settings_problem=problem,
    )


def _configuration(
    staged: intake.Staged, limits: Limits, known: Sequence[Reference]
) -> tuple[ClipConfig, str]:
    """The configuration that fits the tensors, and why it is not the checkpoint's own."""
    weights = staged.weights.path
    bounds = parse_limits(limits)
    try:
        return sandbox.inspect_files(staged.config.path, weights, bounds).config, ""
    except (Unsupported, LimitExceeded) as error:
        for reference in known:
            theirs = Path(reference.path) / staged.config.name
            if _fits(theirs, weights, bounds):
                return sandbox.inspect_files(theirs, weights, bounds).config, error.what
        raise


def _fits(config: Path, weights: Path, bounds: ParseLimits) -> bool:
    """Whether a file has exactly the tensors of a reference's configuration."""
    try:
        sandbox.inspect_files(config, weights, bounds)
    except (DifeError, OSError):
        return False
    return True
