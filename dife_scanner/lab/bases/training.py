"""How a base is trained: an image phase, a text phase, a joint phase; resumable, seeded, logged.

Run `python -m dife_scanner.lab.bases.training vit --out DIR --art DIR --teacher RN/checkpoint.pt` to make one again.
`wide` and `sealed` have their recipes in `plan` and need no teacher.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dife_scanner.lab.bases.checkpoint import (
    MODEL_CFG,
    SIZE,
    VOCABULARY,
    WEIGHTS_FILE,
    load,
    write_folder,
)
from dife_scanner.lab.bases.evaluation import HeldOut, measured
from dife_scanner.lab.bases.plan import Plan, recipe
from dife_scanner.lab.bases.run import Run, Tell
from dife_scanner.lab.bases.scene_pool import ScenePool
from dife_scanner.lab.bases.stock import Stock, read_atlas, stock_of
from dife_scanner.lab.bases.world_stock import (
    measured_concepts,
    measured_drawings,
    train_drawings,
    world_stock,
)
from dife_scanner.lab.pictures import art, drawing_sets, scenes, world

CHECKPOINT = "checkpoint.pt"
_TEACHER = "-teacher"
LOG = "log.jsonl"
_REPORT_EVERY, _MEASURE_EVERY = 50, 200
"""Steps between rows of the log, and between rows with an accuracy; a checkpoint is written with the latter."""
_WHOLE = (
    "seed",
    "image-steps",
    "text-steps",
    "joint-steps",
    "joint-pool",
    "pool",
    "batch",
    "threads",
)
_REAL = ("lr", "joint-lr", "prefixed", "class-share")
"""Fields of the plan that the command line may set, by their type."""


def train(
    plan: Plan,
    art_folder: Path,
    out: Path,
    teacher: Path | None = None,
    say: Tell = lambda row: None,
) -> Path:
    """Train a base into `out`; goes on from `out`/checkpoint.pt where there is one of the same plan.

    `teacher` is the checkpoint.pt of a trained `rn`, for a `vit`. Raises `ArtError` where drawings cannot be fetched.
    """
    import torch

    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    out.mkdir(parents=True, exist_ok=True)
    drawing_sets.fetch(art_folder, [*_train_sets(plan.kind), *_set_names(held_out=True)])
    stock = train_stock(art_folder, plan)
    held_out = held_out_of(art_folder, plan.kind)
    run = Run.start(plan, len(stock.vocabulary), teacher)
    run.vocabulary = stock.vocabulary
    run.resume(out / CHECKPOINT)

    def tell(row: dict[str, Any]) -> None:
        say(row)
        with (out / LOG).open("a") as file:
            file.write(json.dumps(row) + "\n")

    _finish_phases(run, stock, held_out, out, tell)
    if plan.joint_steps:
        finish(run, held_out, out)
    return out


def _finish_phases(
    run: Run,
    stock: Stock,
    held_out: HeldOut,
    out: Path,
    tell: Tell,
) -> None:
    """Do what is left of the plan, with a row of the log and a checkpoint now and then."""
    plan = run.plan
    if run.teacher is not None and plan.kind == "vit" and run.step < plan.image_steps:
        run.distil(stock, tell)
        run.save(out / CHECKPOINT)
    if plan.joint_pool and run.step < plan.steps:
        run.scenes = ScenePool.kept(out / "scenes.pt", plan, stock)
    last_stock = stock
    if plan.last_class_weight:
        last_stock = world_stock(stock.atlas, replace(plan, class_weight=plan.last_class_weight))
    while run.step < plan.steps:
        run.advance(stock if run.step < plan.last_round else last_stock)
        last = run.step == plan.steps
        measured = last or run.step % _MEASURE_EVERY == 0
        if last or run.step % _REPORT_EVERY == 0:
            tell(run.report(held_out if measured else None))
        if measured:
            run.save(out / CHECKPOINT)


def train_stock(art_folder: Path, plan: Plan) -> Stock:
    """Return everything a base is trained on: drawings of its part of the world, or of the ten classes and others."""
    part = _part(plan.kind)
    if part in world.PARTS:
        atlas = _kept_atlas(art_folder, train_drawings(art_folder, part))
        return world_stock(atlas, plan)
    drawings = [
        *art.class_drawings(art_folder, _set_names(held_out=False)),
        *art.other_drawings(art_folder),
    ]
    atlas = _kept_atlas(art_folder, drawings)
    return stock_of(atlas, plan.mono_share)


def held_out_of(art_folder: Path, kind: str) -> HeldOut:
    """Return what a base of this kind is measured on: drawings from sets that no base trains on."""
    names = _set_names(held_out=True)
    classes = _kept_atlas(art_folder, art.class_drawings(art_folder, names))
    if _part(kind) not in world.PARTS:
        return HeldOut(classes)
    drawings = measured_drawings(art_folder, measured_concepts())
    return HeldOut(classes, _kept_atlas(art_folder, drawings))


def _train_sets(kind: str) -> Sequence[str]:
    return world.PARTS.get(_part(kind)) or _set_names(held_out=False)


def _part(kind: str) -> str:
    """Return the part of the world that a base or its teacher is trained on; another base's kind is no part."""
    return kind.removesuffix(_TEACHER)


def _set_names(*, held_out: bool) -> list[str]:
    sets = drawing_sets.SETS.items()
    return [name for name, spec in sets if spec.held_out == held_out]


def _kept_atlas(
    art_folder: Path,
    drawings: Sequence[art.Drawing],
) -> scenes.Atlas:
    """Return the drawings' atlas. Rendering takes a while, so it is kept, under a name that says what is in it."""
    import torch

    rows = []
    for drawing in drawings:
        rows.append((drawing.id, drawing.cls, drawing.term, drawing.mono))
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    path = art_folder / f"atlas-{SIZE}-{digest[:12]}.pt"
    if path.exists():
        kept = torch.load(path, weights_only=True)
        classes, terms, ids = (tuple(column) for column in kept["told"])
        return scenes.Atlas(tuple(kept["levels"]), kept["mono"], classes, terms, ids)
    atlas = read_atlas(drawings)
    kept = {
        "levels": atlas.levels,
        "mono": atlas.mono,
        "told": [atlas.classes, atlas.terms, atlas.ids],
    }
    torch.save(kept, path)
    return atlas


def finish(run: Run, held_out: HeldOut, out: Path) -> None:
    """Round to fp16, write the open_clip folder, read it back and measure what was written."""
    write_folder(run.kept.state_dict(), MODEL_CFG[run.plan.kind], out)
    model = load(out)
    weights = (out / WEIGHTS_FILE).read_bytes()
    log = (out / LOG).read_text().splitlines()
    packages = ("torch", "open_clip_torch", "safetensors", "numpy")
    summary = {
        "plan": asdict(run.plan),
        "seconds": round(run.seconds, 1),
        "cpu_seconds": round(run.cpu_seconds, 1),
        "versions": {name: version(name) for name in packages},
        "sets": {name: drawing_sets.SETS[name].version for name in _train_sets(run.plan.kind)},
        "bytes": len(weights),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "rows_with_gradient": int(run.touched.sum()),
        "rows": VOCABULARY,
        "share_of_rows_with_gradient": float(run.touched.float().mean()),
        **measured(model, held_out),
        "log": [json.loads(line) for line in log],
    }
    (out / "training.json").write_text(json.dumps(summary, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train from the command line: `vit|rn|wide|sealed --out DIR --art DIR [--seed N] [--image-steps N] ...`."""
    parser = argparse.ArgumentParser(prog="python -m dife_scanner.lab.bases.training")
    parser.add_argument("kind", choices=sorted(MODEL_CFG))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--art",
        type=Path,
        required=True,
        help="drawing sets; fetched with npm when missing",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        help="checkpoint.pt of a trained rn",
    )
    for name in _WHOLE:
        parser.add_argument(f"--{name}", type=int)
    for name in _REAL:
        parser.add_argument(f"--{name}", type=float)
    given = parser.parse_args(arguments)
    chosen = {}
    for name in (*_WHOLE, *_REAL):
        field = name.replace("-", "_")
        value = getattr(given, field)
        if value is not None:
            chosen[field] = value
    plan = replace(recipe(given.kind), **chosen)
    teacher = given.teacher or _taught_first(plan, given.art, given.out)
    train(plan, given.art, given.out, teacher, say=_print)


def _taught_first(plan: Plan, art_folder: Path, out: Path) -> Path | None:
    """Train the teacher of a base of the world beside it, or go on with it; return its checkpoint."""
    if plan.kind not in world.PARTS:
        return None
    lessons = replace(recipe(plan.kind + _TEACHER), threads=plan.threads)
    return train(lessons, art_folder, out / "teacher", say=_print) / CHECKPOINT


def _print(row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
