"""From a listing to what would be fetched, and whether it can be audited at all. Pure, but for local folders.

Names and one small JSON file decide; nothing is loaded and nothing an author writes is believed further than that.
Only open_clip checkpoints with safetensors weights are queued. Everything else ends in a state with a reason.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from dife_scanner.errors import Unsupported, UsageError
from dife_scanner.hub.architecture import described
from dife_scanner.hub.claims import base_claim, base_claims
from dife_scanner.hub.layouts import CONFIG, PICKLE, WEIGHTS, chosen_weights, layout_of
from dife_scanner.records import HubFile, HubModel, JobState, Layout, Manifest, ModelRef

LEARNERS = ("prompt_learner.safetensors", "learner.safetensors")
"""A prompt learner next to the weights, in the order of preference; only the first present is read."""
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
)
"""Of a local folder: they are part of what its contents are called by, and nothing reads them."""
MOST_UNREAD = 20
"""Files of a prompt learner that are named, at most: a training run leaves one for each epoch."""
MOST_LOOKED_AT = 10_000
"""Names of a local folder that are looked at for them; the folder may be the root of a disk."""
CHECKPOINT_BYTES = 20 * 1024**3
"""The largest open_clip models (ViT-bigG, EVA-E) have 10 to 20 GiB in 32 bits."""
SMALL_FILE_BYTES = 16 * 1024**2
"""The `tokenizer.json` of CLIP has 2 MiB, a prompt learner less."""

_LEARNER = re.compile(
    r"prompt[-_]?learner|(^|[/_.-])learner|(^|[/_.-])(co)?coop($|[/_.-])|(^|/)model(-best)?\.pth\.tar(-\d+)?$"
)
"""Names that CoOp, CoCoOp and what was made of them give a prompt learner, folders included; `model.pth.tar-50` is the
training framework's."""
_TENSORS = re.compile(r"\.(safetensors|pt|pth|bin|ckpt|pkl|pickle|npy|npz|h5|tar)(-\d+)?$")
_REVISION_DIGITS = 34
"""With `local-` before them as long as a commit: 40 characters."""
_SAY_WHICH = "give a folder, or a .safetensors file next to its config"


def small_files(model: HubModel, *, limit: int = SMALL_FILE_BYTES) -> list[HubFile]:
    """The files `manifest` wants to have read, each at most `limit` bytes; empty where names alone decide."""
    files = _by_path(model.files)
    if CONFIG not in files or chosen_weights(files) is None or model.disabled:
        return []
    if (files[CONFIG].size or 0) > limit:
        return []
    return [files[CONFIG]]


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
    it is queued then, and the hub decides. A listing item without sizes gets a manifest of 0 bytes: ask `info`.
    """
    judgement = _judge(model, small, may_open, checkpoint_bytes, small_file_bytes)
    paths = [file.path for file in model.files]
    return Manifest(
        ref=ModelRef(model.repo_id, model.sha),
        layout=judgement.layout,
        architecture=judgement.architecture,
        files=judgement.files,
        bytes_to_fetch=_total_bytes(judgement.files),
        base_claim=base_claim(model.tags),
        state=judgement.state,
        reason=judgement.reason,
        other_weights=other_weights(paths, chosen_weights(paths)),
        unread=unread_learners(paths),
        base_claims=base_claims(model.repo_id, model.tags, {}),
    )


def wanted_files(files: Iterable[HubFile]) -> tuple[HubFile, ...]:
    """Those an audit reads: config, weights and a prompt learner. Of no other anything is judged."""
    found = _by_path(files)
    paths = [CONFIG, chosen_weights(found), _chosen_learner(found)]
    return tuple(found[path] for path in paths if path in found)


def unread_learners(paths: Iterable[str]) -> tuple[str, ...]:
    """Those that look like a prompt learner and are not the one that is read, in the order of their names."""
    every = set(paths)
    every.discard(_chosen_learner(every) or "")
    found: list[str] = []
    for path in every:
        lower = path.lower()
        if _TENSORS.search(lower) and _LEARNER.search(lower):
            found.append(path)
    return tuple(sorted(found)[:MOST_UNREAD])


def other_weights(paths: Iterable[str], audited: str | None) -> tuple[str, ...]:
    """Those that look like weights, and are neither the `audited` ones nor a prompt learner; by name."""
    found: list[str] = []
    for path in set(paths) - {audited}:
        lower = path.lower()
        if _TENSORS.search(lower) and not _LEARNER.search(lower):
            found.append(path)
    return tuple(sorted(found)[:MOST_UNREAD])


# --- judging ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Judgement:
    layout: Layout
    state: JobState
    reason: str = ""
    architecture: str = ""
    files: tuple[HubFile, ...] = ()


def _judge(
    model: HubModel,
    small: Mapping[str, bytes],
    may_open: bool,
    checkpoint_bytes: int,
    small_file_bytes: int,
) -> _Judgement:
    """The state of a model, by the first of these that holds: disabled, layout, access, sizes."""
    files = _by_path(model.files)
    layout, unsupported = layout_of(files, model, small)
    if model.disabled:
        return _Judgement(layout, JobState.DISABLED, "the hub has disabled the repository")
    if unsupported:
        return _Judgement(layout, JobState.UNSUPPORTED, unsupported)
    if CONFIG not in small:
        state, reason = _while_unread(model, files[CONFIG], may_open, small_file_bytes)
        return _Judgement(layout, state, reason)
    wanted = wanted_files(model.files)
    architecture = described(small[CONFIG])
    for file in wanted:
        most = checkpoint_bytes if file.path in WEIGHTS else None
        too_large = _too_large(file.path, file.size or 0, small_file_bytes, most)
        if too_large:
            return _Judgement(layout, JobState.LIMIT_EXCEEDED, too_large, architecture, wanted)
    return _Judgement(layout, JobState.QUEUED, "", architecture, wanted)


def _while_unread(
    model: HubModel, config: HubFile, may_open: bool, limit: int
) -> tuple[JobState, str]:
    """State and reason of a model whose configuration nobody has read."""
    if model.gated and not may_open:
        return JobState.GATED, "access has to be asked for on the hub first"
    if model.private and not may_open:
        return JobState.PRIVATE, "the hub does not let us read its files"
    too_large = _too_large(CONFIG, config.size or 0, limit)
    if too_large:
        return JobState.LIMIT_EXCEEDED, too_large
    return JobState.QUEUED, f"{CONFIG} has not been read yet"


def _too_large(name: str, size: int, small: int, checkpoint: int | None = None) -> str:
    """What is wrong with a file of `size` bytes, if anything; `checkpoint` is the limit, and given, of weights only."""
    limit, setting = small, "limits.small_file_bytes"
    if checkpoint is not None:
        limit, setting = checkpoint, "limits.checkpoint_bytes"
    if size <= limit:
        return ""
    return (
        f"{name} has {size} bytes, the limit is {limit}; raise {setting} if you expect such a file"
    )


def _by_path(files: Iterable[HubFile]) -> dict[str, HubFile]:
    return {file.path: file for file in files}


def _total_bytes(files: Iterable[HubFile]) -> int:
    return sum(file.size or 0 for file in files)


def _chosen_learner(paths: Collection[str]) -> str | None:
    """The prompt learner that is read, if there is one."""
    for path in LEARNERS:
        if path in paths:
            return path
    return None


# --- local checkpoints ------------------------------------------------------------------------------------------


def local_manifest(
    path: Path,
    *,
    checkpoint_bytes: int = CHECKPOINT_BYTES,
    small_file_bytes: int = SMALL_FILE_BYTES,
) -> Manifest:
    """The manifest of a folder, or of one `.safetensors` next to its `open_clip_config.json`.

    The revision is `local-` and 34 hex digits of a hash over names and contents of the files that would be read.
    Raises `UsageError` where there is nothing to look at and `Unsupported` for a folder that is no open_clip
    checkpoint.
    """
    folder, weights = _local_weights(path.absolute())
    names = _local_names(folder, weights)
    for name in names:
        if name in TOKENIZER:
            continue  # it belongs to what the folder holds, and nothing reads it
        most = checkpoint_bytes if name == weights else None
        too_large = _too_large(name, (folder / name).stat().st_size, small_file_bytes, most)
        if too_large:
            return _local(folder, (), JobState.LIMIT_EXCEEDED, too_large)
    files = tuple(_hashed(folder, name) for name in names)
    architecture = described((folder / CONFIG).read_bytes())
    made = _local(folder, files, JobState.QUEUED, "", architecture)
    # Weights that somebody names are weights, also where their name is that of a prompt learner.
    others = [name for name in _names_within(folder) if name != weights]
    return replace(
        made, unread=unread_learners(others), other_weights=other_weights(others, weights)
    )


def _local_names(folder: Path, weights: str) -> list[str]:
    """The files of a folder that an audit reads, and those of its tokenizer."""
    names = [CONFIG, weights]
    present = [name for name in LEARNERS if name != weights and _is_file(folder / name)]
    names += present[:1]
    names += [name for name in TOKENIZER if _is_file(folder / name)]
    return names


def _local(
    folder: Path,
    files: tuple[HubFile, ...],
    state: JobState,
    reason: str,
    architecture: str = "",
) -> Manifest:
    return Manifest(
        ref=ModelRef(str(folder), _local_revision(files), local=True),
        layout=Layout.OPEN_CLIP,
        architecture=architecture,
        files=files,
        bytes_to_fetch=_total_bytes(files),
        base_claim="",
        state=state,
        reason=reason,
    )


def _local_revision(files: Iterable[HubFile]) -> str:
    """A name for the contents: the same files anywhere have the same one."""
    content = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        content.update(f"{file.path}\0{file.sha256}\n".encode())
    return f"local-{content.hexdigest()[:_REVISION_DIGITS]}"


def _local_weights(path: Path) -> tuple[Path, str]:
    """The folder and the one file of weights that `path` means. Raises `UsageError` and `Unsupported`."""
    if _is_file(path) and path.suffix == ".safetensors":
        folder = path.parent
        found = [path.name]
    elif path.is_dir():
        folder = path
        found = _weights_in(path)
    elif path.exists():
        raise UsageError(f"{path} is not a checkpoint", _SAY_WHICH)
    else:
        raise UsageError(f"{path} does not exist", _SAY_WHICH)
    if not _is_file(folder / CONFIG):
        raise Unsupported(
            f"{folder} has no {CONFIG}",
            f"put it next to the weights: a folder needs {CONFIG} and {WEIGHTS[0]}",
        )
    if not found:
        why = " (a pickle is never loaded)" if _is_file(folder / PICKLE) else ""
        raise Unsupported(
            f"{folder} has no .safetensors weights{why}", f"convert them to {WEIGHTS[0]}"
        )
    if len(found) > 1:
        raise UsageError(f"{folder} holds {len(found)} .safetensors files", "name the one you mean")
    return folder, found[0]


def _weights_in(folder: Path) -> list[str]:
    """The `.safetensors` in a folder that may be its weights: the one with open_clip's name, or all there are."""
    every = sorted(file.name for file in folder.glob("*.safetensors") if _is_file(file))
    # A prompt learner is never the weights, unless there is nothing else.
    every = [name for name in every if name not in LEARNERS] or every
    usual = chosen_weights(every)
    if usual:
        return [usual]
    return every


def _names_within(folder: Path) -> list[str]:
    """The files in a folder and in the folders in it, relative to it; training writes no deeper."""
    names: list[str] = []
    inside = chain(folder.glob("*"), folder.glob("*/*"))
    for path in islice(inside, MOST_LOOKED_AT):
        if path.is_file():
            names.append(path.relative_to(folder).as_posix())
    return names


def _is_file(path: Path) -> bool:
    """A regular file, or a link to one: no pipe, which would wait for ever when read."""
    return path.exists() and stat.S_ISREG(path.stat().st_mode)


def _hashed(folder: Path, name: str) -> HubFile:
    with (folder / name).open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256")
    return HubFile(name, (folder / name).stat().st_size, sha256=digest.hexdigest())
