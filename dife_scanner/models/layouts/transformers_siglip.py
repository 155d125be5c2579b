"""Checkpoints that transformers saved from its `SiglipModel`, its `Siglip2Model`, and their single towers.

SigLIP 2 at a fixed picture size is saved as a `SiglipModel`. A `Siglip2Model` takes pictures of any shape, cut into
patches before; it is read as what it computes for square ones of its own number of patches. What is read is what their
configurations and image processors read (transformers 5.24), with the same defaults. The image tower becomes timm's, as
open_clip has it.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from dife_scanner.models import timm_trunks
from dife_scanner.models.config import (
    ATTENTION_POOLED,
    Preprocessing,
    TextConfig,
    VisionConfig,
)
from dife_scanner.models.layouts import bounds
from dife_scanner.models.layouts.json_section import Section
from dife_scanner.models.layouts.places import Described, Place
from dife_scanner.models.layouts.transformers_clip import (
    CLASSIFIER,
    CONFIG_FILE,
    JOINED,
    LAYER,
    PREPROCESSING_FILE,
    QKV,
    activation,
    in_block,
    mlp_ratio,
    new_affine,
    preprocessing_of,
)
from dife_scanner.models.tensors import SCALE

_BOTH = "siglip"
_TEXT = "siglip_text_model"
_VISION = "siglip_vision_model"
_SECOND = {
    "siglip2": _BOTH,
    "siglip2_text_model": _TEXT,
    "siglip2_vision_model": _VISION,
}
"""The types of SigLIP 2 and what they are to SigLIP."""
MODEL_TYPES = (_BOTH, _TEXT, _VISION, *_SECOND)
_MEAN = _STD = (0.5, 0.5, 0.5)
_PATCH, _PATCHES = 16, 256
_USUAL = Preprocessing(mean=_MEAN, std=_STD, resize_mode="squash")
_TRUNK = "visual.trunk."


# --- tensor names ---------------------------------------------------------------------------------------------

_OF_TEXT = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "head.weight": "text_projection.weight",
    "head.bias": "text_projection.bias",
}
_OF_VISION = {
    "embeddings.patch_embedding.weight": Place("patch_embed.proj.weight", kernel=True),
    "embeddings.patch_embedding.bias": Place("patch_embed.proj.bias"),
    "embeddings.position_embedding.weight": Place("pos_embed", axes=1),
    "post_layernorm.weight": Place("norm.weight"),
    "post_layernorm.bias": Place("norm.bias"),
    "head.probe": Place("attn_pool.latent"),
}
_STARTS = {
    "head.attention.out_proj.": "attn_pool.proj.",
    "head.layernorm.": "attn_pool.norm.",
    "head.mlp.": "attn_pool.mlp.",
}
_IN_BLOCK = {
    "self_attn.out_proj.": "attn.proj.",
    "layer_norm1.": "norm1.",
    "layer_norm2.": "norm2.",
    "mlp.": "mlp.",
}
_QUERY = (0, 1)
_KEY_AND_VALUE = (1, 3)
_POOLED = re.compile(r"head\.attention\.in_proj_(weight|bias)")


def place(name: str) -> tuple[Place, ...]:
    """Where a tensor of transformers' `SiglipModel` belongs; one that is none of its stays under its name."""
    if name.startswith(CLASSIFIER):
        return ()
    owner, _, rest = name.partition(".")
    found: tuple[Place, ...] = ()
    if owner == "text_model":
        found = _in_text(rest)
    if owner == "vision_model":
        found = tuple(replace(one, name=_TRUNK + one.name) for one in _in_vision(rest))
    return found or (Place(name),)


def _in_text(rest: str) -> tuple[Place, ...]:
    if rest in _OF_TEXT:
        return (Place(_OF_TEXT[rest]),)
    layer = LAYER.fullmatch(rest)
    found = in_block(layer[1], layer[2]) if layer else None
    return (found,) if found else ()


def _in_vision(rest: str) -> tuple[Place, ...]:
    """Names within the trunk."""
    if rest in _OF_VISION:
        return (_OF_VISION[rest],)
    pooled = _POOLED.fullmatch(rest)
    if pooled:
        query = Place(f"attn_pool.q.{pooled[1]}", thirds=_QUERY)
        return query, Place(f"attn_pool.kv.{pooled[1]}", thirds=_KEY_AND_VALUE)
    layer = LAYER.fullmatch(rest)
    if layer:
        return _in_layer(f"blocks.{layer[1]}.", layer[2])
    return _renamed("", rest, _STARTS)


def _in_layer(block: str, rest: str) -> tuple[Place, ...]:
    joined = QKV.fullmatch(rest)
    if joined:
        return (Place(f"{block}attn.qkv.{joined[2]}", JOINED[joined[1]], len(JOINED)),)
    return _renamed(block, rest, _IN_BLOCK)


def _renamed(before: str, rest: str, starts: dict[str, str]) -> tuple[Place, ...]:
    for theirs, ours in starts.items():
        if rest.startswith(theirs):
            return (Place(before + ours + rest.removeprefix(theirs)),)
    return ()


# --- what a file may lack -------------------------------------------------------------------------------------


def new_value(name: str) -> float | None:
    """What transformers gives a norm, a bias or the scale that a file lacks: the value of a new `SiglipModel`.

    Biases within its MLPs are drawn at random there.
    """
    if name == SCALE:
        return 0.0
    return None if ".mlp." in name and name.endswith(".bias") else new_affine(name)


# --- configuration --------------------------------------------------------------------------------------------


def describe(config: dict[str, Any], preprocessing: dict[str, Any] | None) -> Described:
    """What `config.json` and `preprocessor_config.json` say. Raises `Unreadable` and `Unsupported`."""
    whole = Section(CONFIG_FILE, "", config)
    kind = whole.choice("model_type", _BOTH, MODEL_TYPES)
    whole.only_off("quantization_config")
    second = kind in _SECOND
    kind = _SECOND.get(kind, kind)
    vision = None
    text = None
    if kind != _TEXT:
        section = whole if kind == _VISION else _tower(whole, "vision_config")
        vision = _vision(section, second)
    read = replace(_USUAL, interpolation="bilinear") if second else _USUAL
    if preprocessing is not None:
        processor = Section(PREPROCESSING_FILE, "", preprocessing)
        read = preprocessing_of(processor, read)
        if second and vision is not None:
            _check_patches(processor, vision.grid)
    if kind != _VISION:
        text = _text(whole if kind == _TEXT else _tower(whole, "text_config"))
    return Described(
        vision=vision,
        text=text,
        embed_dim=vision.width if vision else None,
        preprocessing=read if vision else None,
    )


def _tower(whole: Section, key: str) -> Section:
    """The section of one tower; no other name of it is read, as there are for CLIP."""
    return Section(CONFIG_FILE, key, whole.take(key) or {})


def _text(section: Section) -> TextConfig:
    width = section.whole("hidden_size", 768, bounds.MOST_WIDTH)
    heads = section.whole("num_attention_heads", 12, bounds.MOST_HEADS)
    if width % heads:
        section.wrong_key("hidden_size", "is not a multiple of the number of heads")
    return TextConfig(
        context_length=section.whole(
            "max_position_embeddings", 64, bounds.MOST_CONTEXT, least=bounds.LEAST_CONTEXT
        ),
        width=width,
        heads=heads,
        layers=section.whole("num_hidden_layers", 12, bounds.MOST_LAYERS),
        mlp_ratio=mlp_ratio(section, 3072, width),
        norm_eps=_eps(section),
        gelu_tanh=_is_by_tanh(section),
        vocabulary=section.whole("vocab_size", 32_000, bounds.MOST_VOCABULARY),
        causal=False,
        reads="last",
        cleaning="siglip",
        projection="linear",
    )


def _grid(section: Section) -> int:
    """Patches along a side of a square picture with as many of them as there are positions."""
    count = section.whole("num_patches", _PATCHES, bounds.MOST_PATCHES)
    grid = math.isqrt(count)
    if grid**2 != count:
        section.wrong_key("num_patches", "is no square number, as its positions need")
    return grid


def _check_patches(processor: Section, grid: int) -> None:
    """Raise `Unsupported` where square pictures would be cut into more or fewer patches than there are positions."""
    most = processor.whole("max_num_patches", _PATCHES, bounds.MOST_PATCHES)
    if math.isqrt(most) != grid:
        processor.unsupported_key(
            "max_num_patches", f"is {most}, and the model has positions for {grid**2} patches"
        )


def _vision(section: Section, second: bool) -> VisionConfig:
    """The image tower, a `second` one of pictures that come cut into patches."""
    width = section.whole("hidden_size", 768, bounds.MOST_WIDTH)
    heads = section.whole("num_attention_heads", 12, bounds.MOST_HEADS)
    if section.whole("num_channels", 3, bounds.MOST_WIDTH) != 3:
        section.unsupported_key("num_channels", "is not 3: pictures here have three channels")
    if width % heads:
        section.wrong_key("hidden_size", "is not a multiple of the number of heads")
    eps = _eps(section)
    patch_size = section.side("patch_size", _PATCH, bounds.MOST_PATCH_SIDE)
    if second:
        image_size = _grid(section) * patch_size
    else:
        image_size = section.side(
            "image_size", 224, bounds.MOST_IMAGE_SIDE, least=bounds.LEAST_IMAGE_SIDE
        )
    config = VisionConfig(
        image_size=image_size,
        width=width,
        head_width=width // heads,
        layers=section.whole("num_hidden_layers", 12, bounds.MOST_LAYERS),
        patch_size=patch_size,
        mlp_ratio=mlp_ratio(section, 3072, width),
        norm_eps=None if eps == timm_trunks.EPS else eps,
        gelu_tanh=_is_by_tanh(section),
        trunk=ATTENTION_POOLED,
    )
    bounds.check_transformer(config, section)
    return config


def _eps(section: Section) -> float:
    return section.number(
        "layer_norm_eps", timm_trunks.EPS, bounds.LEAST_NORM_EPS, bounds.MOST_NORM_EPS
    )


def _is_by_tanh(section: Section) -> bool:
    quick, by_tanh = activation(section, "gelu_pytorch_tanh")
    if quick:
        section.unsupported_key("hidden_act", "is quick_gelu, which no SigLIP has")
    return by_tanh
