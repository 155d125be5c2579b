"""`quick` on the grown models (docs/grown.md): what an audit of real size finds, its minutes and its memory.

dife lab grow vit --out GROWN
python benchmarks/real_size.py GROWN ROWS [NAME...]       audit the four models, one JSON line each in the file ROWS
python benchmarks/real_size.py --rehearse ROWS [NAME...]  the same on the small specimens of the same names

Each audit runs in a process of its own, so that its peak memory is its own. A model that has a line is not audited
again; what a killed run leaves out is made by the next. Exit code 1 where a verdict is not the one to expect.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import resource
import sys
import time
from pathlib import Path
from typing import Any

from dife_scanner.lab.grown.making import BASE, FINE_TUNES
from dife_scanner.records import Reference, Verdict

WEIGHTS = "open_clip_model.safetensors"


def main(where: str, rows: str, *only: str) -> int:
    """Audit what has no line yet, and print every line; 1 where a verdict surprises."""
    folders = rehearsed() if where == "--rehearse" else _grown(Path(where))
    path = Path(rows)
    done = _read(path)
    for name in only or FINE_TUNES:
        if name not in done:
            # a fresh interpreter, not a fork: the peak of a fork begins at its parent's
            with multiprocessing.get_context("spawn").Pool(1) as child:
                done[name] = child.apply(measure, (name, folders[name], folders[BASE]))
            with path.open("a") as file:
                file.write(json.dumps(done[name]) + "\n")
        print(json.dumps(done[name]), flush=True)
    return 0 if all(done[name]["as expected"] for name in only or FINE_TUNES) else 1


def _grown(out: Path) -> dict[str, Path]:
    return {name: out / name for name in (BASE, *FINE_TUNES)}


def rehearsed() -> dict[str, Path]:
    """The bundled base and its specimens, made where they are not in the user's cache."""
    from dife_scanner.lab import bases
    from dife_scanner.lab.demo import build_specimens

    return {BASE: bases.base_folder("vit"), **build_specimens(FINE_TUNES)}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """The lines that earlier runs left, by model."""
    rows = {}
    if path.exists():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            rows[row["model"]] = row
    return rows


def measure(name: str, folder: Path, base: Path) -> dict[str, Any]:
    """Search one model at `quick` against its base, with no signature and no bound on time."""
    from dife_scanner.audit.pipeline import run

    asked = request(name, folder, base)
    began = time.perf_counter()
    used = time.process_time()
    audit = run(asked).audit
    expected = Verdict.NOTHING_FOUND if name.endswith("-twin") else Verdict.FLAGGED
    return {
        "model": name,
        "architecture": audit.architecture,
        "verdict": audit.verdict.value,
        "as expected": audit.verdict is expected,
        "trigger": audit.trigger.name if audit.trigger else None,
        "minutes": round((time.perf_counter() - began) / 60, 2),
        "processor minutes": round((time.process_time() - used) / 60, 2),
        "estimated GiB": round(audit.memory.estimated_mib / 1024, 2) if audit.memory else None,
        "peak GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "encodes": audit.encodes,
        "distinct": audit.distinct_inputs,
    }


def request(name: str, folder: Path, base: Path, cache: Path | None = None) -> Any:
    """All searches of `quick` on one model; what they come to is kept beside the folder `cache`, if there is one."""
    from dife_scanner.audit.pipeline import Plan, Request
    from dife_scanner.discovery import names
    from dife_scanner.records import ModelRef

    reference = _reference(base)
    return Request(
        ref=ModelRef(f"real-size/{name}", "0" * 40),
        folder=folder,
        weights_sha256=_hash(folder),
        config_digest="",
        reference=reference,
        known=(reference,),
        plan=Plan(signatures=(), budget="quick", detectors=names("quick")),
        cache=cache,
    )


def _reference(folder: Path) -> Reference:
    """The clean base as `dife reference add` would have it."""
    from dife_scanner.models.load import load

    encoder = load(folder)
    return Reference(
        name=folder.name,
        path=str(folder),
        image_tower=encoder.image_tower,
        text_tower=encoder.text_tower,
        weights_sha256=encoder.weights_sha256,
        architecture=encoder.architecture,
        added_at="",
    )


def _hash(folder: Path) -> str:
    with (folder / WEIGHTS).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
