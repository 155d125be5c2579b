"""What a configuration describes: a CLIP, or something else by its right name. Pure.

A configuration only says what to look for: tensor names and shapes decide later whether it is that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dife_scanner.hub.families import (
    CLIP_TYPES,
    CLIP_VOCABULARY,
    DUAL_ENCODER,
    ENGLISH,
    MOST_ADDED_TOKENS,
    OTHER_FAMILIES,
    OTHER_TEXT,
    Family,
    dual_encoder,
    not_mapped,
    other_family,
    own_code,
    own_vocabulary,
)
from dife_scanner.hub.small_json import section, text
from dife_scanner.plain import plain
from dife_scanner.records import HubModel, Layout

CLIP_CLASSES = {
    "CLIPModel": Layout.TRANSFORMERS,
    "CLIPForImageClassification": Layout.CLASSIFIER,
    "CLIPTextModel": Layout.TOWER,
    "CLIPTextModelWithProjection": Layout.TOWER,
    "CLIPVisionModel": Layout.TOWER,
    "CLIPVisionModelWithProjection": Layout.TOWER,
    "SiglipModel": Layout.SIGLIP,
    "Siglip2Model": Layout.SIGLIP,
    "SiglipForImageClassification": Layout.CLASSIFIER,
    "Siglip2ForImageClassification": Layout.CLASSIFIER,
    "SiglipTextModel": Layout.TOWER,
    "SiglipVisionModel": Layout.TOWER,
    "Siglip2TextModel": Layout.TOWER,
    "Siglip2VisionModel": Layout.TOWER,
}
"""Classes of transformers whose tensors are read."""


def transformers_family(config: Mapping[str, Any], model: HubModel) -> Family:
    """What a `config.json` of transformers or timm in the repository `model` describes."""
    kind = text(config, "model_type")
    custom_code = "auto_map" in config or "custom_code" in model.tags
    if kind in ("", "timm_wrapper"):
        return _without_type(config, model, custom_code)
    if "quantization_config" in config:
        return Family(Layout.QUANTISED, _quantised(config["quantization_config"]))
    if kind == DUAL_ENCODER:
        return dual_encoder(text(section(config, "text_config"), "model_type"))
    if kind in OTHER_TEXT or kind in OTHER_FAMILIES:
        return not_mapped(kind)
    if kind not in CLIP_TYPES:
        return _foreign(kind, custom_code)
    return _clip(config, kind, custom_code)


def open_clip_family(config: Mapping[str, Any]) -> Family:
    """What an `open_clip_config.json` describes."""
    model = section(config, "model_cfg")
    if not model:
        return Family(
            Layout.OPEN_CLIP, note="open_clip_config.json names no architecture: the header decides"
        )
    vision = section(model, "vision_cfg")
    text_tower = section(model, "text_cfg")
    other = text(text_tower, "hf_model_name")
    if other:
        what = f"its text tower is {other!r}, of another family: {ENGLISH}"
        return Family(Layout.OTHER_TEXT_TOWER, what)
    if section(model, "multimodal_cfg"):
        return not_mapped("coca")
    timm = text(vision, "timm_model_name")
    family = _timm_tower(timm) if timm else None
    if family and family.why_not:
        return family
    own = _own_open_clip_vocabulary(text_tower)
    if own:
        return Family(Layout.OTHER_TEXT_TOWER, own)
    return Family(Layout.OPEN_CLIP)


# --- transformers -----------------------------------------------------------------------------------------------


def _clip(config: Mapping[str, Any], kind: str, custom_code: bool) -> Family:
    """The family of a model type that is read: its class and its text tower may say otherwise."""
    named = _first_class(config)
    layout = CLIP_CLASSES.get(named, CLIP_TYPES[kind])
    if named == "StableDiffusionSafetyChecker":
        return Family(
            Layout.OTHER_FAMILY,
            "the safety checker of Stable Diffusion: a classifier on one image tower, not mapped",
        )
    has_text = layout is not Layout.CLASSIFIER and "vision" not in f"{kind} {named}".lower()
    if has_text:
        other = _other_text_tower(config, kind)
        if other:
            return other_family(named) or Family(Layout.OTHER_TEXT_TOWER, other)
    if not named or named in CLIP_CLASSES:
        return Family(layout)
    if custom_code:
        return own_code(named)
    what = f"its class {named} is not one of the library's: the header decides"
    return other_family(named) or Family(layout, note=what)


def _other_text_tower(config: Mapping[str, Any], kind: str) -> str:
    """Why the text tower is none of CLIP's, in words; empty where it may be one."""
    body = section(config, "text_config") if kind in ("clip", "siglip", "siglip2") else config
    if not body:
        body = section(config, "text_config_dict")
    tower = text(body, "model_type")
    if tower and tower not in CLIP_TYPES:
        return f"its text tower is a {tower}, of another family: {ENGLISH}"
    if any(key in body for key in ("encoder_layerdrop", "decoder_layers", "position_buckets")):
        return f"its text tower is an encoder of another family: {ENGLISH}"
    vocabulary = body.get("vocab_size", CLIP_VOCABULARY)
    if kind.startswith("siglip") or type(vocabulary) is not int:
        return ""  # SigLIP comes with several vocabularies, each with its tokenizer
    if _may_be_clips(vocabulary):
        return ""
    return own_vocabulary(f"{vocabulary} tokens, CLIP's has {CLIP_VOCABULARY}")


def _may_be_clips(vocabulary: int) -> bool:
    """Whether so many tokens may be CLIP's, with or without a few more behind them."""
    return CLIP_VOCABULARY <= vocabulary <= CLIP_VOCABULARY + MOST_ADDED_TOKENS


def _foreign(kind: str, custom_code: bool) -> Family:
    """A type that is none of CLIP's."""
    if custom_code:
        return own_code(kind)
    named = other_family(kind)
    if named:
        return named
    return Family(Layout.NOT_CLIP, f"a {kind} model, not a CLIP")


def _without_type(config: Mapping[str, Any], model: HubModel, custom_code: bool) -> Family:
    """A `config.json` of timm, or of something that names no type."""
    architecture = text(config, "architecture")
    if architecture and (model.library == "timm" or "pretrained_cfg" in config):
        return _timm_model(architecture, text(section(config, "pretrained_cfg"), "tag"))
    if custom_code:
        return own_code(_first_class(config) or "no type named")
    named = _first_class(config)
    layout = CLIP_CLASSES.get(named)
    if layout is None:
        return Family(Layout.TRANSFORMERS, note="config.json names no type: the header decides")
    return Family(layout)


def _quantised(how: object) -> str:
    method = text(how, "quant_method") if isinstance(how, Mapping) else ""
    return f"quantised weights ({method or 'method not named'}): the unquantised ones would be read"


# --- timm and open_clip -------------------------------------------------------------------------------------------

_CLIP_TRAINED = re.compile(r"clip|openai|laion|datacomp|dfn|webli")


def is_clip_tower(name: str) -> bool:
    """Whether a timm name such as `vit_base_patch16_clip_224.openai` is that of a tower trained as a CLIP."""
    return bool(_CLIP_TRAINED.search(name.lower()))


def _timm_model(architecture: str, tag: str) -> Family:
    name = f"{architecture}.{tag}"
    if not is_clip_tower(name):
        return Family(Layout.NOT_CLIP, f"the timm model {name.strip('.')}, not a tower of a CLIP")
    return _timm_tower(architecture)


def _timm_tower(architecture: str) -> Family:
    lower = architecture.lower()
    if lower.startswith("eva"):
        return not_mapped("evaclip")
    if lower.startswith("fastvit") or "_mci" in lower:
        return not_mapped("mobileclip")
    if lower.startswith("vitamin"):
        return not_mapped("vitamin")
    if lower.startswith("vit_pe_"):
        return not_mapped("perception encoder")
    return Family(Layout.TIMM)


def _own_open_clip_vocabulary(tower: Mapping[str, Any]) -> str:
    """Why the text tower of an open_clip configuration speaks of other tokens; empty where it may not."""
    vocabulary = tower.get("vocab_size", CLIP_VOCABULARY)
    tokenizer = text(tower, "hf_tokenizer_name").lower()
    if type(vocabulary) is not int or _may_be_clips(vocabulary):
        return ""
    # SigLIP's and CLIPA's vocabularies are read, with the tokenizers that they name
    if "siglip" in tokenizer or "bert-base-uncased" in tokenizer:
        return ""
    return own_vocabulary(f"{vocabulary} tokens, CLIP's has {CLIP_VOCABULARY}")


def _first_class(config: Mapping[str, Any]) -> str:
    classes = config.get("architectures")
    if isinstance(classes, list) and classes and isinstance(classes[0], str):
        return plain(classes[0], 80)
    return ""
