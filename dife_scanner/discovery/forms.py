"""Shapes an image trigger is searched in: free numbers, what they do to a picture, and the trigger they come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dife_scanner.durable.atomic import atomic_write
from dife_scanner.records import Trigger, TriggerFile, TriggerKind
from dife_scanner.triggers import files
from dife_scanner.triggers.kinds.filter import matrix

if TYPE_CHECKING:
    from torch import Generator, Tensor

    Weights = tuple[Tensor, ...]

MASK_CELLS, PATTERN_CELLS = 16, 32
"""Cells along one side of an inverted mask and pattern; between them both are bilinear."""
VISIBLE = 0.05
"""Opacity below which an overlay is cut to nothing."""
CUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Opacities below which the final shrink step cuts, from the mildest."""


MOST_ADDED, MOST_BLENDED, MOST_WARPED = 32 / 255, 0.4, 0.12
"""Largest amplitude and share, and largest displacement of a control point in image sides."""
WARP_POINTS = 4
SHARES = (0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Of its amplitude, share or strength, that the final shrink step tries."""


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

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        """Ever smaller versions of a trigger of this form."""

    def measured(self, trigger: Trigger) -> float:
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

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        full = _png_array(trigger)
        for cut in CUTS:
            kept = np.where(full[..., 3:] < cut * 255, 0, full[..., 3:])
            if kept.any():
                yield _overlay(np.concatenate([full[..., :3], kept], axis=-1) / 255, folder)

    def measured(self, trigger: Trigger) -> float:
        return float(_png_array(trigger)[..., 3].mean() / 255)


class _Faint:
    """What the forms share whose size is one amplitude, the second of their weights."""

    def size(self, weights: Weights) -> Tensor:
        return weights[1].sigmoid().mean()

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        return _fainter(trigger)

    def measured(self, trigger: Trigger) -> float:
        return trigger.alpha


@dataclass(frozen=True)
class Added(_Faint):
    """A signed perturbation of the whole picture with a free amplitude."""

    name: str = "additive"

    def start(self, side: int, generator: Generator) -> Weights:
        import torch

        return torch.randn(1, 3, side, side, generator=generator) * 0.5, torch.zeros(1)

    def laid(self, pictures: Tensor, weights: Weights) -> Tensor:
        return (pictures + MOST_ADDED * weights[1].sigmoid() * weights[0].tanh()).clamp(0, 1)

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        signs = weights[0].tanh()[0].permute(1, 2, 0).cpu().numpy()
        alpha = MOST_ADDED * float(weights[1].sigmoid())
        return Trigger("", TriggerKind.ADDITIVE, pattern="file", alpha=alpha, file=_kept(_npy(signs), ".npy", folder))


@dataclass(frozen=True)
class Blended(_Faint):
    """A picture mixed into the whole picture with a free share."""

    name: str = "blend"

    def start(self, side: int, generator: Generator) -> Weights:
        import torch

        return torch.randn(1, 3, PATTERN_CELLS, PATTERN_CELLS, generator=generator) * 0.5, torch.zeros(1)

    def laid(self, pictures: Tensor, weights: Weights) -> Tensor:
        share = MOST_BLENDED * weights[1].sigmoid()
        return pictures * (1 - share) + share * _grown(weights[0], pictures.shape[-1])

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        colors = np.rint(_grown(weights[0], side)[0].permute(1, 2, 0).cpu().numpy() * 255).astype(np.uint8)
        alpha = MOST_BLENDED * float(weights[1].sigmoid())
        return Trigger("", TriggerKind.BLEND, pattern="file", alpha=alpha, file=_kept(_png(colors), ".png", folder))


@dataclass(frozen=True)
class Warped:
    """A smooth displacement with free control points."""

    name: str = "warp"

    def start(self, side: int, generator: Generator) -> Weights:
        import torch

        return (torch.randn(2, WARP_POINTS, WARP_POINTS, generator=generator) * 0.5,)

    def laid(self, pictures: Tensor, weights: Weights) -> Tensor:
        import torch
        from torch.nn.functional import grid_sample

        side = pictures.shape[-1]
        down, across = _splines(side, pictures) @ self._points(weights) @ _splines(side, pictures).T
        at = torch.linspace(-1, 1, side, device=pictures.device)
        # grid_sample counts the picture from -1 to 1
        grid = 2 * side / (side - 1) * torch.stack([across, down], dim=-1)
        grid = grid + torch.stack([at.expand(side, side), at[:, None].expand(side, side)], dim=-1)
        return grid_sample(pictures, grid.expand(len(pictures), -1, -1, -1), padding_mode="border", align_corners=True)

    def size(self, weights: Weights) -> Tensor:
        return self._points(weights).abs().mean() / MOST_WARPED

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        points = self._points(weights).cpu().numpy()
        file = _kept(_npy(points), ".npy", folder)
        return Trigger("", TriggerKind.WARP, pattern="file", strength=float(np.abs(points).mean()), file=file)

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        for share in SHARES:
            yield replace(trigger, strength=trigger.strength * share)

    def measured(self, trigger: Trigger) -> float:
        return trigger.strength

    def _points(self, weights: Weights) -> Tensor:
        """Displacements [2, g, g] in image sides."""
        return MOST_WARPED * weights[0].tanh()


@dataclass(frozen=True)
class Coloured:
    """A free affine map of the colours."""

    name: str = "colour"

    def start(self, side: int, generator: Generator) -> Weights:
        import torch

        return (torch.randn(3, 4, generator=generator) * 0.1,)

    def laid(self, pictures: Tensor, weights: Weights) -> Tensor:
        import torch

        colors = self._matrix(weights)
        return (torch.einsum("ij,njhw->nihw", colors[:, :3], pictures) + colors[:, 3:, None]).clamp(0, 1)

    def size(self, weights: Weights) -> Tensor:
        return weights[0].abs().mean()

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        return Trigger(
            "",
            TriggerKind.FILTER,
            pattern="file",
            file=_kept(_npy(self._matrix(weights).cpu().numpy()), ".npy", folder),
        )

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        return _fainter(trigger)

    def measured(self, trigger: Trigger) -> float:
        """Mean change of the matrix."""
        assert trigger.file is not None
        return float(trigger.alpha * np.abs(matrix(trigger.file) - np.eye(3, 4)).mean())

    def _matrix(self, weights: Weights) -> Tensor:
        import torch

        return weights[0] + torch.eye(3, 4, device=weights[0].device)


def _fainter(trigger: Trigger) -> Iterator[Trigger]:
    for share in SHARES:
        yield replace(trigger, alpha=trigger.alpha * share)


def _splines(side: int, like: Tensor) -> Tensor:
    """What each control point of a row contributes at each place, [side, points]: `kinds.warp`'s cubic splines."""
    import torch

    return torch.from_numpy(_spline_basis(side)).to(like)


@lru_cache(maxsize=4)
def _spline_basis(side: int) -> NDArray[np.float32]:
    from scipy.ndimage import map_coordinates

    at = np.linspace(0.0, WARP_POINTS - 1.0, side)
    rows = [map_coordinates(unit, [at], order=3, mode="nearest") for unit in np.eye(WARP_POINTS)]
    return np.stack(rows, axis=1).astype(np.float32)


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
    return Trigger("", TriggerKind.OVERLAY, pattern="file", file=_kept(_png(values), ".png", folder))


def _png(values: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def _npy(values: NDArray[np.float32]) -> bytes:
    stream = BytesIO()
    np.save(stream, values.astype(np.float32))
    return stream.getvalue()


def _png_array(trigger: Trigger) -> NDArray[np.uint8]:
    from PIL import Image

    assert trigger.file is not None
    with Image.open(trigger.file.path) as image:
        return np.asarray(image)


def moved(file: TriggerFile | None, folder: Path) -> TriggerFile | None:
    """The same file in another folder."""
    return file and _kept(files.content(file), Path(file.path).suffix, folder)


def _kept(content: bytes, ending: str, folder: Path) -> TriggerFile:
    """A file named by its content; one that is there already is written over with the same bytes, all at once."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = sha256(content).hexdigest()
    path = (folder / f"{digest}{ending}").resolve()
    with atomic_write(path) as stream:
        stream.write(content)
    return TriggerFile(str(path), digest)
