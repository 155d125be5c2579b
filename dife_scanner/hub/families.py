"""Which family of models a configuration, a library or a name stands for, and what would help where it is not read.

Pure. A configuration only says what to look for: tensor names and shapes decide later whether it is that.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dife_scanner.core.plain import plain
from dife_scanner.hub.small_json import section, text
from dife_scanner.records import Layout

CLIP_VOCABULARY = 49_408
MOST_ADDED_TOKENS = 256
"""Tokens that textual inversion and prompts with placeholders add behind CLIP's own."""

ENGLISH = "the probes are English texts for CLIP's own tokens, which say nothing there"
_AS_CLIP = "a CLIP, SigLIP or open_clip export of the same weights would be read"


@dataclass(frozen=True)
class Family:
    """What a repository is by its configuration."""

    layout: Layout
    why_not: str = ""
    """Why it is not read, and what would help; empty where it is read."""
    note: str = ""
    """What only the tensors can decide, of one that is read."""


CLIP_CLASSES = {
    "CLIPModel": Layout.TRANSFORMERS,
    "CLIPModelWithProjection": Layout.TRANSFORMERS,
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
_CLIP_TYPES = {
    "clip": Layout.TRANSFORMERS,
    "clip_text_model": Layout.TOWER,
    "clip_vision_model": Layout.TOWER,
    "siglip": Layout.SIGLIP,
    "siglip2": Layout.SIGLIP,
    "siglip_text_model": Layout.TOWER,
    "siglip_vision_model": Layout.TOWER,
    "siglip2_text_model": Layout.TOWER,
    "siglip2_vision_model": Layout.TOWER,
}
_OTHER_TEXT = {
    "chinese_clip": "Chinese-CLIP: its text tower is a BERT with a Chinese vocabulary",
    "altclip": "AltCLIP: its text tower is an XLM-RoBERTa",
    "m-clip": "M-CLIP: its text tower is an XLM-RoBERTa or another multilingual model",
    "metaclip_2": "MetaCLIP 2: its text tower has a worldwide vocabulary of its own",
    "nllb-clip": "NLLB-CLIP: its text tower is an NLLB",
    "roberta": "its text tower is a RoBERTa",
    "bert": "its text tower is a BERT",
}
_OTHER_FAMILIES = {
    "clipseg": "CLIPSeg",
    "xclip": "X-CLIP",
    "clap": "CLAP (sound and text)",
    "clvp": "CLVP (sound and text)",
    "align": "ALIGN",
    "groupvit": "GroupViT",
    "owlvit": "OWL-ViT",
    "owlv2": "OWLv2",
    "flava": "FLAVA",
    "blip": "BLIP",
    "blip-2": "BLIP-2",
    "bridgetower": "BridgeTower",
    "imagebind": "ImageBind",
    "languagebind": "LanguageBind",
    "tipsv2": "TIPS",
    "mobileclip": "MobileCLIP",
    "evaclip": "EVA-CLIP",
    "eva": "EVA",
    "coca": "CoCa",
    "vitamin": "ViTamin",
    "perception encoder": "a Perception Encoder",
}
"""Image and text (or sound) in one space, with towers whose tensors are not mapped."""
_DUAL_ENCODER = "vision-text-dual-encoder"

_TYPES_BY_TAG = frozenset(
    {
        "chinese_clip",
        "altclip",
        "metaclip_2",
        "clipseg",
        "xclip",
        "clap",
        "align",
        "groupvit",
        "owlvit",
        "owlv2",
    }
)
"""Model types that the hub makes tags of, and that nobody writes on a card for anything else."""

_BY_NAME = (
    (re.compile(r"mobile[-_]?clip"), "mobileclip"),
    (re.compile(r"(?<![a-z])eva(0[12])?[-_]?(clip|[bleg]\d*(?![a-z])|giant|psz|vit)"), "evaclip"),
    (re.compile(r"(chinese|cn)[-_]?clip"), "chinese_clip"),
    (re.compile(r"alt[-_]?clip"), "altclip"),
    (re.compile(r"(?<![a-z])m[-_]clip"), "m-clip"),
    (re.compile(r"nllb"), "nllb-clip"),
    (re.compile(r"roberta"), "roberta"),
    (re.compile(r"(?<![a-z])(pubmed|biomed|bio|clinical|sci|distil|al)?bert(?![a-z])"), "bert"),
    (re.compile(r"clip[-_]?seg"), "clipseg"),
    (re.compile(r"(?<![a-z])x[-_]?clip"), "xclip"),
    (re.compile(r"(?<![a-z])clap(?![a-z])"), "clap"),
    (re.compile(r"(?<![a-z])coca(?![a-z])"), "coca"),
    (re.compile(r"(?<![a-z])blip"), "blip"),
    (re.compile(r"imagebind"), "imagebind"),
    (re.compile(r"vitamin"), "vitamin"),
)
"""Where no configuration says it: names of files, of the repository and of its library."""


def other_family(name: str) -> Family | None:
    """The family whose weights are not read that one of the strings in `name` is called by; `None` for CLIP's own."""
    for pattern, kind in _BY_NAME:
        if pattern.search(name.lower()):
            return _not_mapped(kind)
    return None


def family_by_tags(tags: Collection[str]) -> Family | None:
    """What the hub's tag of a model type says, where none of CLIP's is there too; authors write tags as well."""
    if not set(tags).isdisjoint({*_CLIP_TYPES, "open_clip"}):
        return None
    for tag in tags:
        if tag == _DUAL_ENCODER:
            return _dual_encoder({})
        if tag in _TYPES_BY_TAG:
            return _not_mapped(tag)
    return None


def transformers_family(config: Mapping[str, Any], custom_code: bool = False) -> Family:
    """What a `config.json` of transformers or timm describes; `custom_code` where a tag says that code is there."""
    kind = text(config, "model_type")
    if not kind:
        return _without_type(config)
    if "quantization_config" in config:
        return Family(Layout.QUANTISED, _quantised(config["quantization_config"]))
    if kind == _DUAL_ENCODER:
        return _dual_encoder(config)
    if kind in _OTHER_TEXT or kind in _OTHER_FAMILIES:
        return _not_mapped(kind)
    if kind not in _CLIP_TYPES:
        return _foreign(config, kind, custom_code)
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
        what = f"its text tower is {other}, of another family: {ENGLISH}"
        return Family(Layout.OTHER_TEXT_TOWER, what)
    if section(model, "multimodal_cfg"):
        return _not_mapped("coca")
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
    layout = CLIP_CLASSES.get(named, _CLIP_TYPES[kind])
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
    if custom_code or "auto_map" in config:
        return _own_code(named)
    what = f"its class {named} is not one of the library's: the header decides"
    return other_family(named) or Family(layout, note=what)


def _other_text_tower(config: Mapping[str, Any], kind: str) -> str:
    """Why the text tower is none of CLIP's, in words; empty where it may be one."""
    body = section(config, "text_config") if kind in ("clip", "siglip", "siglip2") else config
    if not body:
        body = section(config, "text_config_dict")
    tower = text(body, "model_type")
    if tower and tower not in _CLIP_TYPES:
        return f"its text tower is a {tower}, of another family: {ENGLISH}"
    if any(key in body for key in ("encoder_layerdrop", "decoder_layers", "position_buckets")):
        return f"its text tower is an encoder of another family: {ENGLISH}"
    vocabulary = body.get("vocab_size", CLIP_VOCABULARY)
    if kind.startswith("siglip") or type(vocabulary) is not int:
        return ""  # SigLIP comes with several vocabularies, each with its tokenizer
    if CLIP_VOCABULARY <= vocabulary <= CLIP_VOCABULARY + MOST_ADDED_TOKENS:
        return ""
    return own_vocabulary(f"{vocabulary} tokens, CLIP's has {CLIP_VOCABULARY}")


def own_vocabulary(how_many: str) -> str:
    """Why a text tower with another vocabulary is not read."""
    return f"its text tower has a vocabulary of its own ({how_many}): {ENGLISH}"


def _dual_encoder(config: Mapping[str, Any]) -> Family:
    tower = text(section(config, "text_config"), "model_type") or "another language model"
    what = f"a vision-text dual encoder: its text tower is {tower}, of another family; {ENGLISH}"
    return Family(Layout.DUAL_ENCODER, what)


def _foreign(config: Mapping[str, Any], kind: str, custom_code: bool) -> Family:
    """A type that is none of CLIP's."""
    if custom_code or "auto_map" in config:
        return _own_code(kind)
    named = other_family(kind)
    if named:
        return named
    return Family(Layout.NOT_CLIP, f"a {kind} model, not a CLIP")


def _own_code(name: str) -> Family:
    what = f"custom code ({name}): code from a repository is never run; {_AS_CLIP}"
    return Family(Layout.CUSTOM_CODE, what)


def _without_type(config: Mapping[str, Any]) -> Family:
    """A `config.json` of timm, or of something that names no type."""
    architecture = text(config, "architecture")
    if architecture:
        return _timm_model(architecture, text(section(config, "pretrained_cfg"), "tag"))
    if "auto_map" in config:
        return _own_code(_first_class(config) or "no type named")
    named = _first_class(config)
    layout = CLIP_CLASSES.get(named)
    if layout is None:
        return Family(Layout.TRANSFORMERS, note="config.json names no type: the header decides")
    return Family(layout)


def _quantised(how: object) -> str:
    method = text(how, "quant_method") if isinstance(how, Mapping) else ""
    return f"quantised weights ({method or 'method not named'}): the unquantised ones would be read"


def _not_mapped(kind: str) -> Family:
    if kind in _OTHER_TEXT:
        return Family(Layout.OTHER_TEXT_TOWER, f"{_OTHER_TEXT[kind]}: {ENGLISH}")
    what = f"{_OTHER_FAMILIES[kind]}: its tensors are not mapped; {_AS_CLIP}"
    return Family(Layout.OTHER_FAMILY, what)


# --- timm and open_clip -------------------------------------------------------------------------------------------

_CLIP_TRAINED = re.compile(
    r"clip|siglip|openai|laion|datacomp|dfn|webli|mobileclip|quickgelu|fairseq"
)


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
        return _not_mapped("evaclip")
    if lower.startswith("fastvit") or "_mci" in lower:
        return _not_mapped("mobileclip")
    if lower.startswith("vitamin"):
        return _not_mapped("vitamin")
    if lower.startswith("vit_pe_"):
        return _not_mapped("perception encoder")
    return Family(Layout.TIMM)


def _own_open_clip_vocabulary(tower: Mapping[str, Any]) -> str:
    """Why the text tower of an open_clip configuration speaks of other tokens; empty where it may not."""
    vocabulary = tower.get("vocab_size", CLIP_VOCABULARY)
    tokenizer = text(tower, "hf_tokenizer_name").lower()
    if type(vocabulary) is not int or vocabulary == CLIP_VOCABULARY:
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
