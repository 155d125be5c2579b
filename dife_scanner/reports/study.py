"""Audits of known triggers side by side, as the paper prints them: sheets of words that any format can write out.

Rows are checkpoints, columns are interfaces. An entry without a number keeps its own mark and its reason; nothing is
averaged over interfaces, and no absence is ever counted as zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from dife_scanner.core.agreement import Accounting, Profile, account, compare, profile_after
from dife_scanner.core.cards import CARDS, Card, Group
from dife_scanner.records import (
    ArtefactMissing,
    Audit,
    Cell,
    Entry,
    NotEvaluable,
    NotRun,
    SelectorControl,
)
from dife_scanner.reports.sheet import ENTRY_MARK, ENTRY_TONE, LEGEND, Mark, Sheet, Tone
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.calibration import calibration_lines, tally, tally_text
from dife_scanner.sentences.numbers import number, signed
from dife_scanner.sentences.profile import change_text, without_number
from dife_scanner.sentences.triggers import effect_text


@dataclass(frozen=True)
class Row:
    """One checkpoint under one trigger."""

    name: str
    """How it is called in every table; distinct within a study."""
    audit: Audit


@dataclass(frozen=True)
class Failure:
    """A checkpoint that has no audit, and why."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True)
class Extension:
    """A file of the researcher's own code that was loaded: part of what decides the numbers."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Study:
    """What one known-trigger scan measured."""

    rows: tuple[Row, ...]
    failures: tuple[Failure, ...] = ()
    extensions: tuple[Extension, ...] = ()
    seeds: bool = False
    """Whether the rows are seeds of one attack, so that a mean over them means something."""


_GROUPS = (
    ("Exposure matrix: native interfaces", (Group.NATIVE,)),
    ("Exposure matrix: deployment extensions", (Group.EXTENSION,)),
    ("Exposure matrix: readouts and own interfaces", (Group.READOUT, Group.OWN)),
)


def study(
    named: Iterable[tuple[str, Audit]],
    failures: tuple[Failure, ...] = (),
    extensions: tuple[Extension, ...] = (),
    seeds: bool = False,
) -> Study:
    """A study of (name, audit) pairs; a checkpoint that stands there under several triggers is told apart by them."""
    pairs = list(named)
    times = Counter(name for name, _ in pairs)
    rows = tuple(Row(name if times[name] == 1 else f"{name} · {_trigger_name(audit)}", audit) for name, audit in pairs)
    return Study(rows, failures, extensions, seeds)


def sheets(record: Study) -> tuple[Sheet, ...]:
    """Every table of a study in the order of reading; tables that would be empty are left out."""
    found = (
        checkpoints(record),
        *matrix(record),
        branch_swaps(record),
        component_repairs(record),
        agreements(record),
        changes(record),
        over_seeds(record) if record.seeds else None,
        not_audited(record),
        extensions(record),
    )
    return tuple(sheet for sheet in found if sheet is not None and sheet.rows)


# --- the exposure matrix --------------------------------------------------------------------------------------


def matrix(record: Study) -> tuple[Sheet, ...]:
    """One sheet per group of interfaces, each with the reasons of its own absences below it."""
    known = {card.interface for card in CARDS}
    others = tuple(
        dict.fromkeys(e.interface for row in record.rows for e in row.audit.profile if e.interface not in known)
    )
    made = [_matrix(record, title, [card.interface for card in _of(groups)]) for title, groups in _GROUPS]
    return (*made, *([_matrix(record, "Exposure matrix: interfaces of extensions", others)] if others else []))


def _of(groups: Sequence[Group]) -> list[Card]:
    return [card for card in CARDS if card.group in groups]


def _matrix(record: Study, title: str, interfaces: Sequence[str]) -> Sheet:
    reasons = _Reasons()
    audited = [row for row in record.rows if row.audit.profile]
    rows = tuple(
        (Mark(row.name, Tone.NAME), *(_mark(entry_of(row.audit, name), reasons) for name in interfaces))
        for row in audited
    )
    shown = any(mark.text for row in rows for mark in row[1:])
    return Sheet(title, ("checkpoint", *interfaces), rows if shown else (), (LEGEND, *reasons.lines))


def entry_of(audit: Audit, interface: str) -> Entry | None:
    """The entry of an interface; its first, where a profile has several metrics of one."""
    return next((entry for entry in audit.profile if entry.interface == interface), None)


class _Reasons:
    """Numbers the reasons of absences; the same reason has the same number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, reason: str) -> int:
        return self._numbers.setdefault(reason, len(self._numbers) + 1)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(f"[{number}] {reason}" for reason, number in self._numbers.items())


def _mark(entry: Entry | None, reasons: _Reasons) -> Mark:
    if entry is None:
        return Mark("")
    if isinstance(entry, Cell):
        return Mark(f"{ENTRY_MARK[entry.entry]} {value_text(entry)}".strip(), ENTRY_TONE[entry.entry])
    number = reasons.number(_reason(entry))
    if isinstance(entry, SelectorControl):
        return Mark(f"{short_word(entry)} {signed(entry.drift.value)} [{number}]", Tone.CONTROL)
    return Mark(f"{short_word(entry)} [{number}]", Tone.ABSENT)


def short_word(entry: Entry) -> str:
    """`N.E.`, `not run`, `missing`, `control`; empty for a cell."""
    if isinstance(entry, Cell):
        return ""
    return {ArtefactMissing.word: "missing", SelectorControl.word: "control"}.get(entry.word, entry.word)


def value_text(cell: Cell) -> str:
    """A metric that is a difference shows it with both ends, any other its value with the difference:
    `+0.965 (0.035→1.000)`, `0.999 (+0.901)`.
    """
    if cell.metric.startswith("Δ"):
        ends = f"{number(cell.reference.value)}→{number(cell.attack.value)}"
        return f"{signed(cell.delta)} ({ends})"
    return f"{number(cell.attack.value)} ({signed(cell.delta)})"


def _reason(entry: NotEvaluable | NotRun | ArtefactMissing | SelectorControl) -> str:
    category = f", {entry.category.value}" if isinstance(entry, NotEvaluable) else ""
    return f"{entry.word}{category}: {without_number(entry)}"


# --- what carries it ------------------------------------------------------------------------------------------


def branch_swaps(record: Study) -> Sheet:
    """a_vt, signal, ratios and diagnosis of every checkpoint that was swapped (paper §5)."""
    rows, notes = [], []
    for row in record.rows:
        swap, diagnosis = row.audit.branch_swap, row.audit.diagnosis
        if swap is None or diagnosis is None:
            continue
        ratios = (diagnosis.signal, diagnosis.vrs, diagnosis.trs, diagnosis.css)
        aligned = " (aligned)" if swap.aligned else ""
        rows.append(
            (
                Mark(row.name, Tone.NAME),
                Mark(swap.readout),
                *(Mark(_four(value)) for value in (swap.a00, swap.a10, swap.a01, swap.a11, *ratios)),
                Mark(diagnosis.carrier.value + aligned),
            )
        )
        notes.append(f"{row.name}: {diagnosis.reason}")
    columns = ("checkpoint", "readout", "a00", "a10", "a01", "a11", "signal", "VRS", "TRS", "CSS", "diagnosis")
    return Sheet("Branch swap", columns, tuple(rows), (_SWAP_NOTE, *notes))


_SWAP_NOTE = "a(image)(text): 0 the reference's branch, 1 the suspect's; the trigger is applied in all four"


def component_repairs(record: Study) -> Sheet:
    """What a mechanism reaches whole and with parts of it repaired (paper §5)."""
    rows, notes = [], []
    for row in record.rows:
        repair, diagnosis = row.audit.repair, row.audit.diagnosis
        if repair is None or diagnosis is None:
            continue
        numbers = (repair.full, repair.prompt_only, repair.trigger_only, repair.both_clean)
        rows.append(
            (
                Mark(row.name, Tone.NAME),
                Mark(repair.readout),
                *(Mark(_four(value)) for value in numbers),
                Mark(diagnosis.carrier.value),
            )
        )
        notes.append(f"{row.name}: {diagnosis.reason}")
    columns = ("checkpoint", "readout", "full mechanism", "prompt only", "trigger only", "both clean", "diagnosis")
    return Sheet("Component repair", columns, tuple(rows), tuple(notes))


def _four(value: float) -> str:
    """Four decimals, as the paper prints ratios."""
    return number(value, 4)


# --- diagnosis against profile --------------------------------------------------------------------------------


def agreements(record: Study) -> Sheet:
    """What the diagnosis, fixed first, foretold and what the profile shows; the paper's accounting below."""
    rows = []
    for row in record.rows:
        found = _profile(row.audit)
        if found is not None:
            said = compare(found)
            predicted = ", ".join(found.diagnosis.predicted) or "none"
            cells = (found.diagnosis.carrier.value, predicted, said.outcome.value, said.text)
            rows.append((Mark(row.name, Tone.NAME), *map(Mark, cells)))
    columns = ("checkpoint", "diagnosis", "predicted exposed", "outcome", "agreement")
    return Sheet("Diagnosis against profile", columns, tuple(rows), (str(accounting(record)),))


def accounting(record: Study) -> Accounting:
    """How many checkpoints bear their diagnosis out (paper §5); one without an audit is missing."""
    return account([*(_profile(row.audit) for row in record.rows), *(None for _ in record.failures)])


def _profile(audit: Audit) -> Profile | None:
    return profile_after(audit.diagnosis, audit.profile) if audit.diagnosis and audit.profile else None


# --- the two parts of a difference ----------------------------------------------------------------------------


def changes(record: Study) -> Sheet:
    """Δ_trigger and Δ_drift of every cell that has them, with reference and headroom beside them."""
    rows = tuple(
        (
            Mark(row.name, Tone.NAME),
            Mark(cell.interface),
            Mark(cell.metric),
            Mark(change_text(cell.trigger)),
            Mark(change_text(cell.drift)),
            Mark(number(cell.reference.value)),
            Mark("" if cell.headroom is None else number(cell.headroom)),
        )
        for row in record.rows
        for cell in row.audit.profile
        if isinstance(cell, Cell) and (cell.trigger or cell.drift)
    )
    columns = ("checkpoint", "interface", "metric", "Δ trigger (95 %)", "Δ drift (95 %)", "reference", "headroom")
    notes = (
        "Δ trigger: same checkpoint, triggered minus clean query; Δ drift: clean query, suspect minus clean checkpoint",
    )
    return Sheet("Trigger and drift apart", columns, rows, notes)


# --- checkpoints ----------------------------------------------------------------------------------------------


def checkpoints(record: Study) -> Sheet:
    """One line per checkpoint: trigger, verdict, footprint, and clean utility beside them."""
    rows = tuple(
        (
            Mark(row.name, Tone.NAME),
            Mark(_trigger_name(row.audit)),
            Mark(effect_text(row.audit.trigger.source, row.audit.trigger.target) if row.audit.trigger else ""),
            Mark(VERDICT_LABEL[row.audit.verdict]),
            Mark(row.audit.diagnosis.carrier.value if row.audit.diagnosis else ""),
            Mark(row.audit.diagnosis.channel.value if row.audit.diagnosis else ""),
            Mark(_accuracies(row.audit)),
        )
        for row in record.rows
    )
    columns = ("checkpoint", "trigger", "effect", "verdict", "footprint", "channel", "clean accuracy")
    notes = [tally_text(tally([row.audit for row in record.rows]))]
    notes += [f"{row.name}: {row.audit.reason}" for row in record.rows if not row.audit.profile]
    notes += [f"{row.name}: {line}" for row in record.rows for line in calibration_lines(row.audit)]
    return Sheet("Checkpoints", columns, rows, tuple(notes))


def _trigger_name(audit: Audit) -> str:
    return audit.trigger.name if audit.trigger else ""


def _accuracies(audit: Audit) -> str:
    if audit.clean_accuracy is None or audit.reference_accuracy is None:
        return ""
    return f"{number(audit.clean_accuracy)} (reference {number(audit.reference_accuracy)})"


def not_audited(record: Study) -> Sheet:
    rows = tuple((Mark(f.name, Tone.NAME), Mark(f.state), Mark(f.reason)) for f in record.failures)
    return Sheet("Not audited", ("checkpoint", "state", "reason"), rows)


def extensions(record: Study) -> Sheet:
    rows = tuple((Mark(one.name, Tone.NAME), Mark(one.sha256)) for one in record.extensions)
    return Sheet("Extensions loaded", ("file", "sha256"), rows)


# --- over seeds -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OverSeeds:
    """One number over the seeds of an attack: mean, sample standard deviation (n − 1), and how many had it."""

    what: str
    values: tuple[float, ...] = field(repr=False)

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def sd(self) -> float | None:
        """`None` for a single value."""
        return stdev(self.values) if len(self.values) > 1 else None


def over_seeds(record: Study) -> Sheet:
    """Mean ± sample standard deviation over the rows, for every number that at least one of them has."""
    total = len(record.rows)
    rows = tuple(
        (Mark(one.what, Tone.NAME), Mark(spread_text(one)), Mark(f"{len(one.values)} of {total}"))
        for one in spreads(record)
    )
    notes = ("mean ± sample standard deviation; seeds without the number are left out and counted",)
    return Sheet("Over seeds", ("number", "mean ± sd", "seeds"), rows, notes)


def spreads(record: Study) -> tuple[OverSeeds, ...]:
    audits = [row.audit for row in record.rows]
    readings: list[tuple[str, Callable[[Audit], float | None]]] = [
        ("clean accuracy", lambda audit: audit.clean_accuracy)
    ]
    for interface, metric in _measured(audits):
        readings.append((f"{interface}, {metric}", _reader(interface, lambda cell: cell.attack.value)))
        readings.append((f"{interface}, Δ over reference", _reader(interface, lambda cell: cell.delta)))
    for name in ("signal", "vrs", "trs", "css"):
        readings.append((name.upper() if name != "signal" else name, _diagnostic(name)))
    found = ((what, [value for audit in audits if (value := read(audit)) is not None]) for what, read in readings)
    return tuple(OverSeeds(what, tuple(values)) for what, values in found if values)


def _measured(audits: Sequence[Audit]) -> list[tuple[str, str]]:
    """(interface, metric of its values) in the order of the cards, extensions last."""
    cells = [entry for audit in audits for entry in audit.profile if isinstance(entry, Cell)]
    found = dict.fromkeys((cell.interface, cell.metric.removeprefix("Δ")) for cell in cells)
    order = {card.interface: place for place, card in enumerate(CARDS)}
    return sorted(found, key=lambda one: order.get(one[0], len(order)))


def _reader(interface: str, read: Callable[[Cell], float]) -> Callable[[Audit], float | None]:
    def value(audit: Audit) -> float | None:
        entry = entry_of(audit, interface)
        return read(entry) if isinstance(entry, Cell) else None

    return value


def _diagnostic(name: str) -> Callable[[Audit], float | None]:
    return lambda audit: getattr(audit.diagnosis, name) if audit.diagnosis else None


def spread_text(one: OverSeeds) -> str:
    """`0.9903 ± 0.0012`, or the value alone."""
    return _four(one.mean) + (f" ± {_four(one.sd)}" if one.sd is not None else "")
