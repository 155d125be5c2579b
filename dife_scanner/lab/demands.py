"""What a faithful instrument has to show on the specimens, and where the rules decide otherwise than the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dife_scanner.lab import paper
from dife_scanner.lab.reproduce import FAMILIES, PARTS, SEEDS, Results, seeds_of
from dife_scanner.records import Cell, Entry, EntryType, Interval, NotEvaluable
from dife_scanner.reports.study import value_text
from dife_scanner.sentences import numbers as words

VISUAL = ("BadEncoder", "ContrastivePoisoning", "Liang-BadCLIP")


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
    found += [_no_exposure(results, line.name) for line in PARTS["twins"]()]
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
    found = f"{words.signed(cell.delta)} {ends(cell.delta_interval)}"
    met = cell.delta >= bound and (not above_zero or cell.delta_interval.low > 0)
    return Check(f"{name}, {interface}: {metric}", asked, found, met)


def ends(interval: Interval) -> str:
    """`[+0.655, +0.777]`."""
    return f"[{words.signed(interval.low)}, {words.signed(interval.high)}]"


def _check(what: str, asked: str, value: float | None, passes: Callable[[float], bool]) -> Check:
    if value is None:
        return Check(what, asked, "not measured", False)
    return Check(what, asked, words.number(value), passes(value))


def _quiet(results: Results, name: str) -> Check:
    """Every checkpoint that is no text attack: Δ_trigger of the text extensions stays at or below +.05."""
    cells = {interface: results.cell(name, interface) for interface in TEXT_CELLS}
    moved = {i: c.trigger.value for i, c in cells.items() if c is not None and c.trigger is not None}
    what = f"{name}: Δ_trigger of the text extensions"
    if not moved:
        return Check(what, "≤ +0.05", "no text trigger enters: selector control or N.E.", name in results.audits)
    return Check(what, "≤ +0.05", _listed(moved), max(moved.values()) <= 0.05)


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {words.signed(value)}" for name, value in values.items()) or "none"


def _weak_check(results: Results) -> list[Check]:
    audit = results.audits.get("ToxicTextCLIP")
    diagnosis = audit.diagnosis if audit else None
    signal = None if diagnosis is None else diagnosis.signal
    carrier = "none" if diagnosis is None else diagnosis.carrier.value
    return [
        _check("ToxicTextCLIP: signal", "< 0.05", signal, lambda v: v < 0.05),
        Check("ToxicTextCLIP: diagnosis", "weak", carrier, carrier == "weak"),
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
    found = "not measured" if diagnosis is None else f"{diagnosis.carrier.value}, {diagnosis.channel.value}"
    return [Check("visual-only control: carrier, channel", "visual, text", found, found == "visual, text")]


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
            said = "N.E." if theirs is None else words.number(theirs, 4)
            found.append(Difference(name, interface, said, short(entry), rule))
    return found


def _differences_allowed(results: Results) -> Check:
    found = {(d.name, d.interface) for d in differences(results)}
    missing = [name for name in FAMILIES if name not in results.audits]
    said = f"{len(found)} differ" + (f"; not audited: {', '.join(missing)}" if missing else "")
    met = found <= paper.MAY_DIFFER and not missing
    return Check("N.E. pattern against the paper's", "only the nine cells may differ", said, met)


def short(entry: Entry | None) -> str:
    """An entry in as few words as a table has room for."""
    if entry is None:
        return "not audited"
    if isinstance(entry, Cell):
        return value_text(entry)
    return entry.word
