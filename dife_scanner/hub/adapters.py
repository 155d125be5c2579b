"""PEFT adapters: a few small matrices that are merged onto a base. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dife_scanner.hub.claims import base_claims
from dife_scanner.hub.configurations import CLIP_CLASSES
from dife_scanner.hub.families import Family, other_family
from dife_scanner.hub.file_names import Weights, folder_of, usual_weights
from dife_scanner.hub.repository import Recognised, Repository, is_clip_name, likeliest, refused
from dife_scanner.hub.small_json import section, text
from dife_scanner.records import Contents, Layout

ADAPTER_CONFIG = "adapter_config.json"

_STEMS = ("adapter_model", "linearized_adapter_model")
_LOADED = ("adapter_model.safetensors", "adapter_model.bin")
_MERGED = frozenset({"LORA", ""})
"""Kinds of PEFT whose product of two matrices is added to the base's."""
_OPEN_CLIP = frozenset({"CLIP", "CustomTextCLIP"})
_LANGUAGE_TASKS = frozenset({"CAUSAL_LM", "SEQ_2_SEQ_LM", "SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS"})


def adapter(repository: Repository) -> Recognised | None:
    """The adapter of a repository, in the root before one in a folder."""
    configs = [path for path in repository.paths if _is_config(path)]
    for path in sorted(configs, key=lambda path: likeliest(folder_of(path))):
        weights = _weights(repository.paths, folder_of(path))
        if not weights:
            continue
        contents = Contents(path, weights.files, tokenizer=repository.tokenizer(folder_of(path)))
        config = repository.json(path)
        if config is None:
            return Recognised(Layout.PEFT, contents)
        family = _family(repository, path, config)
        return refused(family) if family.why_not else Recognised(Layout.PEFT, contents)
    return None


def _weights(paths: Collection[str], folder: str) -> Weights | None:
    """Those in a folder that PEFT loads (0.21), else others with such a name."""
    for name in _LOADED:
        if folder + name in paths:
            return Weights((folder + name,))
    return usual_weights(paths, folder, _STEMS)


def _is_config(path: str) -> bool:
    return path.rsplit("/", 1)[-1] == ADAPTER_CONFIG


def _family(repository: Repository, path: str, config: Mapping[str, Any]) -> Family:
    """What an `adapter_config.json` describes."""
    model = repository.model
    bases = base_claims(model.repo_id, model.tags, {path: config})
    adapted = _adapted_class(config)
    if text(config, "task_type") in _LANGUAGE_TASKS:
        return Family(Layout.NOT_CLIP, "an adapter of a language model, not of a CLIP")
    if adapted and adapted not in CLIP_CLASSES and adapted not in _OPEN_CLIP:
        return Family(Layout.NOT_CLIP, f"an adapter of a {adapted}, not of a CLIP")
    if not bases:
        return Family(
            Layout.PEFT,
            "a PEFT adapter without a base: nothing says what to merge it onto; "
            "a base on the card or in adapter_config.json would help",
        )
    base = bases[0].name
    kind = text(config, "peft_type", 40)
    if kind not in _MERGED:
        what = f"a PEFT adapter of the kind {kind}: only LoRA is merged onto its base"
        return Family(Layout.PEFT, what)
    other = other_family(base)
    if other:
        return other
    if not adapted and not is_clip_name(base):
        return Family(Layout.NOT_CLIP, f"an adapter of {base}, which is no CLIP by its name")
    return Family(Layout.PEFT)


def _adapted_class(config: Mapping[str, Any]) -> str:
    """The class of the base, where PEFT noted it."""
    return text(section(config, "auto_mapping"), "base_model_class")
