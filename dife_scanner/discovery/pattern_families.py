"""Families of image patterns that a trigger is searched in: what their free numbers do to a picture.

Each family also says which trigger its numbers come to. docs/detectors.md lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from dife_scanner.discovery import pattern_files
from dife_scanner.records import Trigger, TriggerKind
from dife_scanner.triggers.kinds.filter import matrix

if TYPE_CHECKING:
    from torch import Generator, Tensor

    Weights = tuple[Tensor, ...]
    """The free numbers of one pattern."""

MASK_CELLS = 16
"""Cells along one side of an inverted mask …"""
PATTERN_CELLS = 32
"""… and of its colours; between them both are bilinear."""
LEAST_OPACITY = 0.05
"""Opacity below which an overlay is cut to nothing."""
OPACITY_CUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Opacities below which the final shrink step cuts, from the mildest."""

MOST_ADDED = 32 / 255
"""Largest amplitude of an added pattern, of values in 0..1."""
MOST_BLENDED = 0.4
"""Largest share of a blended picture."""
MOST_WARPED = 0.12
"""Largest displacement of a control point, in image sides."""
WARP_POINTS = 4
"""Control points along one side of a warp."""
SHRINK_SHARES = (0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Of its amplitude, share or strength, that the final shrink step tries."""
_START_SPREAD = 0.5
"""Standard deviation of free numbers at the start, before sigmoid or tanh: all still have a slope."""
_START_MASK = -3.0
"""Mean of a mask's free numbers at the start: an opacity of about .05, so that a patch grows where it helps."""
_START_COLOUR_SPREAD = 0.1
"""Standard deviation of a colour map's free numbers at the start."""


class PatternFamily(Protocol):
    """One parametrisation of image triggers."""

    @property
    def name(self) -> str:
        """In progress, in a trigger's name and in signals."""

    def start(self, side: int, generator: Generator) -> Weights:
        """Free numbers to begin with, on the CPU; `side` is that of the pictures in pixels."""

    def applied(self, pictures: Tensor, weights: Weights) -> Tensor:
        """Triggered pictures [n, 3, s, s] in 0..1, differentiable in the weights."""

    def size(self, weights: Weights) -> Tensor:
        """What is to be small, 0..1: area, amplitude or share."""

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        """The trigger as an audit stamps it; its file is written below `folder`."""

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        """Ever smaller versions of a trigger of this family."""

    def measured_size(self, trigger: Trigger) -> float:
        """`size` of a finished trigger."""


@dataclass(frozen=True)
class Patch:
    """A picture behind a free mask; what a patch of any shape, number and place is made of.

    Weights: opacities [1, 1, 16, 16] and colours [1, 3, 32, 32], both before sigmoid.
    """

    name: str = "patch"

    def start(self, side: int, generator: Generator) -> Weights:
        mask = _drawn((1, 1, MASK_CELLS, MASK_CELLS), generator) + _START_MASK
        return mask, _drawn((1, 3, PATTERN_CELLS, PATTERN_CELLS), generator)

    def applied(self, pictures: Tensor, weights: Weights) -> Tensor:
        side = pictures.shape[-1]
        opacity = _enlarged(weights[0], side)
        colours = _enlarged(weights[1], side)
        return pictures * (1 - opacity) + opacity * colours

    def size(self, weights: Weights) -> Tensor:
        return weights[0].sigmoid().mean()

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        opacity = _as_image(_enlarged(weights[0], side))
        colours = _as_image(_enlarged(weights[1], side))
        visible = np.where(opacity < LEAST_OPACITY, 0, opacity)
        image = np.concatenate([colours, visible], axis=-1)
        return _overlay(image, folder)

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        image = pattern_files.read_png(trigger)
        colours, opacity = image[..., :3], image[..., 3:]
        for cut in OPACITY_CUTS:
            left = np.where(opacity < cut * 255, 0, opacity)
            if left.any():
                smaller = np.concatenate([colours, left], axis=-1)
                yield _overlay(smaller / 255, folder)

    def measured_size(self, trigger: Trigger) -> float:
        opacity = pattern_files.read_png(trigger)[..., 3]
        return float(opacity.mean() / 255)


class _WithAmplitude:
    """The part shared by families whose size is one amplitude, the second of their weights before sigmoid."""

    def size(self, weights: Weights) -> Tensor:
        return weights[1].sigmoid().mean()

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        return _fainter(trigger)

    def measured_size(self, trigger: Trigger) -> float:
        return trigger.alpha


@dataclass(frozen=True)
class Additive(_WithAmplitude):
    """A signed perturbation of the whole picture with a free amplitude.

    Weights: signs and strengths [1, 3, s, s] before tanh, and the amplitude [1].
    """

    name: str = "additive"

    def start(self, side: int, generator: Generator) -> Weights:
        import torch

        return _drawn((1, 3, side, side), generator), torch.zeros(1)

    def applied(self, pictures: Tensor, weights: Weights) -> Tensor:
        amplitude = MOST_ADDED * weights[1].sigmoid()
        return (pictures + amplitude * weights[0].tanh()).clamp(0, 1)

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        return Trigger(
            "",
            TriggerKind.ADDITIVE,
            pattern="file",
            alpha=MOST_ADDED * float(weights[1].sigmoid()),
            file=pattern_files.save_npy(_as_image(weights[0].tanh()), folder),
        )


@dataclass(frozen=True)
class Blend(_WithAmplitude):
    """A picture mixed into the whole picture with a free share.

    Weights: colours [1, 3, 32, 32] and the share [1].
    """

    name: str = "blend"

    def start(self, side: int, generator: Generator) -> Weights:
        import torch

        return _drawn((1, 3, PATTERN_CELLS, PATTERN_CELLS), generator), torch.zeros(1)

    def applied(self, pictures: Tensor, weights: Weights) -> Tensor:
        share = MOST_BLENDED * weights[1].sigmoid()
        colours = _enlarged(weights[0], pictures.shape[-1])
        return pictures * (1 - share) + share * colours

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        colours = _as_image(_enlarged(weights[0], side))
        values = np.rint(colours * 255).astype(np.uint8)
        return Trigger(
            "",
            TriggerKind.BLEND,
            pattern="file",
            alpha=MOST_BLENDED * float(weights[1].sigmoid()),
            file=pattern_files.save_png(values, folder),
        )


@dataclass(frozen=True)
class Warp:
    """A smooth displacement with free control points.

    Weights: displacements [2, 4, 4] of the control points, down and across, before tanh.
    """

    name: str = "warp"

    def start(self, side: int, generator: Generator) -> Weights:
        return (_drawn((2, WARP_POINTS, WARP_POINTS), generator),)

    def applied(self, pictures: Tensor, weights: Weights) -> Tensor:
        import torch
        from torch.nn.functional import grid_sample

        side = pictures.shape[-1]
        splines = torch.from_numpy(_cubic_splines(side)).to(pictures)
        down, across = splines @ self._displacements(weights) @ splines.T
        # grid_sample counts the picture from -1 to 1, and x before y
        in_sides = torch.stack([across, down], dim=-1)
        shift = 2 * side / (side - 1) * in_sides
        moved = shift + _unmoved_grid(side, pictures)
        grid = moved.expand(len(pictures), -1, -1, -1)
        return grid_sample(pictures, grid, padding_mode="border", align_corners=True)

    def size(self, weights: Weights) -> Tensor:
        return self._displacements(weights).abs().mean() / MOST_WARPED

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        displacements = self._displacements(weights).cpu().numpy()
        return Trigger(
            "",
            TriggerKind.WARP,
            pattern="file",
            strength=float(np.abs(displacements).mean()),
            file=pattern_files.save_npy(displacements, folder),
        )

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        for share in SHRINK_SHARES:
            yield replace(trigger, strength=trigger.strength * share)

    def measured_size(self, trigger: Trigger) -> float:
        return trigger.strength

    def _displacements(self, weights: Weights) -> Tensor:
        """Displacements of the control points [2, 4, 4] in image sides."""
        return MOST_WARPED * weights[0].tanh()


@dataclass(frozen=True)
class ColourMap:
    """A free affine map of the colours.

    Weights: what a matrix [3, 4] differs by from the identity; its last column is added.
    """

    name: str = "colour"

    def start(self, side: int, generator: Generator) -> Weights:
        return (_drawn((3, 4), generator, _START_COLOUR_SPREAD),)

    def applied(self, pictures: Tensor, weights: Weights) -> Tensor:
        import torch

        colours = self._matrix(weights)
        mixed = torch.einsum("ij,njhw->nihw", colours[:, :3], pictures)
        return (mixed + colours[:, 3:, None]).clamp(0, 1)

    def size(self, weights: Weights) -> Tensor:
        return weights[0].abs().mean()

    def trigger(self, weights: Weights, side: int, folder: Path) -> Trigger:
        colours = self._matrix(weights).cpu().numpy()
        file = pattern_files.save_npy(colours, folder)
        return Trigger("", TriggerKind.FILTER, pattern="file", file=file)

    def smaller(self, trigger: Trigger, folder: Path) -> Iterator[Trigger]:
        return _fainter(trigger)

    def measured_size(self, trigger: Trigger) -> float:
        """Mean change of the matrix."""
        assert trigger.file is not None
        change = np.abs(matrix(trigger.file) - np.eye(3, 4))
        return float(trigger.alpha * change.mean())

    def _matrix(self, weights: Weights) -> Tensor:
        import torch

        return weights[0] + torch.eye(3, 4, device=weights[0].device)


def _unmoved_grid(side: int, like: Tensor) -> Tensor:
    """Where `grid_sample` reads each place of a picture from when nothing moves, x and y in -1..1, [side, side, 2]."""
    import torch

    places = torch.linspace(-1, 1, side, device=like.device)
    columns = places.expand(side, side)
    rows = places[:, None].expand(side, side)
    return torch.stack([columns, rows], dim=-1)


def _drawn(
    shape: tuple[int, ...],
    generator: Generator,
    spread: float = _START_SPREAD,
) -> Tensor:
    import torch

    return torch.randn(*shape, generator=generator) * spread


def _enlarged(cells: Tensor, side: int) -> Tensor:
    """Cells [1, k, c, c] of any value as [1, k, side, side] in 0..1."""
    from torch.nn.functional import interpolate

    return interpolate(cells.sigmoid(), size=side, mode="bilinear", align_corners=False)


def _as_image(values: Tensor) -> NDArray[np.float32]:
    """[1, k, s, s] as [s, s, k]."""
    last_channel = values[0].permute(1, 2, 0)
    image: NDArray[np.float32] = last_channel.cpu().numpy()
    return image


def _fainter(trigger: Trigger) -> Iterator[Trigger]:
    for share in SHRINK_SHARES:
        yield replace(trigger, alpha=trigger.alpha * share)


def _overlay(image: NDArray[np.floating], folder: Path) -> Trigger:
    """RGBA [s, s, 4] in 0..1 as an overlay. One that shows nothing keeps its most opaque place."""
    values = np.rint(image * 255).astype(np.uint8)
    opacity = values[..., 3]
    if not opacity.any():
        opacity.flat[int(image[..., 3].argmax())] = 1
    return Trigger(
        "",
        TriggerKind.OVERLAY,
        pattern="file",
        file=pattern_files.save_png(values, folder),
    )


@lru_cache(maxsize=4)
def _cubic_splines(side: int) -> NDArray[np.float32]:
    """What each control point of a row contributes at each place, [side, points]: `kinds.warp`'s cubic splines."""
    from scipy.ndimage import map_coordinates

    places = np.linspace(0.0, WARP_POINTS - 1.0, side)
    columns = []
    for unit in np.eye(WARP_POINTS):
        columns.append(map_coordinates(unit, [places], order=3, mode="nearest"))
    return np.stack(columns, axis=1).astype(np.float32)
