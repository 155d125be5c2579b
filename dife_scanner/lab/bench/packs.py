"""Calibration packs: the scores of the benign rows that were made to calibrate, as the package ships them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from dife_scanner.core.calibration import Benign, Pack
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench.results import benign_kind, counted_benign, score
from dife_scanner.lab.bench.rows import Row
from dife_scanner.lab.bench.zoo import Part
from dife_scanner.records import Reference


def folder() -> Path:
    """Where packs lie in the package."""
    return Path(str(files("dife_scanner") / "assets" / "calibration"))


def pack_of(rows: Sequence[Row], base: Reference, budget: str) -> Pack:
    """The pack of the calibration side. `UsageError` where no row at this budget is on it."""
    mine = [row for row in counted_benign(rows) if row.part is Part.CALIBRATE and row.code.budget == budget]
    if not mine:
        raise UsageError(f"no benign row calibrates the budget {budget}", "make rows with `dife lab bench` first")
    codes = sorted({row.code.digest for row in mine})
    return Pack(
        base.name,
        base.image_tower,
        base.text_tower,
        budget,
        "+".join(sorted({row.code.discovery for row in mine})),
        "+".join(codes),
        mine[-1].code.detectors,
        max(row.made_on for row in mine),
        tuple(Benign(benign_kind(row), score(row)) for row in mine),
    )


def write(pack: Pack, into: Path | None = None) -> Path:
    """Write `<base>-<budget>.json`; where."""
    path = (into or folder()) / f"{pack.base}-{pack.budget}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(pack), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path
