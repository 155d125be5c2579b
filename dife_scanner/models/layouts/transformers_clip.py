"""Checkpoints that transformers saved from its `CLIPModel` and its single towers: `config.json` and tensor names.

A key that transformers itself does not read changes nothing there either, so unknown keys are passed over. What is
read is what its `CLIPTextConfig`, `CLIPVisionConfig` and `CLIPImageProcessor` read (transformers 5.24), with the same
defaults.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from dife_scanner.models.config import (
    CLIP_CONTEXT,
    CLIP_VOCABULARY,
    Preprocessing,
    TextConfig,
    VisionConfig,
    has_clips_rows,
)
from dife_scanner.models.layouts import bounds
from dife_scanner.models.layouts.json_section import Section
from dife_scanner.models.layouts.places import Described, Place
from dife_scanner.models.tensors import SCALE

CONFIG_FILE = "config.json"
PREPROCESSING_FILE = "preprocessor_config.json"

_BOTH = "clip"
_TEXT = "clip_text_model"
_VISION = "clip_vision_model"
MODEL_TYPES = (_BOTH, _TEXT, _VISION)

_TORCH_EPS = 1e-5
"""What torch's layer norm adds to the variance where nothing else is said."""
_END_TOKEN = CLIP_VOCABULARY - 1
_OLD_END_TOKEN = 2
"""What configurations say that were written before transformers 4.30: then the largest token is the end, as in CLIP."""
_ACTIVATIONS = ("quick_gelu", "gelu", "gelu_new", "gelu_pytorch_tanh")
_TANH = frozenset({"gelu_new", "gelu_pytorch_tanh"})
_RESAMPLING = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers for the two ways of resizing that are known here."""


# --- tensor names ---------------------------------------------------------------------------------------------

_TOWERS = {"text_model": "", "vision_model": "visual."}
_TOP = {
    "logit_scale": Place("logit_scale"),
    "text_projection.weight": Place("text_projection", transposed=True),
    "visual_projection.weight": Place("visual.proj", transposed=True),
}
_OF_TEXT = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
}
_OF_VISION = {
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.weight": "conv1.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
}
_NORMS = {"final_layer_norm": "ln_final", "pre_layrnorm": "ln_pre", "post_layernorm": "ln_post"}
_IN_BLOCK = {
    "self_attn.out_proj.": "attn.out_proj.",
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
}
JOINED = {"q": 0, "k": 1, "v": 2}
LAYER = re.compile(r"encoder\.layers\.(\d{1,4})\.(.+)")
QKV = re.compile(r"self_attn\.([qkv])_proj\.(weight|bias)")

_NORM = re.compile(r"ln_\w+|norm\d?")
CLASSIFIER = "classifier."
"""The head of a tower with a classifier, which no embedding depends on."""


def place(name: str) -> tuple[Place, ...]:
    """Where a tensor of transformers' `CLIPModel` belongs; one that is none of its stays under its name."""
    if name.startswith(CLASSIFIER):
        return ()
    if name in _TOP:
        return (_TOP[name],)
    tower, _, rest = name.partition(".")
    if tower not in _TOWERS:
        return (Place(name),)
    found = _in_block(rest) or _around(rest, tower)
    if found is None:
        return (Place(name),)
    return (replace(found, name=_TOWERS[tower] + found.name),)


def _in_block(rest: str) -> Place | None:
    layer = LAYER.fullmatch(rest)
    return None if layer is None else in_block(layer[1], layer[2])


def in_block(number: str, rest: str) -> Place | None:
    """The place of a tensor `rest` in the layer `number` of a tower of open_clip's own."""
    block = f"transformer.resblocks.{number}."
    joined = QKV.fullmatch(rest)
    if joined:
        return Place(f"{block}attn.in_proj_{joined[2]}", JOINED[joined[1]], len(JOINED))
    for theirs, ours in _IN_BLOCK.items():
        if rest.startswith(theirs):
            return Place(block + ours + rest.removeprefix(theirs))
    return None


def _around(rest: str, tower: str) -> Place | None:
    """The place of what stands before and behind the blocks of a tower."""
    names = _OF_TEXT if tower == "text_model" else _OF_VISION
    if rest in names:
        return Place(names[rest])
    norm, _, parameter = rest.partition(".")
    if norm in _NORMS:
        return Place(f"{_NORMS[norm]}.{parameter}")
    return None


# --- what a file may lack -------------------------------------------------------------------------------------

_NEW_SCALE = math.log(1 / 0.07)
"""No embedding depends on it."""


def new_value(name: str) -> float | None:
    """What transformers gives a norm, a bias or the scale that a file lacks: the value of a new `CLIPModel`."""
    return _NEW_SCALE if name == SCALE else new_affine(name)


def new_affine(name: str) -> float | None:
    """Of a norm or a bias in a new model of transformers."""
    owner, _, parameter = name.rpartition(".")
    if parameter in ("bias", "in_proj_bias"):
        return 0.0
    is_norm = _NORM.fullmatch(owner.rpartition(".")[2])
    return 1.0 if is_norm and parameter == "weight" else None


# --- configuration --------------------------------------------------------------------------------------------


def describe(config: dict[str, Any], preprocessing: dict[str, Any] | None) -> Described:
    """What `config.json` and `preprocessor_config.json` say. Raises `Unreadable` and `Unsupported`."""
    whole = Section(CONFIG_FILE, "", config)
    kind = whole.choice("model_type", _BOTH, MODEL_TYPES)
    whole.only_off("quantization_config")
    read = None
    if preprocessing is not None:
        read = preprocessing_of(Section(PREPROCESSING_FILE, "", preprocessing), Preprocessing())
    if kind == _TEXT:
        text, quick = _text(whole)
        return Described(text=text, text_quick_gelu=quick, embed_dim=None)
    if kind == _VISION:
        vision, quick = _vision(whole)
        return Described(vision=vision, image_quick_gelu=quick, preprocessing=read)
    text, text_quick = _text(tower(whole, "text_config"))
    vision, image_quick = _vision(tower(whole, "vision_config"))
    return Described(
        vision=vision,
        text=text,
        embed_dim=whole.whole("projection_dim", 512, bounds.MOST_WIDTH),
        image_quick_gelu=image_quick,
        text_quick_gelu=text_quick,
        preprocessing=read,
    )


def tower(whole: Section, key: str) -> Section:
    """The section of one tower of a `CLIPConfig`; older files say it under another name, which then counts alone.

    What is missing there has its usual value, whatever the newer name says of it.
    """
    older = whole.take(f"{key}_dict")
    body = whole.take(key) or {}
    return Section(CONFIG_FILE, key, older if isinstance(older, dict) else body)


def _text(section: Section) -> tuple[TextConfig, bool]:
    """The text tower, and whether its activation is OpenAI's."""
    tokens = _clips_tokens(section)
    width = section.whole("hidden_size", 512, bounds.MOST_WIDTH)
    quick, tanh = activation(section)
    config = TextConfig(
        context_length=section.whole(
            "max_position_embeddings",
            CLIP_CONTEXT,
            bounds.MOST_CONTEXT,
            least=bounds.LEAST_CONTEXT,
        ),
        width=width,
        heads=section.whole("num_attention_heads", 8, bounds.MOST_HEADS),
        layers=section.whole("num_hidden_layers", 12, bounds.MOST_LAYERS),
        mlp_ratio=mlp_ratio(section, 2048, width),
        norm_eps=_norm_eps(section),
        gelu_tanh=tanh,
        vocabulary=tokens,
    )
    if width % config.heads:
        section.wrong_key("hidden_size", "is not a multiple of the number of heads")
    return config, quick


def _clips_tokens(section: Section) -> int:
    """Rows of the token table: CLIP's own, and a few more at most."""
    tokens = section.whole("vocab_size", CLIP_VOCABULARY, bounds.MOST_VOCABULARY)
    if not has_clips_rows(tokens):
        section.unsupported_key(
            "vocab_size", f"is {tokens}; CLIP's tokenizer has {CLIP_VOCABULARY} tokens"
        )
    end = section.whole("eos_token_id", _END_TOKEN, bounds.MOST_VOCABULARY, least=0)
    if end not in (_END_TOKEN, _OLD_END_TOKEN):
        section.unsupported_key("eos_token_id", f"is {end}, which is not CLIP's end token")
    return tokens


def _vision(section: Section) -> tuple[VisionConfig, bool]:
    """The image tower, and whether its activation is OpenAI's."""
    width = section.whole("hidden_size", 768, bounds.MOST_WIDTH)
    heads = section.whole("num_attention_heads", 12, bounds.MOST_HEADS)
    if section.whole("num_channels", 3, bounds.MOST_WIDTH) != 3:
        section.unsupported_key("num_channels", "is not 3: pictures here have three channels")
    if width % heads:
        section.wrong_key("hidden_size", "is not a multiple of the number of heads")
    quick, tanh = activation(section)
    config = VisionConfig(
        image_size=section.side(
            "image_size", 224, bounds.MOST_IMAGE_SIDE, least=bounds.LEAST_IMAGE_SIDE
        ),
        width=width,
        head_width=width // heads,
        layers=section.whole("num_hidden_layers", 12, bounds.MOST_LAYERS),
        patch_size=section.side("patch_size", 32, bounds.MOST_PATCH_SIDE),
        mlp_ratio=mlp_ratio(section, 3072, width),
        norm_eps=_norm_eps(section),
        gelu_tanh=tanh,
    )
    bounds.check_transformer(config, section)
    return config, quick


def activation(section: Section, default: str = "quick_gelu") -> tuple[bool, bool]:
    """Whether the activation is OpenAI's approximation of GELU, and whether it is the one by a tanh."""
    name = section.choice("hidden_act", default, _ACTIVATIONS)
    return name == "quick_gelu", name in _TANH


def _norm_eps(section: Section) -> float | None:
    eps = section.number("layer_norm_eps", _TORCH_EPS, bounds.LEAST_NORM_EPS, bounds.MOST_NORM_EPS)
    return None if eps == _TORCH_EPS else eps


def mlp_ratio(section: Section, default: int, width: int) -> float:
    """Inner width over outer width, such that open_clip makes the inner width of it again."""
    inner = section.whole("intermediate_size", default, bounds.MOST_WIDTH * bounds.MOST_MLP_RATIO)
    ratio = inner / width
    if not bounds.LEAST_MLP_RATIO <= ratio <= bounds.MOST_MLP_RATIO:
        section.unsupported_key("intermediate_size", f"is {ratio:.3g} times `hidden_size`")
    if int(width * ratio) < inner:  # rounding took it just below
        ratio = math.nextafter(ratio, math.inf)
    return ratio


# --- preprocessing --------------------------------------------------------------------------------------------


def preprocessing_of(section: Section, usual: Preprocessing) -> Preprocessing:
    """What transformers' image processor does with a picture, as far as open_clip can do it too; `usual` is what the
    processor of this kind of model does where the file says nothing.
    """
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if section.take(step, True) is False:
            section.unsupported_key(step, "is false: pictures here are resized and normalised")
    scale = section.number("rescale_factor", 1 / 255, 0, 1)
    if abs(scale * 255 - 1) > 1e-3:
        section.unsupported_key("rescale_factor", "is not 1/255")
    return Preprocessing(
        mean=section.three("image_mean", usual.mean, least=-10, most=10),
        std=section.three("image_std", usual.std, least=0.001, most=100),
        interpolation=_interpolation(section, usual.interpolation),
        resize_mode=_resize_mode(section, usual.resize_mode),
    )


def _interpolation(section: Section, usual: str) -> str:
    number = section.take("resample")
    if number is None:
        return usual
    if type(number) is not int or number not in _RESAMPLING:
        section.unsupported_key("resample", "is neither 2 (bilinear) nor 3 (bicubic)")
    return _RESAMPLING[number]


def _resize_mode(section: Section, usual: str) -> str:
    """Whether the shorter side is resized and the rest cut off, or both sides are resized."""
    size = section.take("size")
    if size is None:
        return usual
    if isinstance(size, dict) and "shortest_edge" not in size and {"height", "width"} <= set(size):
        return "squash"
    if section.take("do_center_crop", True) is False:
        section.unsupported_key("do_center_crop", "is false, and pictures are not made square")
    crop = _side(section.take("crop_size"))
    if crop != _side(size) and None not in (crop, size):
        section.unsupported_key("crop_size", "is not the size to which the shorter side is brought")
    return "shortest"


def _side(size: Any) -> Any:
    """A square's side in any of the ways in which a processor's file has written it."""
    if isinstance(size, dict):
        return size.get("shortest_edge", size.get("height"))
    return size
