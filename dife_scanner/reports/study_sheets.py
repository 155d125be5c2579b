"""Every table of a study, as the paper prints them: sheets of words that any format can write out."""

from __future__ import annotations

from dife_scanner.core.agreement import Accounting, Profile, account, compare, profile_after
from dife_scanner.records import Audit, Cell
from dife_scanner.reports.exposure import matrix
from dife_scanner.reports.seeds import over_seeds
from dife_scanner.reports.sheet import Mark, Sheet, Tone
from dife_scanner.reports.study import Row, Study, trigger_name
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.calibration import calibration_lines, tally, tally_text
from dife_scanner.sentences.numbers import number
from dife_scanner.sentences.profile import change_text
from dife_scanner.sentences.triggers import effect_text


def sheets(record: Study) -> tuple[Sheet, ...]:
    """Every table of a study in the order of reading; tables that would be empty are left out."""
    found = [
        checkpoints(record),
        *matrix(record),
        branch_swaps(record),
        component_repairs(record),
        agreements(record),
        changes(record),
    ]
    if record.seeds:
        found.append(over_seeds(record))
    found += [not_audited(record), extensions(record)]
    return tuple(sheet for sheet in found if sheet.rows)


# --- checkpoints ----------------------------------------------------------------------------------------------


def checkpoints(record: Study) -> Sheet:
    """One line per checkpoint: trigger, verdict, footprint, and clean utility."""
    rows = [_checkpoint(row) for row in record.rows]
    columns = (
        "checkpoint",
        "trigger",
        "effect",
        "verdict",
        "footprint",
        "channel",
        "clean accuracy",
    )
    notes = [tally_text(tally([row.audit for row in record.rows]))]
    for row in record.rows:
        if not row.audit.profile:
            notes.append(f"{row.name}: {row.audit.reason}")
    for row in record.rows:
        notes += [f"{row.name}: {line}" for line in calibration_lines(row.audit)]
    return Sheet("Checkpoints", columns, tuple(rows), tuple(notes))


def _checkpoint(row: Row) -> tuple[Mark, ...]:
    audit = row.audit
    effect = carrier = channel = ""
    if audit.trigger is not None:
        trigger = audit.trigger
        effect = effect_text(trigger.source, trigger.target, trigger.name)
    if audit.diagnosis is not None:
        carrier = audit.diagnosis.carrier.value
        channel = audit.diagnosis.channel.value
    return _row(
        row,
        trigger_name(audit),
        effect,
        VERDICT_LABEL[audit.verdict],
        carrier,
        channel,
        _accuracies(audit),
    )


def _row(row: Row, *texts: str) -> tuple[Mark, ...]:
    """The checkpoint's name and the cells after it."""
    return Mark(row.name, Tone.NAME), *map(Mark, texts)


def _accuracies(audit: Audit) -> str:
    if audit.clean_accuracy is None or audit.reference_accuracy is None:
        return ""
    return f"{number(audit.clean_accuracy)} (reference {number(audit.reference_accuracy)})"


def not_audited(record: Study) -> Sheet:
    """Checkpoints without an audit, and why."""
    rows = []
    for failure in record.failures:
        rows.append((Mark(failure.name, Tone.NAME), Mark(failure.state), Mark(failure.reason)))
    return Sheet("Not audited", ("checkpoint", "state", "reason"), tuple(rows))


def extensions(record: Study) -> Sheet:
    """Files of the researcher's own code."""
    rows = []
    for one in record.extensions:
        rows.append((Mark(one.name, Tone.NAME), Mark(one.sha256)))
    return Sheet("Extensions loaded", ("file", "sha256"), tuple(rows))


# --- what carries it ------------------------------------------------------------------------------------------

_SWAP_NOTE = (
    "a(image)(text): 0 the reference's branch, 1 the suspect's; the trigger is applied in all four"
)


def branch_swaps(record: Study) -> Sheet:
    """a_vt, signal, ratios and diagnosis of every checkpoint that was swapped (paper §5)."""
    rows = []
    notes = [_SWAP_NOTE]
    for row in record.rows:
        swap, diagnosis = row.audit.branch_swap, row.audit.diagnosis
        if swap is None or diagnosis is None:
            continue
        carrier = diagnosis.carrier.value
        if swap.aligned:
            carrier += " (aligned)"
        shares = _four(swap.a00, swap.a10, swap.a01, swap.a11)
        ratios = _four(diagnosis.signal, diagnosis.vrs, diagnosis.trs, diagnosis.css)
        rows.append(_row(row, swap.readout, *shares, *ratios, carrier))
        notes.append(f"{row.name}: {diagnosis.reason}")
    columns = (
        "checkpoint",
        "readout",
        "a00",
        "a10",
        "a01",
        "a11",
        "signal",
        "VRS",
        "TRS",
        "CSS",
        "diagnosis",
    )
    return Sheet("Branch swap", columns, tuple(rows), tuple(notes))


def component_repairs(record: Study) -> Sheet:
    """What a mechanism reaches whole and with parts of it repaired (paper §5)."""
    rows = []
    notes = []
    for row in record.rows:
        repair, diagnosis = row.audit.repair, row.audit.diagnosis
        if repair is None or diagnosis is None:
            continue
        shares = _four(repair.full, repair.prompt_only, repair.trigger_only, repair.both_clean)
        rows.append(_row(row, repair.readout, *shares, diagnosis.carrier.value))
        notes.append(f"{row.name}: {diagnosis.reason}")
    columns = (
        "checkpoint",
        "readout",
        "full mechanism",
        "prompt only",
        "trigger only",
        "both clean",
        "diagnosis",
    )
    return Sheet("Component repair", columns, tuple(rows), tuple(notes))


def _four(*values: float) -> list[str]:
    """With four decimals, as the paper prints ratios."""
    return [number(value, 4) for value in values]


# --- diagnosis against profile --------------------------------------------------------------------------------


def agreements(record: Study) -> Sheet:
    """What the diagnosis, fixed first, foretold and what the profile shows; the paper's accounting below."""
    rows = []
    for row in record.rows:
        found = _profile(row.audit)
        if found is not None:
            outcome = compare(found)
            predicted = ", ".join(found.diagnosis.predicted) or "none"
            rows.append(
                _row(
                    row,
                    found.diagnosis.carrier.value,
                    predicted,
                    outcome.outcome.value,
                    outcome.text,
                )
            )
    columns = ("checkpoint", "diagnosis", "predicted exposed", "outcome", "agreement")
    return Sheet("Diagnosis against profile", columns, tuple(rows), (str(accounting(record)),))


def accounting(record: Study) -> Accounting:
    """How many checkpoints bear their diagnosis out (paper §5); one without an audit is missing."""
    profiles = [_profile(row.audit) for row in record.rows]
    missing = [None] * len(record.failures)
    return account([*profiles, *missing])


def _profile(audit: Audit) -> Profile | None:
    if audit.diagnosis is None or not audit.profile:
        return None
    return profile_after(audit.diagnosis, audit.profile)


# --- the two parts of a difference ----------------------------------------------------------------------------


def changes(record: Study) -> Sheet:
    """Δ_trigger and Δ_drift of every cell that has them, with reference and headroom."""
    rows = []
    for row in record.rows:
        for entry in row.audit.profile:
            if isinstance(entry, Cell) and (entry.trigger or entry.drift):
                rows.append(_change(row, entry))
    columns = (
        "checkpoint",
        "interface",
        "metric",
        "Δ trigger (95 %)",
        "Δ drift (95 %)",
        "reference",
        "headroom",
    )
    note = (
        "Δ trigger: same checkpoint, triggered minus clean query; "
        "Δ drift: clean query, suspect minus clean checkpoint"
    )
    return Sheet("Trigger and drift apart", columns, tuple(rows), (note,))


def _change(row: Row, cell: Cell) -> tuple[Mark, ...]:
    headroom = "" if cell.headroom is None else number(cell.headroom)
    reference = number(cell.reference.value)
    trigger, drift = change_text(cell.trigger), change_text(cell.drift)
    return _row(row, cell.interface, cell.metric, trigger, drift, reference, headroom)
