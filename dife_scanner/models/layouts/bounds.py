"""Sizes beyond which no configuration is followed: it is a stranger's, and could ask for any.

Each is at least twice that of the largest model in open_clip's registry (ViT-e-14: width 1792, 56 layers; SigLIP2: 512
pixels, embed_dim 1536, 256,000 tokens), so that no honest model meets one.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from dife_scanner.models.config import VisionConfig
from dife_scanner.models.layouts.json_section import Section

MOST_WIDTH = 8192
MOST_LAYERS = 128
MOST_HEADS = 512
MOST_HEAD_WIDTH = 1024
MOST_IMAGE_SIDE = 2048
LEAST_IMAGE_SIDE = 16
MOST_PATCH_SIDE = 1024
MOST_PATCHES = 16_384
MOST_CONTEXT = 2048
LEAST_CONTEXT = 3
"""Start, end, and one token between them."""
MOST_VOCABULARY = 1_000_000
MOST_RESNET_WIDTH = 1024
MOST_RESNET_BLOCKS = 512
LEAST_MLP_RATIO, MOST_MLP_RATIO = 0.25, 16
LEAST_NORM_EPS, MOST_NORM_EPS = 0, 1

RESNET_SHRINKS = 32
"""A ModifiedResNet halves the picture five times, so its side has to be a multiple of this; its last stage is also so
many times as wide as its first."""


def check_transformer(config: VisionConfig, section: Section) -> None:
    """Raise what is wrong with a vision transformer of `config`, read from `section`."""
    if config.patch_size > config.image_size:
        section.wrong_key("patch_size", "is larger than the picture")
    check_heads(section, config.width, config.head_width)
    patches = config.grid**2
    if patches > MOST_PATCHES:
        section.too_large(
            f"{section.named('image_size')} over {section.named('patch_size')}",
            patches,
            MOST_PATCHES,
        )


def check_heads(section: Section, width: int, head_width: int) -> None:
    """open_clip makes width // head_width heads, and their number has to divide the width."""
    heads = width // head_width
    if heads == 0 or width % heads:
        section.wrong_key("width", f"cannot be split into heads of {section.named('head_width')}")
