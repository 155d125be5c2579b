"""What follows from a checked configuration: open_clip's constructor arguments, and name and shape of every tensor.

Names are those of open_clip's `CLIP`, whatever the file calls its tensors (see `layouts`).

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from typing import Any

from dife_scanner.models import timm_trunks
from dife_scanner.models.config import (
    ClipConfig,
    TextConfig,
    VisionConfig,
)
from dife_scanner.models.shapes import Shapes, affine, linear

INTERPOLATED = frozenset({"visual.positional_embedding", "positional_embedding"})
"""Position embeddings [n, w] that open_clip brings to the number of positions of the configuration."""

SCALE = "logit_scale"
"""Logarithm of what scores are multiplied by; it belongs to neither tower, and no embedding depends on it."""


def is_of_image(name: str) -> bool:
    """Whether a tensor of open_clip's `CLIP` belongs to the image tower, its projection included."""
    return name.startswith("visual.")


# --- constructor arguments ------------------------------------------------------------------------------------


def model_arguments(config: ClipConfig) -> dict[str, Any]:
    """Arguments of `open_clip.model.CLIP` for `config`, made only from checked numbers."""
    return {
        "embed_dim": config.embed_dim,
        "vision_cfg": _vision_arguments(config.vision),
        "text_cfg": _text_arguments(config.text),
        "quick_gelu": config.quick_gelu,
    }


def _vision_arguments(vision: VisionConfig) -> dict[str, Any]:
    if vision.trunk:
        return {"timm_trunk": timm_trunks.arguments(vision)}
    arguments: dict[str, Any] = {
        "image_size": vision.image_size,
        "width": vision.width,
        "head_width": vision.head_width,
    }
    if vision.stages:
        return arguments | {"layers": list(vision.stages)}
    return arguments | {
        "layers": vision.layers,
        "patch_size": vision.patch_size,
        "mlp_ratio": vision.mlp_ratio,
        "ls_init_value": _layer_scale(vision.layer_scale),
        "no_ln_pre": vision.no_ln_pre,
        "final_ln_after_pool": vision.final_ln_after_pool,
        "pool_type": vision.pool,
        **_layer_arguments(vision),
    }


def _text_arguments(text: TextConfig) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "context_length": text.context_length,
        "vocab_size": text.vocabulary,
        "width": text.width,
        "heads": text.heads,
        "layers": text.layers,
        "mlp_ratio": text.mlp_ratio,
        "ls_init_value": _layer_scale(text.layer_scale),
        **_layer_arguments(text),
    }
    if not text.causal:
        arguments["no_causal_mask"] = True
    if text.reads != "argmax":
        arguments["pool_type"] = text.reads
    options: dict[str, Any] = {}
    if text.cleaning:
        options["clean"] = text.cleaning
    if text.strip_sep:
        options["strip_sep_token"] = True
    if options:
        arguments["tokenizer_kwargs"] = options
    if text.projection == "linear":
        arguments["proj_bias"] = True
    if text.projection == "none":
        arguments["proj_type"] = "none"
    return arguments


def _layer_arguments(tower: VisionConfig | TextConfig) -> dict[str, Any]:
    """How normalisation and activation deviate from torch's own."""
    arguments: dict[str, Any] = {}
    if tower.norm_eps is not None:
        arguments["norm_kwargs"] = {"eps": tower.norm_eps}
    if tower.gelu_tanh:
        arguments["act_kwargs"] = {"approximate": "tanh"}
    return arguments


def _layer_scale(used: bool) -> float | None:
    """Any number makes open_clip build layer scales; their values come from the file."""
    return 1.0 if used else None


# --- names and shapes -----------------------------------------------------------------------------------------


def expected_tensors(config: ClipConfig) -> Shapes:
    """Name and shape of every tensor open_clip's `CLIP` of this configuration has, in no particular order.

    >>> from dife_scanner.models.config import Preprocessing
    >>> tiny = VisionConfig(image_size=32, width=64, head_width=32, layers=1, patch_size=16)
    >>> text = TextConfig(context_length=16, width=32, heads=2, layers=1)
    >>> expected_tensors(ClipConfig(48, tiny, text, Preprocessing()))["visual.proj"]
    (64, 48)
    """
    shapes = {"logit_scale": ()} | _text_tensors(config.text, config.embed_dim)
    if config.vision.trunk:
        shapes |= timm_trunks.expected(config.vision, config.embed_dim)
    elif config.vision.stages:
        shapes |= _resnet_tensors(config.vision, config.embed_dim)
    else:
        shapes |= _vit_tensors(config.vision, config.embed_dim)
    return shapes


def same_shapes(one: ClipConfig, other: ClipConfig) -> bool:
    """Whether the tensors of both have the same names and shapes, so that either's weights fit the other's settings.

    The number of positions counts for nothing: open_clip interpolates position embeddings when it loads them.
    """
    return _but_positions(one) == _but_positions(other)


def _but_positions(config: ClipConfig) -> Shapes:
    shapes = expected_tensors(config)
    for name in INTERPOLATED & shapes.keys():
        shapes[name] = shapes[name][1:]
    return shapes


def _text_tensors(text: TextConfig, embed_dim: int) -> Shapes:
    shapes: Shapes = {
        "positional_embedding": (text.context_length, text.width),
        "token_embedding.weight": (text.vocabulary, text.width),
    }
    if text.projection == "matrix":
        shapes["text_projection"] = (text.width, embed_dim)
    if text.projection == "linear":
        shapes |= linear("text_projection", embed_dim, text.width)
    shapes |= _transformer("transformer", text.layers, text.width, text.mlp_ratio, text.layer_scale)
    shapes |= affine("ln_final", text.width)
    return shapes


def _vit_tensors(vision: VisionConfig, embed_dim: int) -> Shapes:
    width = vision.width
    shapes: Shapes = {
        "visual.class_embedding": (width,),
        "visual.positional_embedding": (_positions(vision), width),
        "visual.proj": (width, embed_dim),
        "visual.conv1.weight": (width, 3, vision.patch_size, vision.patch_size),
    }
    if not vision.no_ln_pre:
        shapes |= affine("visual.ln_pre", width)
    shapes |= _transformer(
        "visual.transformer",
        vision.layers,
        width,
        vision.mlp_ratio,
        vision.layer_scale,
    )
    shapes |= affine("visual.ln_post", width)
    return shapes


def _positions(vision: VisionConfig) -> int:
    """One for each patch, and one for the class token or the mean that is pooled."""
    return vision.grid**2 + 1


def _transformer(name: str, layers: int, width: int, mlp_ratio: float, layer_scale: bool) -> Shapes:
    shapes: Shapes = {}
    for layer in range(layers):
        block = f"{name}.resblocks.{layer}"
        shapes |= _block(block, width, int(width * mlp_ratio))
        if layer_scale:
            shapes |= _layer_scales(block, width)
    return shapes


def _layer_scales(block: str, width: int) -> Shapes:
    return {f"{block}.ls_1.gamma": (width,), f"{block}.ls_2.gamma": (width,)}


def _block(block: str, width: int, inner_width: int) -> Shapes:
    shapes = affine(f"{block}.ln_1", width)
    shapes |= affine(f"{block}.ln_2", width)
    shapes |= _attention(f"{block}.attn", width)
    shapes |= _mlp(f"{block}.mlp", width, inner_width)
    return shapes


def _attention(name: str, width: int) -> Shapes:
    # queries, keys and values in one matrix
    shapes: Shapes = {
        f"{name}.in_proj_weight": (3 * width, width),
        f"{name}.in_proj_bias": (3 * width,),
    }
    return shapes | linear(f"{name}.out_proj", width, width)


def _mlp(name: str, width: int, inner_width: int) -> Shapes:
    shapes = linear(f"{name}.c_fc", inner_width, width)
    return shapes | linear(f"{name}.c_proj", width, inner_width)


def _resnet_tensors(vision: VisionConfig, embed_dim: int) -> Shapes:
    shapes = _stem(vision.width)
    channels = vision.width
    for stage, blocks in enumerate(vision.stages):
        planes = vision.width * 2**stage
        for block in range(blocks):
            halved = stage > 0 and block == 0
            shapes |= _bottleneck(f"visual.layer{stage + 1}.{block}", channels, planes, halved)
            channels = planes * 4
    return shapes | _attention_pool("visual.attnpool", channels, _positions(vision), embed_dim)


def _stem(width: int) -> Shapes:
    half = width // 2
    shapes = _conv_norm("visual.conv1", "visual.bn1", half, 3, 3)
    shapes |= _conv_norm("visual.conv2", "visual.bn2", half, half, 3)
    shapes |= _conv_norm("visual.conv3", "visual.bn3", width, half, 3)
    return shapes


def _bottleneck(name: str, channels: int, planes: int, halved: bool) -> Shapes:
    """`halved`: the block halves the picture, so that its shortcut is a convolution as well."""
    out = planes * 4
    shapes = _conv_norm(f"{name}.conv1", f"{name}.bn1", planes, channels, 1)
    shapes |= _conv_norm(f"{name}.conv2", f"{name}.bn2", planes, planes, 3)
    shapes |= _conv_norm(f"{name}.conv3", f"{name}.bn3", out, planes, 1)
    if halved or channels != out:
        shapes |= _conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", out, channels, 1)
    return shapes


def _attention_pool(name: str, channels: int, positions: int, embed_dim: int) -> Shapes:
    shapes: Shapes = {f"{name}.positional_embedding": (positions, channels)}
    for projection in ("k_proj", "q_proj", "v_proj"):
        shapes |= linear(f"{name}.{projection}", channels, channels)
    return shapes | linear(f"{name}.c_proj", embed_dim, channels)


def _conv_norm(conv: str, norm: str, out: int, into: int, kernel: int) -> Shapes:
    """A convolution without bias and the batch normalisation behind it."""
    shapes: Shapes = {f"{conv}.weight": (out, into, kernel, kernel)}
    return shapes | affine(norm, out) | _running_statistics(norm, out)


def _running_statistics(norm: str, width: int) -> Shapes:
    return {
        f"{norm}.running_mean": (width,),
        f"{norm}.running_var": (width,),
        f"{norm}.num_batches_tracked": (),
    }
