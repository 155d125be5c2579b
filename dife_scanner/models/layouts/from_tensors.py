"""The architecture of a checkpoint that comes without a configuration, from the shapes of its tensors.

What no shape shows is as OpenAI built its models: heads of 64 values, the activation quick GELU, pictures normalised by
its mean and deviation. So does open_clip with a bare state dict (`build_model_from_openai_state_dict`, 3.3.0).

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from dife_scanner.errors import Unsupported
from dife_scanner.models.config import CLIP_VOCABULARY, TextConfig, VisionConfig
from dife_scanner.models.layouts.places import Described

_HEAD_WIDTH = 64
_WIDER_HEADS = {1280: 80, 1408: 88, 1664: 104, 1792: 112}
"""Values of a head by the image tower's width, in the larger models of open_clip's registry (ViT-H, g, bigG, e)."""
_BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d{1,4})\.")
_STAGE = re.compile(r"visual\.layer([1-4])\.(\d{1,4})\.")
_ADVICE = "put its configuration next to it"

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes by the names of open_clip's `CLIP`."""


def describe(shapes: Shapes, file: str) -> Described:
    """The towers that tensors of these shapes make. Raises `Unsupported` where they make none."""
    vision = _vision(shapes, file)
    text = _text(shapes, file)
    if vision is None and text is None:
        raise Unsupported(
            f"{file} holds no tower of a CLIP and no configuration came with it", _ADVICE
        )
    return Described(
        vision=vision,
        text=text,
        embed_dim=_embed_dim(shapes),
        image_quick_gelu=None if vision is None else True,
        text_quick_gelu=None if text is None else True,
    )


def _embed_dim(shapes: Shapes) -> int | None:
    for name in ("text_projection", "visual.proj"):
        if len(shapes.get(name, ())) == 2:
            return shapes[name][1]
    return None


def _vision(shapes: Shapes, file: str) -> VisionConfig | None:
    if "visual.layer1.0.conv1.weight" in shapes:
        return _resnet(shapes, file)
    kernel = shapes.get("visual.conv1.weight", ())
    positions = shapes.get("visual.positional_embedding", ())
    if len(kernel) != 4 or len(positions) != 2 or positions[0] < 2:
        return None
    width = kernel[0]
    grid = math.isqrt(positions[0] - 1)
    return VisionConfig(
        image_size=kernel[2] * grid,
        width=width,
        head_width=_WIDER_HEADS.get(width) or _head_width(width, file),
        layers=_layers(shapes, "visual."),
        patch_size=kernel[2],
        mlp_ratio=_mlp_ratio(shapes, "visual.", width),
    )


def _resnet(shapes: Shapes, file: str) -> VisionConfig:
    (width, *_) = shapes["visual.layer1.0.conv1.weight"] or (0,)
    positions = shapes.get("visual.attnpool.positional_embedding", ())
    if len(positions) != 2 or positions[0] < 2 or width < 1:
        raise Unsupported(f"{file} holds a residual network without CLIP's attention pooling", "")
    blocks = [0, 0, 0, 0]
    for name in shapes:
        stage = _STAGE.match(name)
        if stage:
            number = int(stage[1]) - 1
            blocks[number] = max(blocks[number], int(stage[2]) + 1)
    return VisionConfig(
        image_size=32 * math.isqrt(positions[0] - 1),
        width=width,
        head_width=_HEAD_WIDTH,
        stages=tuple(blocks),
    )


def _text(shapes: Shapes, file: str) -> TextConfig | None:
    positions = shapes.get("positional_embedding", ())
    if len(positions) != 2 or "token_embedding.weight" not in shapes:
        return None
    context, width = positions
    rows = shapes["token_embedding.weight"][:1]
    return TextConfig(
        context_length=context,
        width=width,
        heads=width // _head_width(width, file),
        layers=_layers(shapes, ""),
        mlp_ratio=_mlp_ratio(shapes, "", width),
        vocabulary=rows[0] if rows else CLIP_VOCABULARY,
    )


def _head_width(width: int, file: str) -> int:
    if width < _HEAD_WIDTH or width % _HEAD_WIDTH:
        raise Unsupported(
            f"{file} has a tower of width {width}, and no configuration says how many heads it has",
            _ADVICE,
        )
    return _HEAD_WIDTH


def _layers(shapes: Shapes, tower: str) -> int:
    numbers = {-1}
    for name in shapes:
        block = _BLOCK.match(name)
        if block and (block[1] or "") == tower:
            numbers.add(int(block[2]))
    return max(numbers) + 1


def _mlp_ratio(shapes: Shapes, tower: str, width: int) -> float:
    inner = shapes.get(f"{tower}transformer.resblocks.0.mlp.c_fc.weight", ())
    return inner[0] / width if inner else 4.0
