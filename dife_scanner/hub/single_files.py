"""Weights without a configuration: ComfyUI's single files, state dicts of original code. Their tensors decide. Pure."""

from __future__ import annotations

import re

from dife_scanner.hub import exports
from dife_scanner.hub.configurations import is_clip_tower
from dife_scanner.hub.families import Family, other_family, other_family_of_file
from dife_scanner.hub.file_names import folder_of, largest, transformers_weights, with_its_shards
from dife_scanner.hub.folders import CONFIG, family_of
from dife_scanner.hub.repository import Recognised, Repository, is_clip_name, refused
from dife_scanner.records import Contents, Layout

_FOREIGN = re.compile(
    r"(^|[/_.-])(u?mt?5(xxl|xl)?|t5[a-z0-9]*|llama|llava|qwen[\d.]*|gemma[\d]*|mistral|phi\d?|whisper|"
    r"vae|ae|taesd\w*|unet|dit|flux\w*|transformer|diffusion_pytorch_model|controlnet|ip[-_]adapter\w*|projector|"
    r"mm_projector|esrgan|embeddings?|features?)([/_.-]|$)"
)
"""Parts of other models, and what is no model; as words of a path."""
_DIFFUSION_TAGS = frozenset(
    {"stable-diffusion", "stable-diffusion-xl", "text-to-image", "text-to-video"}
)


def single_file(repository: Repository) -> Recognised | None:
    """The one file that most likely holds a CLIP; refused where a name says that it holds something else."""
    if not repository.weights:
        return None
    refusal = _refusal(repository)
    if refusal:
        return refused(refusal)
    own = [path for path in repository.weights if not _FOREIGN.search(path.lower())]
    marked = [path for path in own or repository.weights if is_clip_name(path)]
    candidates = marked or own or ([repository.named] if repository.named else [])
    if not candidates:
        return refused(
            Family(Layout.NOT_CLIP, "weights of other models by their names, not of a CLIP")
        )
    return _chosen(repository, candidates)


def _chosen(repository: Repository, candidates: list[str]) -> Recognised:
    """The likeliest of some files, with what stands beside it."""
    usual = transformers_weights(candidates, "")
    weights = usual or with_its_shards(candidates, largest(repository.files, candidates))
    rivals = () if usual else tuple(candidates)
    first = weights.files[0]
    folder = folder_of(first)
    config = folder + CONFIG if folder + CONFIG in repository.paths else ""
    contents = Contents(
        config,
        weights.files,
        weights.index,
        repository.preprocessing(folder),
        repository.tokenizer(folder),
    )
    note = f"no configuration beside {first}: the header decides"
    if config:
        note = f"{first} is no name that a library gives: the header decides"
    return Recognised(Layout.SINGLE_FILE, contents, note=note, rivals=rivals)


_DIFFUSION_FILE = Family(
    Layout.DIFFUSION,
    "a diffusion model in one file: its text encoder is not taken out; its text_encoder/ folder would be read",
)


def _refusal(repository: Repository) -> Family | None:
    """What the weights are instead, where task, library, configuration or every name says it; else `None`."""
    model = repository.model
    config = repository.json(CONFIG)
    if config:
        by_config = family_of(repository, config)
        if by_config.why_not:
            return by_config
    if model.library == "timm" and not is_clip_tower(model.repo_id):
        return Family(Layout.NOT_CLIP, "a timm model, not a tower of a CLIP by its name")
    by_library = other_family(model.library)
    if by_library:
        return by_library
    if all(exports.is_diffusion_adapter(path, model.tags) for path in repository.weights):
        return exports.DIFFUSION_ADAPTER
    others = [other_family_of_file(_name(repository, path)) for path in repository.weights]
    if all(others):
        return others[0]
    if any(map(is_clip_name, repository.weights)):
        return None
    if not _DIFFUSION_TAGS.isdisjoint(model.tags):
        return _DIFFUSION_FILE
    return exports.no_clip_task(model)


def _name(repository: Repository, path: str) -> str:
    """What one file is called: a name that a library gives says nothing, so the repository's stands for it."""
    name = path.rsplit("/", 1)[-1]
    return f"{name} {repository.model.repo_id.rsplit('/', 1)[-1]}"
