"""Building and auditing the lines of the reproduction. Resumes: what is built and audited is not done again.

`run` makes what is missing, `criteria` lists what has to hold, and `page` writes it up next to the paper's figures.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from dife_scanner.audit.plan import Plan, identity
from dife_scanner.baselines.home import bundled_references
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.lab import attacks, bases, specimens
from dife_scanner.lab.reproduction.lines import Line, lines_of
from dife_scanner.progress import SILENT, Progress
from dife_scanner.records import Audit, Budget, Cell, Entry, ModelRef, Reference
from dife_scanner.reports.study import entry_of
from dife_scanner.store import codec
from dife_scanner.triggers import known


@dataclass(frozen=True)
class Results:
    """Everything a page is written from."""

    audits: Mapping[str, Audit]
    """By line name."""
    failures: Mapping[str, str]
    """Line name -> why there is no audit of it."""
    budget: str

    def cell(self, name: str, interface: str) -> Cell | None:
        """Return a line's cell, or None where it is not audited or the interface is not evaluable."""
        entry = self.entry(name, interface)
        return entry if isinstance(entry, Cell) else None

    def entry(self, name: str, interface: str) -> Entry | None:
        """Return a line's entry, or None where it is not audited."""
        audit = self.audits.get(name)
        return None if audit is None else entry_of(audit, interface)


def run(
    out: Path,
    wanted: Sequence[Line],
    *,
    budget: str = "deep",
    progress: Progress = SILENT,
) -> Results:
    """Build and audit these lines, and read back what earlier runs left under `out` of all others.

    A specimen that fails its native validation is a failure with its reason, never a missing row; it is trained again
    only when its recipe or the code of the attacks has changed.
    """
    (out / "audits").mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(wanted):
        progress("reproducing", number, len(wanted), line.name)
        failed = _failed(out)
        reasons = {name: row["failed"] for name, row in failed.items()}
        if line.needed(reasons):
            _unless_failed(line, out, budget, failed.get(line.name, {}))
    progress("reproducing", len(wanted), len(wanted))
    return read(out, budget)


def read(out: Path, budget: str = "deep") -> Results:
    """Read what earlier runs left under `out`; nothing is built or audited."""
    failures = {}
    for name, row in _failed(out).items():
        failures[name] = str(row["failed"])
    audits = {}
    for line in lines_of():
        path = _file(out, line.name)
        if line.name in failures or not path.exists():
            continue
        audit = codec.from_json(Audit, path.read_text())
        if audit.budget == budget:
            audits[line.name] = audit
    return Results(audits, failures, budget)


def _failed(out: Path) -> dict[str, dict[str, Any]]:
    """Return the log's last row of every line that ended in a failure."""
    log = out / "log.jsonl"
    if not log.exists():
        return {}
    last: dict[str, dict[str, Any]] = {}
    for text in log.read_text().splitlines():
        row = json.loads(text)
        last[row["line"]] = row
    return {name: row for name, row in last.items() if "failed" in row}


def _unless_failed(
    line: Line,
    out: Path,
    budget: str,
    failed: Mapping[str, Any],
) -> None:
    """Do a line, unless its training has failed before and would be the same again."""
    training = _training(line)
    if failed.get("training") == training:
        return
    try:
        _line(line, out, budget)
    except specimens.SpecimenFailed as error:
        _file(out, line.name).unlink(missing_ok=True)
        row = {
            "line": line.name,
            "recipe": line.recipe,
            "failed": error.what,
            "training": training,
        }
        _log(out, row)


def _training(line: Line) -> str:
    """Return sha256 over what decides how this line's specimens come out, and whether that is enough."""
    base = bases.base_folder("vit")
    cache = specimens.default_cache()
    parts = []
    code = set()
    for name in (line.recipe, line.triggers):
        recipe = specimens.RECIPES[name]
        parts.append(specimens.place(recipe, base, cache).name.encode())
        family = attacks.FAMILIES[recipe.family]
        for made in (family.train, family.measure, family.criteria):
            code.add(inspect.getfile(made))
    for file in sorted(code):
        parts.append(Path(file).read_bytes())
    return sha256(b"\0".join(parts)).hexdigest()


def _line(line: Line, out: Path, budget: str) -> None:
    """Build a line's specimens and audit it, unless there is an audit of the same identity."""
    began = time.perf_counter()
    folder = specimens.build(line.recipe)
    own = folder
    if line.triggers != line.recipe:
        own = specimens.build(line.triggers)
    building = time.perf_counter() - began
    triggers = known.read(own / specimens.TRIGGERS)[-1:]
    reference = _base()
    plan = Plan(triggers, Budget(budget))
    content = (folder / "open_clip_model.safetensors").read_bytes()
    weights = sha256(content).hexdigest()
    name = identity(weights, "", reference, plan)
    path = _file(out, line.name)
    if path.exists() and json.loads(path.read_text())["identity"] == name:
        return
    audit = _audited(line, folder, weights, reference, plan, out)
    text = codec.to_json(replace(audit, identity=name)) + "\n"
    with atomic_write(path) as stream:
        stream.write(text.encode())
    _log(out, _log_row(line, weights, audit, building))


def _log_row(
    line: Line,
    weights: str,
    audit: Audit,
    building: float,
) -> dict[str, object]:
    """Return the log's row of an audit; `building` is in seconds."""
    diagnosis = audit.diagnosis.carrier.value if audit.diagnosis else ""
    return {
        "line": line.name,
        "recipe": line.recipe,
        "weights": weights,
        "verdict": audit.verdict.value,
        "diagnosis": diagnosis,
        "building": round(building, 1),
        "auditing": audit.seconds,
        "encodes": audit.encodes,
        "distinct": audit.distinct_inputs,
    }


def _audited(
    line: Line,
    folder: Path,
    weights: str,
    reference: Reference,
    plan: Plan,
    out: Path,
) -> Audit:
    """Audit a specimen against the base."""
    from dife_scanner.audit import pipeline

    request = pipeline.Request(
        ref=ModelRef(f"lab/{line.recipe}", weights[:40]),
        folder=folder,
        weights_sha256=weights,
        config_digest="",
        reference=reference,
        known=(reference,),
        plan=plan,
        cache=out / "embeddings",
    )
    return pipeline.run(request).audit


def _base() -> Reference:
    """Return the bundled ViT."""
    references = bundled_references()
    return next(one for one in references if "vit" in one.name)


def _file(out: Path, name: str) -> Path:
    """Return where a line's audit is kept."""
    plain = "".join(c if c.isalnum() else "-" for c in name.lower())
    return out / "audits" / f"{plain}.json"


def _log(out: Path, row: Mapping[str, object]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
