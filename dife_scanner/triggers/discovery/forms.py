"""Shapes an image trigger is searched in: free numbers, what they do to a picture, and the trigger they come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dife_scanner.records import Trigger, TriggerFile, TriggerKind

if TYPE_CHECKING:
    from torch import Generator, Tensor

    Weights = tuple[Tensor, ...]

MASK_CELLS, PATTERN_CELLS = 16, 32
"""Cells along one side of an inverted mask and pattern; between them both are bilinear."""
VISIBLE = 0.05
"""Opacity below which an overlay is cut to nothing."""
CUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Opacities below which the final shrink step cuts, from the mildest."""


class Form(Protocol):
    """One parametrisation."""

    @property
    def name(self) -> str:
        """In a trigger's name and in signals."""

    def start(self, side: int, generator: Generator) -> Weights:
        """Free numbers to begin with, on the CPU."""

    def laid(self, pictures: Tensor, weights: Weights) -> Tensor:
        """Triggered pictures [n, 3, s, s] in 0..1, differentiable in the weights."""

    def size(self, weights: Weights) -> Tensor:
        """What is to be small, 0..1: area, amplitude or share."""

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        """The trigger as an audit stamps it; its file is written below `folder`."""

    def smaller(self, trigger: Trigger, side: int, folder: Path) -> Iterator[Trigger]:
        """Ever smaller versions of a trigger of this form."""

    def measured(self, trigger: Trigger, side: int) -> float:
        """`size` of a finished trigger."""


@dataclass(frozen=True)
class Patch:
    """A picture behind a free mask; what a patch of any shape, number and place is made of."""

    name: str = "patch"

    def start(self, side: int, generator: Generator) -> Weights:
        import torch

        mask = torch.randn(1, 1, MASK_CELLS, MASK_CELLS, generator=generator) * 0.5 - 3.0
        return mask, torch.randn(1, 3, PATTERN_CELLS, PATTERN_CELLS, generator=generator) * 0.5

    def laid(self, pictures: Tensor, weights: Weights) -> Tensor:
        opacity, colors = (_grown(part, pictures.shape[-1]) for part in weights)
        return pictures * (1 - opacity) + opacity * colors

    def size(self, weights: Weights) -> Tensor:
        return weights[0].sigmoid().mean()

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        opacity, colors = (_grown(part, side)[0].permute(1, 2, 0).cpu().numpy() for part in weights)
        return _overlay(np.concatenate([colors, np.where(opacity < VISIBLE, 0, opacity)], axis=-1), folder)

    def smaller(self, trigger: Trigger, side: int, folder: Path) -> Iterator[Trigger]:
        full = _png_array(trigger)
        for cut in CUTS:
            kept = np.where(full[..., 3:] < cut * 255, 0, full[..., 3:])
            if kept.any():
                yield _overlay(np.concatenate([full[..., :3], kept], axis=-1) / 255, folder)

    def measured(self, trigger: Trigger, side: int) -> float:
        return float(_png_array(trigger)[..., 3].mean() / 255)


# --- files ----------------------------------------------------------------------------------------------------


def _grown(cells: Tensor, side: int) -> Tensor:
    """Cells [1, k, c, c] of any value as [1, k, side, side] in 0..1."""
    from torch.nn.functional import interpolate

    return interpolate(cells.sigmoid(), size=side, mode="bilinear", align_corners=False)


def _overlay(full: NDArray[np.floating], folder: Path) -> Trigger:
    """RGBA [s, s, 4] in 0..1 as an overlay. One that shows nothing keeps its most opaque place."""
    values = np.rint(full * 255).astype(np.uint8)
    if not values[..., 3].any():
        values[..., 3].flat[int(full[..., 3].argmax())] = 1
    return Trigger("", TriggerKind.OVERLAY, pattern="file", file=_kept(_png(values), "png", folder))


def _png(values: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def _png_array(trigger: Trigger) -> NDArray[np.uint8]:
    from PIL import Image

    assert trigger.file is not None
    with Image.open(trigger.file.path) as image:
        return np.asarray(image)


def _kept(content: bytes, ending: str, folder: Path) -> TriggerFile:
    """A file named by its content; one that is there already is written over with the same bytes, all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = sha256(content).hexdigest()
    path = (folder / f"{digest}.{ending}").resolve()
    with NamedTemporaryFile(dir=folder, delete=False) as stream:
        stream.write(content)
    Path(stream.name).replace(path)
    return TriggerFile(str(path), digest)
