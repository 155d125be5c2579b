"""How a checkpoint is stored, read from the names of its files, and why some of it cannot be audited. Pure.

Only open_clip checkpoints with safetensors weights are audited. A pickle is never loaded: it can run code.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dife_scanner.hub.architecture import json_object
from dife_scanner.records import HubFile, HubModel, Layout

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
"""In the order of preference: what open_clip writes, then what the hub's converter makes of a pickle."""
PICKLE = "open_clip_pytorch_model.bin"

_PICKLE_ENDINGS = frozenset({"bin", "pt", "pth"})
_MORE_PICKLE_ENDINGS = _PICKLE_ENDINGS | {"ckpt", "pkl"}
_TRANSFORMERS_TYPES = frozenset(
    {
        "clip",
        "clip_text_model",
        "clip_vision_model",
        "siglip",
        "siglip_text_model",
        "siglip_vision_model",
        "siglip2",
        "siglip2_text_model",
        "siglip2_vision_model",
        "chinese_clip",
        "altclip",
        "clipseg",
        "metaclip_2",
        "xclip",
        "align",
        "groupvit",
        "owlvit",
        "owlv2",
        "flava",
        "blip",
        "vision-text-dual-encoder",
        "tipsv2",
    }
)
"""`model_type` of what transformers 5 can ask for both images and texts, and of the single towers of these."""


def chosen_weights(paths: Collection[str]) -> str | None:
    """The weights that an audit reads, if there are any."""
    for path in WEIGHTS:
        if path in paths:
            return path
    return None


def layout_of(
    files: Mapping[str, HubFile], model: HubModel, small: Mapping[str, bytes]
) -> tuple[Layout, str]:
    """How the checkpoint is stored, and why that cannot be audited (empty where it can).

    `files` are those of `model` by path, `small` the bytes of those that were read.
    """
    weights = chosen_weights(files)
    if CONFIG in files and weights:
        return Layout.OPEN_CLIP, ""
    if PICKLE in files and not weights:
        return Layout.OPEN_CLIP_PICKLE, f"weights only as a pickle ({PICKLE}): never loaded"
    if CONFIG in files:
        return Layout.OPEN_CLIP, f"{CONFIG} without {WEIGHTS[0]}"
    if weights:
        return Layout.OPEN_CLIP, f"weights without {CONFIG}: their architecture is not known"
    return _other_layout(files, model, small)


def _other_layout(
    files: Mapping[str, HubFile], model: HubModel, small: Mapping[str, bytes]
) -> tuple[Layout, str]:
    """The layout of what is no open_clip checkpoint. The surest marks come first; several may hold at once."""
    endings = {path.rsplit(".", 1)[-1].lower() for path in files if "." in path}
    if "model_index.json" in files:
        return (
            Layout.DIFFUSION,
            "Stable Diffusion layout: its CLIP text encoder is not taken out yet",
        )
    if "adapter_config.json" in files:
        return Layout.PEFT, "PEFT adapter: not merged into its base yet"
    if "modules.json" in files:
        return Layout.SENTENCE_TRANSFORMERS, "sentence-transformers layout: keys are not mapped yet"
    if "config.json" in files and _is_transformers(model, small):
        if "safetensors" in endings:
            return Layout.TRANSFORMERS, "transformers layout: keys are not mapped yet"
        if endings & _PICKLE_ENDINGS:
            return (
                Layout.TRANSFORMERS,
                "transformers layout with weights only as a pickle (.bin): never loaded",
            )
    if "onnx" in endings:
        return Layout.ONNX, "ONNX layout: not read yet"
    if "gguf" in endings or any("ggml" in path for path in files):
        return Layout.GGUF, "GGUF or ggml layout: not read yet"
    if model.library == "timm":
        return Layout.TIMM, "a single timm tower: an audit needs an image and a text tower"
    return Layout.OTHER, _why_unknown(files, endings)


def _why_unknown(files: Mapping[str, HubFile], endings: set[str]) -> str:
    if not files:
        return "no files"
    if endings & _MORE_PICKLE_ENDINGS and "safetensors" not in endings:
        return "no known CLIP layout, and weights only as a pickle: never loaded"
    return "no known CLIP layout among its files"


def _is_transformers(model: HubModel, small: Mapping[str, bytes]) -> bool:
    """Whether its `config.json`, its library or a tag says so; enough to name the layout, not to load it.

    The hub turns the `model_type` of a configuration into a tag.
    """
    kind = json_object(small.get("config.json", b"")).get("model_type")
    if isinstance(kind, str) and kind in _TRANSFORMERS_TYPES:
        return True
    return model.library == "transformers" or not _TRANSFORMERS_TYPES.isdisjoint(model.tags)
