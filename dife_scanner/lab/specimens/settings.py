"""A checkpoint's configuration with one setting changed that no tensor's shape shows: what may be tried as an escape.

Each setting has a place in `open_clip_config.json` and another value than the one that stands there.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

Section = dict[str, Any]
Another = Callable[[Section], Any]
"""Another value for a key, from the section that it stands in."""

_VISION = "model_cfg.vision_cfg"
_TEXT = "model_cfg.text_cfg"
_PICTURES = "preprocess_cfg"


def _constant(value: Any) -> Another:
    return lambda section: value


def _other_pool(section: Section) -> str:
    return "tok" if section.get("pool_type") == "avg" else "avg"


EDITS: dict[str, tuple[str, str, Another]] = {
    "quick_gelu": ("model_cfg", "quick_gelu", lambda model: not model.get("quick_gelu", False)),
    "vision.image_size": (_VISION, "image_size", lambda vision: vision["image_size"] + 8),
    "vision.head_width": (_VISION, "head_width", lambda vision: vision["head_width"] // 2),
    "vision.final_ln_after_pool": (_VISION, "final_ln_after_pool", _constant(True)),
    "vision.pool": (_VISION, "pool_type", _other_pool),
    "vision.norm_eps": (_VISION, "norm_kwargs", _constant({"eps": 0.01})),
    "vision.gelu_tanh": (_VISION, "act_kwargs", _constant({"approximate": "tanh"})),
    "text.heads": (_TEXT, "heads", lambda text: text["heads"] * 2),
    "text.norm_eps": (_TEXT, "norm_kwargs", _constant({"eps": 0.01})),
    "text.gelu_tanh": (_TEXT, "act_kwargs", _constant({"approximate": "tanh"})),
    "text.causal": (_TEXT, "no_causal_mask", _constant(True)),
    "text.reads": (_TEXT, "pool_type", _constant("last")),
    "text.cleaning": (_TEXT, "tokenizer_kwargs", _constant({"clean": "canonicalize"})),
    "preprocessing.mean": (_PICTURES, "mean", _constant([0.5, 0.5, 0.5])),
    "preprocessing.std": (_PICTURES, "std", _constant([0.5, 0.5, 0.5])),
    "preprocessing.interpolation": (_PICTURES, "interpolation", _constant("bilinear")),
    "preprocessing.resize_mode": (_PICTURES, "resize_mode", _constant("squash")),
    "preprocessing.fill_color": (_PICTURES, "fill_color", _constant(255)),
}
"""By the setting's name in `models.config`. A test holds this list and the configuration's fields together."""


def edited(config: Section, setting: str) -> Section:
    """A copy of a configuration, as open_clip writes it, with this one setting changed."""
    place, key, another = EDITS[setting]
    copy = deepcopy(config)
    section = copy
    for name in place.split("."):
        section = section[name]
    section[key] = another(section)
    return copy
