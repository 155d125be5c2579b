"""`open_clip_config.json` reduced to what this program understands, with every number in a stated range.

The file is a stranger's and open_clip obeys it: it can name other repositories to load code-bearing models and
tokenizers from, and sizes that exhaust any machine. So nothing of it is passed on; a `ClipConfig` is made from a
closed list of keys, and `model_arguments` makes the arguments of open_clip's constructor from that.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from dife_scanner.errors import LimitExceeded, Refused, Unsupported
from dife_scanner.models import strict_json
from dife_scanner.models.header import ParseLimits
from dife_scanner.models.strict_json import NotStrictError, TooManyObjectsError, shown

CONFIG_FILE = "open_clip_config.json"
CLIP_VOCABULARY = 49_408
"""Tokens of CLIP's byte-pair encoding; a model with another vocabulary needs another tokenizer."""
MOST_PATCHES = 16_384
MOST_OBJECTS = 1_000
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class VisionConfig:
    """The image tower: a vision transformer, or a ModifiedResNet where `stages` is not empty."""

    image_size: int
    width: int
    head_width: int
    layers: int = 0
    patch_size: int = 0
    stages: tuple[int, ...] = ()
    mlp_ratio: float = 4.0
    layer_scale: bool = False
    no_ln_pre: bool = False
    final_ln_after_pool: bool = False
    pool: str = "tok"


@dataclass(frozen=True)
class TextConfig:
    """The text tower: causal, read out at the end token."""

    context_length: int
    width: int
    heads: int
    layers: int
    mlp_ratio: float = 4.0
    layer_scale: bool = False


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the tower's input."""

    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0


@dataclass(frozen=True)
class ClipConfig:
    """A checked configuration; the towers of two checkpoints with equal parts compute the same function of weights."""

    embed_dim: int
    vision: VisionConfig
    text: TextConfig
    preprocessing: Preprocessing
    quick_gelu: bool = False
    logit_bias: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `from_json` and for hashing."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ClipConfig:
        """The inverse of `as_json`; lists from JSON become tuples again."""

        def tuples(part: dict[str, Any]) -> dict[str, Any]:
            return {key: tuple(value) if isinstance(value, list) else value for key, value in part.items()}

        return cls(
            embed_dim=body["embed_dim"],
            vision=VisionConfig(**tuples(body["vision"])),
            text=TextConfig(**tuples(body["text"])),
            preprocessing=Preprocessing(**tuples(body["preprocessing"])),
            quick_gelu=body["quick_gelu"],
            logit_bias=body["logit_bias"],
        )

    @property
    def architecture(self) -> str:
        """Short and stable, e.g. `ViT 64/16 w192 d6 · text w128 d3 · embed 128`."""
        vision, text = self.vision, self.text
        if vision.stages:
            stages = "-".join(str(stage) for stage in vision.stages)
            image = f"RN {vision.image_size} {stages} w{vision.width}"
        else:
            image = f"ViT {vision.image_size}/{vision.patch_size} w{vision.width} d{vision.layers}"
        context = "" if text.context_length == 77 else f" c{text.context_length}"
        parts = [image, f"text w{text.width} d{text.layers}{context}", f"embed {self.embed_dim}"]
        return " · ".join(parts + ["quick_gelu"] * self.quick_gelu)


# --- reading --------------------------------------------------------------------------------------------------


def parse_config(raw: bytes, limits: ParseLimits | None = None) -> ClipConfig:
    """Read the bytes of an `open_clip_config.json`.

    Raises `Refused` for what is not an honest configuration (not UTF-8, not JSON, duplicate keys, wrong types,
    numbers that contradict each other, another place to load from), `LimitExceeded` for sizes beyond any model this
    program is meant for, `Unsupported` for honest options it does not know.
    """
    limits = limits or ParseLimits()
    if len(raw) > limits.config_bytes:
        raise LimitExceeded(f"{CONFIG_FILE} has more than {limits.config_bytes} bytes", "look at it by hand")
    try:
        document = _Section("", strict_json.read(raw, MOST_OBJECTS))
    except NotStrictError as error:
        _refuse(str(error))
    except TooManyObjectsError:
        raise LimitExceeded(f"{CONFIG_FILE} has more than {MOST_OBJECTS} JSON objects", "look at it by hand") from None
    model = document.section("model_cfg")
    preprocessing = document.section("preprocess_cfg", optional=True)
    # what else push_to_hf_hub or authors leave at the top has no effect on open_clip either
    return _clip(model, preprocessing)


def _refuse(why: str) -> NoReturn:
    raise Refused(f"{CONFIG_FILE} is refused: {why}", "do not load it; report it to its author")


def _unsupported(why: str) -> NoReturn:
    raise Unsupported(f"{CONFIG_FILE} asks for something this version cannot audit: {why}", "")


def _too_large(field: str, value: int, most: int) -> NoReturn:
    words = str(value) if value < 10**18 else "more than 10^18"
    raise LimitExceeded(
        f"{CONFIG_FILE}: {field} makes {words}; the most this program loads is {most}",
        "nothing was allocated; look at the file by hand",
    )


class _Section:
    """One JSON object of the configuration; every key is taken once, and none may be left over."""

    def __init__(self, path: str, body: object) -> None:
        if not isinstance(body, dict):
            _refuse(f"`{path}` is not an object")
        self.path = path
        # open_clip's own files write null for "the default"
        self.body = {key: value for key, value in body.items() if value is not None}

    def named(self, key: str) -> str:
        return f"`{self.path}.{key}`" if self.path else f"`{key}`"

    def section(self, key: str, *, optional: bool = False) -> _Section:
        if key not in self.body and not optional:
            _refuse(f"{self.named(key)} is missing")
        return _Section(f"{self.path}.{key}" if self.path else key, self.body.pop(key, {}))

    def whole(self, key: str, default: int | None, most: int, least: int = 1) -> int:
        value = self.body.pop(key, default)
        if value is None:
            _refuse(f"{self.named(key)} is missing")
        if type(value) is not int or value < least:
            _refuse(f"{self.named(key)} is not a whole number of at least {least}")
        if value > most:
            _too_large(self.named(key), value, most)
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.body.pop(key, default)
        if type(value) not in (int, float) or not least <= value <= most:
            _refuse(f"{self.named(key)} is not a number between {least:g} and {most:g}")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.body.pop(key, False)
        if type(value) is not bool:
            _refuse(f"{self.named(key)} is neither true nor false")
        return value

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.body.pop(key, default)
        if not isinstance(value, str):
            _refuse(f"{self.named(key)} is not a string")
        if value not in allowed:
            _unsupported(f"{self.named(key)} is {shown(value)}; known: {', '.join(allowed)}")
        return value

    def side(self, key: str, default: int, most: int, least: int = 1) -> int:
        """A square's side, written as one number or as two equal ones."""
        value = self.body.get(key)
        if isinstance(value, list):
            if len(value) != 2 or not all(type(item) is int for item in value):
                _refuse(f"{self.named(key)} is neither a whole number nor two of them")
            if value[0] != value[1]:
                _unsupported(f"{self.named(key)} is not square")
            self.body[key] = value[0]
        return self.whole(key, default, most, least)

    def only_off(self, *keys: str) -> None:
        """Options known to open_clip, absent or switched off; anything else cannot be audited."""
        for key in keys:
            if self.body.pop(key, None) not in (None, False, "", {}):
                _unsupported(f"{self.named(key)} is set")

    def ignore(self, *keys: str) -> None:
        """Options that change nothing in a loaded model that is only asked for embeddings."""
        for key in keys:
            self.body.pop(key, None)

    def finish(self) -> None:
        if self.body:
            _unsupported(f"unknown key {self.named(shown(sorted(self.body)[0]))}")


def _clip(model: _Section, preprocessing: _Section) -> ClipConfig:
    vision_section, text_section = model.section("vision_cfg"), model.section("text_cfg")
    model.only_off("multimodal_cfg", "cast_dtype")
    model.ignore("custom_text", "init_logit_scale", "nonscalar_logit_scale", "output_dict")
    logit_bias = "init_logit_bias" in model.body
    model.number("init_logit_bias", 0.0, -1000, 1000)
    embed_dim = model.whole("embed_dim", None, 8192)
    quick_gelu = model.flag("quick_gelu")
    model.finish()
    vision = _vision(vision_section)
    return ClipConfig(
        embed_dim,
        vision,
        _text(text_section),
        _preprocessing(preprocessing),
        quick_gelu=quick_gelu,
        logit_bias=logit_bias,
    )


_NO_EXTRAS = ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")
_TIMM_OPTIONS = ("pretrained", "pool", "proj", "proj_bias", "drop", "drop_path")


def _vision(section: _Section) -> VisionConfig:
    _no_timm(section)
    section.only_off("attentional_pool", "act_kwargs", "norm_kwargs", *_NO_EXTRAS)
    section.choice("block_type", "default", ("default",))
    section.choice("pos_embed_type", "learnable", ("learnable", "sin_cos_2d"))
    section.ignore("attn_pooler_queries", "attn_pooler_heads", "patch_dropout", "output_tokens")
    image_size = section.side("image_size", 224, 2048, least=16)
    head_width = section.whole("head_width", 64, 1024)
    mlp_ratio = section.number("mlp_ratio", 4.0, 0.25, 16)
    layer_scale = section.body.pop("ls_init_value", None) is not None
    no_ln_pre = section.flag("no_ln_pre")
    final_ln_after_pool = section.flag("final_ln_after_pool")
    pool = section.choice("pool_type", "tok", ("tok", "avg"))
    if isinstance(section.body.get("layers"), list):
        return _resnet(section, image_size, head_width)
    config = VisionConfig(
        image_size=image_size,
        width=section.whole("width", 768, 8192),
        head_width=head_width,
        layers=section.whole("layers", 12, 128),
        patch_size=section.side("patch_size", 16, 1024),
        mlp_ratio=mlp_ratio,
        layer_scale=layer_scale,
        no_ln_pre=no_ln_pre,
        final_ln_after_pool=final_ln_after_pool,
        pool=pool,
    )
    section.finish()
    if config.patch_size > config.image_size:
        _refuse(f"{section.named('patch_size')} is larger than the picture")
    if config.width < config.head_width or config.width % (config.width // config.head_width):
        _refuse(f"{section.named('width')} cannot be split into heads of {section.named('head_width')}")
    patches = _grid(config) ** 2
    if patches > MOST_PATCHES:
        _too_large(f"{section.named('image_size')} over {section.named('patch_size')}", patches, MOST_PATCHES)
    return config


def _no_timm(section: _Section) -> None:
    name = section.body.pop("timm_model_name", None)
    if name is not None and not isinstance(name, str):
        _refuse(f"{section.named('timm_model_name')} is not a string")
    if name and (":" in name or "/" in name or "\\" in name):
        _refuse(f"{section.named('timm_model_name')} names another place to load a model from: {shown(name)}")
    if name:
        _unsupported(f"the image tower is the timm model {shown(name)}; timm towers are not on the list of known ones")
    section.ignore(*(f"timm_{option}" for option in _TIMM_OPTIONS))


def _resnet(section: _Section, image_size: int, head_width: int) -> VisionConfig:
    stages = section.body.pop("layers")
    if len(stages) != 4 or not all(type(stage) is int and stage >= 1 for stage in stages):
        _refuse(f"{section.named('layers')} is not four whole numbers of at least 1")
    if sum(stages) > 512:
        _too_large(section.named("layers"), sum(stages), 512)
    section.ignore("patch_size")
    width = section.whole("width", 768, 1024)
    section.finish()
    if width % 2 or width * 32 < head_width or (width * 32) % (width * 32 // head_width):
        _refuse(f"{section.named('width')} cannot be split into heads of {section.named('head_width')}")
    if image_size % 32:
        _refuse(f"{section.named('image_size')} is not a multiple of 32, as this kind of image tower needs")
    return VisionConfig(image_size=image_size, width=width, head_width=head_width, stages=tuple(stages))


def _text(section: _Section) -> TextConfig:
    for key in ("hf_model_name", "hf_tokenizer_name"):
        name = section.body.pop(key, None)
        if name is not None and not isinstance(name, str):
            _refuse(f"{section.named(key)} is not a string")
        if name:
            _unsupported(
                f"{section.named(key)} names another repository, {shown(name)}; only the file's own weights are read"
            )
    section.only_off("tokenizer_kwargs", "tokenizer_mode", "embed_cls", "no_causal_mask", "proj_bias")
    section.only_off("act_kwargs", "norm_kwargs", *_NO_EXTRAS)
    section.choice("block_type", "default", ("default",))
    section.choice("pool_type", "argmax", ("argmax",))
    section.choice("proj_type", "linear", ("linear",))
    section.ignore("hf_model_pretrained", "hf_proj_type", "hf_pooler_type", "pad_id", "eos_id")
    section.ignore("output_tokens", "final_ln_after_pool")
    vocabulary = section.whole("vocab_size", CLIP_VOCABULARY, 1_000_000)
    if vocabulary != CLIP_VOCABULARY:
        _unsupported(f"{section.named('vocab_size')} is {vocabulary}; CLIP's tokenizer has {CLIP_VOCABULARY} tokens")
    config = TextConfig(
        context_length=section.whole("context_length", 77, 2048, least=3),
        width=section.whole("width", 512, 8192),
        heads=section.whole("heads", 8, 512),
        layers=section.whole("layers", 12, 128),
        mlp_ratio=section.number("mlp_ratio", 4.0, 0.25, 16),
        layer_scale=section.body.pop("ls_init_value", None) is not None,
    )
    section.finish()
    if config.width % config.heads:
        _refuse(f"{section.named('width')} is not a multiple of {section.named('heads')}")
    return config


def _preprocessing(section: _Section) -> Preprocessing:
    section.ignore("size")  # open_clip, too, takes the image tower's own size
    section.choice("mode", "RGB", ("RGB",))
    interpolation = section.choice("interpolation", "bicubic", ("bicubic", "bilinear", "random"))
    made = Preprocessing(
        mean=_three(section, "mean", OPENAI_MEAN, lambda value: -10 <= value <= 10),
        std=_three(section, "std", OPENAI_STD, lambda value: 0.001 <= value <= 100),
        interpolation="bicubic" if interpolation == "random" else interpolation,  # as open_clip does outside training
        resize_mode=section.choice("resize_mode", "shortest", ("shortest", "longest", "squash")),
        fill_color=section.whole("fill_color", 0, 255, least=0),
    )
    section.finish()
    return made


def _three(
    section: _Section, key: str, default: tuple[float, float, float], fits: Callable[[float], bool]
) -> tuple[float, float, float]:
    value = section.body.pop(key, list(default))
    values = value if isinstance(value, list) else [value] * 3
    if len(values) != 3 or not all(type(item) in (int, float) and fits(item) for item in values):
        _refuse(f"{section.named(key)} is not three numbers in the possible range")
    return float(values[0]), float(values[1]), float(values[2])


# --- what follows from a configuration ------------------------------------------------------------------------


def _grid(vision: VisionConfig) -> int:
    return vision.image_size // (32 if vision.stages else vision.patch_size)


def model_arguments(config: ClipConfig) -> dict[str, Any]:
    """Arguments of `open_clip.model.CLIP` for `config`, made only from checked numbers."""
    vision, text = config.vision, config.text
    image: dict[str, Any] = {"image_size": vision.image_size, "width": vision.width, "head_width": vision.head_width}
    if vision.stages:
        image["layers"] = list(vision.stages)
    else:
        image |= {
            "layers": vision.layers,
            "patch_size": vision.patch_size,
            "mlp_ratio": vision.mlp_ratio,
            "ls_init_value": 1.0 if vision.layer_scale else None,
            "no_ln_pre": vision.no_ln_pre,
            "final_ln_after_pool": vision.final_ln_after_pool,
            "pool_type": vision.pool,
        }
    words = {
        "context_length": text.context_length,
        "vocab_size": CLIP_VOCABULARY,
        "width": text.width,
        "heads": text.heads,
        "layers": text.layers,
        "mlp_ratio": text.mlp_ratio,
        "ls_init_value": 1.0 if text.layer_scale else None,
    }
    return {
        "embed_dim": config.embed_dim,
        "vision_cfg": image,
        "text_cfg": words,
        "quick_gelu": config.quick_gelu,
        "init_logit_bias": 0.0 if config.logit_bias else None,
    }


def expected_tensors(config: ClipConfig) -> Shapes:
    """Name and shape of every tensor open_clip's `CLIP` of this configuration has, in no particular order.

    >>> tiny = VisionConfig(image_size=32, width=64, head_width=32, layers=1, patch_size=16)
    >>> text = TextConfig(context_length=16, width=32, heads=2, layers=1)
    >>> expected_tensors(ClipConfig(48, tiny, text, Preprocessing()))["visual.proj"]
    (64, 48)
    """
    text = config.text
    shapes: Shapes = {
        "logit_scale": (),
        "positional_embedding": (text.context_length, text.width),
        "text_projection": (text.width, config.embed_dim),
        "token_embedding.weight": (CLIP_VOCABULARY, text.width),
        **_blocks("transformer", text.layers, text.width, text.mlp_ratio, text.layer_scale),
        **_affine("ln_final", text.width),
    }
    if config.logit_bias:
        shapes["logit_bias"] = ()
    shapes |= _resnet_tensors(config) if config.vision.stages else _vit_tensors(config)
    return shapes


def _affine(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _linear(name: str, out: int, into: int) -> Shapes:
    return {f"{name}.weight": (out, into), f"{name}.bias": (out,)}


def _blocks(name: str, layers: int, width: int, mlp_ratio: float, layer_scale: bool) -> Shapes:
    shapes: Shapes = {}
    inner = int(width * mlp_ratio)
    for layer in range(layers):
        block = f"{name}.resblocks.{layer}"
        shapes |= _affine(f"{block}.ln_1", width) | _affine(f"{block}.ln_2", width)
        shapes |= {f"{block}.attn.in_proj_weight": (3 * width, width), f"{block}.attn.in_proj_bias": (3 * width,)}
        shapes |= _linear(f"{block}.attn.out_proj", width, width)
        shapes |= _linear(f"{block}.mlp.c_fc", inner, width) | _linear(f"{block}.mlp.c_proj", width, inner)
        if layer_scale:
            shapes |= {f"{block}.ls_1.gamma": (width,), f"{block}.ls_2.gamma": (width,)}
    return shapes


def _vit_tensors(config: ClipConfig) -> Shapes:
    vision, width = config.vision, config.vision.width
    return {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (_grid(vision) ** 2 + 1, width),
        "visual.proj": (width, config.embed_dim),
        "visual.conv1.weight": (width, 3, vision.patch_size, vision.patch_size),
        **({} if vision.no_ln_pre else _affine("visual.ln_pre", width)),
        **_blocks("visual.transformer", vision.layers, width, vision.mlp_ratio, vision.layer_scale),
        **_affine("visual.ln_post", width),
    }


def _conv_norm(conv: str, norm: str, out: int, into: int, kernel: int) -> Shapes:
    return {
        f"{conv}.weight": (out, into, kernel, kernel),
        **_affine(norm, out),
        f"{norm}.running_mean": (out,),
        f"{norm}.running_var": (out,),
        f"{norm}.num_batches_tracked": (),
    }


def _resnet_tensors(config: ClipConfig) -> Shapes:
    vision, width = config.vision, config.vision.width
    shapes = _conv_norm("visual.conv1", "visual.bn1", width // 2, 3, 3)
    shapes |= _conv_norm("visual.conv2", "visual.bn2", width // 2, width // 2, 3)
    shapes |= _conv_norm("visual.conv3", "visual.bn3", width, width // 2, 3)
    into = width
    for stage, blocks in enumerate(vision.stages):
        planes = width * 2**stage
        for block in range(blocks):
            shapes |= _bottleneck(f"visual.layer{stage + 1}.{block}", into, planes, halved=stage > 0 and block == 0)
            into = planes * 4
    pool = "visual.attnpool"
    shapes[f"{pool}.positional_embedding"] = (_grid(vision) ** 2 + 1, into)
    for name in ("k_proj", "q_proj", "v_proj"):
        shapes |= _linear(f"{pool}.{name}", into, into)
    return shapes | _linear(f"{pool}.c_proj", config.embed_dim, into)


def _bottleneck(name: str, into: int, planes: int, *, halved: bool) -> Shapes:
    shapes = _conv_norm(f"{name}.conv1", f"{name}.bn1", planes, into, 1)
    shapes |= _conv_norm(f"{name}.conv2", f"{name}.bn2", planes, planes, 3)
    shapes |= _conv_norm(f"{name}.conv3", f"{name}.bn3", planes * 4, planes, 1)
    if halved or into != planes * 4:
        shapes |= _conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", planes * 4, into, 1)
    return shapes
