"""Image towers of timm that are read: a closed list of names, and the numbers and tensors behind each.

Numbers are those of timm 1.0.31 (`timm.models.vision_transformer`, `timm.models.convnext`). A tower is built from its
numbers and never by its name, which a stranger wrote.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import re
from typing import Any

from dife_scanner.models.config import ATTENTION_POOLED, CONVNEXT, VisionConfig
from dife_scanner.models.shapes import Shapes, affine, linear

EPS = 1e-6
"""Of every norm in these towers."""
HEADS = ("", "linear", "mlp")
FAMILIES = (ATTENTION_POOLED, CONVNEXT)

_VIT = re.compile(r"vit_(base|large|so400m|giantopt)_patch(\d{2})_siglip_(\d{3})")
_VITS = {
    "base": (768, 12, 12, 4.0),
    "large": (1024, 24, 16, 4.0),
    "so400m": (1152, 27, 16, 3.7362),
    "giantopt": (1536, 40, 16, 4.0),
}
"""Width, layers, heads and the inner width over the outer one."""
_WITH_TANH = frozenset(
    {
        "vit_base_patch32_siglip_256",
        "vit_large_patch16_siglip_512",
        "vit_so400m_patch16_siglip_256",
        "vit_so400m_patch16_siglip_384",
        "vit_so400m_patch16_siglip_512",
        "vit_giantopt_patch16_siglip_256",
        "vit_giantopt_patch16_siglip_384",
    }
)
"""Those whose GELU is approximated by a tanh."""
_CONVNEXTS = {
    "convnext_tiny": ((3, 3, 9, 3), 96),
    "convnext_small": ((3, 3, 27, 3), 96),
    "convnext_base": ((3, 3, 27, 3), 128),
    "convnext_large": ((3, 3, 27, 3), 192),
    "convnext_xlarge": ((3, 3, 27, 3), 256),
    "convnext_xxlarge": ((3, 4, 30, 3), 384),
}
"""Blocks of each stage, and the first stage's width, which doubles from stage to stage."""
_KERNEL = 7
_STEM = 4
"""Pixels that become one position of the first stage, along a side."""


def named(name: str, image_size: int, head: str, head_bias: bool) -> VisionConfig | None:
    """The tower that timm builds under this name, or `None` where it is not on the list."""
    found = _VIT.fullmatch(name)
    if found:
        width, layers, heads, mlp_ratio = _VITS[found[1]]
        return VisionConfig(
            image_size=int(found[3]),
            width=width,
            head_width=width // heads,
            layers=layers,
            patch_size=int(found[2]),
            mlp_ratio=mlp_ratio,
            gelu_tanh=name in _WITH_TANH,
            trunk=ATTENTION_POOLED,
            head=head,
            head_bias=head_bias,
        )
    if name in _CONVNEXTS:
        stages, width = _CONVNEXTS[name]
        return VisionConfig(
            image_size=image_size,
            width=width,
            head_width=1,
            stages=stages,
            trunk=CONVNEXT,
            head=head,
            head_bias=head_bias,
            norm_eps=1e-5 if name == "convnext_xxlarge" else None,
        )
    return None


def arguments(vision: VisionConfig) -> dict[str, Any]:
    """The tower as the canonical configuration describes it."""
    body: dict[str, Any] = {
        "family": vision.trunk,
        "image_size": vision.image_size,
        "width": vision.width,
        "head": vision.head,
        "head_bias": vision.head_bias,
    }
    if vision.norm_eps is not None:
        body["norm_eps"] = vision.norm_eps
    if vision.trunk == CONVNEXT:
        return body | {"stages": list(vision.stages)}
    return body | {
        "layers": vision.layers,
        "patch_size": vision.patch_size,
        "head_width": vision.head_width,
        "mlp_ratio": vision.mlp_ratio,
        "gelu_tanh": vision.gelu_tanh,
    }


# --- tensors --------------------------------------------------------------------------------------------------


def features(vision: VisionConfig) -> int:
    """Values that the trunk gives the head."""
    if vision.trunk == CONVNEXT:
        return int(vision.width * 2 ** (len(vision.stages) - 1))
    return vision.width


def expected(vision: VisionConfig, embed_dim: int) -> Shapes:
    """Name and shape of every tensor of the image tower, as open_clip's `TimmModel` has them."""
    trunk = _convnext(vision) if vision.trunk == CONVNEXT else _attention_pooled(vision)
    return trunk | _head(vision, embed_dim)


def _head(vision: VisionConfig, embed_dim: int) -> Shapes:
    width = features(vision)
    if vision.head == "linear":
        shapes = linear("visual.head.proj", embed_dim, width)
        if not vision.head_bias:
            del shapes["visual.head.proj.bias"]
        return shapes
    if vision.head == "mlp":
        shapes = linear("visual.head.mlp.fc1", 2 * embed_dim, width)
        shapes |= linear("visual.head.mlp.fc2", embed_dim, 2 * embed_dim)
        if not vision.head_bias:
            del shapes["visual.head.mlp.fc2.bias"]
        return shapes
    return {}


def _attention_pooled(vision: VisionConfig) -> Shapes:
    width = vision.width
    inner = int(width * vision.mlp_ratio)
    side = vision.patch_size
    trunk = "visual.trunk"
    shapes: Shapes = {
        f"{trunk}.pos_embed": (1, vision.grid**2, width),
        f"{trunk}.patch_embed.proj.weight": (width, 3, side, side),
        f"{trunk}.patch_embed.proj.bias": (width,),
        f"{trunk}.attn_pool.latent": (1, 1, width),
    }
    for layer in range(vision.layers):
        block = f"{trunk}.blocks.{layer}"
        shapes |= affine(f"{block}.norm1", width) | affine(f"{block}.norm2", width)
        shapes |= linear(f"{block}.attn.qkv", 3 * width, width)
        shapes |= linear(f"{block}.attn.proj", width, width)
        shapes |= _mlp(f"{block}.mlp", width, inner)
    shapes |= affine(f"{trunk}.norm", width)
    pool = f"{trunk}.attn_pool"
    shapes |= linear(f"{pool}.q", width, width) | linear(f"{pool}.kv", 2 * width, width)
    shapes |= linear(f"{pool}.proj", width, width) | affine(f"{pool}.norm", width)
    return shapes | _mlp(f"{pool}.mlp", width, inner)


def _mlp(name: str, width: int, inner: int) -> Shapes:
    return linear(f"{name}.fc1", inner, width) | linear(f"{name}.fc2", width, inner)


def _convnext(vision: VisionConfig) -> Shapes:
    width = vision.width
    trunk = "visual.trunk"
    shapes: Shapes = {
        f"{trunk}.stem.0.weight": (width, 3, _STEM, _STEM),
        f"{trunk}.stem.0.bias": (width,),
    }
    shapes |= affine(f"{trunk}.stem.1", width)
    before = width
    for stage, blocks in enumerate(vision.stages):
        channels = width * 2**stage
        name = f"{trunk}.stages.{stage}"
        if stage > 0:
            shapes |= affine(f"{name}.downsample.0", before)
            shapes[f"{name}.downsample.1.weight"] = (channels, before, 2, 2)
            shapes[f"{name}.downsample.1.bias"] = (channels,)
        for block in range(blocks):
            shapes |= _convnext_block(f"{name}.blocks.{block}", channels)
        before = channels
    return shapes | affine(f"{trunk}.head.norm", before)


def _convnext_block(name: str, channels: int) -> Shapes:
    shapes: Shapes = {
        f"{name}.gamma": (channels,),
        f"{name}.conv_dw.weight": (channels, 1, _KERNEL, _KERNEL),
        f"{name}.conv_dw.bias": (channels,),
    }
    return shapes | affine(f"{name}.norm", channels) | _mlp(f"{name}.mlp", channels, 4 * channels)
