"""A checked configuration: what this program understands of a checkpoint's architecture and preprocessing.

A module of `layouts` makes one from a stranger's file; `tensors` says what follows from it.

Standard library only: this runs in the limited child, which starts for every file, so `records` stay out of it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dife_scanner.records import Deviation

CLIP_VOCABULARY = 49_408
"""Tokens of CLIP's byte-pair encoding; a model with another vocabulary needs another tokenizer."""
MOST_ADDED_ROWS = 256
"""Rows behind CLIP's own that a token table may have: training on new words adds some."""
CLIP_CONTEXT = 77
"""Tokens that CLIP's text tower reads."""
OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)
_RESNET_STRIDE = 32
"""Pixels of the picture behind one position of a ModifiedResNet's last feature map, along a side."""


ATTENTION_POOLED = "siglip"
"""A vision transformer of timm whose patches are pooled by one learned query, as in SigLIP."""
CONVNEXT = "convnext"
"""A ConvNeXt of timm."""


@dataclass(frozen=True)
class VisionConfig:
    """The image tower: one of timm's where `trunk` is not empty, else a ModifiedResNet where `stages` is not, else a
    vision transformer of open_clip.
    """

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
    norm_eps: float | None = None
    """Added to the variance by every layer norm; `None` for torch's own."""
    gelu_tanh: bool = False
    """Whether GELU is approximated by a tanh."""
    trunk: str = ""
    """Family of a timm tower: `ATTENTION_POOLED` or `CONVNEXT`."""
    head: str = ""
    """What projects a timm tower's features: `linear`, `mlp`, or nothing."""
    head_bias: bool = False

    @property
    def grid(self) -> int:
        """Positions along one side of the picture, the class token apart."""
        stride = _RESNET_STRIDE if self.stages else self.patch_size
        return self.image_size // stride


def has_clips_rows(rows: int) -> bool:
    """Whether a token table of so many rows may be CLIP's own, with or without a few more behind it."""
    return CLIP_VOCABULARY <= rows <= CLIP_VOCABULARY + MOST_ADDED_ROWS


@dataclass(frozen=True)
class TextConfig:
    """The text tower: causal, read out at the end token."""

    context_length: int
    width: int
    heads: int
    layers: int
    mlp_ratio: float = 4.0
    layer_scale: bool = False
    norm_eps: float | None = None
    """As in the image tower."""
    gelu_tanh: bool = False
    vocabulary: int = CLIP_VOCABULARY
    """Rows of the token table."""
    causal: bool = True
    """Whether no token sees those behind it."""
    reads: str = "argmax"
    """Where a text is read out: at its end token (`argmax`, the largest id) or at the `last` place."""
    cleaning: str = ""
    """What is done to a text before it is cut into tokens, see `tokenizers.cleaning`; empty for what is usual."""
    strip_sep: bool = False
    """Whether the separator of its tokenizer is read as 0, around a text and in it."""
    projection: str = "matrix"
    """`matrix`, `linear` (a layer with a bias), or `none`, where the width is that of the embeddings."""

    @property
    def rows_behind(self) -> int:
        """Rows of the token table behind CLIP's own, of a tower that has those and a few more."""
        more = self.vocabulary - CLIP_VOCABULARY
        return more if self.causal and has_clips_rows(self.vocabulary) else 0


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

    def as_json(self) -> dict[str, Any]:
        """Plain values, for `from_json` and for hashing."""
        body = asdict(self)
        for tower in (body["vision"], body["text"]):
            for name, default in _CAME_LATER.items():
                if name in tower and tower[name] == default:
                    del tower[name]
        return body

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> ClipConfig:
        """The inverse of `as_json`; lists from JSON become tuples again."""
        return cls(
            embed_dim=body["embed_dim"],
            vision=VisionConfig(**_with_tuples(body["vision"])),
            text=TextConfig(**_with_tuples(body["text"])),
            preprocessing=Preprocessing(**_with_tuples(body["preprocessing"])),
            quick_gelu=body["quick_gelu"],
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


_CAME_LATER: dict[str, Any] = {
    "norm_eps": None,
    "gelu_tanh": False,
    "trunk": "",
    "head": "",
    "head_bias": False,
    "vocabulary": CLIP_VOCABULARY,
    "causal": True,
    "reads": "argmax",
    "projection": "matrix",
    "cleaning": "",
    "strip_sep": False,
}
"""Fields of a tower that are left out at their defaults, so that hashes of towers stay what they were."""


def deviations(suspect: ClipConfig, base: ClipConfig) -> tuple[Deviation, ...]:
    """Every setting that differs, in the order of the fields.

    >>> from dataclasses import replace
    >>> tiny = VisionConfig(image_size=32, width=64, head_width=32, layers=1, patch_size=16)
    >>> text = TextConfig(context_length=16, width=32, heads=2, layers=1)
    >>> base = ClipConfig(48, tiny, text, Preprocessing())
    >>> deviations(replace(base, quick_gelu=True), base)
    (Deviation(setting='quick_gelu', suspect='true', base='false'),)
    """
    from dife_scanner.records import Deviation

    ours = _flat(asdict(suspect))
    theirs = _flat(asdict(base))
    found = []
    for setting, value in ours.items():
        if value != theirs[setting]:
            found.append(Deviation(setting, _in_words(value), _in_words(theirs[setting])))
    return tuple(found)


def _flat(body: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Values by where they stand, e.g. `vision.pool`."""
    found: dict[str, Any] = {}
    for key, value in body.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{path}{key}.")
        else:
            found[path + key] = value
    return found


def _in_words(value: Any) -> str:
    """A checked value as the configuration file writes it."""
    return json.dumps(value)


def _with_tuples(part: dict[str, Any]) -> dict[str, Any]:
    found = dict(part)
    for key, value in part.items():
        if isinstance(value, list):
            found[key] = tuple(value)
    return found


def _image_words(vision: VisionConfig) -> str:
    if vision.trunk == ATTENTION_POOLED:
        size = f"{vision.image_size}/{vision.patch_size}"
        return f"SigLIP ViT {size} w{vision.width} d{vision.layers}"
    if vision.trunk == CONVNEXT:
        stages = "-".join(str(stage) for stage in vision.stages)
        return f"ConvNeXt {vision.image_size} {stages} w{vision.width}"
    if not vision.stages:
        return f"ViT {vision.image_size}/{vision.patch_size} w{vision.width} d{vision.layers}"
    stages = "-".join(str(stage) for stage in vision.stages)
    return f"RN {vision.image_size} {stages} w{vision.width}"


def _text_words(text: TextConfig) -> str:
    words = f"text w{text.width} d{text.layers}"
    if text.vocabulary != CLIP_VOCABULARY:
        words += f" v{text.vocabulary}"
    if text.context_length == CLIP_CONTEXT:
        return words
    return f"{words} c{text.context_length}"
