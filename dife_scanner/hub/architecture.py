"""What an open_clip configuration says of a checkpoint's architecture, in a line for people. Pure.

Nothing is decided here about what is wrong in a configuration: the intake reads it again, before any weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dife_scanner.core.plain import plain
from dife_scanner.hub.small_json import json_object, section

_BEYOND_ANY_WIDTH = 10**9
"""No width, depth or size is that large; longer numbers would only fill the line."""


def described(raw: bytes) -> str:
    """The architecture in short, or empty where only the intake can tell, as for broken JSON.

    `raw` is an `open_clip_config.json`. The defaults are those of open_clip.
    """
    model = section(json_object(raw), "model_cfg")
    vision = section(model, "vision_cfg")
    text = section(model, "text_cfg")
    timm = vision.get("timm_model_name")
    if isinstance(timm, str) and timm:
        return f"timm {plain(timm, 80)}"
    if not vision or not text or text.get("hf_model_name"):
        return ""
    parts = [_image_tower(vision), _text_tower(text), f"embed {_number(model, 'embed_dim', None)}"]
    if model.get("quick_gelu") is True:
        parts.append("quick_gelu")
    line = " · ".join(parts)
    return "" if "?" in line else line


def _image_tower(vision: Mapping[str, Any]) -> str:
    size = _number(vision, "image_size", 224)
    width = _number(vision, "width", 768)
    stages = vision.get("layers")
    # Four depths instead of one: a ResNet.
    if (
        isinstance(stages, list)
        and len(stages) == 4
        and all(type(stage) is int for stage in stages)
    ):
        blocks = "-".join(str(stage) for stage in stages)
        return f"RN {size} {blocks} w{width}"
    return (
        f"ViT {size}/{_number(vision, 'patch_size', 16)} w{width} d{_number(vision, 'layers', 12)}"
    )


def _text_tower(text: Mapping[str, Any]) -> str:
    tower = f"text w{_number(text, 'width', 512)} d{_number(text, 'layers', 12)}"
    context = _number(text, "context_length", 77)
    if context != "77":
        tower += f" c{context}"
    return tower


def _number(section: Mapping[str, Any], key: str, default: int | None) -> str:
    """A whole number (or the side of a square) as text; `?` for anything else."""
    value = section.get(key, default)
    if isinstance(value, list) and len(value) == 2 and value[0] == value[1]:
        value = value[0]
    if type(value) is int and 0 <= value < _BEYOND_ANY_WIDTH:
        return str(value)
    return "?"
