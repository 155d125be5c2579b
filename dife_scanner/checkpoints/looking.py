"""A repository or a folder before anything is copied: what is there, whether it can be audited, and fetching it."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.checkpoints.parts import (
    Files,
    Parts,
    contents_of,
    files_of,
    staged_names,
)
from dife_scanner.checkpoints.preparing import OF_THE_CONFIGURATION, understood
from dife_scanner.errors import NeedsBase, Refused, Unreadable
from dife_scanner.hub.manifest import local_manifest, manifest, small_files
from dife_scanner.models import sandbox
from dife_scanner.models.header import LENGTH_BYTES, ParseLimits
from dife_scanner.models.layouts.open_clip import CONFIG_FILE
from dife_scanner.models.load import parse_limits
from dife_scanner.models.stored import SAFETENSORS
from dife_scanner.records import HubFile, HubModel, JobState, Manifest, ModelRef, Reference
from dife_scanner.settings import Limits

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

FIRST_BYTES = 128 * 1024
"""Read of the weights to begin with; the headers of most models are shorter."""


def is_local(target: str) -> bool:
    """Tell whether `target` is a path: it exists, or is written like one."""
    written_so = target.startswith(("/", "./", "../", "~")) or target in (".", "..")
    # `Path.exists` raises for names that are longer than a path may be
    return written_so or os.path.exists(target)  # noqa: PTH110


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
    small: Mapping[str, bytes]
    """The verified small files that were read, by path."""


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
    return Look(model, found, small)


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
    contents = contents_of(seen.manifest)
    names = staged_names(contents)
    described = {names[path]: raw for path, raw in seen.small.items() if path in names}
    if seen.manifest.state.is_final:
        return
    bounds = parse_limits(limits)
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        for file, raw in described.items():
            (folder / file).write_bytes(raw)
        config = folder / CONFIG_FILE
        if config.exists():
            _judge_configuration(config, bounds, known)
        try:
            _judge_start(hub, seen, folder, limits, known)
        except Refused as error:
            log.info("%s, as its beginning looks: %s", seen.manifest.ref, error.what)


def _judge_configuration(config: Path, bounds: ParseLimits, known: Sequence[Reference]) -> None:
    """Raise what is wrong with open_clip's configuration, where no reference's can stand in for it."""
    try:
        sandbox.check_config(config, bounds)
    except OF_THE_CONFIGURATION:
        if not known:
            raise


def _judge_start(
    hub: Hub, seen: Look, folder: Path, limits: Limits, known: Sequence[Reference]
) -> None:
    """Inspect the beginnings of the weights beside the small files in `folder`.

    Does nothing where the hub does not send them, or sends others each time, and where the format has no header there.
    """
    bounds = parse_limits(limits)
    contents = contents_of(seen.manifest)
    names = staged_names(contents)
    by_path = {file.path: file for file in seen.manifest.files}
    files = [by_path[path] for path in contents.weights if path.endswith(SAFETENSORS)]
    if len(files) < len(contents.weights):
        return
    small = tuple(sorted(folder.iterdir()))
    starts: dict[Path, bytes] = {}
    for file in files:
        start = _start(hub, seen.manifest.ref, file, bounds)
        if not start:
            return
        path = folder / names[file.path]
        path.write_bytes(start)
        starts[path] = start
    parts = Parts(small, tuple(starts), tuple(file.size for file in files))
    try:
        understood(parts, limits, known)
    except NeedsBase:
        raise
    except OF_THE_CONFIGURATION as error:
        for file, start in zip(files, starts.values(), strict=True):
            if hub.read_start(seen.manifest.ref, file, len(start)) != start:
                return
        if not isinstance(error, Unreadable):
            raise
        if (folder / CONFIG_FILE).exists():
            # raises it where it is the configuration that cannot be read
            sandbox.check_config(folder / CONFIG_FILE, bounds)
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
    files = local_files(found)
    understood(Parts.of(files.where, files.contents), limits, known)


def local_files(found: Manifest) -> Files:
    """A local checkpoint's files, and what they were when the audit was requested."""
    folder = Path(found.ref.repo_id)
    paths = staged_names(contents_of(found)).keys()
    where = {}
    for file in found.files:
        if file.path in paths:
            # a hub cache is all links; the hash is compared anyway
            where[file.path] = (folder / file.path).resolve()
    return files_of(found, where)


def look_local(ref: ModelRef, manifest_: Manifest | None) -> Manifest:
    """Give the manifest that a local job was queued with; without one the folder is looked at again."""
    return manifest_ or local_manifest(Path(ref.repo_id))
