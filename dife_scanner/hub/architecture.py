"""What a configuration says of a checkpoint's architecture, in a line for people. Pure.

Nothing is decided here about what is wrong in a configuration: the intake reads it again, before any weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dife_scanner.hub.small_json import json_object, section, text

_BEYOND_ANY_WIDTH = 10**9
"""No width, depth or size is that large; longer numbers would only fill the line."""
_CLIP = {
    "vision": {"image_size": 224, "patch_size": 32, "hidden_size": 768, "num_hidden_layers": 12},
    "text": {"hidden_size": 512, "num_hidden_layers": 12, "max_position_embeddings": 77},
}
"""What transformers takes where a configuration says nothing."""
_SIGLIP = {
    "vision": {"image_size": 224, "patch_size": 16, "hidden_size": 768, "num_hidden_layers": 12},
    "text": {"hidden_size": 768, "num_hidden_layers": 12, "max_position_embeddings": 64},
}
_NAMES = {
    "image_size": "image_size",
    "patch_size": "patch_size",
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "max_position_embeddings": "context_length",
}
"""What open_clip calls them."""


def described(raw: bytes) -> str:
    """The architecture in short, or empty where only the intake can tell, as for broken JSON.

    `raw` is an `open_clip_config.json` or a `config.json`. The defaults are those of the library.
    """
    body = json_object(raw)
    line = _open_clip(section(body, "model_cfg")) or _transformers(body)
    return "" if "?" in line else line


def _open_clip(model: Mapping[str, Any]) -> str:
    vision = section(model, "vision_cfg")
    tower = section(model, "text_cfg")
    timm = text(vision, "timm_model_name")
    if timm:
        return f"timm {timm}"
    if not vision or not tower or tower.get("hf_model_name"):
        return ""
    parts = [_image_tower(vision), _text_tower(tower), f"embed {_number(model, 'embed_dim', None)}"]
    if model.get("quick_gelu") is True:
        parts.append("quick_gelu")
    return " · ".join(parts)


def _transformers(body: Mapping[str, Any]) -> str:
    """A `config.json` in the words of open_clip: each tower that it describes."""
    kind = text(body, "model_type")
    if not kind and text(body, "architecture"):
        return f"timm {text(body, 'architecture')}"
    if not kind.startswith(("clip", "siglip")):
        return ""
    defaults = _SIGLIP if kind.startswith("siglip") else _CLIP
    whole = "_" not in kind
    parts: list[str] = []
    if whole or "vision" in kind:
        vision = section(body, "vision_config") if whole else body
        parts.append(_image_tower(_renamed(vision, defaults["vision"])))
    if whole or "text" in kind:
        tower = section(body, "text_config") if whole else body
        parts.append(_text_tower(_renamed(tower, defaults["text"])))
    if whole and kind == "clip":
        parts.append(f"embed {_number(body, 'projection_dim', 512)}")
        if section(body, "vision_config").get("hidden_act", "quick_gelu") == "quick_gelu":
            parts.append("quick_gelu")
    return " · ".join(parts)


def _renamed(tower: Mapping[str, Any], defaults: Mapping[str, int]) -> dict[str, Any]:
    """The settings of a tower under open_clip's names."""
    return {_NAMES[key]: tower.get(key, default) for key, default in defaults.items()}


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


def _text_tower(settings: Mapping[str, Any]) -> str:
    tower = f"text w{_number(settings, 'width', 512)} d{_number(settings, 'layers', 12)}"
    context = _number(settings, "context_length", 77)
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
