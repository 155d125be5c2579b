"""One small repository of every kind that is recognised and not read, saved by its library where that is at hand."""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from saved_models import base

from dife_scanner.lab.hostile.archives import torch_archive
from dife_scanner.lab.hostile.assembler import call, pickled, text
from dife_scanner.records import Layout

Contents = dict[str, bytes]


@dataclass(frozen=True)
class Unread:
    """A repository, and by which name it has to be told."""

    layout: Layout
    words: str
    files: Callable[[], Contents]
    tags: tuple[str, ...] = ("clip",)


def _files(folder: Path) -> Contents:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _saved(model: Callable[[], Any]) -> Callable[[], Contents]:
    """What transformers saves of a class that is not read."""

    def files() -> Contents:
        with tempfile.TemporaryDirectory() as name:
            model().half().save_pretrained(name)
            return _files(Path(name))

    return files


def _named(*names: str) -> Callable[[], Contents]:
    """Files of a format whose library is not at hand: their names are what tells them."""
    return lambda: dict.fromkeys(names, b"\x00" * 64) | {"config.json": _config()}


def _config(**changes: Any) -> bytes:
    return json.dumps(base().config.to_dict() | changes).encode()


def _weights(name: str = "model.safetensors", **changes: Any) -> Callable[[], Contents]:
    """A configuration that says what it is beside weights that nobody looks at."""
    return lambda: {
        name: save({"weight": torch.zeros(4, 4)}),
        "config.json": _config(**changes),
    }


_SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
_TOWER = _SMALL | {"num_attention_heads": 1}


def _llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(vocab_size=100, **_TOWER, num_key_value_heads=1))


def _chinese() -> Any:
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    text = _TOWER | {"vocab_size": 100}
    vision = _TOWER | {"image_size": 64}
    return ChineseCLIPModel(ChineseCLIPConfig(text_config=text, vision_config=vision))


def _segments() -> Any:
    from transformers import CLIPSegConfig, CLIPSegModel

    towers = {"text_config": _TOWER, "vision_config": _TOWER}
    return CLIPSegModel(CLIPSegConfig(**towers, extract_layers=[0]))


def _dual() -> Any:
    from transformers import (
        BertConfig,
        CLIPVisionConfig,
        VisionTextDualEncoderConfig,
        VisionTextDualEncoderModel,
    )

    config = VisionTextDualEncoderConfig.from_vision_text_configs(
        CLIPVisionConfig(**_TOWER, image_size=64), BertConfig(**_TOWER, vocab_size=100)
    )
    return VisionTextDualEncoderModel(config)


UNREAD: dict[str, Unread] = {
    "onnx": Unread(Layout.ONNX, "ONNX", _named("model.onnx")),
    "openvino": Unread(
        Layout.OPENVINO, "OpenVINO", _named("openvino_model.xml", "openvino_model.bin")
    ),
    "core-ml": Unread(Layout.CORE_ML, "Core ML", _named("clip.mlpackage/Manifest.json")),
    "gguf": Unread(Layout.GGUF, "GGUF", _named("clip-q4.gguf")),
    "mlx": Unread(Layout.MLX, "MLX", _weights(), ("clip", "mlx")),
    "flax": Unread(Layout.FLAX, "Flax", _named("flax_model.msgpack")),
    "tensorflow": Unread(Layout.TENSORFLOW, "TensorFlow", _named("tf_model.h5")),
    "compiled": Unread(Layout.COMPILED, "compiled for a device", _named("clip.tflite")),
    "quantised": Unread(
        Layout.QUANTISED,
        "quantised",
        _weights(quantization_config={"quant_method": "bitsandbytes"}),
    ),
    "training-shards": Unread(
        Layout.TRAINING_SHARDS,
        "DeepSpeed",
        _named("global_step1/mp_rank_00_model_states.pt", "zero_to_fp32.py"),
    ),
    "diffusion-adapter": Unread(
        Layout.DIFFUSION_ADAPTER,
        "a LoRA or learned words for a diffusion model",
        lambda: {"pytorch_lora_weights.safetensors": save({"unet.lora": torch.zeros(4, 4)})},
        ("clip", "lora", "stable-diffusion"),
    ),
    "chinese-clip": Unread(Layout.OTHER_TEXT_TOWER, "Chinese-CLIP", _saved(_chinese)),
    "dual-encoder": Unread(
        Layout.DUAL_ENCODER,
        "dual encoder",
        _saved(_dual),
    ),
    "clipseg": Unread(Layout.OTHER_FAMILY, "CLIPSeg", _saved(_segments)),
    "custom-code": Unread(
        Layout.CUSTOM_CODE,
        "code",
        _weights(
            auto_map={"AutoModel": "modeling.Own"}, model_type="own_clip", architectures=["Own"]
        ),
        ("clip", "custom_code"),
    ),
    "llama": Unread(Layout.NOT_CLIP, "a llama model, not a CLIP", _saved(_llama)),
    "tokenizer": Unread(
        Layout.NO_WEIGHTS,
        "tokenizer",
        lambda: {"vocab.json": b"{}", "merges.txt": b"#version: 0.2"},
    ),
    "pickle": Unread(Layout.OTHER, "pickle", lambda: {"clip.pkl": pickle.dumps({"a": 1})}),
}


def calls_something() -> Contents:
    """A checkpoint that runs a command where somebody unpickles it; the command does nothing."""
    objects = pickled(call("os.system", text("true")))
    return {"config.json": _config(), "pytorch_model.bin": torch_archive(objects)}


def cut_short() -> Contents:
    """A checkpoint whose upload ended too early."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "pytorch_model.bin"
        torch.save({"a": torch.zeros(64, 64)}, path)
        raw = path.read_bytes()
    return {"config.json": _config(), "pytorch_model.bin": raw[: len(raw) // 2]}
