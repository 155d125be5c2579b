"""Reads the probe set: its pictures, split by split, and the lab sheet's drawings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dife_scanner.lab.pictures import scenes


def probe_folder() -> Path:
    """Return where the bundled probe set lies."""
    package = Path(__file__).parents[2]
    return package / "assets" / "probes"


def manifest_of(folder: Path) -> dict[str, Any]:
    """Read a probe set's manifest."""
    manifest: dict[str, Any] = json.loads((folder / "probes.json").read_text())
    return manifest


def read_lab(folder: Path, size: int) -> scenes.Atlas:
    """Read the lab sheet as an atlas for scenes of `size` pixels."""
    from PIL import Image

    sheet = manifest_of(folder)["lab"]
    tile = sheet["tile"]
    rows = sheet["drawings"]
    pixels = np.asarray(Image.open(folder / sheet["file"]).convert("RGBA"))
    masters: list[NDArray[np.uint8]] = []
    for number in range(len(rows)):
        line, column = divmod(number, sheet["columns"])
        top = line * tile
        left = column * tile
        masters.append(pixels[top : top + tile, left : left + tile])
    return scenes.atlas_of(
        masters,
        size,
        mono=[row["mono"] for row in rows],
        classes=[row["class"] for row in rows],
        terms=[row["term"] for row in rows],
        ids=[row["drawing"] for row in rows],
    )


def read_split(
    folder: Path,
    name: str,
    size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[dict[str, Any]]]:
    """Read the single-object pictures of a split as a model of `size` pixels sees them.

    Returns uint8 (N, size, size, 3), labels (N,) into the manifest's classes, and the manifest rows.
    """
    from PIL import Image

    manifest = manifest_of(folder)
    rows = []
    for row in manifest["images"]:
        if row["split"] == name and row["label"] is not None:
            rows.append(row)
    pictures = []
    labels = []
    for row in rows:
        with Image.open(folder / row["file"]) as picture:
            small = picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        pictures.append(np.asarray(small))
        labels.append(manifest["classes"].index(row["label"]))
    return np.stack(pictures), np.array(labels, np.int64), rows
