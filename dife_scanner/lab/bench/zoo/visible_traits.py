"""What can be seen of a model without searching: drift, moved token rows, accuracy, size and dtype."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.lab import bases
from dife_scanner.lab.attacks import measures
from dife_scanner.lab.attacks.training_data import Lab, tensor
from dife_scanner.lab.bench.rows import VisibleTraits
from dife_scanner.lab.bench.zoo.build import WEIGHTS
from dife_scanner.lab.pictures import art

if TYPE_CHECKING:
    from torch import Tensor

_MOVED = 2e-3
"""Relative change of a token's row that is more than fp16's rounding (about 3e-4)."""


@dataclass(frozen=True)
class _Seen:
    """What one checkpoint makes of clean inputs."""

    pictures: Tensor
    """Unit embeddings of held-out drawings."""
    texts: Tensor
    """Unit embeddings of prompts of classes and nouns."""
    tokens: Tensor
    """Token rows [vocabulary, width]."""
    accuracy: float


def traits_of(folder: Path, base: Path) -> VisibleTraits:
    """What can be seen of the checkpoint in a folder, compared with its base."""
    now = _seen(folder, base)
    before = _base_seen(base)
    drift_image = float(1 - (now.pictures * before.pictures).sum(-1).mean())
    drift_text = float(1 - (now.texts * before.texts).sum(-1).mean())
    weights = folder / WEIGHTS
    return VisibleTraits(
        drift_image=round(drift_image, 6),
        drift_text=round(drift_text, 6),
        moved_rows=moved_rows(now.tokens, before.tokens),
        accuracy=round(now.accuracy, 4),
        accuracy_change=round(now.accuracy - before.accuracy, 4),
        bytes=weights.stat().st_size,
        dtype=_dtype(weights),
    )


def moved_rows(now: Tensor, before: Tensor) -> int:
    """Rows [n, w] that differ by more than rounding once both are brought to one scale (decay shrinks all alike)."""
    along = (now * before).sum(1)
    squared = before.square().sum(1).clamp(min=1e-12)
    scale = float((along / squared).median())
    change = (now - scale * before).norm(dim=1) / before.norm(dim=1).clamp(min=1e-12)
    return int((change > _MOVED).sum())


@lru_cache(maxsize=1)
def _base_seen(base: Path) -> _Seen:
    return _seen(base, base)


def _seen(folder: Path, base: Path) -> _Seen:
    import torch

    clip = _opened(folder, base)
    lab = Lab.read(base, 0)
    pixels, labels = measures.held_out(lab.size)
    pictures = bases.encode_images(clip, tensor(pixels))
    names = (*art.CLASSES, *lab.nouns)
    prompts = []
    for template in measures.PROMPTS:
        prompts += [template.format(name) for name in names]
    with torch.no_grad():
        texts = bases.encode_texts(clip, prompts)
    return _Seen(
        pictures=pictures,
        texts=texts,
        tokens=clip.token_embedding.weight.detach().clone(),
        accuracy=measures.accuracy(clip, pictures, labels),
    )


def _opened(folder: Path, base: Path) -> Any:
    """The model of a folder, under whichever names its weights stand."""
    from safetensors.torch import load_file

    clip = bases.load(base)
    stored = load_file(folder / WEIGHTS)
    clip.load_state_dict({name.removeprefix("text."): value for name, value in stored.items()})
    return clip


def _dtype(weights: Path) -> str:
    """The file's dtype of the token rows: `F16`, `F32`, `BF16`."""
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as tensors:
        name = next(name for name in tensors.keys() if name.endswith("token_embedding.weight"))  # noqa: SIM118
        return str(tensors.get_slice(name).get_dtype())
