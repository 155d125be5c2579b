"""A CLIP's image tower that timm saved by itself: a vision transformer, SigLIP's, or a ConvNeXt.

Its head is left out: in timm it is a classifier's, or the projection that the base has as well.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from dife_scanner.errors import Unsupported
from dife_scanner.models import timm_trunks
from dife_scanner.models.config import OPENAI_MEAN, OPENAI_STD, Preprocessing
from dife_scanner.models.layouts import from_tensors
from dife_scanner.models.layouts.json_section import Section, is_whole_numbers
from dife_scanner.models.layouts.places import Described, Place
from dife_scanner.models.strict_json import shown

CONFIG_FILE = "config.json"
_TRUNK = "visual.trunk."
_HEADS = ("head.weight", "head.bias", "head.fc.")
_NAMES = {
    "cls_token": Place("visual.class_embedding", axes=-2),
    "pos_embed": Place("visual.positional_embedding", axes=-1),
    "patch_embed.proj.weight": Place("visual.conv1.weight"),
}
_NORMS = {"norm_pre": "visual.ln_pre", "norm": "visual.ln_post"}
_IN_BLOCK = {
    "attn.qkv.": "attn.in_proj_",
    "attn.proj.": "attn.out_proj.",
    "norm1.": "ln_1.",
    "norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
}
_BLOCK = re.compile(r"blocks\.(\d{1,4})\.(.+)")
_CLIP_NAME = re.compile(r"vit_\w+_patch\d+_clip_(quickgelu_)?\d+")
_INTERPOLATIONS = ("bicubic", "bilinear")


def place(name: str) -> tuple[Place, ...]:
    """Where a tensor of a timm vision transformer of CLIP belongs; one that is none of its stays under its name."""
    if name in _NAMES:
        return (_NAMES[name],)
    if name.startswith(_HEADS):
        return ()
    norm, _, parameter = name.rpartition(".")
    if norm in _NORMS:
        return (Place(f"{_NORMS[norm]}.{parameter}"),)
    block = _BLOCK.fullmatch(name)
    if block:
        for theirs, ours in _IN_BLOCK.items():
            if block[2].startswith(theirs):
                rest = block[2].removeprefix(theirs)
                return (Place(f"visual.transformer.resblocks.{block[1]}.{ours}{rest}"),)
    return (Place(name),)


def place_in_trunk(name: str) -> tuple[Place, ...]:
    """Where a tensor of a timm tower belongs that open_clip keeps as timm's."""
    if name.startswith(_HEADS):
        return ()
    return (Place(_TRUNK + name),)


def describe(config: dict[str, Any] | None, shapes: from_tensors.Shapes, file: str) -> Described:
    """What timm's `config.json` says. Raises `Unsupported` where it names no image tower of a CLIP."""
    if config is None:
        return from_tensors.describe(shapes, file)
    section = Section(CONFIG_FILE, "", config)
    name = section.optional_string("architecture").partition(".")[0]
    side = _side(section)
    preprocessing = _preprocessing(section)
    clip = _CLIP_NAME.fullmatch(name)
    if clip:
        found = from_tensors.describe(shapes, file)
        return replace(
            found, image_quick_gelu=bool(clip[1]), embed_dim=None, preprocessing=preprocessing
        )
    vision = timm_trunks.named(name, side, "", False)
    if vision is None:
        raise Unsupported(
            f"{file} holds {shown(name)} of timm, which is no known tower of a CLIP", ""
        )
    return Described(vision=vision, preprocessing=preprocessing, headless=True)


def _side(section: Section) -> int:
    """The side of the pictures that the tower was trained on; a ConvNeXt takes any."""
    how = section.peek("pretrained_cfg")
    size = how.get("input_size") if isinstance(how, dict) else None
    if isinstance(size, list) and is_whole_numbers(size, count=3):
        return int(size[1])
    return 224


def _preprocessing(section: Section) -> Preprocessing:
    """As open_clip prepares pictures for these towers; timm's own cut at the border is an evaluation's."""
    how = section.section("pretrained_cfg", optional=True)
    return Preprocessing(
        mean=how.three("mean", OPENAI_MEAN, least=-10, most=10),
        std=how.three("std", OPENAI_STD, least=0.001, most=100),
        interpolation=how.choice("interpolation", "bicubic", _INTERPOLATIONS),
    )
