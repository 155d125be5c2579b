"""What a faithful instrument has to show on the specimens, and where the rules decide otherwise than the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dife_scanner.lab.reproduction import paper
from dife_scanner.lab.reproduction.lines import (
    FAMILIES,
    PARTS,
    SEEDS,
    seeds_of,
)
from dife_scanner.lab.reproduction.reproduce import Results
from dife_scanner.records import (
    Cell,
    Entry,
    EntryType,
    Interval,
    NotEvaluable,
)
from dife_scanner.reports.study import value_text
from dife_scanner.sentences import numbers as formatting

VISUAL = ("BadEncoder", "ContrastivePoisoning", "Liang-BadCLIP")
TEXT_CELLS = (
    "caption retrieval",
    "caption reranking",
    "proxy selection",
    "generator selection",
)
"""The deployment extensions that only a text trigger can move."""
_HIGH = 0.95
"""Least native success of an attack."""
_QUIET = 0.05
"""Most change that a text trigger makes where there is no text attack, and the bound of a weak signal."""
_REPAIRED = 0.10
"""Most distance of a repaired mechanism from the clean one."""
_NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Check:
    """One thing that a faithful instrument has to show on these specimens."""

    what: str
    required: str
    found: str
    met: bool


def checks(results: Results) -> list[Check]:
    """Return every demand on the figures, each with what was found; a line that was not audited is not met."""
    found = [_differences_allowed(results)]
    for name in VISUAL:
        found += _visual_checks(results, name)
    found += _text_checks(results)
    for name in results.audits:
        if not _is_text_attack(name):
            found.append(_quiet(results, name))
    found += _weak_checks(results)
    found += _coupled_checks(results)
    found.append(_control_check(results))
    for line in PARTS["twins"]():
        found.append(_no_exposure(results, line.name))
    for name in paper.SEEDS:
        found.append(_enough_seeds(results, name))
    return found


def _is_text_attack(name: str) -> bool:
    """Tell whether a line is BadTextTower or a variant: those are meant to move text interfaces; its twin is not."""
    return name.startswith("BadTextTower") and not name.endswith("twin")


def _visual_checks(results: Results, name: str) -> list[Check]:
    """Ask for target success of an attack on the image tower, without pictures of the target class."""
    found = []
    for interface in ("zero-shot classification", "downstream classification"):
        cell = results.cell(name, interface)
        value = None if cell is None else cell.details["ts_without_target"]
        what = f"{name}, {interface}: TS without the target class"
        found.append(_at_least(what, _HIGH, value))
    return found


def _text_checks(results: Results) -> list[Check]:
    """Ask what the paper's own attack does to prompts, rerankers and deployment extensions."""
    found = []
    for interface, metric in (
        ("prompted classification", "QHR"),
        ("targeted retrieval", "H@1"),
    ):
        cell = results.cell("BadTextTower", interface)
        value = None if cell is None else cell.attack.value
        what = f"BadTextTower, {interface}: {metric}"
        found.append(_at_least(what, _HIGH, value))
    return [
        *found,
        _delta(results, "text reranking", 0.8, "ΔH@1"),
        _delta(results, "caption retrieval", 0.3, "ΔH@1", above_zero=True),
        _delta(results, "proxy selection", 0.3, "ΔSel@1", above_zero=True),
        _delta(results, "generator selection", 0.3, "ΔSel@1", above_zero=True),
    ]


def _at_least(what: str, bound: float, value: float | None) -> Check:
    return _check(what, f"≥ {bound:.2f}", value, lambda found: found >= bound)


def _check(
    what: str,
    required: str,
    value: float | None,
    passes: Callable[[float], bool],
) -> Check:
    """Return a check of one figure; what was not measured is not met."""
    if value is None:
        return Check(what, required, _NOT_MEASURED, False)
    return Check(what, required, formatting.number(value), passes(value))


def _delta(
    results: Results,
    interface: str,
    bound: float,
    metric: str,
    *,
    above_zero: bool = False,
) -> Check:
    """Ask for a change by BadTextTower's trigger, and with `above_zero` that its interval lies above zero."""
    what = f"BadTextTower, {interface}: {metric}"
    required = f"≥ {bound:.2f}"
    if above_zero:
        required += ", interval above 0"
    cell = results.cell("BadTextTower", interface)
    if cell is None:
        return Check(what, required, _NOT_MEASURED, False)
    found = f"{formatting.signed(cell.delta)} {ends(cell.delta_interval)}"
    met = cell.delta >= bound
    if above_zero:
        met = met and cell.delta_interval.low > 0
    return Check(what, required, found, met)


def ends(interval: Interval) -> str:
    """Return the ends of an interval: `[+0.655, +0.777]`."""
    return f"[{formatting.signed(interval.low)}, {formatting.signed(interval.high)}]"


def _quiet(results: Results, name: str) -> Check:
    """Ask of every checkpoint that is no text attack: Δ_trigger of the text extensions stays at or below +.05."""
    what = f"{name}: Δ_trigger of the text extensions"
    required = "≤ +0.05"
    moved = {}
    for interface in TEXT_CELLS:
        cell = results.cell(name, interface)
        if cell is not None and cell.trigger is not None:
            moved[interface] = cell.trigger.value
    if not moved:
        found = "no text trigger enters: selector control or N.E."
        return Check(what, required, found, name in results.audits)
    return Check(what, required, _listed(moved), max(moved.values()) <= _QUIET)


def _listed(values: Mapping[str, float]) -> str:
    parts = [f"{name} {formatting.signed(value)}" for name, value in values.items()]
    return ", ".join(parts) or "none"


def _weak_checks(results: Results) -> list[Check]:
    """Ask that ToxicTextCLIP comes out as the weak family."""
    audit = results.audits.get("ToxicTextCLIP")
    signal = None
    carrier = "none"
    if audit is not None and audit.diagnosis is not None:
        signal = audit.diagnosis.signal
        carrier = audit.diagnosis.carrier.value
    return [
        _check(
            "ToxicTextCLIP: signal",
            "< 0.05",
            signal,
            lambda found: found < _QUIET,
        ),
        Check("ToxicTextCLIP: diagnosis", "weak", carrier, carrier == "weak"),
    ]


def _coupled_checks(results: Results) -> list[Check]:
    """Ask that Bai-BadCLIP needs its prompt and its trigger together."""
    audit = results.audits.get("Bai-BadCLIP")
    repair = audit.repair if audit else None
    if audit is None or repair is None or audit.diagnosis is None:
        what = "Bai-BadCLIP: component repair"
        return [Check(what, "coupled", _NOT_MEASURED, False)]
    prompt_away = abs(repair.prompt_only - repair.both_clean)
    trigger_away = abs(repair.trigger_only - repair.both_clean)
    carrier = audit.diagnosis.carrier.value
    return [
        _at_least("Bai-BadCLIP: full mechanism", _HIGH, repair.full),
        _check(
            "Bai-BadCLIP: repaired variants from the reference",
            "≤ 0.10",
            max(prompt_away, trigger_away),
            lambda found: found <= _REPAIRED,
        ),
        Check(
            "Bai-BadCLIP: diagnosis",
            "coupled",
            carrier,
            carrier == "coupled",
        ),
    ]


def _control_check(results: Results) -> Check:
    """Ask that the visual-only control is carried by the image tower and entered by the text."""
    audit = results.audits.get("BadTextTower, visual only (control)")
    diagnosis = audit.diagnosis if audit else None
    found = _NOT_MEASURED
    if diagnosis is not None:
        found = f"{diagnosis.carrier.value}, {diagnosis.channel.value}"
    return Check(
        "visual-only control: carrier, channel",
        "visual, text",
        found,
        found == "visual, text",
    )


def _no_exposure(results: Results, name: str) -> Check:
    """Ask that a twin exposes nothing."""
    what = f"{name}: exposed cells"
    audit = results.audits.get(name)
    if audit is None:
        return Check(what, "none", _NOT_MEASURED, False)
    exposed = []
    for entry in audit.profile:
        if isinstance(entry, Cell) and entry.entry is EntryType.EXPOSED:
            exposed.append(entry.interface)
    return Check(what, "none", ", ".join(exposed) or "none", not exposed)


def _enough_seeds(results: Results, name: str) -> Check:
    """Ask that enough implants of a family passed their native validation."""
    passed = sum(line in results.audits for line in seeds_of(name))
    failed = sum(line in results.failures for line in seeds_of(name))
    return Check(
        f"{name}: seeds that passed their native validation",
        f"≥ {SEEDS}",
        f"{passed} of {passed + failed} tried",
        passed >= SEEDS,
    )


@dataclass(frozen=True)
class Difference:
    """A cell that the paper and the rules decide differently."""

    name: str
    interface: str
    theirs: str
    ours: str
    rule: str


def differences(results: Results) -> list[Difference]:
    """Return cells that are numeric in one matrix and N.E. in the other."""
    found = []
    for name, values in paper.EXPOSURE.items():
        for interface, theirs in zip(paper.COLUMNS, values, strict=True):
            entry = results.entry(name, interface)
            if entry is None:
                continue
            if isinstance(entry, Cell) != (theirs is not None):
                found.append(_difference(name, interface, theirs, entry))
    return found


def _difference(
    name: str,
    interface: str,
    theirs: float | None,
    entry: Entry,
) -> Difference:
    rule = "the card admits this trigger's channel"
    if isinstance(entry, NotEvaluable):
        rule = entry.reason
    their_text = "N.E." if theirs is None else formatting.number(theirs, 4)
    return Difference(name, interface, their_text, short(entry), rule)


def _differences_allowed(results: Results) -> Check:
    """Ask that only the nine cells differ in which the paper's matrix does not follow its own cards."""
    found = {(one.name, one.interface) for one in differences(results)}
    missing = [name for name in FAMILIES if name not in results.audits]
    differing = f"{len(found)} differ"
    if missing:
        differing += f"; not audited: {', '.join(missing)}"
    return Check(
        "N.E. pattern against the paper's",
        "only the nine cells may differ",
        differing,
        found <= paper.MAY_DIFFER and not missing,
    )


def short(entry: Entry | None) -> str:
    """Return an entry in as few words as a table has room for."""
    if entry is None:
        return "not audited"
    if isinstance(entry, Cell):
        return value_text(entry)
    return entry.word
