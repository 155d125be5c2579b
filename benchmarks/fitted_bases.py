"""Small bases that recognise the bundled pictures: random towers of three kinds, whose last layers are fitted.

Of a base that recognises nothing an audit claims nothing, and does not search. So the last layer of each tower is
solved for by least squares, for pictures and prompts of one class to meet in one direction. That takes seconds, no
training.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from layout_equality import embedded_here
from layout_models import MODELS, open_clip_model, siglip, siglip_2

from dife_scanner.audit import probes
from dife_scanner.models.clip import ClipEncoder
from dife_scanner.records import Budget

_RIDGE = 1e-7
"""Of the largest eigenvalue."""
_CONTEXT = 128
"""The small tokenizer cuts every word into letters."""
_AT_ONCE = 64


@dataclass(frozen=True)
class Kind:
    """One kind of towers."""

    layout: str
    """In `layout_models.MODELS`, which saves and asks it."""
    make: Callable[[], Any]
    image_layer: Callable[[Any], torch.nn.Linear]
    """The last layer of the image tower."""
    image_tower: str
    """How the names of the image tower's tensors begin."""
    searched: bool = True
    """Whether audits search for triggers nobody described: a ConvNeXt takes more than eight minutes of a core."""


def _last_of_siglip(model: Any) -> torch.nn.Linear:
    layer: torch.nn.Linear = model.vision_model.head.mlp.fc2
    return layer


def _last_of_convnext(model: Any) -> torch.nn.Linear:
    layer: torch.nn.Linear = model.visual.head.mlp.fc2
    return layer


KINDS: dict[str, Kind] = {
    "SigLIP": Kind(
        "transformers SigLIP", partial(siglip, context=_CONTEXT), _last_of_siglip, "vision_model."
    ),
    "SigLIP 2": Kind(
        "transformers SigLIP 2",
        partial(siglip_2, context=_CONTEXT),
        _last_of_siglip,
        "vision_model.",
    ),
    "ConvNeXt": Kind(
        "open_clip ConvNeXt",
        partial(open_clip_model, "ConvNeXt"),
        _last_of_convnext,
        "visual.",
        searched=False,
    ),
}


@torch.no_grad()
def fitted(kind: Kind) -> Any:
    """A model of this kind that takes most of the bundled pictures for what they show."""
    model = kind.make()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        MODELS[kind.layout].save(model, folder / "saved")
        encoder = embedded_here(folder / "saved", folder / "ours")
    found = probes.load(probes.bundled_folder(), Budget.QUICK)
    splits = found.splits.values()
    images = encoder.prepare(np.concatenate([split.images for split in splits]))
    labels = np.concatenate([split.labels for split in splits])
    texts, classes = _prompts(found.class_names)
    torch.manual_seed(0)
    directions, _ = torch.linalg.qr(torch.randn(encoder.embed_dim, len(found.class_names)))
    wanted = directions.T
    _fit_images(model, kind, encoder, images, wanted[labels])
    _fit_texts(model, kind, encoder, texts, wanted[classes])
    return model


def _prompts(class_names: tuple[str, ...]) -> tuple[list[str], list[int]]:
    """Every template with every class, and which class that is."""
    templates = (
        *probes.EMBEDDING_TEMPLATES,
        *probes.SEARCH_TEMPLATES,
        *probes.DIAGNOSIS_TEMPLATES,
    )
    texts = []
    classes = []
    for number, name in enumerate(class_names):
        texts += [template.format(name) for template in templates]
        classes += [number] * len(templates)
    return texts, classes


def _fit_images(
    model: Any, kind: Kind, encoder: ClipEncoder, images: np.ndarray, wanted: torch.Tensor
) -> None:
    """What comes past the last layer, as in SigLIP's pooling, is taken off first."""
    layer = kind.image_layer(model)
    inputs: list[torch.Tensor] = []
    past: list[torch.Tensor] = []
    seen: dict[str, torch.Tensor] = {}

    def keep(_: Any, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        seen.update(given=given[0].flatten(0, -2), made=made.flatten(0, -2))

    hook = layer.register_forward_hook(keep)
    for start in range(0, len(images), _AT_ONCE):
        batch = images[start : start + _AT_ONCE]
        embedded, _ = MODELS[kind.layout].ask(model, batch, ["a"], encoder)
        inputs.append(seen["given"])
        past.append(embedded - seen["made"])
    hook.remove()
    _solve(layer, torch.cat(inputs), wanted - torch.cat(past))


def _fit_texts(
    model: Any, kind: Kind, encoder: ClipEncoder, texts: list[str], wanted: torch.Tensor
) -> None:
    """A projection that is a matrix is asked for with the identity in its place."""
    picture = np.zeros((1, encoder.image_size, encoder.image_size, 3), np.uint8)
    layer = model.text_model.head if hasattr(model, "text_model") else None
    if layer is None:
        model.text_projection.data = torch.eye(len(model.text_projection))
    else:
        layer.weight.data = torch.eye(len(layer.weight))
        layer.bias.data.zero_()
    _, inputs = MODELS[kind.layout].ask(model, picture, texts, encoder)
    if layer is None:
        model.text_projection.data = _solved(inputs, wanted)
    else:
        _solve(layer, inputs, wanted)


def _solve(layer: torch.nn.Linear, inputs: torch.Tensor, wanted: torch.Tensor) -> None:
    """Fit a layer, its bias included where it has one."""
    middle = inputs.mean(0) if layer.bias is not None else torch.zeros(inputs.shape[1])
    target = wanted.mean(0) if layer.bias is not None else torch.zeros(wanted.shape[1])
    matrix = _solved(inputs - middle, wanted - target)
    layer.weight.data = matrix.T.contiguous()
    if layer.bias is not None:
        layer.bias.data = target - middle @ matrix


def _solved(inputs: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    rows = inputs.double()
    gram = rows.T @ rows
    ridge = _RIDGE * torch.linalg.eigvalsh(gram)[-1] * torch.eye(len(gram)).double()
    return torch.linalg.solve(gram + ridge, rows.T @ wanted.double()).float().contiguous()
