"""From a listing to what would be fetched, and whether it can be audited at all. Pure, but for local folders.

Names and small JSON files decide; nothing is loaded and nothing an author writes is believed further than that.
What is no checkpoint of a kind that is read ends in a state with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.errors import Unsupported, UsageError
from dife_scanner.hub import local_files
from dife_scanner.hub.architecture import described
from dife_scanner.hub.claims import base_claim, base_claims
from dife_scanner.hub.file_names import (
    LEARNERS,
    MOST_NAMED,
    is_tensor_file,
    looks_like_learner,
    other_weights,
)
from dife_scanner.hub.layouts import recognise, small_json
from dife_scanner.hub.repository import Recognised
from dife_scanner.hub.small_json import json_object
from dife_scanner.plain import plain
from dife_scanner.records import (
    Contents,
    HubFile,
    HubModel,
    JobState,
    Layout,
    Manifest,
    ModelRef,
)

CHECKPOINT_BYTES = 20 * 1024**3
"""The largest open_clip models (ViT-bigG, EVA-E) have 10 to 20 GiB in 32 bits."""
SMALL_FILE_BYTES = 16 * 1024**2
"""Configurations have a few kB, a prompt learner and the index of a thousand shards below 1 MiB."""
TOKENIZER_BYTES = 64 * 1024**2
"""The `tokenizer.json` of CLIP has 2 to 4 MiB, that of SigLIP 2 has 34."""
MOST_SMALL_FILES = 16
"""That are read before it is decided; a training run has a configuration for each checkpoint."""

_UNNAMED = HubModel("", "", "")
_SAY_WHICH = "give a folder, or a file of weights (.safetensors, .bin, .pt) next to its config"


def small_files(model: HubModel, *, limit: int = SMALL_FILE_BYTES) -> list[HubFile]:
    """The files `manifest` wants to have read, each at most `limit` bytes; empty where names alone decide."""
    files = _by_path(model.files)
    if model.disabled or recognise(files, model, {}).why_not:
        return []
    wanted = [files[path] for path in small_json(files, model)]
    return [file for file in wanted if (file.size or 0) <= limit][:MOST_SMALL_FILES]


def manifest(
    model: HubModel,
    small: Mapping[str, bytes],
    *,
    may_open: bool = False,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
    small_file_bytes: int = SMALL_FILE_BYTES,
) -> Manifest:
    """What to fetch of `model` and the state it goes to.

    `small` holds the bytes of `small_files(model)`. A gated or private model counts as readable when they are there;
    leave them out where the hub refused them, and say `may_open` where there is a token and nobody has tried yet:
    it is queued then, and the hub decides. So it is for weights without any configuration. A listing item without
    sizes gets a manifest of 0 bytes: ask `info`.
    """
    files = _by_path(model.files)
    limits = _Limits(checkpoint_bytes, small_file_bytes)
    judgement = _judge(model, recognise(files, model, small), small, may_open, limits)
    return _manifest(ModelRef(model.repo_id, model.sha), model, small, judgement)


def wanted_files(
    files: Iterable[HubFile], model: HubModel = _UNNAMED, small: Mapping[str, bytes] | None = None
) -> tuple[HubFile, ...]:
    """Those an audit reads, in the order of `Contents.paths`; of no other anything is judged.

    Without `model` and the bytes of its small files only names decide, as if it were a CLIP.
    """
    found = _by_path(files)
    recognised = recognise(found, model, small or {})
    return _files_of(recognised.contents, found)


def unread_learners(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that look like a prompt learner and are not the one that is read, in the order of their names."""
    every = set(paths)
    chosen = next((path for path in LEARNERS if path in every), "")
    found = [path for path in every if path != chosen and looks_like_learner(path)]
    return tuple(sorted(found)[:MOST_NAMED])


# --- judging ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Limits:
    checkpoint_bytes: int
    small_file_bytes: int


@dataclass(frozen=True)
class _Judgement:
    layout: Layout
    state: JobState
    reason: str = ""
    contents: Contents | None = None
    """Only of what can be fetched."""


def _judge(
    model: HubModel,
    recognised: Recognised,
    small: Mapping[str, bytes],
    may_open: bool,
    limits: _Limits,
) -> _Judgement:
    """The state of a model, by the first of these that holds: disabled, layout, access, sizes."""
    layout, contents = recognised.layout, recognised.contents
    if model.disabled:
        return _Judgement(layout, JobState.DISABLED, "the hub has disabled the repository")
    if recognised.why_not:
        return _Judgement(layout, JobState.UNSUPPORTED, recognised.why_not)
    files = _by_path(model.files)
    if contents.config not in small:
        waiting = _while_unread(model, files.get(contents.config), may_open, limits)
        if waiting:
            return _Judgement(layout, *waiting)
    too_large = _any_too_large(contents, files, limits)
    if too_large:
        return _Judgement(layout, JobState.LIMIT_EXCEEDED, too_large, contents)
    return _Judgement(layout, JobState.QUEUED, recognised.note, contents)


def _while_unread(
    model: HubModel, config: HubFile | None, may_open: bool, limits: _Limits
) -> tuple[JobState, str] | None:
    """State and reason of a model whose configuration nobody has read; `None` where it has none and is open."""
    if model.gated and not may_open:
        return JobState.GATED, "access has to be asked for on the hub first"
    if model.private and not may_open:
        return JobState.PRIVATE, "the hub does not let us read its files"
    if config is None:
        return None
    too_large = _too_large(config.path, config.size or 0, limits.small_file_bytes)
    if too_large:
        return JobState.LIMIT_EXCEEDED, too_large
    return JobState.QUEUED, f"{config.path} has not been read yet"


def _any_too_large(contents: Contents, files: Mapping[str, HubFile], limits: _Limits) -> str:
    """What is wrong with the size of a file to fetch, or of all shards together; empty where nothing is."""
    small = limits.small_file_bytes
    for path in contents.paths:
        if path in contents.weights:
            continue
        most = max(small, TOKENIZER_BYTES) if path in contents.tokenizer else small
        too_large = _too_large(path, files[path].size or 0, most)
        if too_large:
            return too_large
    total = sum(files[path].size or 0 for path in contents.weights)
    name = contents.weights[0]
    if len(contents.weights) > 1:
        name = f"the {len(contents.weights)} shards of {name} together"
    return _too_large(name, total, limits.checkpoint_bytes, "limits.checkpoint_bytes")


def _too_large(name: str, size: int, limit: int, setting: str = "limits.small_file_bytes") -> str:
    """What is wrong with a file of `size` bytes, if anything."""
    if size <= limit:
        return ""
    verb = "has" if " together" not in name else "have"
    return f"{name} {verb} {size} bytes, the limit is {limit}; raise {setting} if you expect such a file"


def _manifest(
    ref: ModelRef, model: HubModel, small: Mapping[str, bytes], judgement: _Judgement
) -> Manifest:
    contents = judgement.contents or Contents()
    files = _files_of(contents, _by_path(model.files))
    paths = [file.path for file in model.files]
    return Manifest(
        ref=ref,
        layout=judgement.layout,
        architecture=described(small.get(contents.config, b"")),
        files=files,
        bytes_to_fetch=sum(file.size or 0 for file in files),
        base_claim=base_claim(model.tags),
        state=judgement.state,
        reason=judgement.reason,
        contents=contents,
        other_weights=other_weights(paths, contents.weights),
        unread=unread_learners([path for path in paths if path not in contents.weights]),
        base_claims=base_claims(model.repo_id, model.tags, _configurations(small)),
    )


def _configurations(small: Mapping[str, bytes]) -> dict[str, dict[str, object]]:
    """The small files that were read, those of adapters first: they name their base for sure."""
    order = sorted(small, key=lambda path: (not path.endswith("adapter_config.json"), path))
    return {path: json_object(small[path]) for path in order}


def _by_path(files: Iterable[HubFile]) -> dict[str, HubFile]:
    return {file.path: file for file in files}


def _files_of(contents: Contents, files: Mapping[str, HubFile]) -> tuple[HubFile, ...]:
    return tuple(files[path] for path in contents.paths)


# --- local checkpoints ------------------------------------------------------------------------------------------


def local_manifest(
    path: Path,
    *,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
    small_file_bytes: int = SMALL_FILE_BYTES,
) -> Manifest:
    """The manifest of a folder, or of one file of weights with what stands beside it.

    The same rules hold as for a repository; the folder's own name says nothing. The revision is `local-`
    and 34 hex digits of a hash over names and contents of the files that would be read. Raises `UsageError` where
    there is nothing to look at, it cannot be read, or several files may be meant, and `Unsupported` for what is no
    checkpoint of a kind that is read.
    """
    try:
        return _looked_at(path, checkpoint_bytes, small_file_bytes)
    except OSError as error:
        raise UsageError(
            f"{plain(str(path), 200)} cannot be read: {error.strerror}",
            "check the path and its permissions",
        ) from error


def _looked_at(path: Path, checkpoint_bytes: int, small_file_bytes: int) -> Manifest:
    folder, named = _folder_and_file(path.absolute())
    model = HubModel("", "", "", files=local_files.listed(folder))
    files = _by_path(model.files)
    small = local_files.small(folder, small_json(files, model), small_file_bytes)
    recognised = recognise(files, model, small, named=named)
    _one_is_meant(folder, recognised, named)
    limits = _Limits(checkpoint_bytes, small_file_bytes)
    judgement = _judge(model, recognised, small, True, limits)
    if judgement.state is not JobState.QUEUED:
        ref = ModelRef(str(folder), local_files.revision(()), local=True)
        nothing = _Judgement(judgement.layout, judgement.state, judgement.reason)
        return _manifest(ref, model, small, nothing)
    hashed = tuple(local_files.hashed(folder, name) for name in recognised.contents.paths)
    ref = ModelRef(str(folder), local_files.revision(hashed), local=True)
    beside = tuple(file for file in model.files if file.path not in recognised.contents.paths)
    return _manifest(ref, replace(model, files=(*hashed, *beside)), small, judgement)


def _folder_and_file(path: Path) -> tuple[Path, str]:
    """The folder, and the one file of weights where `path` is one. Raises `UsageError`."""
    if path.is_dir():
        return path, ""
    if not path.exists():
        raise UsageError(f"{path} does not exist", _SAY_WHICH)
    if not local_files.is_file(path) or not is_tensor_file(path.name):
        raise UsageError(f"{path} is not a checkpoint", _SAY_WHICH)
    return path.parent, path.name


def _one_is_meant(folder: Path, recognised: Recognised, named: str) -> None:
    """Raise `Unsupported` for what is not read, `UsageError` where a folder holds several that may be meant."""
    what = folder / named if named else folder
    if recognised.why_not:
        raise Unsupported(f"{what}: {recognised.why_not}", _SAY_WHICH)
    chosen = recognised.contents.weights[:1]
    ending = chosen[0].rpartition(".")[2] if chosen else ""
    rivals = [path for path in recognised.rivals if path.endswith("." + ending)]
    if len(rivals) > len(recognised.contents.weights):
        raise UsageError(f"{folder} holds {len(rivals)} .{ending} files", "name the one you mean")
