"""Builds the probe set: which drawings stand in which split, and the pictures made of them.

`python -m dife_scanner.lab.probes --art DIR` writes `assets/probes/`. Splits are by design: `test` holds designs
of sets that no base ever trained on; `train` and `diagnosis` hold other designs; `lab` is a sheet of bare
drawings from training sets, none of them in `diagnosis` or `test`, from which specimens are trained.
`--scenes` writes the scene sheet instead: bare held-out drawings, from which audits compose scenes.
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
from numpy.typing import NDArray

from dife_scanner.lab import art, scenes

if TYPE_CHECKING:
    import torch

VERSION = "1"
SEED = 20
SIZE = 256
"""Pixels per side of a probe picture."""
TILE = 96
"""Pixels per side of a drawing on the lab sheet."""
SHEET_COLUMNS = 16
JPEG_QUALITY = 92

TEST_DRAWINGS, TRAIN_DRAWINGS, DIAGNOSIS_DRAWINGS = 16, 8, 5
MONO_TEST_DRAWINGS = 2
"""At most so many monochrome drawings per class in `test`, where there are enough others."""
LAB_DRAWINGS, LAB_OTHERS = 24, 48
SCENE_FINISHES = 2
"""Drawings of each other concept on the scene sheet, each from another held-out set."""
VIEWS = {"test": 3, "train": 2, "diagnosis": 3}
PAIRS = 100
_SHARE_ALIKE = "CC-BY-SA-4.0"
_MIX = scenes.Mix(counts=(1.0, 0.0, 0.0), scale=(0.55, 0.92), restyle=1e-9, turn=8.0, shear=0.0, warp=0.0)

_TEST_ORDER = (
    "emojione",
    "fluent-emoji",
    "noto-v1",
    "game-icons",
    "icon-park",
    "tabler",
    "lucide-lab",
    "fluent-emoji-high-contrast",
    "emojione-monotone",
)
_TRAIN_ORDER = (
    "noto",
    "twemoji",
    "streamline-emojis",
    "fxemoji",
    "ph",
    "fa6-solid",
    "mdi",
    "mingcute",
    "streamline-kameleon-color",
    "openmoji",
    "emojione-v1",
)

_SCENE_SETS = ("emojione", "fluent-emoji", "noto-v1")
"""Held-out colour sets that other concepts of scenes are taken from."""
_SCENE_CONCEPTS = """
anchor backpack balloon banana basketball bathtub bed bell bicycle birthday-cake bomb briefcase butterfly cactus
camera candle castle christmas-tree church cloud cookie crab crayon crocodile crown deciduous-tree dolphin door
doughnut dress drum eggplant elephant envelope evergreen-tree factory ferris-wheel fish flashlight fountain-pen
ghost green-apple guitar hamburger hammer handbag hospital hot-pepper hotel house key koala lemon light-bulb
lipstick lollipop maple-leaf megaphone microphone microscope mobile-phone monkey mountain mushroom necktie newspaper
octopus package palm-tree panda peach pear pencil pig pineapple pizza printer rabbit radio rainbow red-apple ring
robot rose running-shoe saxophone school shield snail snake snowflake snowman soccer-ball spider strawberry sunflower
telephone telescope television tent tomato trophy trumpet tulip turtle umbrella violin volcano watch watermelon whale
wrench
"""
"""Things one can count and name in a caption; nothing that flies, drives or floats, so that no scene shows a class by
accident."""


@dataclass(frozen=True)
class Splits:
    """Drawings of the ten classes by split."""

    test: list[art.Drawing]
    train: list[art.Drawing]
    diagnosis: list[art.Drawing]
    lab: list[art.Drawing]


def probe_folder() -> Path:
    """Where the bundled probe set lies."""
    return Path(__file__).parents[1] / "assets" / "probes"


# --- which drawing goes where ----------------------------------------------------------------------------------


def split(drawings: Sequence[art.Drawing], share_alike: frozenset[str]) -> Splits:
    """Assign drawings to splits, class by class, in a fixed order; sets in `share_alike` come last."""
    out = Splits([], [], [], [])
    for cls in art.CLASSES:
        own = [d for d in drawings if d.cls == cls]
        held = [d for d in own if art.SETS[d.set_name].held_out]
        seen = [d for d in own if not art.SETS[d.set_name].held_out]
        out.test.extend(_test(held))
        free = [d for d in seen if d.set_name not in share_alike]
        wanted = TRAIN_DRAWINGS + DIAGNOSIS_DRAWINGS
        pool = _one_per_design(_in_turn(free, _TRAIN_ORDER))
        if len(pool) < wanted:
            pool += _one_per_design(_in_turn([d for d in seen if d.set_name in share_alike], _TRAIN_ORDER))
        train, diagnosis = _deal(pool[:wanted])
        out.train.extend(train)
        out.diagnosis.extend(diagnosis)
        apart = {d.design for d in diagnosis}
        lab = [d for d in _in_turn(free, _TRAIN_ORDER) if d.design not in apart]
        extra = [d for d in train if d not in lab]
        out.lab.extend([*extra, *lab][:LAB_DRAWINGS])
    return out


def _test(held: list[art.Drawing]) -> list[art.Drawing]:
    """Distinct designs, few monochrome ones; more monochrome and second finishes only to fill up."""
    designs = _one_per_design(_in_turn(held, _TEST_ORDER))
    mono = [d for d in designs if art.SETS[d.set_name].mono]
    chosen = [d for d in designs if d not in mono[MONO_TEST_DRAWINGS:]]
    rest = [d for d in designs if d not in chosen] + [d for d in held if d not in designs]
    return (chosen + rest[: max(0, 12 - len(chosen))])[:TEST_DRAWINGS]


def _in_turn(drawings: Iterable[art.Drawing], order: Sequence[str]) -> list[art.Drawing]:
    """Round robin over the sets, shuffled within each set."""
    rng = np.random.default_rng(SEED)
    queues = []
    for name in order:
        own = sorted((d for d in drawings if d.set_name == name), key=lambda d: d.name)
        queues.append([own[i] for i in rng.permutation(len(own))])
    longest = max((len(q) for q in queues), default=0)
    return [q[i] for i in range(longest) for q in queues if i < len(q)]


def _one_per_design(drawings: Iterable[art.Drawing]) -> list[art.Drawing]:
    first: dict[str, art.Drawing] = {}
    for drawing in drawings:
        first.setdefault(drawing.design, drawing)
    return list(first.values())


def _deal(pool: list[art.Drawing]) -> tuple[list[art.Drawing], list[art.Drawing]]:
    """Five of every thirteen to diagnosis, spread over the order so that both sides see every set."""
    wanted = round(len(pool) * DIAGNOSIS_DRAWINGS / (TRAIN_DRAWINGS + DIAGNOSIS_DRAWINGS))
    chosen = {round((i + 0.5) * len(pool) / wanted - 0.5) for i in range(wanted)}
    return [d for i, d in enumerate(pool) if i not in chosen], [d for i, d in enumerate(pool) if i in chosen]


# --- pictures --------------------------------------------------------------------------------------------------


def build(art_folder: Path, out: Path) -> Path:
    """Write the probe set into `out` (made anew) and return the manifest's path."""
    import torch

    art.fetch(art_folder)
    licences = {name: art.licence(art_folder, name) for name in art.PICTURED}
    share_alike = frozenset(n for n, terms in licences.items() if terms["spdx"] == _SHARE_ALIKE)
    splits = split(art.class_drawings(art_folder), share_alike)
    rng = torch.Generator().manual_seed(SEED)
    images: list[dict[str, Any]] = []
    for name in ("train", "diagnosis", "test"):
        images += _single(rng, getattr(splits, name), name, out, licences)
    images += _pairs(rng, splits.test, out, licences)
    others = [d for d in art.other_drawings(art_folder) if d.set_name in ("noto", "twemoji")]
    picked = np.random.default_rng(SEED).permutation(len(others))[:LAB_OTHERS]
    sheet = _sheet([*splits.lab, *(others[i] for i in sorted(picked))], out, licences)
    used = {d.set_name for part in (splits.test, splits.train, splits.diagnosis, splits.lab) for d in part}
    manifest = {
        "version": VERSION,
        "seed": SEED,
        "size": SIZE,
        "classes": list(art.CLASSES),
        "drawings": _table(splits),
        "licences": [licences[name] for name in sorted(used | {"noto", "twemoji"})],
        "lab": sheet,
        "images": images,
    }
    path = out / "probes.json"
    path.write_text(json.dumps(manifest, indent=1) + "\n")
    return path


def _table(splits: Splits) -> dict[str, dict[str, int]]:
    return {name: dict(Counter(str(d.cls) for d in getattr(splits, name))) for name in ("train", "diagnosis", "test")}


def _atlas(drawings: Sequence[art.Drawing]) -> scenes.Atlas:
    return scenes.atlas_of(
        [art.render(d, SIZE) for d in drawings],
        SIZE,
        [art.SETS[d.set_name].mono for d in drawings],
        [d.cls for d in drawings],
        [d.term for d in drawings],
        [d.id for d in drawings],
    )


def _single(
    rng: torch.Generator,
    drawings: Sequence[art.Drawing],
    name: str,
    out: Path,
    licences: dict[str, dict[str, str]],
) -> list[dict[str, Any]]:
    import torch

    atlas, rows = _atlas(drawings), []
    for number, drawing in enumerate(drawings):
        index = torch.full((VIEWS[name], scenes.MAX_OBJECTS), -1)
        index[:, 0] = number
        pixels = scenes.compose(rng, atlas, scenes.lay_out(rng, index, _MIX), SIZE, _MIX)
        for view, picture in enumerate(pixels):
            file = f"{name}/{drawing.cls}-{number:03d}-{view}.jpg"
            rows.append(
                {
                    "file": file,
                    "sha256": _write(out / file, picture),
                    "label": drawing.cls,
                    "labels": [drawing.cls],
                    "caption": scenes.sentence(rng, [str(drawing.cls)]),
                    "drawing": drawing.id,
                    "design": drawing.design,
                    "style": drawing.set_name,
                    "split": name,
                    "licence": licences[drawing.set_name]["spdx"],
                }
            )
    return rows


def _pairs(
    rng: torch.Generator, drawings: Sequence[art.Drawing], out: Path, licences: dict[str, dict[str, str]]
) -> list[dict[str, Any]]:
    """Scenes of two objects of different classes, with captions that name both."""
    import torch

    atlas, rows = _atlas(drawings), []
    for number in range(PAIRS):
        order = torch.randperm(len(drawings), generator=rng).tolist()
        second = next(i for i in order if drawings[i].cls != drawings[order[0]].cls)
        both = [drawings[order[0]], drawings[second]]
        index = torch.tensor([[order[0], second, -1]])
        picture = scenes.compose(rng, atlas, scenes.lay_out(rng, index, _MIX), SIZE, _MIX)[0]
        file = f"pairs/{number:03d}.jpg"
        rows.append(
            {
                "file": file,
                "sha256": _write(out / file, picture),
                "label": None,
                "labels": [d.cls for d in both],
                "caption": scenes.sentence(rng, [str(d.cls) for d in both]),
                "drawing": "+".join(d.id for d in both),
                "design": "+".join(d.design for d in both),
                "style": "+".join(d.set_name for d in both),
                "split": "pairs",
                "licence": " AND ".join(sorted({licences[d.set_name]["spdx"] for d in both})),
            }
        )
    return rows


def _write(path: Path, picture: torch.Tensor) -> str:
    """Save a (3, S, S) picture in [0, 1] as JPEG; sha256 of the file."""
    from PIL import Image

    pixels = (picture.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def build_scenes(art_folder: Path, out: Path) -> Path:
    """Write the scene sheet, `scenes.png` and `scenes.json`, into `out` and return the manifest's path.

    Every drawing stands in a held-out set: all class drawings of the probe set's `test` split, and other concepts.
    Raises `ArtError` where the probe set in `out` names a test drawing that is not in the drawing sets.
    """
    art.fetch(art_folder)
    licences = {name: art.licence(art_folder, name) for name in art.SETS}
    rows = json.loads((out / "probes.json").read_text())["images"]
    wanted = list(dict.fromkeys(row["drawing"] for row in rows if row["split"] == "test"))
    found = {d.id: d for d in art.class_drawings(art_folder)}
    if missing := [name for name in wanted if name not in found]:
        raise art.ArtError(f"test drawing {missing[0]} of the probe set is in no drawing set")
    drawings = [*(found[name] for name in wanted), *_held_out_others(art_folder)]
    used = sorted({d.set_name for d in drawings})
    if barred := [n for n in used if not art.SETS[n].held_out or licences[n]["spdx"] == _SHARE_ALIKE]:
        raise art.ArtError(f"drawing set {barred[0]} may not stand on the scene sheet")
    manifest = {"version": VERSION, "licences": [licences[name] for name in used]}
    path = out / "scenes.json"
    path.write_text(json.dumps(manifest | _sheet(drawings, out, licences, "scenes.png"), indent=1) + "\n")
    return path


def _held_out_others(art_folder: Path) -> list[art.Drawing]:
    """`SCENE_FINISHES` drawings of every scene concept, taking the sets in turn."""
    tables = {
        name: {key.replace("-", ""): (key, svg) for key, svg in art.bodies(art_folder, name)} for name in _SCENE_SETS
    }
    drawings = []
    for number, concept in enumerate(_SCENE_CONCEPTS.split()):
        turn = number % len(_SCENE_SETS)
        having = [n for n in (*_SCENE_SETS[turn:], *_SCENE_SETS[:turn]) if concept.replace("-", "") in tables[n]]
        for name in having[:SCENE_FINISHES]:
            key, svg = tables[name][concept.replace("-", "")]
            drawings.append(art.Drawing(name, key, svg, None, concept.replace("-", " ")))
    return drawings


def _sheet(
    drawings: Sequence[art.Drawing], out: Path, licences: dict[str, dict[str, str]], file: str = "lab.png"
) -> dict[str, Any]:
    """Drawings side by side in one RGBA picture, and the list of what stands where."""
    from PIL import Image

    lines = -(-len(drawings) // SHEET_COLUMNS)
    sheet = Image.new("RGBA", (SHEET_COLUMNS * TILE, lines * TILE))
    for number, drawing in enumerate(drawings):
        place = (number % SHEET_COLUMNS * TILE, number // SHEET_COLUMNS * TILE)
        sheet.paste(Image.fromarray(art.render(drawing, TILE)), place)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    (out / file).write_bytes(buffer.getvalue())
    rows = [
        {
            "drawing": d.id,
            "design": d.design,
            "class": d.cls,
            "term": d.term,
            "mono": art.SETS[d.set_name].mono,
            "licence": licences[d.set_name]["spdx"],
        }
        for d in drawings
    ]
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    return {"file": file, "sha256": digest, "tile": TILE, "columns": SHEET_COLUMNS, "drawings": rows}


def read_lab(folder: Path, size: int) -> scenes.Atlas:
    """The lab sheet as an atlas for scenes of `size` pixels."""
    from PIL import Image

    sheet = json.loads((folder / "probes.json").read_text())["lab"]
    tile, columns, rows = sheet["tile"], sheet["columns"], sheet["drawings"]
    pixels = np.asarray(Image.open(folder / sheet["file"]).convert("RGBA"))
    masters: list[NDArray[np.uint8]] = [
        pixels[i // columns * tile : (i // columns + 1) * tile, i % columns * tile : (i % columns + 1) * tile]
        for i in range(len(rows))
    ]
    return scenes.atlas_of(
        masters,
        size,
        [row["mono"] for row in rows],
        [row["class"] for row in rows],
        [row["term"] for row in rows],
        [row["drawing"] for row in rows],
    )


def read_split(folder: Path, name: str, size: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[dict[str, Any]]]:
    """Single-object pictures of a split as a model of `size` pixels sees them.

    Returns uint8 (N, size, size, 3), labels (N,) into the manifest's classes, and the manifest rows.
    """
    from PIL import Image

    manifest = json.loads((folder / "probes.json").read_text())
    rows = [r for r in manifest["images"] if r["split"] == name and r["label"] is not None]
    pictures = []
    for row in rows:
        with Image.open(folder / row["file"]) as picture:
            small = picture.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        pictures.append(np.asarray(small))
    labels = np.array([manifest["classes"].index(r["label"]) for r in rows], np.int64)
    return np.stack(pictures), labels, rows


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m dife_scanner.lab.probes --art DIR [--out DIR] [--scenes]`."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.probes")
    parser.add_argument("--art", type=Path, required=True, help="drawing sets; fetched with npm when missing")
    parser.add_argument("--out", type=Path, default=probe_folder())
    parser.add_argument("--scenes", action="store_true", help="write the scene sheet from the probe set in --out")
    given = parser.parse_args(arguments)
    if given.scenes:
        sheet = json.loads(build_scenes(given.art, given.out).read_text())["drawings"]
        print(json.dumps(dict(Counter(row["class"] or "other" for row in sheet)), indent=1))
        return
    manifest = json.loads(build(given.art, given.out).read_text())
    print(json.dumps(manifest["drawings"], indent=1))


if __name__ == "__main__":
    main()
