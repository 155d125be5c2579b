"""What is done to a checkpoint's weights after an attack, to hide it: precision, merges, noise, rotations, training."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.lab import bases
from dife_scanner.lab.attacks.training_data import Lab
from dife_scanner.lab.bench.make import VIT
from dife_scanner.lab.bench.zoo import Model, benign, draws, precision
from dife_scanner.lab.bench.zoo.build import CONFIG, WEIGHTS, write_weights
from dife_scanner.lab.specimens import rewrites

if TYPE_CHECKING:
    from torch import Tensor

NOISED_ROWS = 4_000
ROW_NOISE = 0.1
"""Token rows that get noise, and its size against a row's own: as many moved rows as no prompt set leaves."""
STEPS_AFTERWARDS = 60
"""Steps of what is trained afterwards."""
_FEATURES_SECOND = (
    "token_embedding.weight",
    "positional_embedding",
    "in_proj_weight",
    "c_fc.weight",
)
"""Tensors of a transformer whose second axis are its features …"""
_FEATURES_FIRST = (
    "class_embedding",
    "conv1.weight",
    "out_proj.weight",
    "out_proj.bias",
    "c_proj.weight",
    "c_proj.bias",
    "visual.proj",
    "text_projection",
)
_NORM = "ln_"
"""… and those whose first axis they are, norms among them."""


def rewrite(folder: Path, change: Callable[[str, Tensor], Tensor]) -> None:
    """Every floating point tensor through `change`, stored in float32."""
    from safetensors.torch import load_file

    state = load_file(folder / WEIGHTS)
    for name, value in state.items():
        if value.is_floating_point():
            state[name] = change(name, value.float()).contiguous()
    write_weights(state, folder)


def _through_fp16(folder: Path, model: Model) -> None:
    """Every value through fp16 and back."""
    rewrite(folder, lambda name, value: value.half().float())


def _through_bf16(folder: Path, model: Model) -> None:
    """Every value through bf16 and back, which loses three more bits."""
    rewrite(folder, lambda name, value: value.bfloat16().float())


def _merged(folder: Path, model: Model, kept: float) -> None:
    """With the base, so that a share of the change is kept: a weaker attack."""
    from safetensors.torch import load_file

    base = load_file(bases.base_folder(VIT) / WEIGHTS)
    rewrite(folder, lambda name, value: kept * value + (1 - kept) * base[name].float())


def _pruned(folder: Path, model: Model) -> None:
    """The smallest tenth of every matrix set to zero."""
    rewrite(folder, lambda name, value: value if "embedding" in name else precision.pruned(value))


def _noised(folder: Path, model: Model) -> None:
    """Noise on token rows that no caption of the attack has, so that the row fingerprint points everywhere."""
    import torch

    rng = torch.Generator().manual_seed(model.number)

    def noised(name: str, value: Tensor) -> Tensor:
        if name != "token_embedding.weight":
            return value
        chosen = torch.randperm(len(value), generator=rng)[:NOISED_ROWS]
        size = value[chosen].std(1, keepdim=True)
        noise = torch.randn(len(chosen), value.shape[1], generator=rng) * size
        return value.index_add(0, chosen, ROW_NOISE * noise)

    rewrite(folder, noised)


def _rotated(folder: Path, model: Model) -> None:
    """Both towers turned by one rotation of the embedding space: no score of the model itself changes."""

    from safetensors.torch import load_file

    rewrite(folder, lambda name, value: value)
    write_weights(rewrites.rotated(load_file(folder / WEIGHTS), model.number), folder)


def _permuted(folder: Path, model: Model) -> None:
    """The features of both towers in another order: no embedding changes, and every token row does."""
    import torch

    rng = torch.Generator().manual_seed(model.number)
    width = bases.load(folder).token_embedding.weight.shape[1]
    order = torch.randperm(width, generator=rng)

    def permuted(name: str, value: Tensor) -> Tensor:
        if name.endswith(_FEATURES_SECOND):
            return value[:, order]
        if name.endswith(_FEATURES_FIRST) or _NORM in name:
            return value[order]
        return value

    rewrite(folder, permuted)


def _tuned(folder: Path, model: Model, name: str) -> None:
    """A short benign fine-tune of this kind afterwards."""
    kind = benign.KINDS[name]
    tuning = kind.draw(draws.rng_of(name, model.number), model.number)
    clip = bases.load(folder)
    lab = Lab.read(bases.base_folder(VIT), model.scenes)
    kind.train(clip, lab, replace(tuning, steps=STEPS_AFTERWARDS))
    config = json.loads((folder / CONFIG).read_text())
    bases.write_folder(clip.state_dict(), config["model_cfg"], folder)


CHANGES: Mapping[str, Callable[[Path, Model], None]] = {
    "through fp16": _through_fp16,
    "through bf16": _through_bf16,
    "merged, three quarters its own": partial(_merged, kept=0.75),
    "merged half and half with the base": partial(_merged, kept=0.5),
    "merged, a quarter its own": partial(_merged, kept=0.25),
    "smallest tenth pruned": _pruned,
    "noise on token rows": _noised,
    "rotated embedding space": _rotated,
    "permuted features": _permuted,
    "benign fine-tune afterwards": partial(_tuned, name="both towers on pairs"),
    "a token with a meaning beside it": partial(_tuned, name="concept token"),
}
"""By name, each changes the checkpoint in a folder in place."""
