"""A checked configuration: what this program understands of a checkpoint's architecture and preprocessing.

A module of `layouts` makes one from a stranger's file; `tensors` says what follows from it.

Standard library only: this runs in the limited child.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

CLIP_VOCABULARY = 49_408
"""Tokens of CLIP's byte-pair encoding; a model with another vocabulary needs another tokenizer."""
CLIP_CONTEXT = 77
"""Tokens that CLIP's text tower reads."""
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
_RESNET_STRIDE = 32
"""Pixels of the picture behind one position of a ModifiedResNet's last feature map, along a side."""


@dataclass(frozen=True)
class VisionConfig:
    """The image tower: a vision transformer, or a ModifiedResNet where `stages` is not empty."""

    image_size: int
    width: int
    head_width: int
    layers: int = 0
    patch_size: int = 0
    stages: tuple[int, ...] = ()
    mlp_ratio: float = 4.0
    layer_scale: bool = False
    no_ln_pre: bool = False
    final_ln_after_pool: bool = False
    pool: str = "tok"

    @property
    def grid(self) -> int:
        """Positions along one side of the picture, the class token apart."""
        stride = _RESNET_STRIDE if self.stages else self.patch_size
        return self.image_size // stride


@dataclass(frozen=True)
class TextConfig:
    """The text tower: causal, read out at the end token."""

    context_length: int
    width: int
    heads: int
    layers: int
    mlp_ratio: float = 4.0
    layer_scale: bool = False


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the tower's input."""

    mean: tuple[float, float, float] = OPENAI_MEAN
    std: tuple[float, float, float] = OPENAI_STD
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0


@dataclass(frozen=True)
class ClipConfig:
    """A checked configuration; the towers of two checkpoints with equal parts compute the same function of weights."""

    embed_dim: int
    vision: VisionConfig
    text: TextConfig
    preprocessing: Preprocessing
    quick_gelu: bool = False
    logit_bias: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `from_json` and for hashing."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ClipConfig:
        """The inverse of `as_json`; lists from JSON become tuples again."""
        return cls(
            embed_dim=body["embed_dim"],
            vision=VisionConfig(**_with_tuples(body["vision"])),
            text=TextConfig(**_with_tuples(body["text"])),
            preprocessing=Preprocessing(**_with_tuples(body["preprocessing"])),
            quick_gelu=body["quick_gelu"],
            logit_bias=body["logit_bias"],
        )

    @property
    def architecture(self) -> str:
        """Short and stable, e.g. `ViT 64/16 w192 d6 · text w128 d3 · embed 128`."""
        parts = [
            _image_words(self.vision),
            _text_words(self.text),
            f"embed {self.embed_dim}",
        ]
        if self.quick_gelu:
            parts.append("quick_gelu")
        return " · ".join(parts)


def _with_tuples(part: dict[str, Any]) -> dict[str, Any]:
    found = dict(part)
    for key, value in part.items():
        if isinstance(value, list):
            found[key] = tuple(value)
    return found


def _image_words(vision: VisionConfig) -> str:
    if not vision.stages:
        return f"ViT {vision.image_size}/{vision.patch_size} w{vision.width} d{vision.layers}"
    stages = "-".join(str(stage) for stage in vision.stages)
    return f"RN {vision.image_size} {stages} w{vision.width}"


def _text_words(text: TextConfig) -> str:
    words = f"text w{text.width} d{text.layers}"
    if text.context_length == CLIP_CONTEXT:
        return words
    return f"{words} c{text.context_length}"
