"""Families of models that are read as CLIP, and the others by their names, with what would help. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from dife_scanner.records import Layout

CLIP_VOCABULARY = 49_408
MOST_ADDED_TOKENS = 256
"""Tokens that textual inversion and prompts with placeholders add behind CLIP's own."""

ENGLISH = "the probes are English texts for CLIP's own tokens, which say nothing there"
AS_CLIP = "a CLIP, SigLIP or open_clip export of the same weights would be read"


@dataclass(frozen=True)
class Family:
    """What a repository is by its configuration."""

    layout: Layout
    why_not: str = ""
    """Why it is not read, and what would help; empty where it is read."""
    note: str = ""
    """What only the tensors can decide, of one that is read."""


CLIP_TYPES = {
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
OTHER_TEXT = {
    "chinese_clip": "Chinese-CLIP: its text tower is a BERT with a Chinese vocabulary",
    "altclip": "AltCLIP: its text tower is an XLM-RoBERTa",
    "m-clip": "M-CLIP: its text tower is an XLM-RoBERTa or another multilingual model",
    "metaclip_2": "MetaCLIP 2: its text tower has a worldwide vocabulary of its own",
    "nllb-clip": "NLLB-CLIP: its text tower is an NLLB",
    "roberta": "its text tower is a RoBERTa",
    "bert": "its text tower is a BERT",
}
OTHER_FAMILIES = {
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
DUAL_ENCODER = "vision-text-dual-encoder"

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
    (re.compile(r"clip[-_]?seg"), "clipseg"),
    (re.compile(r"(?<![a-z])x[-_]?clip"), "xclip"),
    (re.compile(r"(?<![a-z])clap(?![a-z])"), "clap"),
    (re.compile(r"(?<![a-z])coca(?![a-z])"), "coca"),
    (re.compile(r"(?<![a-z])blip"), "blip"),
    (re.compile(r"imagebind"), "imagebind"),
    (re.compile(r"vitamin"), "vitamin"),
)
"""Where no configuration says it: names of files, of the repository and of its library."""
_LANGUAGE_MODELS = (
    (re.compile(r"roberta"), "roberta"),
    (re.compile(r"(?<![a-z])(pubmed|biomed|bio|clinical|sci|distil|al)?bert(?![a-z])"), "bert"),
)


def other_family_of_file(name: str) -> Family | None:
    """As `other_family`, of weights without a configuration: a language model in their name is a text tower's."""
    for pattern, kind in _LANGUAGE_MODELS:
        if pattern.search(name.lower()):
            return not_mapped(kind)
    return other_family(name)


def other_family(name: str) -> Family | None:
    """The family of the name of a model, class or library where its weights are not read; else `None`."""
    for pattern, kind in _BY_NAME:
        if pattern.search(name.lower()):
            return not_mapped(kind)
    return None


def has_type_of_clip(tags: Collection[str]) -> bool:
    """Whether one of the tags is that of a model type that is read, or open_clip's."""
    return not set(tags).isdisjoint({*CLIP_TYPES, "open_clip"})


def family_by_tags(tags: Collection[str]) -> Family | None:
    """What the hub's tag of a model type says, where none of CLIP's is there too; authors write tags as well."""
    if has_type_of_clip(tags):
        return None
    for tag in tags:
        if tag == DUAL_ENCODER:
            return dual_encoder("")
        if tag in _TYPES_BY_TAG:
            return not_mapped(tag)
    return own_code("by its tags") if "custom_code" in tags else None


def own_vocabulary(how_many: str) -> str:
    """Why a text tower with another vocabulary is not read."""
    return f"its text tower has a vocabulary of its own ({how_many}): {ENGLISH}"


def not_mapped(kind: str) -> Family:
    """Why a family of `OTHER_TEXT` or `OTHER_FAMILIES` is not read."""
    if kind in OTHER_TEXT:
        return Family(Layout.OTHER_TEXT_TOWER, f"{OTHER_TEXT[kind]}: {ENGLISH}")
    what = f"{OTHER_FAMILIES[kind]}: its tensors are not mapped; {AS_CLIP}"
    return Family(Layout.OTHER_FAMILY, what)


def own_code(name: str) -> Family:
    """Why what needs code of its own is not read; `name` is that of its type or class."""
    what = f"custom code ({name}): code from a repository is never run; {AS_CLIP}"
    return Family(Layout.CUSTOM_CODE, what)


def dual_encoder(text_tower: str) -> Family:
    """Why an image tower and a language model in one are not read."""
    tower = text_tower or "another language model"
    what = f"a vision-text dual encoder: its text tower is {tower}, of another family; {ENGLISH}"
    return Family(Layout.DUAL_ENCODER, what)
