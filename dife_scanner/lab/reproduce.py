"""The paper's tables beside ours, from specimens built here. Resumes: what is built and audited is not done again.

Lines are audits: a checkpoint under a trigger file. `run` makes what is missing, `lab/demands.py` says what has to
hold, and `lab/reproduction.py` writes it up.
Twins are audited under their attack's trigger, so that "was fine-tuned" is not mistaken for "was backdoored".
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from dife_scanner.audit.legacy_identity import legacy_identity
from dife_scanner.audit.plan import Plan, identity
from dife_scanner.baselines.home import bundled_references
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.lab import attacks, bases, paper, specimens
from dife_scanner.progress import SILENT, Progress
from dife_scanner.records import Audit, Budget, Cell, Entry, ModelRef, Reference
from dife_scanner.reports.study import entry_of
from dife_scanner.store import codec
from dife_scanner.triggers import known

FAMILIES: Mapping[str, str] = {
    "BadEncoder": "badencoder",
    "BadTextTower": "badtexttower",
    "ToxicTextCLIP": "toxictextclip",
    "Liang-BadCLIP": "liang-badclip",
    "ContrastivePoisoning": "contrastivepoisoning",
    "Bai-BadCLIP": "bai-badclip",
}
"""The paper's name -> the specimen's."""
SCOPES: Mapping[str, str] = {
    "text encoder": "badtexttower",
    "projection and embedding": "badtexttower/scope-projection-embedding",
    "both encoders": "badtexttower/scope-both",
    "visual only (control)": "badtexttower/scope-visual-only",
}
SEEDS = 3
"""A family's mean is over so many implants that passed their native validation (paper App. C.3)."""
LAST_SEED = 4


@dataclass(frozen=True)
class Line:
    """One checkpoint under one trigger."""

    name: str
    """As it is called in the tables."""
    recipe: str
    under: str = ""
    """Recipe whose trigger file is used; its own when empty."""
    spare_for: tuple[str, ...] = ()
    """Lines of the same family that come first: this one is done only when fewer than `SEEDS` of them are left."""

    @property
    def triggers(self) -> str:
        return self.under or self.recipe

    def needed(self, failures: Mapping[str, str]) -> bool:
        """Whether this line has to be done, after these lines failed."""
        return not self.spare_for or sum(name not in failures for name in self.spare_for) < SEEDS


def _matrix() -> tuple[Line, ...]:
    return tuple(Line(name, recipe) for name, recipe in FAMILIES.items())


def _twins() -> tuple[Line, ...]:
    """Each under its attack's trigger; a prompt learner's twin has a clean learner, in a trigger file of its own."""
    return tuple(
        Line(f"{name} twin", specimens.twin_name(recipe), "" if recipe == "bai-badclip" else recipe)
        for name, recipe in FAMILIES.items()
    )


def seeds_of(name: str) -> tuple[str, ...]:
    """The lines of a family, one per seed; the family's own name is seed 0."""
    return (name, *(f"{name} seed {seed}" for seed in range(1, LAST_SEED + 1)))


def _seeds() -> tuple[Line, ...]:
    """Seeds 1 and 2, and further ones that are drawn as far as earlier implants fail."""
    found = []
    for name in paper.SEEDS:
        names = seeds_of(name)
        for seed in range(1, len(names)):
            spare_for = names[:seed] if seed >= SEEDS else ()
            found.append(Line(names[seed], f"{FAMILIES[name]}/seed-{seed}", spare_for=spare_for))
    return tuple(found)


def _variants() -> tuple[Line, ...]:
    named = {
        "BadTextTower, source bird": "bird",
        "BadTextTower, source cat": "cat",
        "BadTextTower, trigger cfra": "cfra",
    }
    scopes = [Line(f"BadTextTower, {scope}", recipe) for scope, recipe in SCOPES.items() if "/" in recipe]
    return (*scopes, *(Line(name, f"badtexttower/{end}") for name, end in named.items()))


def _sweep() -> tuple[Line, ...]:
    cells = [name for name in specimens.RECIPES if name.startswith("toxictextclip/") and not name.endswith("-twin")]
    return tuple(Line(f"ToxicTextCLIP {name.partition('/')[2]}", name) for name in cells)


PARTS: Mapping[str, Callable[[], tuple[Line, ...]]] = {
    "matrix": _matrix,
    "twins": _twins,
    "variants": _variants,
    "seeds": _seeds,
    "sweep": _sweep,
}
"""What can be reproduced, in the order in which it is done."""


@dataclass(frozen=True)
class Results:
    """Everything a page is written from."""

    audits: Mapping[str, Audit]
    """By line name."""
    failures: Mapping[str, str]
    """Line name -> why there is no audit of it."""
    budget: str

    def cell(self, name: str, interface: str) -> Cell | None:
        entry = self.entry(name, interface)
        return entry if isinstance(entry, Cell) else None

    def entry(self, name: str, interface: str) -> Entry | None:
        return entry_of(self.audits[name], interface) if name in self.audits else None


# --- running ---------------------------------------------------------------------------------------------------


def lines_of(parts: Iterable[str] = tuple(PARTS)) -> tuple[Line, ...]:
    """Every line of these parts."""
    return tuple(line for part in parts for line in PARTS[part]())


def run(out: Path, wanted: Sequence[Line], *, budget: str = "deep", progress: Progress = SILENT) -> Results:
    """Build and audit these lines, and read back what earlier runs left under `out` of all others.

    A specimen that fails its native validation is a failure with its reason, never a missing row; it is trained again
    only when its recipe or the code of the attacks has changed.
    """
    (out / "audits").mkdir(parents=True, exist_ok=True)
    for number, line in enumerate(wanted):
        progress("reproducing", number, len(wanted), line.name)
        failed = _failed(out)
        if line.needed({name: row["failed"] for name, row in failed.items()}):
            _unless_failed(line, out, budget, failed.get(line.name, {}))
    progress("reproducing", len(wanted), len(wanted))
    return read(out, budget)


def read(out: Path, budget: str = "deep") -> Results:
    """What earlier runs left under `out`; nothing is built or audited."""
    failures = {name: str(row["failed"]) for name, row in _failed(out).items()}
    found = {}
    for line in lines_of():
        if line.name not in failures and _file(out, line.name).exists():
            found[line.name] = codec.from_json(Audit, _file(out, line.name).read_text())
    return Results({n: a for n, a in found.items() if a.budget == budget}, failures, budget)


def _failed(out: Path) -> dict[str, dict[str, Any]]:
    """The log's last row of every line that ended in a failure."""
    log = out / "log.jsonl"
    rows = [json.loads(row) for row in log.read_text().splitlines()] if log.exists() else []
    return {name: row for name, row in {row["line"]: row for row in rows}.items() if "failed" in row}


def _unless_failed(line: Line, out: Path, budget: str, failed: Mapping[str, Any]) -> None:
    training = _training(line)
    if failed.get("training") == training:
        return
    try:
        _line(line, out, budget)
    except specimens.SpecimenFailed as error:
        _file(out, line.name).unlink(missing_ok=True)
        _log(out, {"line": line.name, "recipe": line.recipe, "failed": error.what, "training": training})


def _training(line: Line) -> str:
    """sha256 over what decides how this line's specimens come out, and whether that is enough."""
    base, cache = bases.base_folder("vit"), specimens.default_cache()
    recipes = [specimens.RECIPES[name] for name in (line.recipe, line.triggers)]
    families = [attacks.FAMILIES[recipe.family] for recipe in recipes]
    code = {inspect.getfile(made) for one in families for made in (one.train, one.measure, one.asked)}
    parts = [specimens.place(recipe, base, cache).name.encode() for recipe in recipes]
    return sha256(b"\0".join([*parts, *(Path(file).read_bytes() for file in sorted(code))])).hexdigest()


def _line(line: Line, out: Path, budget: str) -> None:
    began = time.perf_counter()
    folder = specimens.build(line.recipe)
    own = folder if line.triggers == line.recipe else specimens.build(line.triggers)
    built = time.perf_counter()
    triggers = known.read(own / specimens.TRIGGERS)[-1:]
    reference = _base()
    plan = Plan(triggers, Budget(budget))
    weights = sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()
    name = identity(weights, "", reference, plan)
    path = _file(out, line.name)
    names = (name, legacy_identity(weights, "", reference, plan))
    if path.exists() and json.loads(path.read_text())["identity"] in names:
        return
    audit = _audited(line, folder, weights, reference, plan, out)
    with atomic_write(path) as stream:
        stream.write((codec.to_json(replace(audit, identity=name)) + "\n").encode())
    _log(
        out,
        {
            "line": line.name,
            "recipe": line.recipe,
            "weights": weights,
            "verdict": audit.verdict.value,
            "diagnosis": audit.diagnosis.carrier.value if audit.diagnosis else "",
            "building": round(built - began, 1),
            "auditing": audit.seconds,
            "encodes": audit.encodes,
            "distinct": audit.distinct_inputs,
        },
    )


def _audited(line: Line, folder: Path, weights: str, reference: Reference, plan: Plan, out: Path) -> Audit:
    from dife_scanner.audit import pipeline

    ref = ModelRef(f"lab/{line.recipe}", weights[:40])
    request = pipeline.Request(ref, folder, weights, "", reference, (reference,), plan, cache=out / "embeddings")
    return pipeline.run(request).audit


def _base() -> Reference:
    return next(reference for reference in bundled_references() if "vit" in reference.name)


def _file(out: Path, name: str) -> Path:
    plain = "".join(c if c.isalnum() else "-" for c in name.lower())
    return out / "audits" / f"{plain}.json"


def _log(out: Path, row: Mapping[str, object]) -> None:
    with (out / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
