"""Formats and leftovers that are recognised by their names and not read, and what would help. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from dife_scanner.hub.families import Family
from dife_scanner.hub.file_names import TRAINING_SHARDS, looks_like_learner
from dife_scanner.records import HubModel, Layout

_ORIGINAL = "the weights that it was exported from would be read"


@dataclass(frozen=True)
class _Export:
    layout: Layout
    names: str
    """A pattern that one of its files fits, in small letters."""
    what: str


_EXPORTS = (
    _Export(Layout.OPENVINO, r"(^|/)openvino[^/]*\.(xml|bin)$|(^|/)openvino/", "OpenVINO"),
    _Export(Layout.CORE_ML, r"\.ml(package|modelc)(/|$)|\.mlmodel$", "Core ML"),
    _Export(Layout.ONNX, r"\.onnx(_data)?$|\.ort$", "ONNX"),
    _Export(Layout.GGUF, r"\.gguf$|ggml|\.llamafile$", "GGUF or ggml"),
    _Export(Layout.MLX, r"(^|/)mlx/|\.mlx$", "MLX"),
    _Export(
        Layout.COMPILED,
        r"\.(tflite|engine|plan|trt|rknn|hef|dlc|axmodel|mnn|pte|ncnn\.bin|task|om)$",
        "compiled for a device",
    ),
    _Export(
        Layout.TENSORFLOW,
        r"\.(h5|keras|hdf5|pb)$|\.data-\d{5}-of-\d{5}$|\.ckpt\.index$",
        "TensorFlow or Keras",
    ),
    _Export(
        Layout.FLAX,
        r"\.msgpack$|\.npz$|(^|/)(_checkpoint_metadata|_metadata|ocdbt|manifest\.ocdbt)$",
        "Flax or JAX",
    ),
    _Export(Layout.OTHER, r"\.ot$", "Rust (tch)"),
)
"""In the order in which they are looked for: a name may fit several."""

_DIFFUSION_ADAPTER = re.compile(
    r"pytorch_lora_weights|learned_embeds|(^|[/_.-])(lora|lycoris|locon|dora|textual[-_]?inversion|hypernetwork)([/_.-]|$)"
)
_NO_CLIP_TASKS = frozenset(
    {
        "audio-classification",
        "audio-to-audio",
        "automatic-speech-recognition",
        "depth-estimation",
        "fill-mask",
        "image-segmentation",
        "image-text-to-text",
        "object-detection",
        "question-answering",
        "reinforcement-learning",
        "robotics",
        "summarization",
        "tabular-classification",
        "text-generation",
        "text-ranking",
        "text-to-audio",
        "text-to-speech",
        "time-series-forecasting",
        "token-classification",
        "translation",
        "voice-activity-detection",
    }
)
"""What no CLIP does."""
_NO_CLIP_LIBRARIES = frozenset(
    {
        "allennlp",
        "espnet",
        "fasttext",
        "flair",
        "ml-agents",
        "nemo",
        "paddleocr",
        "pyannote-audio",
        "sample-factory",
        "sklearn",
        "spacy",
        "speechbrain",
        "stable-baselines3",
        "stanza",
        "ultralytics",
    }
)
"""Whose models are never a CLIP."""


def is_mlx(model: HubModel) -> bool:
    """Whether a library or tag says that the tensors are stored as MLX wants them, also in safetensors."""
    marks = {model.library.lower(), *(tag.lower() for tag in model.tags)}
    return not marks.isdisjoint({"mlx", "mlx-clip", "mlx-embeddings", "mlx-vlm"})


MLX = Family(Layout.MLX, f"MLX: tensors in another order, not read; {_ORIGINAL}")
JAX_PICKLE = Family(
    Layout.FLAX,
    f"Flax or JAX parameters in a Python pickle: never unpickled, not read; {_ORIGINAL}",
)
PYTHON_PICKLE = Family(
    Layout.OTHER,
    "a Python pickle (.pkl): never unpickled, not read; weights that torch or safetensors saved would be read",
)


def is_diffusion_adapter(path: str, tags: Collection[str]) -> bool:
    """Whether a file is a small part for a diffusion model: a LoRA, learned words."""
    if _DIFFUSION_ADAPTER.search(path.lower()):
        return True
    return "lora" in tags and not {"stable-diffusion", "text-to-image", "diffusers"}.isdisjoint(
        tags
    )


DIFFUSION_ADAPTER = Family(
    Layout.DIFFUSION_ADAPTER,
    "a LoRA or learned words for a diffusion model: nothing of a CLIP by itself; "
    "the text encoder that it was merged into would be read",
)


def no_clip_task(model: HubModel) -> Family | None:
    """What a repository is whose task or library is none of CLIP's."""
    if model.library.lower() in _NO_CLIP_LIBRARIES:
        return Family(Layout.NOT_CLIP, f"its library is {model.library}: not a CLIP")
    if model.pipeline_tag in _NO_CLIP_TASKS:
        return Family(Layout.NOT_CLIP, f"its task is {model.pipeline_tag}: not a CLIP")
    return None


def without_weights(paths: Collection[str], model: HubModel) -> Family:
    """What a repository is in which no file holds tensors in a format that is read."""
    if not paths:
        return Family(Layout.NO_WEIGHTS, "no weights: no files at all")
    names = [path.lower() for path in paths]
    for export in _EXPORTS:
        if any(re.search(export.names, name) for name in names):
            return Family(export.layout, f"{export.what}: not read; {_ORIGINAL}")
    if any(TRAINING_SHARDS.search(name) for name in names):
        return Family(
            Layout.TRAINING_SHARDS,
            "parts of a training run (DeepSpeed, FSDP): not read; consolidated weights would be read",
        )
    if any(name.endswith((".pkl", ".pickle", ".joblib")) for name in names):
        marks = " ".join([model.repo_id, model.library, *model.tags, *names]).lower()
        return JAX_PICKLE if "jax" in marks or "flax" in marks else PYTHON_PICKLE
    if any(name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".7z", ".rar")) for name in names):
        return Family(
            Layout.OTHER, "an archive: not unpacked; the weights in it would be read by themselves"
        )
    return Family(Layout.NO_WEIGHTS, f"no weights{_what_is_there(names)}")


def _what_is_there(names: Collection[str]) -> str:
    """What a repository without weights has instead, in words that go on after `no weights`."""
    if any(looks_like_learner(name) for name in names):
        return ": only a prompt learner; the checkpoint that it belongs to has to lie beside it"
    last_parts = {name.rsplit("/", 1)[-1] for name in names}
    if not last_parts.isdisjoint({"tokenizer.json", "vocab.json", "merges.txt"}):
        return ": only a tokenizer"
    if any(name.endswith((".py", ".ipynb", ".cpp", ".ts")) for name in names):
        return ": only source code"
    return " among its files"
