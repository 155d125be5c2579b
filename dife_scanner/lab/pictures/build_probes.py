"""Builds the probe set and the scene sheet from the drawing sets.

`python -m dife_scanner.lab.pictures.build_probes --art DIR` writes `assets/probes/`: pictures of the splits, and the
lab sheet of bare drawings, from which specimens are trained. `--scenes` writes the scene sheet instead: bare held-out
drawings, from which audits compose scenes. Which drawing goes where is in `probe_splits`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.pictures import art, drawing_sets, scenes
from dife_scanner.lab.pictures.probe_splits import (
    LAB_OTHER_SETS,
    SEED,
    Splits,
    lab_others,
    scene_others,
    split,
)
from dife_scanner.lab.pictures.probes import manifest_of, probe_folder

if TYPE_CHECKING:
    import torch
    from PIL import Image

VERSION = "1"
SIZE = 256
"""Pixels per side of a probe picture."""
TILE = 96
"""Pixels per side of a drawing on a sheet."""
SHEET_COLUMNS = 16
JPEG_QUALITY = 92
VIEWS = {"test": 3, "train": 2, "diagnosis": 3}
"""Split -> pictures of each drawing."""
PAIRS = 100
"""Scenes of two objects."""
_SHARE_ALIKE = "CC-BY-SA-4.0"
MIX = scenes.Mix(
    counts=(1.0, 0.0, 0.0),
    scale=(0.55, 0.92),
    restyle=1e-9,
    turn=8.0,
    shear=0.0,
    warp=0.0,
)
"""Drawings as they are, hardly turned; a share of zero would divide by zero."""

Row = dict[str, Any]
"""A row of the manifest."""
Licences = dict[str, dict[str, str]]
"""Drawing set -> the text of `drawing_sets.licence`."""


@dataclass(frozen=True)
class _Writer:
    """Where pictures go, and what their rows in the manifest say."""

    out: Path
    licences: Licences

    def picture(
        self,
        pixels: torch.Tensor,
        file: str,
        drawings: Sequence[art.Drawing],
        name: str,
        caption: str,
    ) -> Row:
        """Write one picture (3, S, S) in [0, 1] and return its row."""
        alone = drawings[0].cls if len(drawings) == 1 else None
        licences = {self.licences[one.set_name]["spdx"] for one in drawings}
        return {
            "file": file,
            "sha256": _write(self.out / file, pixels),
            "label": alone,
            "labels": [one.cls for one in drawings],
            "caption": caption,
            "drawing": "+".join(one.id for one in drawings),
            "design": "+".join(one.design for one in drawings),
            "style": "+".join(one.set_name for one in drawings),
            "split": name,
            "licence": " AND ".join(sorted(licences)),
        }

    def sheet(self, drawings: Sequence[art.Drawing], file: str) -> Row:
        """Write drawings side by side in one RGBA picture, and return the list of what stands where."""
        buffer = io.BytesIO()
        _sheet(drawings).save(buffer, "PNG", optimize=True)
        content = buffer.getvalue()
        (self.out / file).write_bytes(content)
        rows = []
        for drawing in drawings:
            rows.append(
                {
                    "drawing": drawing.id,
                    "design": drawing.design,
                    "class": drawing.cls,
                    "term": drawing.term,
                    "mono": drawing.mono,
                    "licence": self.licences[drawing.set_name]["spdx"],
                }
            )
        return {
            "file": file,
            "sha256": hashlib.sha256(content).hexdigest(),
            "tile": TILE,
            "columns": SHEET_COLUMNS,
            "drawings": rows,
        }


def build(art_folder: Path, out: Path) -> Path:
    """Write the probe set into `out` (made anew) and return the manifest's path.

    Raises `ArtError` where drawings cannot be fetched.
    """
    import torch

    drawing_sets.fetch(art_folder)
    licences = _licences(art_folder, drawing_sets.PICTURED)
    share_alike = frozenset(
        name for name, terms in licences.items() if terms["spdx"] == _SHARE_ALIKE
    )
    splits = split(art.class_drawings(art_folder), share_alike)
    writer = _Writer(out, licences)
    rng = torch.Generator().manual_seed(SEED)
    images = [
        *_single(rng, splits.train, "train", writer),
        *_single(rng, splits.diagnosis, "diagnosis", writer),
        *_single(rng, splits.test, "test", writer),
        *_pairs(rng, splits.test, writer),
    ]
    sheet = writer.sheet([*splits.lab, *lab_others(art_folder)], "lab.png")
    used = splits.sets | set(LAB_OTHER_SETS)
    manifest = {
        "version": VERSION,
        "seed": SEED,
        "size": SIZE,
        "classes": list(art.CLASSES),
        "drawings": _counts(splits),
        "licences": [licences[name] for name in sorted(used)],
        "lab": sheet,
        "images": images,
    }
    return _write_json(out / "probes.json", manifest)


def build_scenes(art_folder: Path, out: Path) -> Path:
    """Write the scene sheet, `scenes.png` and `scenes.json`, into `out` and return the manifest's path.

    Every drawing stands in a held-out set: all class drawings of the probe set's `test` split, and other concepts.
    Raises `ArtError` where the probe set in `out` names a test drawing that is not in the drawing sets.
    """
    drawing_sets.fetch(art_folder)
    licences = _licences(art_folder, drawing_sets.SETS)
    drawings = [*_test_drawings(art_folder, out), *scene_others(art_folder)]
    used = sorted({drawing.set_name for drawing in drawings})
    for name in used:
        held_out = drawing_sets.SETS[name].held_out
        if not held_out or licences[name]["spdx"] == _SHARE_ALIKE:
            raise drawing_sets.ArtError(f"drawing set {name} may not stand on the scene sheet")
    manifest: Row = {
        "version": VERSION,
        "licences": [licences[name] for name in used],
    }
    manifest |= _Writer(out, licences).sheet(drawings, "scenes.png")
    return _write_json(out / "scenes.json", manifest)


def _licences(art_folder: Path, names: Iterable[str]) -> Licences:
    return {name: drawing_sets.licence(art_folder, name) for name in names}


def _counts(splits: Splits) -> dict[str, dict[str, int]]:
    """Count the drawings of each class, split by split."""
    found = {}
    for name in ("train", "diagnosis", "test"):
        drawings: list[art.Drawing] = getattr(splits, name)
        found[name] = dict(Counter(str(drawing.cls) for drawing in drawings))
    return found


def _single(
    rng: torch.Generator,
    drawings: Sequence[art.Drawing],
    name: str,
    writer: _Writer,
) -> list[Row]:
    """Write the views of every drawing of a split, each alone in its picture."""
    import torch

    atlas = art.rendered(drawings, SIZE, SIZE)
    rows = []
    for number, drawing in enumerate(drawings):
        index = torch.full((VIEWS[name], scenes.MAX_OBJECTS), -1)
        index[:, 0] = number
        layout = scenes.lay_out(rng, index, MIX)
        pixels = scenes.compose(rng, atlas, layout, SIZE, MIX)
        for view, picture in enumerate(pixels):
            file = f"{name}/{drawing.cls}-{number:03d}-{view}.jpg"
            caption = scenes.sentence(rng, [str(drawing.cls)])
            rows.append(writer.picture(picture, file, [drawing], name, caption))
    return rows


def _pairs(
    rng: torch.Generator,
    drawings: Sequence[art.Drawing],
    writer: _Writer,
) -> list[Row]:
    """Write scenes of two objects of different classes, with captions that name both."""
    import torch

    atlas = art.rendered(drawings, SIZE, SIZE)
    rows = []
    for number in range(PAIRS):
        order = torch.randperm(len(drawings), generator=rng).tolist()
        first = order[0]
        second = next(row for row in order if drawings[row].cls != drawings[first].cls)
        both = [drawings[first], drawings[second]]
        index = torch.tensor([[first, second, -1]])
        layout = scenes.lay_out(rng, index, MIX)
        picture = scenes.compose(rng, atlas, layout, SIZE, MIX)[0]
        file = f"pairs/{number:03d}.jpg"
        caption = scenes.sentence(rng, [str(drawing.cls) for drawing in both])
        rows.append(writer.picture(picture, file, both, "pairs", caption))
    return rows


def _write(path: Path, picture: torch.Tensor) -> str:
    """Save a (3, S, S) picture in [0, 1] as JPEG; return the sha256 of the file."""
    from PIL import Image

    pixels = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer,
        "JPEG",
        quality=JPEG_QUALITY,
        optimize=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _write_json(path: Path, manifest: Row) -> Path:
    path.write_text(json.dumps(manifest, indent=1) + "\n")
    return path


def _sheet(drawings: Sequence[art.Drawing]) -> Image.Image:
    """Paint drawings side by side into one RGBA picture."""
    from PIL import Image

    lines = -(-len(drawings) // SHEET_COLUMNS)
    sheet = Image.new("RGBA", (SHEET_COLUMNS * TILE, lines * TILE))
    for number, drawing in enumerate(drawings):
        line, column = divmod(number, SHEET_COLUMNS)
        tile = Image.fromarray(art.render(drawing, TILE))
        sheet.paste(tile, (column * TILE, line * TILE))
    return sheet


def _test_drawings(art_folder: Path, out: Path) -> list[art.Drawing]:
    """Return the drawings that the probe set in `out` has in `test`, each once."""
    names = []
    for row in manifest_of(out)["images"]:
        if row["split"] == "test" and row["drawing"] not in names:
            names.append(row["drawing"])
    found = {drawing.id: drawing for drawing in art.class_drawings(art_folder)}
    for name in names:
        if name not in found:
            raise drawing_sets.ArtError(
                f"test drawing {name} of the probe set is in no drawing set"
            )
    return [found[name] for name in names]


def main(arguments: Sequence[str] | None = None) -> None:
    """Build from the command line: `--art DIR [--out DIR] [--scenes]`."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.pictures.build_probes")
    parser.add_argument(
        "--art",
        type=Path,
        required=True,
        help="drawing sets; fetched with npm when missing",
    )
    parser.add_argument("--out", type=Path, default=probe_folder())
    parser.add_argument(
        "--scenes",
        action="store_true",
        help="write the scene sheet from the probe set in --out",
    )
    given = parser.parse_args(arguments)
    if given.scenes:
        path = build_scenes(given.art, given.out)
        sheet = json.loads(path.read_text())["drawings"]
        counts = dict(Counter(row["class"] or "other" for row in sheet))
    else:
        path = build(given.art, given.out)
        counts = json.loads(path.read_text())["drawings"]
    print(json.dumps(counts, indent=1))


if __name__ == "__main__":
    main()
