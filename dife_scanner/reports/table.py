"""Records as Rich tables and panels. Every string that a stranger may have written passes through `plain`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dife_scanner.records import (
    Alert,
    AlertState,
    Audit,
    BranchSwap,
    Cell,
    ComponentRepair,
    EntryType,
    Finding,
    FindingKind,
    Job,
    JobState,
    ModelRow,
    Reference,
    SignatureResult,
    Tally,
    Verdict,
)
from dife_scanner.reports import words
from dife_scanner.reports.as_json import CalibrationFile, PlanDocument
from dife_scanner.reports.text import plain
from dife_scanner.reports.trigger_words import (
    candidate_lines,
    effect_text,
    example_prompts,
    marked_text,
    recovered_lines,
    trigger_text,
)
from dife_scanner.store.audits import AuditRow

VERDICT_STYLE = {
    Verdict.FLAGGED: "bold red",
    Verdict.INHERITED: "yellow",
    Verdict.IDENTICAL: "cyan",
    Verdict.NOTHING_FOUND: "default",
    Verdict.INCONCLUSIVE: "yellow",
}
STATE_STYLE = {JobState.REFUSED: "bold red", JobState.QUARANTINED: "red", JobState.FAILED: "red"}
ENTRY_STYLE = {EntryType.EXPOSED: "bold red", EntryType.NEGATIVE: "blue", EntryType.N_TOO_SMALL: "yellow"}
SHOWN_SIGNATURES = 5
_BAR = 30


def models(rows: Sequence[ModelRow]) -> RenderableType:
    """The final table of a scan or watch: what was found out about each model, or why nothing was."""
    table = _table("model", "revision", "state", "verdict", "footprint", "trigger → target", "exposed through")
    for row in rows:
        table.add_row(
            _text(row.job.ref.repo_id),
            _text("" if row.job.ref.local else row.job.ref.revision[:8]),
            Text(row.job.state.value, STATE_STYLE.get(row.job.state, "default")),
            Text(words.VERDICT_LABEL[row.verdict], VERDICT_STYLE[row.verdict]) if row.verdict else Text("—", "dim"),
            _text(row.carrier),
            _text(f"{row.trigger} → {row.target}" if row.trigger else ""),
            _text(", ".join(row.interfaces)),
        )
    return table if rows else Text("No model has been discovered yet; run `dife watch --once` or `dife scan`.", "dim")


def reasons(rows: Sequence[ModelRow]) -> RenderableType:
    """One line per model that needs an eye: flagged, refused, or without a verdict."""
    lines = [
        Text.assemble((plain(row.job.ref.repo_id), "bold"), ": ", plain(row.job.reason, 400))
        for row in rows
        if row.job.reason and (row.verdict in (Verdict.FLAGGED, Verdict.INCONCLUSIVE) or row.verdict is None)
    ]
    return Group(*lines)


def tally(found: Tally) -> RenderableType:
    """How many were audited and flagged, and how many flags chance alone may make."""
    return Text(words.tally_text(found), "dim")


def findings(rows: Sequence[Finding]) -> RenderableType:
    table = _table(
        "finding", "model", "kind", "confidence", "footprint", "channel", "effect", "exposed through", "triage"
    )
    for row in rows:
        table.add_row(
            row.fingerprint,
            _text(str(row.ref)),
            Text(row.kind, "bold red" if row.kind in (FindingKind.FLAGGED, FindingKind.REFUSED) else "yellow"),
            row.confidence,
            row.carrier,
            row.channel,
            _text(effect_text(row.source, row.target)),
            _text(", ".join(row.interfaces)),
            row.triage.value,
        )
    return table if rows else Text("No finding matches. That is not a statement about any model.", "dim")


def audits(rows: Sequence[AuditRow]) -> RenderableType:
    table = _table("audit", "model", "verdict", "footprint", "trigger", "effect", "score", "p", "reference", "seconds")
    for row in rows:
        table.add_row(
            row.id,
            _text(str(row.ref)),
            Text(row.verdict.value, VERDICT_STYLE[row.verdict]),
            row.carrier,
            _text(row.trigger),
            _text(effect_text(row.source, row.target)),
            words.number(row.score) if row.score is not None else "",
            f"{row.p_value:.3f}" if row.p_value is not None else "",
            _text(row.reference),
            f"{row.seconds:.1f}",
        )
    return table


def queue(rows: Sequence[Job]) -> RenderableType:
    now = datetime.now(UTC)
    table = _table("job", "model", "state", "tries", "deaths", "next check", "reason")
    for job in rows:
        table.add_row(
            str(job.id),
            _text(str(job.ref)),
            Text(job.state.value, STATE_STYLE.get(job.state, "default")),
            str(job.attempts),
            str(job.deaths),
            words.age_text(job.next_check_at, now) if job.next_check_at else "",
            _text(job.reason, 120),
        )
    return table


def references(rows: Sequence[Reference]) -> RenderableType:
    table = _table("reference", "architecture", "image tower", "text tower", "weights", "bundled")
    for row in rows:
        table.add_row(
            _text(row.name),
            _text(row.architecture),
            row.image_tower[:12],
            row.text_tower[:12],
            row.weights_sha256[:12],
            "yes" if row.bundled else "",
        )
    return table


def calibration(rows: Sequence[CalibrationFile]) -> RenderableType:
    """Calibration files, and below what limits each of them."""
    shown = _table("file", "base", "budget", "holds", "smallest p", "benign flagged", "made", "state")
    for row in rows:
        flagged = f"{row.alarms} of {row.tested}" if row.tested else ""
        holds = words.count(row.n, "benign model" if row.kind == "pack" else "planted trigger") if row.kind else ""
        shown.add_row(
            _text(row.name or Path(row.path).name),
            _text(row.base),
            row.budget,
            holds,
            f"{row.smallest_p:.3f}" if row.smallest_p is not None else "",
            f"{flagged} (at most {row.alarm_bound:.1%})" if row.alarm_bound is not None else flagged,
            row.made_on,
            Text(row.state, "bold red" if row.state == "damaged" else "default"),
        )
    notes = [Text(plain(f"{row.name or row.path}: {row.said}", 400), "dim") for row in rows if row.said]
    if not rows:
        return Text("No calibration pack: no false-alarm rate is printed. `dife calibration build` makes one.", "dim")
    return Group(shown, *notes)


def alerts(rows: Sequence[Alert]) -> RenderableType:
    table = _table("alert", "channel", "event", "model", "state", "tries", "due", "last error")
    for row in rows:
        table.add_row(
            str(row.id),
            row.channel,
            row.event,
            _text(str(row.finding.ref)),
            row.state,
            str(row.attempts),
            words.time_text(row.due_at) if row.state == AlertState.PENDING else "",
            _text(row.last_error, 100),
        )
    return table if rows else Text("The outbox is empty.", "dim")


def plan(document: PlanDocument) -> RenderableType:
    """What would be done, before anything is fetched."""
    lines = [
        f"{words.count(document.models, 'model')}, {document.auditable} to audit",
        ", ".join(f"{count} {state}" for state, count in sorted(document.states.items())),
        f"{words.bytes_text(document.bytes)} in {words.count(document.requests, 'request')}, "
        f"about {document.hours:.2f} hours{'' if document.exact else ' (estimated from a sample)'}",
        *(f"assumed: {line}" for line in document.assumptions),
    ]
    table = _table("model", "layout", "would be", "bytes", "reason")
    for row in document.targets:
        size = words.bytes_text(row.bytes_to_fetch)
        table.add_row(_text(str(row.ref)), row.layout, row.state.value, size, _text(row.reason))
    shown: list[RenderableType] = [Text(plain(line, 300)) for line in lines if line]
    return Group(*shown, table) if document.targets else Group(*shown)


def audit(record: Audit, finding: Finding | None, home: Path) -> RenderableType:
    """One audit in full: verdict and why, exposure profile, branch swap, hypotheses, budget and limits."""
    style = VERDICT_STYLE[record.verdict]
    parts: list[RenderableType] = [
        Text.assemble((plain(str(record.ref)), "bold"), "  ", (words.VERDICT_LABEL[record.verdict].upper(), style)),
        Text(plain(words.verdict_sentence(record), 1500)),
        Text(plain(record.reason, 800)),
        *(Text(plain(line, 800)) for line in words.calibration_lines(record)),
    ]
    if finding is not None:
        parts.append(
            Text(f"{finding.fingerprint} · {words.confidence_text(finding.confidence)} · triage {finding.triage.value}")
        )
    if record.trigger is not None:
        parts += [_heading("Trigger"), _trigger(record)]
    if record.profile:
        parts += [_heading("Exposure profile"), _profile(record)]
    if record.branch_swap is not None:
        parts += [_heading("Branch swap"), _swap(record.branch_swap), *_diagnosis(record)]
    if record.repair is not None:
        told = [] if record.branch_swap is not None else _diagnosis(record)
        parts += [_heading("Component repair"), _repair(record.repair), *told]
    if record.signatures:
        parts += [_heading(f"Hypotheses, best {SHOWN_SIGNATURES} of {len(record.signatures)}"), _signatures(record)]
    parts += [_heading("Budget, limits and files"), *_small_print(record, home)]
    return Group(*parts)


def _trigger(record: Audit) -> RenderableType:
    trigger = record.trigger
    if trigger is None:
        return Text("")
    lines: list[RenderableType] = [
        Text(plain(f"{trigger.name}: {trigger_text(trigger)}; {effect_text(trigger.source, trigger.target)}"))
    ]
    if trigger.text or trigger.pairs:
        for prompt in example_prompts(trigger):
            line = Text("  ")
            for segment in marked_text(trigger, prompt):
                line.append(segment.shown, "reverse" if segment.marked else "default")
            lines.append(line)
    lines += [Text(plain(line), "dim") for line in recovered_lines(record)]
    return Group(*lines)


def _profile(record: Audit) -> RenderableType:
    table = _table("interface", "metric", "attack", "reference", "Δ (95 %)", "reads", "n / drawings")
    for row in record.profile:
        if isinstance(row, Cell):
            table.add_row(
                row.interface,
                row.metric,
                words.number(row.attack.value),
                words.number(row.reference.value),
                words.delta_text(row),
                Text(row.entry.value, ENTRY_STYLE.get(row.entry, "default")),
                f"{row.attack.n} / {row.attack.drawings}",
            )
            if row.trigger or row.drift:
                table.add_row("", "", "", "", Text(words.parts_text(row), "dim"), "", "")
            if row.details:
                small = ", ".join(f"{key.replace('_', ' ')} {words.number(v)}" for key, v in row.details.items())
                table.add_row("", "", Text(""), "", Text(small, "dim"), "", "")
        else:
            table.add_row(
                Text(row.interface, "dim"), Text(row.word, "dim"), "", "", Text(words.without_number(row), "dim")
            )
    return table


def _repair(repair: ComponentRepair) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 1))
    names = ("full mechanism", "prompt only", "trigger only", "both clean")
    for name, value in zip(
        names, (repair.full, repair.prompt_only, repair.trigger_only, repair.both_clean), strict=True
    ):
        table.add_row(name, _bar(value), words.number(value))
    caption = Text(f"{repair.readout} on {words.count(repair.drawings, 'drawing')}, {repair.n} cases", "dim")
    return Group(table, caption)


def _bar(value: float) -> Text:
    filled = round(min(max(value, 0.0), 1.0) * _BAR)
    return Text("█" * filled, "red").append("·" * (_BAR - filled), "dim")


def _swap(swap: BranchSwap) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 1))
    names = ("a00 both reference", "a10 suspect's image tower", "a01 suspect's text tower", "a11 both suspect")
    values = (swap.a00, swap.a10, swap.a01, swap.a11)
    for name, value, accuracy in zip(names, values, swap.mixed_accuracy, strict=True):
        table.add_row(name, _bar(value), words.number(value), Text(f"clean accuracy {words.number(accuracy)}", "dim"))
    return Group(table, *(Text(line, "dim") for line in words.swap_lines(swap)))


def _diagnosis(record: Audit) -> list[RenderableType]:
    diagnosis = record.diagnosis
    if diagnosis is None:
        return []
    return [
        Text.assemble(
            ("footprint ", "dim"), (diagnosis.carrier.value, "bold"), (" · channel ", "dim"), diagnosis.channel.value
        ),
        Text(f"{words.ratios_text(diagnosis)} · signal {words.number(diagnosis.signal)}"),
        Text(f"{diagnosis.reason}; {words.CARRIER_MEANING[diagnosis.carrier]}"),
        Text(f"Agreement with the profile: {record.agreement}"),
    ]


def _signatures(record: Audit) -> RenderableType:
    def order(row: SignatureResult) -> tuple[float, float]:
        return row.p_holm, -row.train_effect

    table = _table("hypothesis", "origin", "effect", "train effect", "suspect", "base", "p", "Holm p", "drawings")
    for row in sorted(record.signatures, key=order)[:SHOWN_SIGNATURES]:
        measured = row.suspect is not None and row.reference is not None
        table.add_row(
            _text(row.trigger.name),
            row.origin.value,
            _text(effect_text(row.trigger.source, row.trigger.target)),
            words.signed(row.train_effect),
            words.number(row.suspect) if measured and row.suspect is not None else Text("screened out", "dim"),
            words.number(row.reference) if measured and row.reference is not None else "",
            words.p_text(row.p_value) if measured else "",
            words.p_text(row.p_holm) if measured else "",
            str(row.drawings) if measured else "",
        )
    return Group(table, *(Text(plain(line), "dim") for line in candidate_lines(record)))


def _small_print(record: Audit, home: Path) -> list[RenderableType]:
    towers = ", ".join(
        f"{name} tower {tower[:16]} ({stand})"
        for (name, stand), tower in zip(words.towers(record), (record.image_tower, record.text_tower), strict=True)
    )
    lines = [
        *words.budget_lines(record),
        words.accuracy_text(record),
        f"{record.architecture}; reference {record.reference or 'none'}; {towers}",
        f"audit {record.id}, identity {record.identity[:16]}",
    ]
    lines += [f"{file.role}: {file.caption} — evidence {file.sha256[:16]}" for file in record.evidence]
    lines.append(f"evidence lies under {home / 'evidence'}")
    return [Padding(Text(plain(line, 400), "dim"), (0, 0, 0, 2)) for line in lines]


def _table(*columns: str) -> Table:
    table = Table(header_style="bold", box=None, padding=(0, 1), pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _heading(text: str) -> RenderableType:
    return Padding(Text(text, "bold underline"), (1, 0, 0, 0))


def _text(value: str, limit: int = 80) -> Text:
    return Text(plain(value, limit))
