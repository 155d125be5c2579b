"""Checkpoints that open_clip saved: file names, `open_clip_config.json` and tensor names.

The configuration is a stranger's and open_clip follows it: it can name other repositories to load code-bearing models
and tokenizers from, and sizes that exhaust any machine. So nothing of it is passed on; a `ClipConfig` is made from a
closed list of keys, with every number in a stated range.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from dife_scanner.models.config import (
    CLIP_CONTEXT,
    CLIP_VOCABULARY,
    OPENAI_MEAN,
    OPENAI_STD,
    ClipConfig,
    Preprocessing,
    TextConfig,
    VisionConfig,
    has_clips_rows,
)
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.layouts import timm_tower
from dife_scanner.models.layouts.bounds import (
    LEAST_CONTEXT,
    LEAST_IMAGE_SIDE,
    LEAST_MLP_RATIO,
    LEAST_NORM_EPS,
    MOST_CONTEXT,
    MOST_HEAD_WIDTH,
    MOST_HEADS,
    MOST_IMAGE_SIDE,
    MOST_LAYERS,
    MOST_MLP_RATIO,
    MOST_NORM_EPS,
    MOST_PATCH_SIDE,
    MOST_RESNET_BLOCKS,
    MOST_RESNET_WIDTH,
    MOST_VOCABULARY,
    MOST_WIDTH,
    RESNET_SHRINKS,
    check_heads,
    check_transformer,
)
from dife_scanner.models.layouts.json_section import (
    Section,
    is_whole_numbers,
    read_object,
    stays_inside,
)
from dife_scanner.models.layouts.places import Described
from dife_scanner.models.strict_json import shown

CONFIG_FILE = "open_clip_config.json"
WEIGHT_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""Names open_clip and the hub's converter give, in the order of preference; only the first present is read."""

TEXT_PREFIX = "text."
_WRAPPER = "module"
WRAPPER_LENGTH = 7
"""Training on several devices puts `module.` before every name. Where the first name begins with `module`, open_clip
takes so many characters off every one, whatever they are."""
_LOGIT_SCALE = "logit_scale"
"""Never prefixed with `text.`."""
_NOT_WEIGHTS = frozenset(
    {
        "input_resolution",
        "context_length",
        "vocab_size",
        "attn_mask",
        "position_ids",
        "logit_bias",
    }
)
"""Buffers of CLIP's own code and of transformers, whose values are made from the configuration. The last is one number
that training with a sigmoid loss adds to every score: no embedding and no ranking depends on it."""
_NO_EXTRAS = (
    "qk_norm",
    "scaled_cosine_attn",
    "scale_heads",
    "scale_attn_inner",
    "scale_attn",
    "scale_fc",
)
_TIMM_OPTIONS = (
    "timm_pretrained",
    "timm_model_pretrained",
    "timm_pool",
    "timm_proj",
    "timm_proj_bias",
    "timm_drop",
    "timm_drop_path",
)


# --- tensor names ---------------------------------------------------------------------------------------------


def unwrapped(stored: Iterable[str]) -> dict[str, str]:
    """What open_clip makes of each name in a file, given in the order of their data: without the wrapper's prefix."""
    names = list(stored)
    cut = WRAPPER_LENGTH if names and names[0].startswith(_WRAPPER) else 0
    return {name: name[cut:] for name in names}


def stored_names(names: Collection[str], stored: Iterable[str]) -> dict[str, str]:
    """What a file with the tensors `stored`, in the order of their data, calls each of `names`, those of `CLIP`.

    open_clip writes two namings: the text tower at the top, or under `text.` (its `CustomTextCLIP`). It reads both,
    also behind a wrapper's prefix. A name that is not in the file is given all the same; whoever compares finds it
    missing.
    """
    by_name = {ours: theirs for theirs, ours in unwrapped(stored).items()}
    in_text = [name for name in names if _is_of_text_tower(name)]
    text = TEXT_PREFIX if any(TEXT_PREFIX + name in by_name for name in in_text) else ""
    wanted = {name: name for name in names} | {name: text + name for name in in_text}
    return {name: by_name.get(theirs, theirs) for name, theirs in wanted.items()}


def is_no_weight(name: str) -> bool:
    """Whether the tensor called `name` in a file is a buffer that no loader reads, in whatever tower it stands."""
    return name.rpartition(".")[2] in _NOT_WEIGHTS


def _is_of_text_tower(name: str) -> bool:
    return name != _LOGIT_SCALE and not name.startswith("visual.")


# --- configuration --------------------------------------------------------------------------------------------


def parse_config(raw: bytes, limits: ParseLimits | None = None) -> ClipConfig:
    """Read the bytes of an `open_clip_config.json`.

    Raises `Unreadable` for what no model can be made from (not UTF-8, not JSON, wrong types, numbers that contradict
    each other), `Unsupported` for options and sizes that this program does not know, `LimitExceeded` for a larger file
    than `limits` allow. `Refused` is for what tries something: two values under one key, a bomb, a path that climbs
    out of its folder.
    """
    document = Section(CONFIG_FILE, "", read_object(raw, CONFIG_FILE, limits or ParseLimits()))
    model = document.section("model_cfg")
    preprocessing = document.section("preprocess_cfg", optional=True)
    # what else push_to_hf_hub or authors leave at the top has no effect on open_clip either
    return _clip(model, preprocessing)


def describe(raw: bytes, limits: ParseLimits) -> Described:
    """What an `open_clip_config.json` says, as other layouts say it. Raises what `parse_config` does."""
    config = parse_config(raw, limits)
    return Described(
        vision=config.vision,
        text=config.text,
        embed_dim=config.embed_dim,
        image_quick_gelu=config.quick_gelu,
        text_quick_gelu=config.quick_gelu,
        preprocessing=config.preprocessing,
    )


def _clip(model: Section, preprocessing: Section) -> ClipConfig:
    vision = model.section("vision_cfg")
    text = model.section("text_cfg")
    model.only_off("multimodal_cfg", "cast_dtype")
    model.ignore("custom_text", "output_dict")
    # of what scores are scaled and moved by; no embedding depends on it
    model.ignore("init_logit_scale", "init_logit_bias", "nonscalar_logit_scale")
    embed_dim = model.whole("embed_dim", None, MOST_WIDTH)
    quick_gelu = model.flag("quick_gelu")
    model.finish()
    return ClipConfig(
        embed_dim=embed_dim,
        vision=_vision(vision),
        text=_text(text),
        preprocessing=_preprocessing(preprocessing),
        quick_gelu=quick_gelu,
    )


# --- the image tower ------------------------------------------------------------------------------------------


def _vision(section: Section) -> VisionConfig:
    trunk = timm_tower.read(section)
    if trunk is not None:
        return trunk
    section.ignore(*_TIMM_OPTIONS)
    _only_known_vision_options(section)
    image_size = section.side("image_size", 224, MOST_IMAGE_SIDE, least=LEAST_IMAGE_SIDE)
    head_width = section.whole("head_width", 64, MOST_HEAD_WIDTH)
    transformer = _transformer_options(section)
    # a list of layers is how open_clip writes the stages of a ModifiedResNet, which has none of the options above
    if isinstance(section.peek("layers"), list):
        return _resnet(section, image_size, head_width)
    config = VisionConfig(
        image_size=image_size,
        width=section.whole("width", 768, MOST_WIDTH),
        head_width=head_width,
        layers=section.whole("layers", 12, MOST_LAYERS),
        patch_size=section.side("patch_size", 16, MOST_PATCH_SIDE),
        **transformer,
    )
    section.finish()
    check_transformer(config, section)
    return config


def _only_known_vision_options(section: Section) -> None:
    section.only_off("attentional_pool", *_NO_EXTRAS)
    section.choice("block_type", "default", ("default",))
    section.choice("pos_embed_type", "learnable", ("learnable", "sin_cos_2d"))
    section.ignore("attn_pooler_queries", "attn_pooler_heads", "patch_dropout", "output_tokens")


def _transformer_options(section: Section) -> dict[str, Any]:
    return {
        "mlp_ratio": section.number("mlp_ratio", 4.0, LEAST_MLP_RATIO, MOST_MLP_RATIO),
        "layer_scale": section.take("ls_init_value") is not None,
        "no_ln_pre": section.flag("no_ln_pre"),
        "final_ln_after_pool": section.flag("final_ln_after_pool"),
        "pool": section.choice("pool_type", "tok", ("tok", "avg")),
        **_layer_options(section),
    }


def _layer_options(section: Section) -> dict[str, Any]:
    """What is said of every layer norm and of GELU; a ModifiedResNet has neither, and open_clip passes over them."""
    norm = section.section("norm_kwargs", optional=True)
    activation = section.section("act_kwargs", optional=True)
    options: dict[str, Any] = {}
    if norm.has("eps"):
        options["norm_eps"] = norm.number("eps", 0.0, LEAST_NORM_EPS, MOST_NORM_EPS)
    approximate = activation.choice("approximate", "none", ("none", "tanh"))
    options["gelu_tanh"] = approximate == "tanh"
    norm.finish()
    activation.finish()
    return options


def _resnet(section: Section, image_size: int, head_width: int) -> VisionConfig:
    stages = _stages(section)
    section.ignore("patch_size")
    width = section.whole("width", 768, MOST_RESNET_WIDTH)
    section.finish()
    _check_resnet_width(section, width, head_width)
    if image_size % RESNET_SHRINKS:
        section.wrong_key(
            "image_size",
            f"is not a multiple of {RESNET_SHRINKS}, as this kind of image tower needs",
        )
    return VisionConfig(image_size=image_size, width=width, head_width=head_width, stages=stages)


def _check_resnet_width(section: Section, width: int, head_width: int) -> None:
    # its stem has half the width, so an odd one is impossible; the heads are those of its last stage
    if width % 2:
        section.wrong_key("width", f"cannot be split into heads of {section.named('head_width')}")
    check_heads(section, width * RESNET_SHRINKS, head_width)


def _stages(section: Section) -> tuple[int, ...]:
    stages = section.take("layers")
    if not is_whole_numbers(stages, count=4) or min(stages) < 1:
        section.wrong_key("layers", "is not four whole numbers of at least 1")
    if sum(stages) > MOST_RESNET_BLOCKS:
        section.too_large(section.named("layers"), sum(stages), MOST_RESNET_BLOCKS)
    return tuple(stages)


# --- the text tower -------------------------------------------------------------------------------------------


def _text(section: Section) -> TextConfig:
    _no_other_tower(section)
    _only_known_text_options(section)
    causal = not section.flag("no_causal_mask")
    reads = section.choice("pool_type", "argmax", ("argmax", "last"))
    tokens = _vocabulary(section, own=not causal and reads == "last")
    _own_tokenizer(section, tokens)
    config = TextConfig(
        context_length=section.whole(
            "context_length", CLIP_CONTEXT, MOST_CONTEXT, least=LEAST_CONTEXT
        ),
        width=section.whole("width", 512, MOST_WIDTH),
        heads=section.whole("heads", 8, MOST_HEADS),
        layers=section.whole("layers", 12, MOST_LAYERS),
        mlp_ratio=section.number("mlp_ratio", 4.0, LEAST_MLP_RATIO, MOST_MLP_RATIO),
        layer_scale=section.take("ls_init_value") is not None,
        vocabulary=tokens,
        causal=causal,
        reads=reads,
        projection=_projection(section),
        **_tokenizer_options(section),
        **_layer_options(section),
    )
    section.finish()
    if config.width % config.heads:
        section.wrong_key("width", f"is not a multiple of {section.named('heads')}")
    return config


def _only_known_text_options(section: Section) -> None:
    section.only_off("tokenizer_mode", "embed_cls")
    section.only_off(*_NO_EXTRAS)
    section.choice("block_type", "default", ("default",))
    section.ignore("hf_model_pretrained", "hf_proj_type", "hf_pooler_type", "pad_id", "eos_id")
    section.ignore("output_tokens", "final_ln_after_pool")


def _no_other_tower(section: Section) -> None:
    """A text tower comes from the file, and from no other repository."""
    name = section.optional_string("hf_model_name")
    stays_inside(section, "hf_model_name", name)
    if name:
        section.unsupported_key(
            "hf_model_name",
            f"names another repository, {shown(name)}; only the file's own weights are read",
        )


def _own_tokenizer(section: Section, tokens: int) -> None:
    """Where a tower does not read CLIP's tokens, its tokenizer is the one that lies beside it, whatever it is called.

    For CLIP's own another repository's tokenizer may be named, which nobody here looks up.
    """
    name = section.optional_string("hf_tokenizer_name")
    stays_inside(section, "hf_tokenizer_name", name)
    if name and tokens == CLIP_VOCABULARY:
        section.unsupported_key(
            "hf_tokenizer_name",
            f"names another repository, {shown(name)}; only the file's own tokenizer is read",
        )


def _tokenizer_options(section: Section) -> dict[str, Any]:
    """What is done to a text before, and to its ids; the last way of cleaning is what transformers does for SigLIP, in
    the canonical form.
    """
    options = section.section("tokenizer_kwargs", optional=True)
    how = options.choice("clean", "", ("", "whitespace", "lower", "canonicalize", "siglip"))
    strip_sep = options.flag("strip_sep_token")
    options.finish()
    return {"cleaning": how, "strip_sep": strip_sep}


def _projection(section: Section) -> str:
    kind = section.choice("proj_type", "linear", ("linear", "none"))
    with_bias = section.flag("proj_bias")
    if kind == "none":
        return "none"
    return "linear" if with_bias else "matrix"


def _vocabulary(section: Section, *, own: bool) -> int:
    """Rows of the token table; another number than CLIP's is known only of towers as SigLIP and CLIPA have them."""
    tokens = section.whole("vocab_size", CLIP_VOCABULARY, MOST_VOCABULARY)
    if not has_clips_rows(tokens) and not own:
        section.unsupported_key(
            "vocab_size",
            f"is {tokens}; CLIP's tokenizer has {CLIP_VOCABULARY} tokens",
        )
    return tokens


# --- preprocessing --------------------------------------------------------------------------------------------


def _preprocessing(section: Section) -> Preprocessing:
    section.ignore("size")  # open_clip, too, takes the image tower's own size
    section.choice("mode", "RGB", ("RGB",))
    found = Preprocessing(
        mean=section.three("mean", OPENAI_MEAN, least=-10, most=10),
        std=section.three("std", OPENAI_STD, least=0.001, most=100),  # a picture is divided by it
        interpolation=_interpolation(section),
        resize_mode=section.choice("resize_mode", "shortest", ("shortest", "longest", "squash")),
        fill_color=section.whole("fill_color", 0, 255, least=0),
    )
    section.finish()
    return found


def _interpolation(section: Section) -> str:
    found = section.choice("interpolation", "bicubic", ("bicubic", "bilinear", "random"))
    if found == "random":
        return "bicubic"  # as open_clip does outside training
    return found
