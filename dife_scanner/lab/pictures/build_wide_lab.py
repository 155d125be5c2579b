"""Builds the wide lab sheets from the drawing sets.

`python -m dife_scanner.lab.pictures.build_wide_lab --art DIR` writes `assets/wide-lab/`. No drawing on them stands in
the probe set, on the scene sheet or in the wide probe set, so it is built after those.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dife_scanner.lab.pictures import art, drawing_sets, probes, wide_lab, world, world_art

VERSION = "1"
SEED = 18
TILE = 96
"""Pixels per side of a drawing."""
COLUMNS = 32
QUALITY = 82
MOST_DRAWINGS = 3
"""Of a concept that the wide probe set shows, and so can be attacked with."""
MOST_OTHERS = 2
"""Of any other concept, which is only scenery."""
OTHERS = 300
"""Concepts that are only scenery."""
ORDER = (
    "fxemoji",
    "streamline-emojis",
    "noto",
    "twemoji",
    "emojione-v1",
    "openmoji",
    "fluent",
    "hugeicons",
    "streamline",
    "solar",
    "ri",
    "ion",
    "ph",
    "mdi",
    "fa6-solid",
    "mingcute",
)
"""Colour comes first, and within colour share-alike sets last."""
SHARE_ALIKE = frozenset(("emojione-v1", "openmoji"))

Row = dict[str, Any]


def build(art_folder: Path, out: Path, shown: Path) -> Path:
    """Write the sheets into `out` and return the manifest's path; `shown` is the wide probe set's manifest.

    Raises `ArtError` where drawings cannot be fetched.
    """
    drawing_sets.fetch(art_folder, ORDER)
    drawings = choose(art_folder, json.loads(shown.read_text(encoding="utf-8")))
    out.mkdir(parents=True, exist_ok=True)
    free = [drawing for drawing in drawings if drawing.set_name not in SHARE_ALIKE]
    bound = [drawing for drawing in drawings if drawing.set_name in SHARE_ALIKE]
    used = sorted({drawing.set_name for drawing in drawings})
    manifest = {
        "version": VERSION,
        "licences": [drawing_sets.licence(art_folder, name) for name in used],
        "sheets": [
            _written(free, out, "wide-lab.webp"),
            _written(bound, out, "wide-lab-share-alike.webp"),
        ],
    }
    path = out / wide_lab.MANIFEST
    path.write_text(_one_drawing_a_line(manifest), encoding="utf-8")
    return path


def choose(art_folder: Path, shown: Row) -> list[art.Drawing]:
    """Return the drawings of the sheets, by concept: of those that the wide probe set shows, and of some others."""
    taken = _elsewhere(shown)
    names = {row["name"] for row in shown["concepts"]}
    by_concept: dict[str, list[art.Drawing]] = {}
    things = [
        one for one in world.concepts() if one.kind == "thing" and one.name not in art.CLASSES
    ]
    for drawing in world_art.drawings_of(art_folder, ORDER, things):
        if drawing.id not in taken:
            by_concept.setdefault(drawing.term, []).append(replace(drawing, cls=None))
    found = []
    for name in sorted(names & set(by_concept)):
        found += _one_per_hand(by_concept[name])[:MOST_DRAWINGS]
    for name in _others(set(by_concept) - names):
        found += _one_per_hand(by_concept[name])[:MOST_OTHERS]
    return sorted(found, key=lambda one: (one.term, ORDER.index(one.set_name)))


def _elsewhere(shown: Row) -> set[str]:
    """Ids of all drawings of the probe set, the scene sheet and the wide probe set."""
    folder = probes.probe_folder()
    found = {row["drawing"] for row in shown["images"]}
    for row in probes.manifest_of(folder)["images"]:
        found.update(row["drawing"].split("+"))
    scene_sheet = json.loads((folder / "scenes.json").read_text())
    found.update(row["drawing"] for row in scene_sheet["drawings"])
    return found


def _one_per_hand(drawings: Iterable[art.Drawing]) -> list[art.Drawing]:
    first: dict[str, art.Drawing] = {}
    for drawing in drawings:
        first.setdefault(drawing.spec.family, drawing)
    return list(first.values())


def _others(names: Iterable[str]) -> list[str]:
    """Draw the concepts that are only scenery."""
    every = sorted(names)
    order = np.random.default_rng(SEED).permutation(len(every))[:OTHERS]
    return [every[number] for number in order]


def _written(drawings: Sequence[art.Drawing], out: Path, file: str) -> Row:
    """Write drawings side by side in one RGBA picture, and return the list of what stands where."""
    from PIL import Image

    lines = -(-len(drawings) // COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * TILE, lines * TILE))
    for number, drawing in enumerate(drawings):
        line, column = divmod(number, COLUMNS)
        tile = Image.fromarray(art.render(drawing, TILE))
        sheet.paste(tile, (column * TILE, line * TILE))
    buffer = io.BytesIO()
    sheet.save(buffer, "WEBP", quality=QUALITY, alpha_quality=QUALITY, method=6)
    (out / file).write_bytes(buffer.getvalue())
    rows = []
    for drawing in drawings:
        rows.append({"drawing": drawing.id, "term": drawing.term, "mono": drawing.mono})
    return {
        "file": file,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "tile": TILE,
        "columns": COLUMNS,
        "drawings": rows,
    }


def _one_drawing_a_line(manifest: Row) -> str:
    """JSON in which a changed drawing is one changed line."""
    return json.dumps(manifest).replace('{"drawing"', '\n{"drawing"') + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build from the command line: `--art DIR [--out DIR] [--probes DIR]`."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.pictures.build_wide_lab")
    parser.add_argument(
        "--art", type=Path, required=True, help="drawing sets; fetched with npm when missing"
    )
    parser.add_argument("--out", type=Path, default=wide_lab.sheet_folder())
    parser.add_argument(
        "--probes",
        type=Path,
        default=wide_lab.sheet_folder().with_name("wide-probes") / "wide-probes.json",
        help="manifest of the wide probe set",
    )
    given = parser.parse_args(arguments)
    path = build(given.art, given.out, given.probes)
    sheets = json.loads(path.read_text(encoding="utf-8"))["sheets"]
    print(f"{sum(len(sheet['drawings']) for sheet in sheets)} drawings in {path.parent}")


if __name__ == "__main__":
    main()
