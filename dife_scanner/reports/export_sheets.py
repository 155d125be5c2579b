"""An export as tables, for Markdown and HTML: findings, all checkpoints, exposure of the findings, standards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dife_scanner.figures import drawings, layers, random_texts, rankings
from dife_scanner.figures.drawings import Drawing
from dife_scanner.figures.matrix import MARKS
from dife_scanner.figures.tokens import LEGEND as TOKENS_LEGEND
from dife_scanner.records import EntryType
from dife_scanner.reports.export import Export, Exposure, Subject
from dife_scanner.reports.sheet import ENTRY_TONE, LEGEND, Mark, Sheet, Tone
from dife_scanner.reports.taxonomy import named
from dife_scanner.sentences.audits import VERDICT_LABEL
from dife_scanner.sentences.calibration import tally_text
from dife_scanner.sentences.numbers import count, number, signed
from dife_scanner.sentences.triage import state_words

TITLE = "DIFE Scanner: checkpoints and findings"
WITHHELD = (
    "The triggers themselves are not in this document: nobody can set one off with it. Whoever runs the scanner "
    "sees them with `dife show`."
)
NOT_CLEAN = (
    "No verdict says that a checkpoint is clean: each says what was looked for, and what was found."
)


def summary(export: Export) -> tuple[str, ...]:
    """What a reader has to know first, one sentence each."""
    findings = sum(subject.finding is not None for subject in export.subjects)
    audited = sum(subject.audit is not None for subject in export.subjects)
    lines = [
        f"{count(len(export.subjects), 'checkpoint')}, {audited:,} audited; {count(findings, 'finding')}.",
        f"All audits of this home: {tally_text(export.tally)}.",
        NOT_CLEAN,
    ]
    if export.filter:
        lines.insert(0, f"Filter: {export.filter}")
    if not export.with_triggers:
        lines.append(WITHHELD)
    return tuple(lines)


def sheets(export: Export, *, pictured: bool = False) -> tuple[Sheet, ...]:
    """All tables that have rows; `pictured`: for a format that shows the drawings of marks."""
    found = [
        _findings(export),
        _subjects(export),
        _exposures(export),
        _leads_to(export, pictured=pictured),
        _beside_random(export),
        _layers(export),
        _standards(export),
    ]
    if export.with_triggers:
        found[1:1] = [_told(export), _first(export, pictured=pictured)]
    return tuple(sheet for sheet in found if sheet.rows)


def _findings(export: Export) -> Sheet:
    columns = ("checkpoint", "finding", "how sure", "decision", "what was found")
    rows = []
    for subject in export.subjects:
        finding = subject.finding
        if finding is None:
            continue
        decision = state_words(finding.triage)
        if finding.decided_by:
            decision += f" by {finding.decided_by}, {finding.decided_at[:10]}"
        if finding.expires:
            decision += f", until {finding.expires[:10]}"
        marks = (finding.kind.value, finding.confidence or "a fact about files", decision)
        rows.append(_row(subject, *marks, subject.said))
    return Sheet("Findings", columns, tuple(rows))


def _subjects(export: Export) -> Sheet:
    columns = ("checkpoint", "state", "verdict", "compared with", "largest difference", "in words")
    rows = []
    for subject in export.subjects:
        audit = subject.audit
        said = "see above" if subject.finding is not None else subject.said
        if audit is None:
            rows.append(_row(subject, subject.state, "", "", "", said))
            continue
        largest = audit.largest_difference
        difference = "" if largest is None else signed(largest)
        verdict = VERDICT_LABEL[audit.verdict]
        rows.append(_row(subject, subject.state, verdict, audit.reference, difference, said))
    return Sheet("All checkpoints", columns, tuple(rows))


def _exposures(export: Export) -> Sheet:
    columns = ("checkpoint", "interface", "metric", "with trigger", "clean base", "difference", "n")
    rows = []
    for subject in export.subjects:
        if subject.finding is None or subject.audit is None:
            continue
        name = subject.name
        for exposure in subject.audit.exposures:
            rows.append((Mark(name, Tone.NAME), *_exposure(exposure)))
            name = ""
    notes = (LEGEND.partition(";")[0], "A line without a number is no zero: its word says why.")
    return Sheet("Exposure of the findings", columns, tuple(rows), notes)


def _exposure(exposure: Exposure) -> tuple[Mark, ...]:
    interface = Mark(exposure.interface)
    if exposure.value is None or exposure.reference is None:
        word = f"{exposure.entry}, {exposure.category}" if exposure.category else exposure.entry
        return (interface, Mark(exposure.metric), Mark(word, Tone.ABSENT), *[Mark("")] * 3)
    entry = EntryType(exposure.entry)
    return (
        interface,
        Mark(exposure.metric),
        Mark(f"{MARKS[entry]} {number(exposure.value)}".strip(), ENTRY_TONE[entry]),
        Mark(number(exposure.reference)),
        Mark(_interval(exposure)),
        Mark(f"{exposure.n} from {exposure.drawings} drawings"),
    )


def _interval(exposure: Exposure) -> str:
    ends = (exposure.delta, exposure.delta_low, exposure.delta_high)
    delta, low, high = (signed(end) for end in ends if end is not None)
    return f"{delta} (95 %: {low} to {high})"


def _leads_to(export: Export, *, pictured: bool) -> Sheet:
    """The nearest concepts, with drawings of the first that a probe set shows."""
    rows = []
    shown: list[Drawing] = []
    for subject in export.subjects:
        if subject.finding is None or subject.audit is None or not subject.audit.leads_to:
            continue
        nearest = subject.audit.leads_to
        said = ", ".join(f"{one.concept} {number(one.cosine, 2)}" for one in nearest)
        marks = [Mark(subject.name, Tone.NAME), Mark(said)]
        if pictured:
            found = drawings.of_nearest(nearest)
            mark = Mark(found) if isinstance(found, str) else Mark("", drawings=found.drawings)
            shown += mark.drawings
            marks.append(mark)
        rows.append(tuple(marks))
    columns = ["checkpoint", "nearest concepts, with their cosine"]
    if pictured:
        columns.append("probe drawings of the nearest that a set shows")
    notes = [drawings.credit(shown)] if shown else []
    return Sheet("What the triggers lead to", tuple(columns), tuple(rows), tuple(notes))


def _beside_random(export: Export) -> Sheet:
    rows = []
    for subject in export.subjects:
        if subject.finding is not None and subject.audit is not None:
            rows.append(_row(subject, subject.audit.beside_random))
    kept = tuple(row for row in rows if row[1].text)
    return Sheet(random_texts.TITLE, ("checkpoint", "what was measured"), kept)


def _layers(export: Export) -> Sheet:
    rows = []
    for subject in export.subjects:
        if subject.finding is not None and subject.audit is not None:
            for said in layers.tower_sentences(subject.audit.layers):
                rows.append(_row(subject, said))
    return Sheet(
        layers.TITLE, ("checkpoint", "tower"), tuple(rows), (f"Numbers: {layers.UPWARDS}.",)
    )


def _standards(export: Export) -> Sheet:
    ids = {
        id
        for subject in export.subjects
        if subject.finding is not None
        for id in subject.finding.standards
    }
    rows = []
    for id in sorted(ids):
        of_it = [one.name for one in export.subjects if one.finding and id in one.finding.standards]
        rows.append((Mark(named(id), Tone.NAME), Mark(count(len(of_it), "finding"))))
    return Sheet("As MITRE ATLAS and OWASP call it", ("entry", "findings"), tuple(rows))


def _told(export: Export) -> Sheet:
    columns = ("checkpoint", "trigger", "its tokens", "works on", "reason", "note", "answer")
    rows = []
    for subject in export.subjects:
        told = subject.told
        if told is not None and told.trigger:
            marks = (told.trigger, told.tokens, told.source, told.reason, told.note, told.answer)
            rows.append(_row(subject, *marks))
    notes = (TOKENS_LEGEND,) if any(one.told and one.told.tokens for one in export.subjects) else ()
    return Sheet("Triggers: keep this document to yourself", columns, tuple(rows), notes)


def _first(export: Export, *, pictured: bool) -> Sheet:
    """A line for each place, without the trigger and with it side by side."""
    rows: list[tuple[Mark, ...]] = []
    shown: list[rankings.SideBySide] = []
    for subject in export.subjects:
        found = rankings.drawn(subject.told.rankings) if subject.told is not None else ()
        shown += found
        name = subject.name
        for one in found:
            rows += _places(name, one)
            name = ""
    columns = ("checkpoint", "interface, query, and query with the trigger", *rankings.COLUMNS)
    whose = rankings.credits(shown) if pictured else ""
    notes = tuple(note for note in (rankings.LEGEND, whose) if note)
    return Sheet("What stands first, without the trigger and with it", columns, tuple(rows), notes)


def _places(checkpoint: str, shown: rankings.SideBySide) -> Iterator[tuple[Mark, ...]]:
    """Checkpoint and query stand in the first line alone."""
    name = Mark(checkpoint, Tone.NAME)
    query = Mark(
        f"{shown.title}: “{shown.query}”, “{shown.triggered}”", drawings=_some(shown.query_drawing)
    )
    for place in shown.places:
        clean = Mark(place.clean, drawings=_some(place.clean_drawing))
        triggered = Mark(place.triggered, drawings=_some(place.triggered_drawing))
        yield name, query, Mark(str(place.number)), clean, triggered, Mark(place.moved)
        name, query = Mark(""), Mark("")


def _some(drawing: Drawing | None) -> tuple[Drawing, ...]:
    return () if drawing is None else (drawing,)


def _row(subject: Subject, *texts: str) -> tuple[Mark, ...]:
    return (Mark(subject.name, Tone.NAME), *_plain_marks(texts))


def _plain_marks(texts: Iterable[str]) -> list[Mark]:
    return [Mark(text) for text in texts]
