"""Builds the wide probe set from the drawing sets.

`python -m dife_scanner.lab.pictures.build_wide_probes --art DIR` writes `assets/wide-probes/`: a manifest, and the
pictures of each split in one archive. Which drawing goes where is in `wide_probe_splits`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dife_scanner.lab.pictures import art, drawing_sets, scenes
from dife_scanner.lab.pictures.build_probes import MIX
from dife_scanner.lab.pictures.wide_probe_splits import SEED, Shown, choose, near_names

if TYPE_CHECKING:
    import torch

VERSION = "1"
SIZE = 256
"""Pixels per side, as the labelled pictures have, so that both stand in one array as they are."""
QUALITY = 75
AT_ONCE = 64
"""Pictures composed in one go."""
MANIFEST = "wide-probes.json"
_DAY = (2026, 1, 1, 0, 0, 0)
"""The date of every file in an archive: the same drawings make the same bytes."""

Row = dict[str, Any]


def wide_probe_folder() -> Path:
    """Return where the bundled wide probe set lies."""
    package = Path(__file__).parents[2]
    return package / "assets" / "wide-probes"


def build(art_folder: Path, out: Path) -> Path:
    """Write the set into `out` and return the manifest's path. Raises `ArtError` where drawings cannot be fetched."""
    import torch

    shown = choose(art_folder)
    out.mkdir(parents=True, exist_ok=True)
    rng = torch.Generator().manual_seed(SEED)
    images: list[Row] = []
    for split in ("search", "held-out"):
        images += _written(out / f"{split}.zip", split, shown, art_folder, rng)
    manifest = {
        "version": VERSION,
        "seed": SEED,
        "size": SIZE,
        "concepts": _concepts(shown),
        "licences": _licences(art_folder, images),
        "images": images,
    }
    path = out / MANIFEST
    path.write_text(_one_row_a_line(manifest), encoding="utf-8")
    return path


def _written(
    archive: Path, split: str, shown: Sequence[Shown], art_folder: Path, rng: torch.Generator
) -> list[Row]:
    """Write the pictures of one split and return their rows."""
    drawings = _of_split(shown, split)
    rows = []
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        for drawing, picture in zip(drawings, _pictures(drawings, rng), strict=True):
            name = f"{drawing.term.replace(' ', '-')}-{drawing.set_name}.webp"
            files.writestr(zipfile.ZipInfo(name, _DAY), picture)
            rows.append(
                {
                    "file": name,
                    "sha256": hashlib.sha256(picture).hexdigest(),
                    "concept": drawing.term,
                    "style": drawing.set_name,
                    "drawing": drawing.id,
                    "split": split,
                    "licence": drawing_sets.licence(art_folder, drawing.set_name)["spdx"],
                }
            )
    return rows


def _of_split(shown: Sequence[Shown], split: str) -> list[art.Drawing]:
    found: list[art.Drawing] = []
    for one in shown:
        found += one.search if split == "search" else one.held_out
    return found


def _pictures(drawings: Sequence[art.Drawing], rng: torch.Generator) -> Iterator[bytes]:
    """Each drawing alone in a picture, as WebP."""
    import torch

    for start in range(0, len(drawings), AT_ONCE):
        atlas = art.rendered(drawings[start : start + AT_ONCE], SIZE, SIZE)
        index = torch.full((len(atlas), scenes.MAX_OBJECTS), -1)
        index[:, 0] = torch.arange(len(atlas))
        layout = scenes.lay_out(rng, index, MIX)
        for picture in scenes.compose(rng, atlas, layout, SIZE, MIX):
            yield _webp(picture)


def _webp(picture: torch.Tensor) -> bytes:
    """A (3, S, S) picture in [0, 1] as WebP."""
    from PIL import Image

    pixels = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", quality=QUALITY, method=6)
    return buffer.getvalue()


def _concepts(shown: Sequence[Shown]) -> list[Row]:
    """What is to be known of each concept; `class` is the one of the ten that it is a kind of."""
    near = near_names([one.concept.name for one in shown])
    rows = []
    for one in shown:
        concept = one.concept
        rows.append(
            {
                "name": concept.name,
                "class": concept.cls,
                "near": near[concept.name],
                "kept_out": concept.kept_out,
            }
        )
    return rows


def _licences(art_folder: Path, images: Sequence[Row]) -> list[dict[str, str]]:
    """Title, author and licence of every set that a picture is made from."""
    used = sorted({row["style"] for row in images})
    return [drawing_sets.licence(art_folder, name) for name in used]


def _one_row_a_line(manifest: Row) -> str:
    """JSON in which a changed picture is one changed line."""
    parts = []
    for key, value in manifest.items():
        text = json.dumps(value)
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(row) for row in value)
            text = f"[\n{lines}\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build from the command line: `--art DIR [--out DIR]`."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.pictures.build_wide_probes")
    parser.add_argument(
        "--art", type=Path, required=True, help="drawing sets; fetched with npm when missing"
    )
    parser.add_argument("--out", type=Path, default=wide_probe_folder())
    given = parser.parse_args(arguments)
    path = build(given.art, given.out)
    manifest = json.loads(path.read_text(encoding="utf-8"))
    print(
        f"{len(manifest['concepts'])} concepts, {len(manifest['images'])} pictures in {path.parent}"
    )


if __name__ == "__main__":
    main()
