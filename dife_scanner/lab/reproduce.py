"""The paper's tables beside ours, from specimens built here. Resumes: what is built and audited is not done again.

Lines are audits: a checkpoint under a trigger file. `run` makes what is missing; `lab/reproduction.py` writes it up.
Twins are audited under their attack's trigger, so that "was fine-tuned" is not mistaken for "was backdoored".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from dife_scanner.audit.plan import Plan, identity
from dife_scanner.audit.progress import SILENT, Progress
from dife_scanner.lab import attacks, bases, paper, specimens
from dife_scanner.queue.home import bundled_references
from dife_scanner.records import Audit, Cell, Entry, EntryType, ModelRef, NotEvaluable, Reference
from dife_scanner.reports.study import entry_of, value_text
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
VISUAL = ("BadEncoder", "ContrastivePoisoning", "Liang-BadCLIP")
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
    """sha256 over everything that decides how this line's specimens come out."""
    base, cache = bases.base_folder("vit"), specimens.default_cache()
    places = [specimens.place(specimens.RECIPES[name], base, cache).name for name in (line.recipe, line.triggers)]
    code = [file.read_bytes() for file in sorted(Path(attacks.__file__).parent.glob("*.py"))]
    return sha256(b"\0".join([*map(str.encode, places), *code])).hexdigest()


def _line(line: Line, out: Path, budget: str) -> None:
    began = time.perf_counter()
    folder = specimens.build(line.recipe)
    own = folder if line.triggers == line.recipe else specimens.build(line.triggers)
    built = time.perf_counter()
    triggers = known.read(own / specimens.TRIGGERS)[-1:]
    reference = _base()
    plan = Plan(triggers, budget)
    weights = sha256((folder / "open_clip_model.safetensors").read_bytes()).hexdigest()
    name = identity(weights, "", reference, plan)
    path = _file(out, line.name)
    if path.exists() and json.loads(path.read_text())["identity"] == name:
        return
    audit = _audited(line, folder, weights, reference, plan, out)
    part = path.with_suffix(".part")
    part.write_text(codec.to_json(replace(audit, identity=name)) + "\n")
    part.replace(path)
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


# --- the requirements ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One thing that a faithful instrument has to show on these specimens."""

    what: str
    asked: str
    found: str
    met: bool


TEXT_CELLS = ("caption retrieval", "caption reranking", "proxy selection", "generator selection")


def checks(results: Results) -> list[Check]:
    """Every demand on the figures, each with what was found; a line that was not audited is not met."""
    found = [_differences_allowed(results)]
    for name in VISUAL:
        for interface in ("zero-shot classification", "downstream classification"):
            found.append(_at_least(results, name, interface, 0.95, "ts_without_target", "TS without the target class"))
    found += _text_checks(results)
    found += [_quiet(results, name) for name in results.audits if not _text_attack(name)]
    found += _weak_check(results) + _coupled_check(results) + _control_check(results)
    found += [_no_exposure(results, line.name) for line in _twins()]
    return found + [_enough_seeds(results, name) for name in paper.SEEDS]


def _text_attack(name: str) -> bool:
    """BadTextTower and its variants are meant to move text interfaces; its twin is not."""
    return name.startswith("BadTextTower") and not name.endswith("twin")


def _text_checks(results: Results) -> list[Check]:
    name = "BadTextTower"
    return [
        _at_least(results, name, "prompted classification", 0.95, "", "QHR"),
        _at_least(results, name, "targeted retrieval", 0.95, "", "H@1"),
        _delta(results, name, "text reranking", 0.8, "ΔH@1"),
        _delta(results, name, "caption retrieval", 0.3, "ΔH@1", above_zero=True),
        _delta(results, name, "proxy selection", 0.3, "ΔSel@1", above_zero=True),
        _delta(results, name, "generator selection", 0.3, "ΔSel@1", above_zero=True),
    ]


def _at_least(results: Results, name: str, interface: str, bound: float, detail: str, metric: str) -> Check:
    cell = results.cell(name, interface)
    value = None if cell is None else cell.details[detail] if detail else cell.attack.value
    return _check(f"{name}, {interface}: {metric}", f"≥ {bound:.2f}", value, lambda v: v >= bound)


def _delta(
    results: Results, name: str, interface: str, bound: float, metric: str, *, above_zero: bool = False
) -> Check:
    cell = results.cell(name, interface)
    asked = f"≥ {bound:.2f}" + (", interval above 0" if above_zero else "")
    if cell is None:
        return Check(f"{name}, {interface}: {metric}", asked, "not measured", False)
    words = f"{cell.delta:+.3f} [{cell.delta_interval.low:+.3f}, {cell.delta_interval.high:+.3f}]"
    met = cell.delta >= bound and (not above_zero or cell.delta_interval.low > 0)
    return Check(f"{name}, {interface}: {metric}", asked, words, met)


def _check(what: str, asked: str, value: float | None, passes: Callable[[float], bool]) -> Check:
    if value is None:
        return Check(what, asked, "not measured", False)
    return Check(what, asked, f"{value:.3f}", passes(value))


def _quiet(results: Results, name: str) -> Check:
    """Every checkpoint that is no text attack: Δ_trigger of the text extensions stays at or below +.05."""
    cells = {interface: results.cell(name, interface) for interface in TEXT_CELLS}
    moved = {i: c.trigger.value for i, c in cells.items() if c is not None and c.trigger is not None}
    what = f"{name}: Δ_trigger of the text extensions"
    if not moved:
        return Check(what, "≤ +0.05", "no text trigger enters: selector control or N.E.", name in results.audits)
    return Check(what, "≤ +0.05", _listed(moved), max(moved.values()) <= 0.05)


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:+.3f}" for name, value in values.items()) or "none"


def _weak_check(results: Results) -> list[Check]:
    audit = results.audits.get("ToxicTextCLIP")
    diagnosis = audit.diagnosis if audit else None
    signal = None if diagnosis is None else diagnosis.signal
    word = "none" if diagnosis is None else diagnosis.carrier.value
    return [
        _check("ToxicTextCLIP: signal", "< 0.05", signal, lambda v: v < 0.05),
        Check("ToxicTextCLIP: diagnosis", "weak", word, word == "weak"),
    ]


def _coupled_check(results: Results) -> list[Check]:
    audit = results.audits.get("Bai-BadCLIP")
    repair = audit.repair if audit else None
    if audit is None or repair is None or audit.diagnosis is None:
        return [Check("Bai-BadCLIP: component repair", "coupled", "not measured", False)]
    far = max(abs(v - repair.both_clean) for v in (repair.prompt_only, repair.trigger_only))
    carrier = audit.diagnosis.carrier.value
    return [
        _check("Bai-BadCLIP: full mechanism", "≥ 0.95", repair.full, lambda v: v >= 0.95),
        _check("Bai-BadCLIP: repaired variants from the reference", "≤ 0.10", far, lambda v: v <= 0.10),
        Check("Bai-BadCLIP: diagnosis", "coupled", carrier, carrier == "coupled"),
    ]


def _control_check(results: Results) -> list[Check]:
    audit = results.audits.get("BadTextTower, visual only (control)")
    diagnosis = audit.diagnosis if audit else None
    words = "not measured" if diagnosis is None else f"{diagnosis.carrier.value}, {diagnosis.channel.value}"
    return [Check("visual-only control: carrier, channel", "visual, text", words, words == "visual, text")]


def _no_exposure(results: Results, name: str) -> Check:
    audit = results.audits.get(name)
    if audit is None:
        return Check(f"{name}: exposed cells", "none", "not measured", False)
    exposed = [e.interface for e in audit.profile if isinstance(e, Cell) and e.entry is EntryType.EXPOSED]
    return Check(f"{name}: exposed cells", "none", ", ".join(exposed) or "none", not exposed)


def _enough_seeds(results: Results, name: str) -> Check:
    passed = sum(line in results.audits for line in seeds_of(name))
    failed = sum(line in results.failures for line in seeds_of(name))
    found = f"{passed} of {passed + failed} tried"
    return Check(f"{name}: seeds that passed their native validation", f"≥ {SEEDS}", found, passed >= SEEDS)


@dataclass(frozen=True)
class Difference:
    """A cell that the paper and the rules decide differently."""

    name: str
    interface: str
    theirs: str
    ours: str
    rule: str


def differences(results: Results) -> list[Difference]:
    """Cells that are numeric in one matrix and N.E. in the other."""
    found = []
    for name, values in paper.EXPOSURE.items():
        for interface, theirs in zip(paper.COLUMNS, values, strict=True):
            entry = results.entry(name, interface)
            if entry is None or isinstance(entry, Cell) == (theirs is not None):
                continue
            rule = entry.reason if isinstance(entry, NotEvaluable) else "the card admits this trigger's channel"
            said = "N.E." if theirs is None else f"{theirs:.4f}"
            found.append(Difference(name, interface, said, short(entry), rule))
    return found


def _differences_allowed(results: Results) -> Check:
    found = {(d.name, d.interface) for d in differences(results)}
    missing = [name for name in FAMILIES if name not in results.audits]
    words = f"{len(found)} differ" + (f"; not audited: {', '.join(missing)}" if missing else "")
    met = found <= paper.MAY_DIFFER and not missing
    return Check("N.E. pattern against the paper's", "only the nine cells may differ", words, met)


def short(entry: Entry | None) -> str:
    """An entry in as few words as a table has room for."""
    if entry is None:
        return "not audited"
    if isinstance(entry, Cell):
        return value_text(entry)
    return entry.word
