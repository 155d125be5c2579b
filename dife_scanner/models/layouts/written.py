"""A checked configuration as an `open_clip_config.json`, which `open_clip.parse_config` reads back as the same.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

import json
from typing import Any

from dife_scanner.models.config import ClipConfig
from dife_scanner.models.tensors import model_arguments


def written(config: ClipConfig) -> bytes:
    """The file; equal configurations give equal bytes."""
    document = {
        "model_cfg": _without_defaults(model_arguments(config)),
        "preprocess_cfg": _preprocessing(config),
    }
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode("ascii")


def _without_defaults(section: dict[str, Any]) -> dict[str, Any]:
    """Without values that stand for "the default", which a file says by their absence."""
    kept: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict):
            kept[key] = _without_defaults(value)
        elif value is not None:
            kept[key] = value
    return kept


def _preprocessing(config: ClipConfig) -> dict[str, Any]:
    how = config.preprocessing
    return {
        "mean": list(how.mean),
        "std": list(how.std),
        "interpolation": how.interpolation,
        "resize_mode": how.resize_mode,
        "fill_color": how.fill_color,
    }
