"""Names and one look-up that the tests of this room share."""

from __future__ import annotations

from dife_scanner.records import HubFile, HubModel

CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"


def file_of(model: HubModel, path: str) -> HubFile:
    return next(file for file in model.files if file.path == path)
