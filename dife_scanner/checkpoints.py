"""From a job to a private, checked copy of its checkpoint: look, fetch, stage, inspect."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.core.plain import plain
from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.fetched import downloads
from dife_scanner.errors import DifeError, LimitExceeded, Refused, Unreadable, Unsupported
from dife_scanner.hub.manifest import local_manifest, manifest, small_files
from dife_scanner.models import intake, sandbox
from dife_scanner.models.config import ClipConfig
from dife_scanner.models.header import LENGTH_BYTES, ParseLimits
from dife_scanner.models.layouts.open_clip import CONFIG_FILE, WEIGHT_FILES
from dife_scanner.models.load import parse_limits
from dife_scanner.progress import Progress
from dife_scanner.records import HubFile, HubModel, JobState, Manifest, ModelRef, Reference
from dife_scanner.settings import Limits

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

Check = Callable[[], None]
_OF_THE_CONFIGURATION = (Unsupported, LimitExceeded, Unreadable)
"""Errors that another configuration may not have."""
FIRST_BYTES = 128 * 1024
"""Read of the weights to begin with; the headers of most models are shorter."""
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


@dataclass(frozen=True)
class Look:
    """A repository at one commit, before its weights are fetched."""

    model: HubModel
    manifest: Manifest
    config: bytes
    """The verified configuration; empty where it was not read."""


def look(hub: Hub, ref: ModelRef, limits: Limits) -> Look:
    """Ask the hub for sizes and hashes at this commit and read the configuration. Raises the hub's errors."""
    model = hub.info(ref.repo_id, ref.revision)
    most = limits.small_file_bytes
    pinned = ModelRef(model.repo_id, model.sha)
    small = {}
    for file in small_files(model, limit=most):
        small[file.path] = hub.read_small(pinned, file, most)
    found = manifest(model, small, checkpoint_bytes=limits.checkpoint_bytes, small_file_bytes=most)
    found = replace(found, ref=ModelRef(ref.repo_id, model.sha))
    return Look(model, found, small.get(CONFIG_FILE, b""))


def judge(
    hub: Hub,
    seen: Look,
    limits: Limits,
    known: Sequence[Reference] = (),
    *,
    scratch: Path | None = None,
) -> None:
    """Raise what the configuration and the header say against a checkpoint, before its weights are fetched.

    The header is the beginning of a file whose hash nobody knows yet. So it decides only what needs no proof: a kind
    that is not audited, or a limit. Whatever else is wrong with it is for the whole file to show. As in `prepare`, a
    configuration counts for nothing where that of one of the `known` references fits the tensors. `scratch` is an
    existing folder for the bytes on their way to the parsing child.

    Raises `Unsupported`, `LimitExceeded`, and of the configuration alone `Unreadable` and `Refused`; the errors of
    access; what `sandbox.inspect_files` raises.
    """
    if seen.manifest.state.is_final or not seen.config:
        return
    bounds = parse_limits(limits)
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        config = Path(name) / CONFIG_FILE
        config.write_bytes(seen.config)
        try:
            sandbox.check_config(config, bounds)
        except _OF_THE_CONFIGURATION:
            if not known:
                raise
        try:
            _judge_start(hub, seen, config, bounds, known)
        except Refused as error:
            log.info("%s, as its beginning looks: %s", seen.manifest.ref, error.what)


def _judge_start(
    hub: Hub, seen: Look, config: Path, bounds: ParseLimits, known: Sequence[Reference]
) -> None:
    """Inspect the beginning of the weights. Does nothing where the hub does not send it, or sends another each time."""
    (file,) = (file for file in seen.manifest.files if file.path in WEIGHT_FILES)
    start = _start(hub, seen.manifest.ref, file, bounds)
    if not start:
        return
    weights = config.parent / file.path
    weights.write_bytes(start)
    try:
        _configuration(config, weights, bounds, known, total=file.size)
    except _OF_THE_CONFIGURATION as error:
        if hub.read_start(seen.manifest.ref, file, len(start)) != start:
            return
        if not isinstance(error, Unreadable):
            raise
        sandbox.check_config(
            config, bounds
        )  # raises it where it is the configuration that cannot be read
        log.info("%s, as its beginning looks: %s", seen.manifest.ref, error.what)


def _start(hub: Hub, ref: ModelRef, file: HubFile, bounds: ParseLimits) -> bytes:
    """The beginning of the weights with the whole header, or as much as shows that it is too long; else empty."""
    start = hub.read_start(ref, file, FIRST_BYTES)
    header_ends = LENGTH_BYTES + int.from_bytes(start[:LENGTH_BYTES], "little")
    if header_ends <= len(start) or header_ends > LENGTH_BYTES + bounds.header_bytes:
        return start
    start = hub.read_start(ref, file, header_ends)
    return start if len(start) == header_ends else b""


def judge_local(found: Manifest, limits: Limits, known: Sequence[Reference] = ()) -> None:
    """Raise what `prepare` would raise of a local checkpoint, where it lies."""
    if found.state.is_final:
        return
    files, _ = local_files(found)
    (weights,) = (files[name] for name in WEIGHT_FILES if name in files)
    _configuration(files[CONFIG_FILE], weights, parse_limits(limits), known)


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
    return downloads(home) / name / ref.revision


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
    told = []
    if found.unread:
        named = _named(found.unread)
        told.append(f"not searched: a prompt learner in a format that is not read ({named})")
    if found.other_weights:
        named = _named(found.other_weights)
        told.append(f"not audited: further tensor files, of which open_clip loads none ({named})")
    return tuple(told)


def _named(files: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    named = ", ".join(plain(name, 80) for name in files[:NAMED])
    if len(files) > NAMED:
        named += f" and {len(files) - NAMED} more"
    return named


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
    config, problem = _configuration(
        staged.config.path, staged.weights.path, parse_limits(limits), known
    )
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
    config: Path,
    weights: Path,
    bounds: ParseLimits,
    known: Sequence[Reference],
    *,
    total: int | None = None,
) -> tuple[ClipConfig, str]:
    """The configuration that fits the tensors, and why it is not the checkpoint's own.

    `total` is the size of the weights in bytes where `weights` holds only their beginning.
    """
    try:
        return sandbox.inspect_files(config, weights, bounds, total=total).config, ""
    except _OF_THE_CONFIGURATION as error:
        for reference in known:
            theirs = _fitting(Path(reference.path) / CONFIG_FILE, weights, bounds, total)
            if theirs:
                return theirs, error.what
        raise


def _fitting(
    config: Path, weights: Path, bounds: ParseLimits, total: int | None
) -> ClipConfig | None:
    """A reference's configuration, where a file has exactly its tensors."""
    try:
        found = sandbox.inspect_files(config, weights, bounds, total=total)
    except (DifeError, OSError):
        return None
    return None if found.interpolated else found.config
