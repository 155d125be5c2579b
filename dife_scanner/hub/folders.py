"""Checkpoints with a configuration beside the weights: open_clip, transformers, timm and what is made of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dife_scanner.hub import exports
from dife_scanner.hub.configurations import open_clip_family, transformers_family
from dife_scanner.hub.families import (
    ENGLISH,
    Family,
    family_by_tags,
    has_type_of_clip,
    own_vocabulary,
)
from dife_scanner.hub.file_names import Weights, folder_of, largest, transformers_weights
from dife_scanner.hub.repository import Recognised, Repository, refused
from dife_scanner.hub.small_json import json_list, section, text
from dife_scanner.records import Contents, HubModel, Layout

OPEN_CLIP_CONFIG = "open_clip_config.json"
CONFIG = "config.json"
MODULES = "modules.json"
"""The modules of sentence-transformers, in their order."""
_FIRST_MODULES = ("0_CLIPModel/", "0_Transformer/")
_ADAPTER = "adapter_config.json"

_OPEN_CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.safetensors",
    "open_clip_model.bin",
)
"""In the order of preference: the two that open_clip 3.3 looks for, then what it loads where somebody names it."""
_DIFFUSION_FOLDERS = ("text_encoder/", "text_encoder_2/", "image_encoder/")
_OLD_SENTENCE_TRANSFORMERS = "0_CLIPModel/CLIPModel.pt"
_MERGES = "merges.txt"
_CLIP_MERGES_BYTES = range(500_000, 600_000)
"""CLIP's list of merges has 524,619 bytes, or 573,500 with Windows line ends."""
_CLIP_TOKENIZER = (_MERGES, "vocab.json", "tokenizer.json")
_OTHER_TOKENIZERS = ("vocab.txt", "spiece.model", "sentencepiece.bpe.model", "bpe.model")
"""Of BERT, T5, XLM-RoBERTa and YouTokenToMe."""
_TYPE_TAGS = {
    "siglip": Layout.SIGLIP,
    "siglip2": Layout.SIGLIP,
    "clip_vision_model": Layout.TOWER,
    "clip_text_model": Layout.TOWER,
    "siglip_vision_model": Layout.TOWER,
}
"""The hub turns the `model_type` of a configuration into a tag."""


# --- open_clip --------------------------------------------------------------------------------------------------


def open_clip(repository: Repository) -> Recognised | None:
    """A checkpoint of open_clip in the root; the transformers one beside it where only that can be told."""
    if OPEN_CLIP_CONFIG in repository.paths:
        return _with_open_clip_config(repository)
    named = _named_as_open_clip(repository)
    if not named:
        return None
    beside = of_folder(repository, "")
    if beside:
        return beside
    return Recognised(
        Layout.OPEN_CLIP,
        Contents(weights=(named,), tokenizer=repository.tokenizer("")),
        note=f"{named} has no {OPEN_CLIP_CONFIG}: the header decides",
    )


def _with_open_clip_config(repository: Repository) -> Recognised | None:
    config = repository.json(OPEN_CLIP_CONFIG)
    named = _named_as_open_clip(repository)
    # Weights under transformers' names belong to the configuration of transformers, where that is one.
    if not named or (config is not None and not config.get("model_cfg")):
        beside = of_folder(repository, "")
        if beside and repository.json(CONFIG) and not beside.why_not:
            return beside
    rivals: tuple[str, ...] = ()
    weights = Weights((named,))
    if not named:
        rivals = tuple(path for path in repository.weights if "/" not in path)
        if not rivals:
            return None
        weights = Weights((largest(repository.files, rivals),))
        usual = transformers_weights(repository.paths, "")
        if usual and usual.files:
            rivals = usual.files[:1]
            weights = usual
    contents = Contents(
        OPEN_CLIP_CONFIG,
        weights.files,
        index=weights.index,
        tokenizer=_open_clip_tokenizer(repository, config),
    )
    if config is None:
        return Recognised(Layout.OPEN_CLIP, contents, rivals=rivals)
    family = open_clip_family(config)
    if family.why_not:
        return refused(family)
    found = Recognised(Layout.OPEN_CLIP, contents, note=family.note, rivals=rivals)
    return _complete(repository, weights, found)


def _open_clip_tokenizer(
    repository: Repository, config: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """The tokenizer's files where open_clip reads them: it has CLIP's own built in, unless one is named."""
    model = section(config or {}, "model_cfg")
    told = text(section(model, "text_cfg"), "hf_tokenizer_name")
    return repository.tokenizer("") if told or (config is not None and not model) else ()


def _named_as_open_clip(repository: Repository) -> str:
    return next((name for name in _OPEN_CLIP_WEIGHTS if name in repository.paths), "")


# --- transformers and timm ----------------------------------------------------------------------------------------


def transformers(repository: Repository) -> Recognised | None:
    """A checkpoint of transformers, timm or sentence-transformers in the root."""
    found = of_folder(repository, "")
    is_first = MODULES in repository.paths and _first_module(repository) is None
    if found and not found.why_not and is_first:
        return replace(found, layout=Layout.SENTENCE_TRANSFORMERS)
    return found


def sentence_transformers(repository: Repository) -> Recognised | None:
    """The CLIP in the first module of sentence-transformers."""
    folder = _first_module(repository)
    if folder is not None and folder + "/" not in _FIRST_MODULES:
        return of_folder(repository, f"{folder}/", Layout.SENTENCE_TRANSFORMERS)
    found = of_folder(repository, "0_CLIPModel/", Layout.SENTENCE_TRANSFORMERS)
    if found:
        return found
    if _OLD_SENTENCE_TRANSFORMERS in repository.paths:
        contents = Contents(weights=(_OLD_SENTENCE_TRANSFORMERS,))
        note = f"no configuration beside {_OLD_SENTENCE_TRANSFORMERS}: the header decides"
        return Recognised(Layout.SENTENCE_TRANSFORMERS, contents, note=note)
    if MODULES in repository.paths:
        return of_folder(repository, "0_Transformer/")
    return None


def _first_module(repository: Repository) -> str | None:
    """The folder of the first module of sentence-transformers; `None` where nothing says it, or it is the root."""
    modules = json_list(repository.small.get(MODULES, b""))
    path = modules[0].get("path") if modules and isinstance(modules[0], dict) else None
    return path.strip("/") or None if isinstance(path, str) else None


def diffusion(repository: Repository) -> Recognised | None:
    """The first text encoder, or image encoder, of a diffusion model that is a CLIP's."""
    if "model_index.json" not in repository.paths:
        return None
    refusal = None
    for folder in _DIFFUSION_FOLDERS:
        found = of_folder(repository, folder, Layout.DIFFUSION)
        if found and not found.why_not:
            return found
        refusal = refusal or found
    if refusal:
        return Recognised(
            refusal.layout, why_not=f"a diffusion model; its encoder: {refusal.why_not}"
        )
    if repository.weights:
        return refused(Family(Layout.NOT_CLIP, "a diffusion model without an encoder of a CLIP"))
    return None


def folders(repository: Repository) -> Recognised | None:
    """A checkpoint in a folder of its own, as those of a training run; the first that is read."""
    refusal = None
    for folder in repository.folders():
        found = of_folder(repository, folder)
        if found and not found.why_not:
            return found
        refusal = refusal or found
    return refusal


def of_folder(
    repository: Repository, folder: str, layout: Layout | None = None
) -> Recognised | None:
    """The checkpoint that a `config.json` describes, called `layout` where it is read; `None` where there is none."""
    path = folder + CONFIG
    weights = transformers_weights(repository.paths, folder)
    if path not in repository.paths or weights is None:
        return None
    if not weights.files:
        return refused(Family(layout or Layout.TRANSFORMERS, weights.missing))
    contents = Contents(
        path,
        weights.files,
        weights.index,
        repository.preprocessing(folder),
        repository.tokenizer(folder),
    )
    config = repository.json(path)
    if config is None:
        other = _other_by_listing(repository.model)
        if other:
            return refused(other)
        return Recognised(layout or _layout_by_tags(repository), contents)
    family = family_of(repository, config)
    if family.why_not:
        return refused(family)
    elsewhere = _loads_others(repository, contents, config)
    if elsewhere:
        return Recognised(family.layout, why_not=elsewhere)
    own = _own_tokenizer(repository, contents, config, family)
    if own:
        return Recognised(Layout.OTHER_TEXT_TOWER, why_not=own)
    found = Recognised(layout or family.layout, contents, note=family.note)
    return _complete(repository, weights, found)


def family_of(repository: Repository, config: Mapping[str, Any]) -> Family:
    """What a `config.json` of this repository describes."""
    family = transformers_family(config, repository.model)
    text_only = family.layout is Layout.NOT_CLIP and MODULES in repository.paths
    if text_only and repository.has_clip_mark:
        # sentence-transformers trains text towers of other languages to go with a CLIP's pictures
        what = f"its text tower is {family.why_not.removesuffix(', not a CLIP')} of another family: {ENGLISH}"
        return Family(Layout.OTHER_TEXT_TOWER, what)
    return family


def _other_by_listing(model: HubModel) -> Family | None:
    """What a model whose configuration nobody has read is instead of a CLIP, where its listing leaves no doubt."""
    if has_type_of_clip(model.tags):
        return None
    return family_by_tags(model.tags) or exports.no_clip_task(model)


def _layout_by_tags(repository: Repository) -> Layout:
    if repository.model.library == "timm":
        return Layout.TIMM
    for tag in repository.model.tags:
        if tag in _TYPE_TAGS:
            return _TYPE_TAGS[tag]
    return Layout.TRANSFORMERS


def _own_tokenizer(
    repository: Repository, contents: Contents, config: Mapping[str, Any], family: Family
) -> str:
    """Why the tokenizer beside a CLIP is none of CLIP's, told by names and sizes; empty where it may be."""
    kinds = (Layout.TRANSFORMERS, Layout.TOWER)
    if family.layout not in kinds or "clip" not in text(config, "model_type"):
        return ""
    if "vision" in text(config, "model_type"):
        return ""
    for path in contents.tokenizer:
        size = repository.files[path].size
        if path.endswith(_MERGES) and size and size not in _CLIP_MERGES_BYTES:
            return own_vocabulary(f"{_MERGES} has {size} bytes, CLIP's 524,619")
    folder = folder_of(contents.config)
    others = [name for name in _OTHER_TOKENIZERS if folder + name in repository.paths]
    clips = [name for name in _CLIP_TOKENIZER if folder + name in repository.paths]
    return own_vocabulary(f"its tokenizer is {others[0]}") if others and not clips else ""


def _loads_others(repository: Repository, contents: Contents, config: Mapping[str, Any]) -> str:
    """Why transformers loads other tensors than those of the files with its names; empty where it does not."""
    folder = folder_of(contents.config)
    named = config.get("transformers_weights")
    if named and folder + str(named) not in (*contents.weights, contents.index):
        return f"{contents.config} names other weights than {contents.weights[0]}: scan those"
    if folder + _ADAPTER in repository.paths and text(config, "model_type"):
        return (
            f"a model and an adapter in one folder: with PEFT, transformers loads the base that {_ADAPTER} names and "
            "adds the adapter, without it the model; either alone would be read"
        )
    return ""


def _complete(repository: Repository, weights: Weights, found: Recognised) -> Recognised:
    """`found` with the files that its index names; refused where some of them are not there."""
    index = repository.json(weights.index) if weights.index else None
    named = [name for name in section(index or {}, "weight_map").values() if isinstance(name, str)]
    if index is not None and not named:
        return Recognised(found.layout, why_not=f"{weights.index} names no files")
    if named:
        folder = folder_of(weights.index)
        wanted = {folder + name for name in named}
        absent = wanted - set(weights.files)
        if not absent:
            parts = tuple(path for path in weights.files if path in wanted)
            return replace(found, contents=replace(found.contents, weights=parts))
        what = f"incomplete: {len(absent)} of the {len(wanted)} files that its index names are not there"
        return Recognised(found.layout, why_not=what)
    if weights.missing and not weights.index:
        return Recognised(found.layout, why_not=f"incomplete: {weights.missing}, and no index")
    if weights.missing:
        return replace(found, note=f"{weights.missing}: the index decides")
    return found
