"""The wide lab sheets: drawings of hundreds of concepts, which attacks train from and nothing else uses.

Two pictures of drawings side by side: one under free licences, one of share-alike sets, which is under theirs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures import scenes

MANIFEST = "wide-lab.json"

Row = dict[str, Any]
Drawn = NDArray[np.uint8]
"""RGBA (T, T, 4)."""


def sheet_folder() -> Path:
    """Return where the bundled sheets lie."""
    package = Path(__file__).parents[2]
    return package / "assets" / "wide-lab"


@lru_cache(maxsize=2)
def manifest_of(folder: Path) -> Row:
    """Read what stands where."""
    manifest: Row = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return manifest


def terms(folder: Path) -> tuple[str, ...]:
    """Return the concepts of the sheets, in alphabetical order."""
    found = set()
    for sheet in manifest_of(folder)["sheets"]:
        for row in sheet["drawings"]:
            found.add(row["term"])
    return tuple(sorted(found))


def read(folder: Path, wanted: Sequence[str], size: int) -> scenes.Atlas:
    """Read the drawings of these concepts as an atlas for scenes of `size` pixels; `classes` are None."""
    chosen = set(wanted)
    rows: list[Row] = []
    masters: list[Drawn] = []
    for sheet in manifest_of(folder)["sheets"]:
        pixels = _pixels(folder / sheet["file"])
        for number, row in enumerate(sheet["drawings"]):
            if row["term"] in chosen:
                rows.append(row)
                masters.append(_cut(pixels, number, sheet))
    return scenes.atlas_of(
        masters,
        size,
        mono=[row["mono"] for row in rows],
        classes=[None] * len(rows),
        terms=[row["term"] for row in rows],
        ids=[row["drawing"] for row in rows],
    )


def _pixels(path: Path) -> Drawn:
    from PIL import Image

    with Image.open(path) as sheet:
        return np.asarray(sheet.convert("RGBA"))


def _cut(pixels: Drawn, number: int, sheet: Row) -> Drawn:
    tile = sheet["tile"]
    line, column = divmod(number, sheet["columns"])
    top = line * tile
    left = column * tile
    return pixels[top : top + tile, left : left + tile]
