"""How a checkpoint is stored, which of its files are read, and why some of it cannot be audited. Pure.

Names, sizes, tags and small JSON only choose what to look at; tensor names and shapes decide later whether it is that.
A layout that is read goes before one that is not, and the checkpoint as a whole before its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dife_scanner.hub import exports, folders
from dife_scanner.hub.adapters import ADAPTER_CONFIG, adapter
from dife_scanner.hub.file_names import LEARNERS, transformers_weights
from dife_scanner.hub.folders import CONFIG, OPEN_CLIP_CONFIG
from dife_scanner.hub.repository import PREPROCESSING, Recognised, Repository, refused
from dife_scanner.hub.single_files import single_file
from dife_scanner.records import HubFile, HubModel

_WHOLE = (folders.open_clip, folders.transformers, folders.sentence_transformers, folders.diffusion)
_PARTS = (adapter, folders.folders, single_file)


def recognise(
    files: Mapping[str, HubFile],
    model: HubModel,
    small: Mapping[str, bytes],
    *,
    named: str = "",
) -> Recognised:
    """What a repository holds. `files` are those of `model` by path, `small` the bytes of those that were read.

    `named` is the one file of weights that somebody asked for.
    """
    found = _first_readable(Repository(files, model, small, named))
    learner = next((path for path in LEARNERS if path in files and path != named), "")
    if found.why_not or not learner:
        return found
    return replace(found, contents=replace(found.contents, learner=learner))


def small_json(files: Mapping[str, HubFile], model: HubModel) -> list[str]:
    """The small files that decide what a repository is, the surest first, and how its pictures are prepared."""
    wanted = [folders.MODULES] if folders.MODULES in files else []
    repository = Repository(files, model, {})
    for folder in ["", *repository.folders()]:
        wanted += [folder + OPEN_CLIP_CONFIG, folder + CONFIG, folder + ADAPTER_CONFIG]
        weights = transformers_weights(files, folder)
        if weights:
            wanted.append(weights.index)
        if weights and folder + OPEN_CLIP_CONFIG not in files:
            wanted += [where + name for where in (folder, "") for name in PREPROCESSING]
    return [path for path in dict.fromkeys(wanted) if path in files]


def _first_readable(repository: Repository) -> Recognised:
    """The first layout that is read; else why the first that was recognised is not."""
    if exports.is_mlx(repository.model):
        return refused(exports.MLX)
    refusal = None
    for whole in _WHOLE:
        found = whole(repository)
        if found and not found.why_not:
            return found
        refusal = refusal or found
    if refusal:
        return refusal
    for part in _PARTS:
        found = part(repository)
        if found:
            return found
    return refused(exports.without_weights(repository.files, repository.model))
