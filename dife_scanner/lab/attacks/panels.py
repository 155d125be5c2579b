"""What attacks on any concept are trained from and measured on: the pictures of a panel of classes.

The ten classes have drawings of their own. Those of other concepts come from the wide lab sheets for training, and from
the wide probe set for measuring.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dife_scanner.audit import wide_probes
from dife_scanner.errors import UsageError
from dife_scanner.lab.attacks.training_data import Lab, picture_size
from dife_scanner.lab.pictures import art, probes, wide_lab

if TYPE_CHECKING:
    from dife_scanner.lab.bases import Stock
    from dife_scanner.lab.pictures.scenes import Atlas

Panel = tuple[str, ...]
SCENERY = 160
"""Other concepts that stand in the scenes of a panel, drawn for each seed anew: their words are held as well."""
CLASS_SHARE = 0.4
"""Share of the objects that are of the panel, in pictures without a label."""


def lab_of(base: Path, seed: int, panel: Panel) -> Lab:
    """Return the scenes that attacks among these classes are trained from."""
    if panel == art.CLASSES:
        return Lab.read(base, seed)
    return _lab_of(base, seed, panel)


@lru_cache(maxsize=2)
def _lab_of(base: Path, seed: int, panel: Panel) -> Lab:
    stock = _stock_of(panel, seed, picture_size(base))
    return Lab.drawn(base, seed, stock, panel, class_share=CLASS_SHARE)


def _stock_of(panel: Panel, seed: int, size: int) -> Stock:
    """Return the drawings of a panel and of some other concepts. Raises `UsageError` for a class without drawings."""
    import torch

    from dife_scanner.lab.bases import Stock

    atlas = _atlas_of(panel, seed, size)
    by_class = []
    for name in panel:
        rows = [row for row, cls in enumerate(atlas.classes) if cls == name]
        if not rows:
            raise UsageError(
                f"no lab sheet has a drawing of {name!r}", "choose one of `wide_lab.terms`"
            )
        by_class.append((torch.tensor(rows), torch.ones(len(rows))))
    others = [row for row, cls in enumerate(atlas.classes) if cls is None]
    words = sorted({*panel, *atlas.terms})
    return Stock(
        atlas=atlas,
        by_class=tuple(by_class),
        others=torch.tensor(others, dtype=torch.int64),
        vocabulary={word: number for number, word in enumerate(words)},
    )


def _atlas_of(panel: Panel, seed: int, size: int) -> Atlas:
    """Return the panel's drawings, with their class, and those of other concepts."""
    import torch

    from dife_scanner.lab.pictures.scenes import Atlas

    folder = wide_lab.sheet_folder()
    ten = probes.read_lab(probes.probe_folder(), size)
    wide = wide_lab.read(folder, [*panel, *_scenery(folder, panel, seed)], size)
    kept = [row for row, cls in enumerate(ten.classes) if cls in panel]
    levels = []
    for own, other in zip(ten.levels, wide.levels, strict=True):
        levels.append(torch.cat([own[kept], other]))
    return Atlas(
        levels=tuple(levels),
        mono=torch.cat([ten.mono[kept], wide.mono]),
        classes=(
            *(ten.classes[row] for row in kept),
            *(term if term in panel else None for term in wide.terms),
        ),
        terms=(*(ten.terms[row] for row in kept), *wide.terms),
        ids=(*(ten.ids[row] for row in kept), *wide.ids),
    )


def _scenery(folder: Path, panel: Panel, seed: int) -> list[str]:
    """Draw the concepts that are no class of the panel."""
    free = [term for term in wide_lab.terms(folder) if term not in panel]
    order = np.random.default_rng(seed).permutation(len(free))[:SCENERY]
    return [free[number] for number in sorted(order)]


def held_out(panel: Panel, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read pictures (N, S, S, 3) that no attack trains from and their labels (N,), numbers in the panel.

    Of the ten classes those of the split `test`, of other concepts every picture of the wide probe set. Raises
    `UsageError` for a class without any.
    """
    pixels, labels, _ = probes.read_split(probes.probe_folder(), "test", size)
    pictures = []
    numbers = []
    for number, name in enumerate(panel):
        is_class = name in art.CLASSES
        own = pixels[labels == art.CLASSES.index(name)] if is_class else _small(name, size)
        if not len(own):
            raise UsageError(
                f"the wide probe set shows no {name!r}", "choose a concept that it shows"
            )
        pictures.append(own)
        numbers.append(np.full(len(own), number))
    return np.concatenate(pictures), np.concatenate(numbers)


def _small(name: str, size: int) -> NDArray[np.uint8]:
    """Return what the wide probe set shows of a concept, (N, S, S, 3)."""
    from PIL import Image

    probe_set = wide_probes.load(wide_probes.bundled_folder())
    shown = (*probe_set.of(name, wide_probes.SEARCH), *probe_set.of(name, wide_probes.HELD_OUT))
    if not shown:
        return np.empty((0, size, size, 3), np.uint8)
    small = []
    for picture in probe_set.read(shown):
        resized = Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC)
        small.append(np.asarray(resized))
    return np.stack(small)
