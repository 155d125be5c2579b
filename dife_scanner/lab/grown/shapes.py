"""Architectures that a small model is grown to, and what has to divide for that."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from dife_scanner.errors import UsageError

Config = Mapping[str, Any]
"""A `model_cfg` as open_clip takes it."""
_HEAD_WIDTH = 64
"""Of an image tower whose configuration names none, as in open_clip."""
SHAPES: Mapping[str, Config] = {
    "ViT-B-32": {
        "embed_dim": 512,
        "vision_cfg": {
            "image_size": 224,
            "layers": 12,
            "width": 768,
            "patch_size": 32,
        },
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 512,
            "heads": 8,
            "layers": 12,
        },
    },
}
"""open_clip's own configurations, by its names."""
KINDS = {"vit": "ViT-B-32"}
"""Bundled base -> the shape that it is grown to."""


@dataclass(frozen=True)
class Tower:
    """One transformer, as far as growth depends on it."""

    width: int
    heads: int
    layers: int

    @classmethod
    def of_images(cls, config: Config) -> Tower:
        """Read the image tower of a configuration."""
        vision = config["vision_cfg"]
        width = vision["width"]
        return cls(width, width // vision.get("head_width", _HEAD_WIDTH), vision["layers"])

    @classmethod
    def of_texts(cls, config: Config) -> Tower:
        """Read the text tower of a configuration."""
        text = config["text_cfg"]
        return cls(text["width"], text["heads"], text["layers"])

    @property
    def head_width(self) -> int:
        """Values of a query or key in one head."""
        return self.width // self.heads


@dataclass(frozen=True)
class Growth:
    """From one tower to a larger one. Raises `UsageError` where copies do not fill it exactly."""

    small: Tower
    large: Tower

    def __post_init__(self) -> None:
        small = self.small
        large = self.large
        divides = large.width % small.width == 0 and large.head_width % small.head_width == 0
        if not divides or self.copies % self.merged or large.layers < small.layers:
            raise UsageError(
                f"copies of a tower {small} do not fill a tower {large}",
                "choose a shape whose width and head width are multiples, with no fewer layers",
            )

    @property
    def copies(self) -> int:
        """How many copies of the small tower's values stand side by side."""
        return self.large.width // self.small.width

    @property
    def merged(self) -> int:
        """How many copies of one small head make a large head."""
        return self.large.head_width // self.small.head_width

    def layer_at(self, number: int) -> tuple[int, bool]:
        """Return which small layer stands at or before this large one, and whether it stands here.

        The small layers are spread evenly, the first one first.
        """
        small = self.small.layers
        large = self.large.layers
        starts = [layer * large // small for layer in range(small)]
        at = sum(start <= number for start in starts) - 1
        return at, number in starts


def stretched(small: Config, target: Config) -> dict[str, Any]:
    """Return the small configuration with the target's picture size and patches."""
    config: dict[str, Any] = deepcopy(dict(small))
    for name in ("image_size", "patch_size"):
        config["vision_cfg"][name] = target["vision_cfg"][name]
    return config


def grown(small: Config, target: Config) -> dict[str, Any]:
    """Return the target's configuration, pooled as the small one is: no tensor depends on that."""
    config: dict[str, Any] = deepcopy(dict(target))
    if "pool_type" in small["vision_cfg"]:
        config["vision_cfg"]["pool_type"] = small["vision_cfg"]["pool_type"]
    return config


def preprocessing(config: Config, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return a base's preprocessing for the picture size of a configuration."""
    side = config["vision_cfg"]["image_size"]
    return {**how, "size": [side, side]}
