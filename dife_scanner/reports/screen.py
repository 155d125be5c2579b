"""One audit on one screen: the verdict and why, what would change it, its checks, its profile and its footprint."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dife_scanner.records import (
    Audit,
    Basis,
    Cell,
    Entry,
    Finding,
    FindingKind,
    Hypothesis,
    ModelRef,
    Movement,
    SelectorControl,
    Verdict,
)
from dife_scanner.reports.layout import CHECK_STYLE, ENTRY_STYLE, VERDICT_STYLE, columns, safe
from dife_scanner.sentences import checks
from dife_scanner.sentences.audits import VERDICT_LABEL, headline, same_weights_text
from dife_scanner.sentences.basis import why, would_change
from dife_scanner.sentences.calibration import calibration_lines
from dife_scanner.sentences.findings import confidence_text, triage_text
from dife_scanner.sentences.footprint import CARRIER_MEANING, repair_text, swap_text
from dife_scanner.sentences.movement import movement_text
from dife_scanner.sentences.numbers import number
from dife_scanner.sentences.recognition import recognition_words
from dife_scanner.sentences.triggers import effect_text, example_prompts, marked_text, trigger_text
from dife_scanner.sentences.verdict import also_demonstrated

_WHY_CHARACTERS = 400
"""Of a reason on this screen: four lines of 100 columns. `--full` has it whole."""


_TOLD_IN_FULL = frozenset(
    {
        Basis.INHERITED,
        Basis.UNKNOWN_BASE,
        Basis.DIFFER_BOTH_WAYS,
        Basis.SEARCHES_MISSING,
        Basis.PROMPT_LEARNER_SEARCHED,
        Basis.PROMPT_LEARNER_NOT_SEARCHED,
    }
)
"""Where the reason holds numbers that no table on this screen has."""


def render(
    record: Audit,
    finding: Finding | None = None,
    shown_as: ModelRef | None = None,
    movement: Movement | None = None,
) -> RenderableType:
    """About forty lines at 100 columns; `in_full` has every number.

    `shown_as`: the checkpoint somebody asked for, where its weights were audited under another name. `movement`: since
    its revision before.
    """
    parts = [*_verdict(record, shown_as), *moved(movement), *_finding(record, finding)]
    parts.append(_checks(record))
    if record.profile:
        parts += [Text(""), _profile(record)]
    footprint = [*_trigger(record), *_footprint(record)]
    if footprint:
        parts += [Text(""), *footprint]
    parts.append(Text(f"Every number, limits and files: dife show {record.id} --full", "dim"))
    return Group(*parts)


def title(record: Audit, shown_as: ModelRef | None) -> list[RenderableType]:
    """Name and verdict, and under which other name the same weights were audited."""
    label = VERDICT_LABEL[record.verdict].upper()
    name = str(shown_as or record.ref)
    lines: list[RenderableType] = [
        Text.assemble(safe(name, 300, "bold"), "  ", (label, VERDICT_STYLE[record.verdict]))
    ]
    same = same_weights_text(record, shown_as)
    if same:
        lines.append(safe(same, 400))
    return lines


def _verdict(record: Audit, shown_as: ModelRef | None) -> list[RenderableType]:
    lines: list[RenderableType] = [
        *title(record, shown_as),
        safe(headline(record), 400),
        _line("Why", why(record), _WHY_CHARACTERS),
        _line("What would change it", would_change(record), _WHY_CHARACTERS),
    ]
    if record.reference and record.verdict is not Verdict.IDENTICAL:
        lines.append(_line("Compared with", _compared(record)))
    if record.decision is not None and record.decision.basis in _TOLD_IN_FULL:
        lines.append(_line("In full", record.reason, _WHY_CHARACTERS))
    if record.verdict is Verdict.FLAGGED and record.trigger is not None:
        others = also_demonstrated(record.signatures, record.trigger.name)
        lines += [_line("Also demonstrated", others)] if others else []
    lines += [_line("Also", note) for note in record.notes]
    lines += lacking(record)
    return lines


def _compared(record: Audit) -> str:
    """The base, what it recognises, and clean accuracy there and here; each where it was measured."""
    text = record.reference
    if record.recognition is not None:
        text += f", which recognises {recognition_words(record.recognition)}"
    if record.clean_accuracy is None or record.reference_accuracy is None:
        return text
    there = number(record.reference_accuracy)
    return f"{text}; clean accuracy {there} there, {number(record.clean_accuracy)} here"


def moved(movement: Movement | None) -> list[RenderableType]:
    """What moved since the revision before; nothing where none was audited."""
    if movement is None:
        return []
    return [_line("Compared with revision", movement_text(movement), 600)]


def lacking(record: Audit) -> list[RenderableType]:
    """What a verdict has to do without, one line each."""
    return [safe(text, 400, "bold yellow") for text in checks.lacking(record)]


def _finding(record: Audit, finding: Finding | None) -> list[RenderableType]:
    lines: list[RenderableType] = [safe(line, 300) for line in calibration_lines(record)[:1]]
    if finding is not None:
        lines.append(finding_line(finding))
    return lines


def finding_line(finding: Finding) -> Text:
    """Fingerprint, what its confidence promises, and what people decided."""
    promise = confidence_text(finding.confidence)
    if finding.kind == FindingKind.INHERITED:
        promise = "came with the base"
    return safe(f"{finding.fingerprint} · {promise} · triage {triage_text(finding)}", 300)


def _line(label: str, text: str, limit: int = 300) -> Text:
    return Text.assemble((f"{label}: ", "bold"), safe(text, limit))


# --- the checks -----------------------------------------------------------------------------------------------


def _checks(record: Audit) -> RenderableType:
    result = checks.deciding(record)
    if result is None and record.searches:
        return Text("The searches found no candidate, so there was nothing to check.", "dim")
    if result is None:
        return Text("No trigger was tried, so there was nothing to check.", "dim")
    if not result.checks:
        return _line("Checks", checks.NOT_RECORDED)
    return check_table(result)


def check_table(result: Hypothesis) -> Table:
    """The checks of one hypothesis: measured, needed, result. Those without a number that end alike share a line."""
    table = columns(safe(f"checks of {result.trigger.name}"), "measured", "needed", "result")
    for row in checks.grouped(checks.rows(result)):
        style = CHECK_STYLE.get(row.outcome, "default")
        table.add_row(row.check, row.measured, row.needed, safe(row.result, 200, style))
    return table


# --- the profile ----------------------------------------------------------------------------------------------


def _profile(record: Audit) -> Table:
    """One line per interface: the value with the trigger against the reference, and how that reads."""
    table = columns("interface", "metric", "trigger", "reference", "reads as")
    for entry in record.profile:
        table.add_row(*_entry(entry))
    return table


def _entry(entry: Entry) -> tuple[RenderableType, ...]:
    if isinstance(entry, Cell):
        reads = Text(entry.entry.value, ENTRY_STYLE.get(entry.entry, "default"))
        name = safe(entry.interface)
        return (
            name,
            safe(entry.metric),
            number(entry.attack.value),
            number(entry.reference.value),
            reads,
        )
    name = safe(entry.interface, style="dim")
    word = Text(entry.word, "dim")
    if isinstance(entry, SelectorControl):
        return name, safe(entry.metric, style="dim"), "", "", word
    return name, "", "", "", word


# --- trigger and footprint ------------------------------------------------------------------------------------


def _trigger(record: Audit) -> list[RenderableType]:
    trigger = record.trigger
    if trigger is None:
        return []
    effect = effect_text(trigger.source, trigger.target, trigger.name)
    line = _line("Trigger", f"{trigger.name}: {trigger_text(trigger)}; {effect}")
    if not trigger.text and not trigger.pairs:
        return [line]
    for prompt in example_prompts(trigger):
        line.append("; e.g. ")
        for segment in marked_text(trigger, prompt):
            line.append(segment.shown, "reverse" if segment.marked else "default")
    return [line]


def _footprint(record: Audit) -> list[RenderableType]:
    lines: list[RenderableType] = []
    diagnosis = record.diagnosis
    if diagnosis is not None:
        lines.append(
            _line("Footprint", f"{diagnosis.carrier.value}: {CARRIER_MEANING[diagnosis.carrier]}")
        )
    if record.branch_swap is not None:
        lines.append(_line("Branch swap", swap_text(record.branch_swap)))
    if record.repair is not None:
        lines.append(_line("Component repair", repair_text(record.repair)))
    return lines
