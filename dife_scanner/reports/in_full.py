"""One audit with every number: profile, swap, hypotheses and their checks, budget, limits and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dife_scanner.errors import NotFound
from dife_scanner.figures import layers, random_texts, rankings
from dife_scanner.figures.columns import Column
from dife_scanner.figures.tokens import token_lines
from dife_scanner.records import (
    Audit,
    BranchSwap,
    Cell,
    ComponentRepair,
    Diagnosis,
    Finding,
    Hypothesis,
    ModelRef,
    Movement,
    Trigger,
)
from dife_scanner.reports.layout import (
    CHECK_STYLE,
    ENTRY_STYLE,
    bars,
    columns,
    heading,
    safe,
)
from dife_scanner.reports.screen import finding_line, lacking, moved, title
from dife_scanner.sentences import checks
from dife_scanner.sentences.audits import accuracy_text, towers, verdict_sentence
from dife_scanner.sentences.basis import would_change
from dife_scanner.sentences.calibration import calibration_lines
from dife_scanner.sentences.footprint import CARRIER_MEANING, ratios_text, swap_lines
from dife_scanner.sentences.numbers import count, number, p_text, signed
from dife_scanner.sentences.profile import delta_text, details_text, parts_text, without_number
from dife_scanner.sentences.recognition import recognition_text
from dife_scanner.sentences.recovered import candidate_lines, recovered_lines
from dife_scanner.sentences.searches import budget_lines
from dife_scanner.sentences.settings import deviation_lines
from dife_scanner.sentences.tokenizers import tokenizer_lines
from dife_scanner.sentences.triggers import effect_text, example_prompts, marked_text, trigger_text
from dife_scanner.store import evidence

_BAR = 30
"""Characters of a bar from 0 to 1."""


def render(
    record: Audit,
    finding: Finding | None,
    home: Path,
    shown_as: ModelRef | None = None,
    movement: Movement | None = None,
) -> RenderableType:
    """Everything that was measured; `home` is where its evidence lies, the others are as in `screen.render`."""
    parts = [*_verdict(record, shown_as), *moved(movement)]
    if finding is not None:
        parts.append(finding_line(finding))
    if record.trigger is not None:
        parts += [heading("Trigger"), *_trigger(record, record.trigger)]
    if record.profile:
        parts += [heading("Exposure profile"), _profile(record)]
    parts += _footprint(record)
    parts += _beside_random_texts(record)
    parts += _rankings(record)
    parts += _layers(record)
    if record.signatures:
        parts += [heading(f"Hypotheses, {len(record.signatures)} tried"), _hypotheses(record)]
        parts += [heading("Checks of every hypothesis"), _checks(record)]
    parts += [heading("Budget, limits and files"), *_small_print(record, home)]
    return Group(*parts)


def _verdict(record: Audit, shown_as: ModelRef | None) -> list[RenderableType]:
    parts: list[RenderableType] = [
        *title(record, shown_as),
        safe(verdict_sentence(record), 1500),
        safe(record.reason, 800),
        *lacking(record),
        safe(f"What would change it: {would_change(record)}", 800),
    ]
    parts += [safe(line, 800) for line in calibration_lines(record)]
    return parts


def _trigger(record: Audit, trigger: Trigger) -> list[RenderableType]:
    effect = effect_text(trigger.source, trigger.target, trigger.name)
    lines: list[RenderableType] = [safe(f"{trigger.name}: {trigger_text(trigger)}; {effect}", 300)]
    if trigger.text or trigger.pairs:
        for prompt in example_prompts(trigger):
            lines.append(_marked(trigger, prompt))
    lines += [safe(line, 1500) for line in token_lines(record)]
    lines += [safe(line, 300, "dim") for line in recovered_lines(record)]
    return lines


def _marked(trigger: Trigger, prompt: str) -> Text:
    """A prompt with the trigger in it, which stands out."""
    line = Text("  ")
    for segment in marked_text(trigger, prompt):
        line.append(segment.shown, "reverse" if segment.marked else "default")
    return line


def opinions(lines: Sequence[str]) -> list[RenderableType]:
    """What other scanners said of the files, as `sentences.opinions` puts it; nothing where none was asked."""
    if not lines:
        return []
    shown = [Padding(safe(line, 800), (0, 0, 0, 2)) for line in lines]
    return [heading("Second opinions on the files"), *shown]


# --- the profile ----------------------------------------------------------------------------------------------


def _profile(record: Audit) -> RenderableType:
    """The numbers as a table; below it what is too long for a column, on lines of their own."""
    table = columns(
        "interface", "metric", "attack", "reference", "Δ (95 %)", "reads", "n / drawings"
    )
    below: list[Padding] = []
    for entry in record.profile:
        if isinstance(entry, Cell):
            _add_cell(table, entry)
            text = _parts_and_details(entry)
        else:
            table.add_row(Text(entry.interface, "dim"), Text(entry.word, "dim"))
            text = without_number(entry)
        if text:
            below.append(Padding(safe(f"{entry.interface}: {text}", 800, "dim"), (0, 0, 0, 2)))
    return Group(table, *below)


def _add_cell(table: Table, cell: Cell) -> None:
    table.add_row(
        cell.interface,
        cell.metric,
        number(cell.attack.value),
        number(cell.reference.value),
        delta_text(cell),
        Text(cell.entry.value, ENTRY_STYLE.get(cell.entry, "default")),
        f"{cell.attack.n} / {cell.attack.drawings}",
    )


def _parts_and_details(cell: Cell) -> str:
    """What trigger and drift have of it, and what else was measured."""
    parts = parts_text(cell) if cell.trigger or cell.drift else ""
    details = details_text(cell.details) if cell.details else ""
    return "; ".join(part for part in (parts, details) if part)


# --- what carries it ------------------------------------------------------------------------------------------


def _footprint(record: Audit) -> list[RenderableType]:
    """Swap and repair with the diagnosis below the first of them."""
    shown: list[RenderableType] = []
    if record.branch_swap is not None:
        shown += [heading("Branch swap"), _swap(record.branch_swap)]
    if record.repair is not None and not shown:
        shown += [heading("Component repair"), _repair(record.repair)]
    elif record.repair is not None:
        return [*shown, *_diagnosis(record), heading("Component repair"), _repair(record.repair)]
    if shown:
        return [*shown, *_diagnosis(record)]
    return []


def _swap(swap: BranchSwap) -> RenderableType:
    table = bars()
    names = (
        "a00 both reference",
        "a10 suspect's image tower",
        "a01 suspect's text tower",
        "a11 both suspect",
    )
    values = (swap.a00, swap.a10, swap.a01, swap.a11)
    for name, value, accuracy in zip(names, values, swap.mixed_accuracy, strict=True):
        table.add_row(
            name, _bar(value), number(value), Text(f"clean accuracy {number(accuracy)}", "dim")
        )
    return Group(table, *(Text(line, "dim") for line in swap_lines(swap)))


def _repair(repair: ComponentRepair) -> RenderableType:
    table = bars()
    for name, value in (
        ("full mechanism", repair.full),
        ("prompt only", repair.prompt_only),
        ("trigger only", repair.trigger_only),
        ("both clean", repair.both_clean),
    ):
        table.add_row(name, _bar(value), number(value))
    caption = f"{repair.readout} on {count(repair.drawings, 'drawing')}, {repair.n} cases"
    return Group(table, Text(caption, "dim"))


def _bar(value: float) -> Text:
    filled = round(min(max(value, 0.0), 1.0) * _BAR)
    if value > 0:
        filled = max(filled, 1)  # what is there is never drawn as nothing
    return Text("█" * filled, "red").append("·" * (_BAR - filled), "dim")


def _diagnosis(record: Audit) -> list[RenderableType]:
    diagnosis = record.diagnosis
    if diagnosis is None:
        return []
    return [
        _carrier(diagnosis),
        Text(f"{ratios_text(diagnosis)} · signal {number(diagnosis.signal)}"),
        Text(f"{diagnosis.reason}; {CARRIER_MEANING[diagnosis.carrier]}"),
        Text(f"Agreement with the profile: {record.agreement}"),
    ]


def _carrier(diagnosis: Diagnosis) -> Text:
    return Text.assemble(
        ("footprint ", "dim"),
        (diagnosis.carrier.value, "bold"),
        (" · channel ", "dim"),
        diagnosis.channel.value,
    )


# --- beside random texts --------------------------------------------------------------------------------------


def _beside_random_texts(record: Audit) -> list[RenderableType]:
    """A line for each number of prompts that some text reaches, or why there are none."""
    found = random_texts.random_texts(record)
    if not found:
        return []
    title = heading(random_texts.TITLE)
    if isinstance(found, str):
        return [title, safe(found, 400)]
    shown = [column for column in found.columns if column.share or column.marked]
    return [title, _columns(shown), safe(found.sentence, 600), safe(found.legend, 400, "dim")]


def _rankings(record: Audit) -> list[RenderableType]:
    """What stood first for a typical query of each interface, without the trigger and with it."""
    found = rankings.side_by_side(record)
    if not found:
        return []
    title = heading("What stands first, without the trigger and with it")
    if isinstance(found, str):
        return [title, safe(found, 400)]
    parts: list[RenderableType] = [title]
    for one in found:
        table = columns(*rankings.COLUMNS)
        for place in one.places:
            table.add_row(
                str(place.number), safe(place.clean), safe(place.triggered), safe(place.moved)
            )
        parts += [
            safe(f"{one.title}: {one.query} → {one.triggered}", 500, "bold"),
            table,
            safe(one.about, 200, "dim"),
        ]
    return [*parts, safe(rankings.LEGEND, 400, "dim")]


def _layers(record: Audit) -> list[RenderableType]:
    """How far each layer is from the base's, a line for each; why not, where it was not recorded."""
    found = layers.layer_columns(record)
    if not found:
        return []
    title = heading(layers.TITLE)
    if isinstance(found, str):
        return [title, safe(found, 400)]
    parts: list[RenderableType] = [title]
    for tower in found:
        parts += [_columns(tower.columns), safe(tower.sentence, 600)]
    return [*parts, safe(f"bars: {layers.UPWARDS}", 300, "dim")]


def _columns(shown: Sequence[Column]) -> RenderableType:
    """One line for each."""
    table = bars()
    for column in shown:
        bar = Text("no number", "dim") if column.share is None else _bar(column.share)
        table.add_row(safe(column.name), bar, column.number, "◀" if column.marked else "")
    return table


# --- hypotheses -----------------------------------------------------------------------------------------------


def _hypotheses(record: Audit) -> RenderableType:
    table = columns(
        "hypothesis",
        "origin",
        "effect",
        "train effect",
        "suspect",
        "base",
        "p",
        "Holm p",
        "drawings",
    )
    for result in sorted(record.signatures, key=_order):
        trigger = result.trigger
        table.add_row(
            safe(trigger.name),
            result.origin.value,
            safe(effect_text(trigger.source, trigger.target, trigger.name)),
            signed(result.train_effect),
            *_held_out(result),
        )
    return Group(table, *(safe(line, 300, "dim") for line in candidate_lines(record)))


def _order(result: Hypothesis) -> tuple[float, float]:
    return result.p_holm, -result.train_effect


def _held_out(result: Hypothesis) -> tuple[RenderableType, ...]:
    """Suspect, base, p, Holm p and drawings; the first two where embedding space decides; a word if not tested."""
    if result.space is not None:
        return number(result.space.suspect), number(result.space.reference)
    if result.suspect is None or result.reference is None:
        return (Text("screened out", "dim"),)
    return (
        number(result.suspect),
        number(result.reference),
        p_text(result.p_value),
        p_text(result.p_holm),
        str(result.drawings),
    )


def _checks(record: Audit) -> RenderableType:
    if not any(result.checks for result in record.signatures):
        return safe(checks.NOT_RECORDED, 300)
    table = columns("hypothesis", "check", "kind", "measured", "needed", "result")
    for result in sorted(record.signatures, key=_order):
        name = result.trigger.name
        for row in checks.grouped(checks.rows(result)):
            style = CHECK_STYLE.get(row.outcome, "default")
            table.add_row(
                safe(name),
                row.check,
                row.kind,
                row.measured,
                row.needed,
                safe(row.result, 200, style),
            )
            name = ""
    return table


# --- small print ----------------------------------------------------------------------------------------------


def _small_print(record: Audit, home: Path) -> list[RenderableType]:
    lines = [
        *budget_lines(record),
        accuracy_text(record),
        recognition_text(record),
        *deviation_lines(record),
        *tokenizer_lines(record),
        f"{record.architecture}; reference {record.reference or 'none'}; {_towers(record)}",
        f"audit {record.id}, identity {record.identity[:16]}",
    ]
    shown: set[str] = set()
    for file in record.evidence:
        same = "the same picture, the trigger is in the text: " if file.sha256 in shown else ""
        lines.append(f"{file.role}: {file.caption} — {same}{_where(home, file.sha256)}")
        shown.add(file.sha256)
    lines.append(f"evidence lies under {home / 'evidence'}")
    return [Padding(safe(line, 400, "dim"), (0, 0, 0, 2)) for line in lines]


def _where(home: Path, sha256: str) -> str:
    """The name of an evidence file, or when retention removed it."""
    try:
        evidence.path(home, sha256)
    except NotFound as gone:
        return gone.what
    return f"evidence {sha256[:16]}"


def _towers(record: Audit) -> str:
    hashes = (record.image_tower, record.text_tower)
    parts = []
    for (name, stand), tower in zip(towers(record), hashes, strict=True):
        parts.append(f"{name} tower {tower[:16]} ({stand})")
    return ", ".join(parts)
