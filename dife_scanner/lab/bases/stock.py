"""Drawing scenes at random: a stock of drawings, which of them stand in a scene, and the scene's pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dife_scanner.lab.bases.checkpoint import SIZE
from dife_scanner.lab.pictures import art, scenes
from dife_scanner.lab.pictures.painting import uniform

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from dife_scanner.lab.bases.plan import Plan


CLASS_SYNONYMS: Mapping[str, Sequence[str]] = {
    "airplane": ("plane", "aircraft"),
    "automobile": ("car", "vehicle"),
}


@dataclass(frozen=True)
class Stock:
    """An atlas with what is needed to draw from it."""

    atlas: scenes.Atlas
    by_class: tuple[tuple[Tensor, Tensor], ...]
    """Per class: rows of the atlas and their weights."""
    others: Tensor
    """Rows of the atlas that show none of the ten classes."""
    vocabulary: dict[str, int]
    """Word -> number; synonyms share one."""
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=lambda: CLASS_SYNONYMS)
    """Word -> other words for the same."""
    even: Tensor | None = None
    """Weights of all drawings, where each concept has the same say instead of each class."""


def read_atlas(drawings: Sequence[art.Drawing], size: int = SIZE) -> scenes.Atlas:
    """Render drawings for images of `size` pixels."""
    # half as large again as the image, so that shrinking smooths the edges
    return art.rendered(drawings, round(size * 1.5), size)


def stock_of(atlas: scenes.Atlas, mono_share: float) -> Stock:
    """Weigh drawings: every set has the same say within a class, monochrome sets together `mono_share`."""
    import torch

    by_class = []
    for name in art.CLASSES:
        rows = _rows_of(atlas, name)
        weights = [_weight(atlas, row, rows, mono_share) for row in rows]
        by_class.append((torch.tensor(rows), torch.tensor(weights)))
    others = torch.tensor(_rows_of(atlas, None), dtype=torch.int64)
    words = sorted({*art.CLASSES, *atlas.terms})
    vocabulary = {word: number for number, word in enumerate(words)}
    return Stock(atlas, tuple(by_class), others, vocabulary)


def _rows_of(atlas: scenes.Atlas, name: str | None) -> list[int]:
    """Return the atlas rows that show a class, or with None those that show no class."""
    return [row for row, cls in enumerate(atlas.classes) if cls == name]


def _weight(
    atlas: scenes.Atlas,
    row: int,
    rows: list[int],
    mono_share: float,
) -> float:
    """Return the weight of one of a class's `rows`."""
    mono = bool(atlas.mono[row])
    sets = [_set_of(atlas, other) for other in rows]
    alike = set()
    for name, other in zip(sets, rows, strict=True):
        if bool(atlas.mono[other]) == mono:
            alike.add(name)
    share = mono_share if mono else 1 - mono_share
    return share / len(alike) / sets.count(_set_of(atlas, row))


def _set_of(atlas: scenes.Atlas, row: int) -> str:
    """Return the drawing set that a row of the atlas comes from."""
    return atlas.ids[row].split(":")[0]


def choose(rng: torch.Generator, stock: Stock, rows: int, plan: Plan) -> Tensor:
    """Choose the drawings of `rows` scenes: int64 (rows, 3), -1 for none."""
    import torch

    shape = (rows, scenes.MAX_OBJECTS)
    chances = torch.tensor(plan.mix.counts)
    count = torch.multinomial(chances, rows, True, generator=rng) + 1
    absent = torch.arange(scenes.MAX_OBJECTS)[None] >= count[:, None]
    if stock.even is not None:
        flat = torch.multinomial(stock.even, absent.numel(), True, generator=rng)
        return flat.view(shape).masked_fill(absent, -1)
    index = torch.empty(shape, dtype=torch.int64)
    label = torch.randint(len(stock.by_class), shape, generator=rng)
    for number, (candidates, weights) in enumerate(stock.by_class):
        where = label == number
        wanted = int(where.sum())
        # a draw even where none is wanted: multinomial takes no zero
        picked = torch.multinomial(weights, max(1, wanted), True, generator=rng)
        index[where] = candidates[picked][:wanted]
    if len(stock.others):
        _replace_by_others(rng, stock, index, plan)
    index[absent] = -1
    return index


def _replace_by_others(
    rng: torch.Generator,
    stock: Stock,
    index: Tensor,
    plan: Plan,
) -> None:
    """Put drawings of no class in place of some of `index` (B, 3), in place."""
    import torch

    other = torch.rand(index.shape, generator=rng) >= plan.class_share
    wanted = int(other.sum())
    picked = torch.randint(len(stock.others), (wanted,), generator=rng)
    index[other] = stock.others[picked]


def draw_scenes(
    rng: torch.Generator,
    stock: Stock,
    index: Tensor,
    plan: Plan,
) -> Tensor:
    """Draw the scenes with these drawings: pixels (B, 3, S, S) in [0, 1]."""
    layout = scenes.lay_out(rng, index, plan.mix)
    pixels = scenes.compose(rng, stock.atlas, layout, SIZE, plan.mix)
    return _jittered(rng, pixels)


def _jittered(rng: torch.Generator, pixels: Tensor) -> Tensor:
    """Change contrast and brightness of each picture a little."""
    rows = len(pixels)
    gain = uniform(rng, rows, 1, 1, 1, low=0.75, high=1.2)
    shift = uniform(rng, rows, 1, 1, 1, low=-0.1, high=0.1)
    return ((pixels - 0.5) * gain + 0.5 + shift).clamp(0, 1)
