"""Sentences and labels made from records: what the terminal and the window both say.

Pure: records in, text out. Strings that came from a hub are passed through unchanged; whoever shows them
escapes the whole line with `plain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from dife_scanner.records import (
    Absent,
    ArtefactMissing,
    Audit,
    BranchSwap,
    Calibration,
    Carrier,
    Cell,
    Change,
    Channel,
    Confidence,
    Diagnosis,
    Entry,
    EntryType,
    Finding,
    FindingKind,
    Interval,
    Job,
    JobState,
    Measure,
    NotEvaluable,
    NotRun,
    Origin,
    Search,
    SelectorControl,
    Tally,
    Trigger,
    Verdict,
)
from dife_scanner.reports.trigger_words import trigger_text

ENTRY_MEANING = {
    EntryType.EXPOSED: "the lower bound of the difference is at least 0.25: the target is strongly promoted",
    EntryType.WEAK: "the interval lies between the cuts: near the reference",
    EntryType.NEGATIVE: "the upper bound is at most −0.05: the target is demoted, which is no sign of safety",
    EntryType.N_TOO_SMALL: "the interval spans both cuts: more drawings are needed to tell",
}

LINE_MEANING: dict[str, str] = {
    NotEvaluable.word: "not evaluable: the question is not well formed for this trigger; never a zero",
    NotRun.word: "not run: this audit did not ask",
    ArtefactMissing.word: "artefact missing: what is needed to reproduce it is not there",
    SelectorControl.word: "no text trigger: two clean selectors side by side, which is drift and never an exposure",
}
"""Lines of a profile that are no exposure cell."""

VERDICT_LABEL = {
    Verdict.FLAGGED: "flagged",
    Verdict.INHERITED: "inherited",
    Verdict.IDENTICAL: "identical",
    Verdict.NOTHING_FOUND: "nothing found",
    Verdict.INCONCLUSIVE: "inconclusive",
}

CARRIER_MEANING = {
    Carrier.VISUAL: "the image branch carries it: reuse of the image encoder is exposed",
    Carrier.TEXTUAL: "the text branch carries it: reuse of the text encoder is exposed",
    Carrier.COUPLED: "both branches are needed together",
    Carrier.WEAK: "the swap moves too little to name a branch",
    Carrier.REDUNDANT: "either branch alone is enough",
    Carrier.INTERACTION: "only both branches together show it; component repair has to decide",
    Carrier.AMBIGUOUS: "no branch dominates",
    Carrier.DEMOTED: "the target is demoted; there is no footprint",
    Carrier.NOT_INTERCHANGEABLE: "the towers cannot be swapped, so no branch can be named",
}


# --- numbers --------------------------------------------------------------------------------------------------


def number(value: float, digits: int = 3) -> str:
    """`digits` decimals with a true minus sign, and no negative zero: `0.998`, `−0.025`."""
    text = f"{value:.{digits}f}"
    return (text if float(text) else text.removeprefix("-")).replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """Like `number`, with a plus where it is above zero: `+0.901`."""
    text = number(value, digits)
    return text if text.startswith("−") or not float(text) else f"+{text}"


def interval_text(interval: Interval) -> str:
    return f"{number(interval.low)} to {number(interval.high)}"


def delta_text(cell: Cell) -> str:
    """`+0.901 (95 %: +0.871 to +0.932)`."""
    low, high = signed(cell.delta_interval.low), signed(cell.delta_interval.high)
    return f"{signed(cell.delta)} (95 %: {low} to {high})"


def change_text(change: Change | None) -> str:
    """`+0.901 (+0.871 to +0.932)`; empty where it was not measured."""
    if change is None:
        return ""
    return f"{signed(change.value)} ({signed(change.interval.low)} to {signed(change.interval.high)})"


def parts_text(cell: Cell) -> str:
    """`Δ trigger +0.9 (… to …), Δ drift +0.0 (… to …), headroom 0.98`, as far as measured."""
    parts = [("Δ trigger", change_text(cell.trigger)), ("Δ drift", change_text(cell.drift))]
    if cell.headroom is not None:
        parts.append(("headroom", number(cell.headroom)))
    return ", ".join(f"{name} {text}" for name, text in parts if text)


def measure_text(measure: Measure) -> str:
    """`0.998 (95 %: 0.981 to 1.000; n 200 from 8 drawings)`."""
    drawings = count(measure.drawings, measure.unit)
    return f"{number(measure.value)} (95 %: {interval_text(measure.interval)}; n {measure.n:,} from {drawings})"


def count(amount: int, noun: str, plural: str = "") -> str:
    """`1 model`, `1,204 models`; `plural` where it is not made with an s."""
    return f"{amount:,} {noun if amount == 1 else plural or f'{noun}s'}"


def bytes_text(amount: int) -> str:
    """`812 B`, `1.4 MB`: decimal units, as the hub shows them."""
    if amount < 1000:
        return f"{amount} B"
    value = float(amount)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.95 or unit == "TB":
            break
    return f"{value:.1f} {unit}"


def p_text(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


# --- times ----------------------------------------------------------------------------------------------------


def age_seconds(moment: str, now: datetime) -> float | None:
    """Seconds from the ISO 8601 `moment` to `now`; `None` where `moment` cannot be read."""
    try:
        then = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()


def age_text(moment: str, now: datetime) -> str:
    """`just now`, `40 s ago`, `in 12 min`, `3 h ago`, `2 d ago`; `at an unknown time` where it cannot be read."""
    seconds = age_seconds(moment, now)
    if seconds is None:
        return "at an unknown time"
    if abs(seconds) < 2:
        return "just now"
    span = _span(abs(seconds))
    return f"{span} ago" if seconds > 0 else f"in {span}"


def _span(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def time_text(moment: str) -> str:
    """Local `2026-11-23 13:42`; the text itself where it is not a time."""
    try:
        return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return moment


# --- cells ----------------------------------------------------------------------------------------------------


def cell_sentence(cell: Cell) -> str:
    reference = f"reference {measure_text(cell.reference)}, {cell.reference_condition}"
    difference = f"Difference {delta_text(cell)}; with trigger {measure_text(cell.attack)}; {reference}."
    return f"{cell.interface}, {cell.metric}: {cell.entry}. {difference}"


def entry_sentence(entry: Entry) -> str:
    """Any line of a profile in words."""
    if isinstance(entry, Cell):
        return cell_sentence(entry)
    category = f" ({entry.category})" if isinstance(entry, NotEvaluable) else ""
    return f"{entry.interface}: {entry.word}{category}. {without_number(entry)}"


def without_number(entry: Absent | SelectorControl) -> str:
    """Why a line shows no exposure, and what it shows instead."""
    if isinstance(entry, SelectorControl):
        low, high = signed(entry.drift.interval.low), signed(entry.drift.interval.high)
        numbers = (
            f"{entry.metric.removeprefix('Δ')} {number(entry.suspect.value)} against {number(entry.reference.value)}"
        )
        return f"{entry.reason}; clean selectors: {numbers}, drift {signed(entry.drift.value)} (95 %: {low} to {high})"
    if isinstance(entry, ArtefactMissing):
        return f"{entry.artefact}: {entry.reason}"
    return entry.reason


def exposed_text(profile: Sequence[Entry]) -> str:
    """`exposed through 3 of 5 measured interfaces; 2 have no number`."""
    cells = [entry for entry in profile if isinstance(entry, Cell)]
    measured = {cell.interface for cell in cells}
    exposed = {cell.interface for cell in cells if cell.entry is EntryType.EXPOSED}
    absent = {entry.interface for entry in profile if not isinstance(entry, Cell)} - measured
    if not measured:
        return "no interface could be measured" if absent else "no interface was asked"
    without = f"; {len(absent)} without a number" if absent else ""
    return f"exposed through {len(exposed)} of {count(len(measured), 'measured interface')}{without}"


# --- whole records --------------------------------------------------------------------------------------------


def confidence_text(confidence: str) -> str:
    """What the word promises."""
    if confidence == Confidence.DEMONSTRATED:
        return "demonstrated on inputs never searched"
    return "stands out from the reference, nothing demonstrated" if confidence == Confidence.ANOMALOUS else confidence


def verdict_sentence(audit: Audit) -> str:
    """What the audit says, in one sentence; never that a checkpoint is clean."""
    if audit.verdict is Verdict.FLAGGED and audit.trigger is not None:
        return f"Flagged: {_what_happens(audit.trigger)}; {exposed_text(audit.profile)}."
    if audit.verdict is Verdict.INHERITED and audit.trigger is not None:
        return f"Inherited: {_what_happens(audit.trigger)}, and {audit.reference or 'its base'} does it too."
    if audit.verdict is Verdict.IDENTICAL:
        return f"Identical: both towers equal {audit.reference or 'a known base'} bit for bit."
    if audit.verdict is Verdict.NOTHING_FOUND:
        power = f" {_capital(power_text(audit))}." if audit.searches else ""
        return (
            f"Nothing found with {_tried(audit)} at budget {audit.budget}.{power} "
            "This does not say the checkpoint is clean."
        )
    if audit.verdict is Verdict.INCONCLUSIVE:
        return "Inconclusive: the audit ended without an answer, for the reason below."
    return f"{VERDICT_LABEL[audit.verdict].capitalize()}."


def power_text(audit: Audit) -> str:
    """What the blind searches of this audit find where something was planted, and what they cannot find."""
    if audit.power is None:
        return "power not measured at this budget"
    kinds = ", ".join(f"{one.kind} ({one.found} of {one.planted})" for one in audit.power.planted)
    found, planted = (sum(getattr(one, what) for one in audit.power.planted) for what in ("found", "planted"))
    missing = f"; not covered: {', '.join(audit.power.not_covered)}" if audit.power.not_covered else ""
    return (
        f"triggers of the kinds {kinds} were found in {found} of {planted} planted cases at this budget "
        f"({audit.power.side}){missing}"
    )


def calibration_text(said: Calibration) -> str:
    """The p-value with its pack, or why there is none."""
    if said.p_value is None:
        return f"{said.reason}: no false-alarm rate is printed"
    tail = f"; {said.reason}" if said.reason else ""
    return (
        f"p = {said.p_value:.3f} against {count(said.n, 'benign model')} of pack {said.pack} "
        f"(never below 1/{said.n + 1}; not the probability of a backdoor){tail}"
    )


def calibration_lines(audit: Audit) -> tuple[str, ...]:
    """How the score reads beside benign models; nothing for an audit without one."""
    if audit.calibration is None or audit.score is None:
        return ()
    lines = [f"Score {number(audit.score)}: {calibration_text(audit.calibration)}"]
    if audit.calibration.alarm_bound is not None:
        lines.append(f"{_bound(audit.calibration.alarm_bound)} of such benign models are flagged (95 % bound)")
    return tuple(lines)


def tally(audits: Sequence[Audit], anomalous: int = 0) -> Tally:
    """What these audits come to together."""
    bounds = [said.alarm_bound for audit in audits if (said := audit.calibration) and said.alarm_bound is not None]
    flagged = sum(audit.verdict is Verdict.FLAGGED for audit in audits)
    return Tally(len(audits), flagged, anomalous, len(bounds), sum(bounds))


def tally_text(found: Tally) -> str:
    """`12 audited, 1 flagged, 0 anomalous; by chance alone at most 0.36 flags are to be expected (…)`."""
    said = f"{found.audited:,} audited, {found.flagged:,} flagged, {found.anomalous:,} anomalous"
    if not found.audited:
        return said
    if not found.rated:
        return f"{said}; how many to expect by chance is not known: no calibration pack speaks of them"
    rest = found.audited - found.rated
    whom = "them" if not rest else f"the {found.rated:,} with a calibration pack, no rate for the other {rest:,}"
    return (
        f"{said}; by chance alone at most {number(found.expected, 2)} flags are to be expected among {whom} "
        "(95 % bound, were all of them benign)"
    )


def _bound(share: float) -> str:
    return f"At most {100 * share:.1f} %"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tried(audit: Audit) -> str:
    given = sum(1 for result in audit.signatures if result.origin is not Origin.DISCOVERED)
    blind = f" and {count(len(audit.searches), 'blind search', 'blind searches')}" if audit.searches else ""
    return count(given, "signature") + blind


def _what_happens(trigger: Trigger) -> str:
    if trigger.channel is Channel.TEXT:
        source = f"“{trigger.source}”" if trigger.source else "a prompt"
        return f"with the {trigger_text(trigger)}, {source} is taken for “{trigger.target}”"
    source = f"pictures of “{trigger.source}”" if trigger.source else "any picture"
    text = trigger_text(trigger)
    article = "an" if text[:1] in "aeiou" else "a"
    return f"with {article} {text}, {source} is taken for “{trigger.target}”"


def job_sentence(job: Job) -> str:
    """Where a revision without a verdict stands."""
    state = job.state.value.replace("-", " ")
    if job.state is JobState.DONE:
        return "Done."
    if job.state.is_final:
        return f"No verdict: {state}. This says nothing about whether the checkpoint has a backdoor."
    return f"No verdict yet: {state}."


def swap_lines(swap: BranchSwap) -> tuple[str, ...]:
    """On what the swap was measured, and whether towers had to be aligned first."""
    measured = f"{swap.readout} on {count(swap.drawings, 'drawing')}, {swap.n} cases"
    if not swap.aligned or swap.mixed_accuracy_before is None:
        return (measured,)
    before, after = (" and ".join(map(number, four[1:3])) for four in (swap.mixed_accuracy_before, swap.mixed_accuracy))
    return (
        measured,
        f"The suspect's towers were turned onto the reference's first (orthogonal Procrustes): clean accuracy of the "
        f"mixed pairs {before} before, {after} after",
    )


def ratios_text(diagnosis: Diagnosis) -> str:
    return f"VRS {number(diagnosis.vrs)} · TRS {number(diagnosis.trs)} · CSS {number(diagnosis.css)}"


def budget_lines(audit: Audit) -> tuple[str, ...]:
    """What was done and where it stops, one fact per line."""
    tried = sum(1 for result in audit.signatures if result.origin is not Origin.DISCOVERED)
    screened = sum(1 for result in audit.signatures if result.suspect is None)
    power = f"{count(tried, 'signature')} tried, {screened} of them screened out on the train drawings"
    limit = "A trigger outside these signatures would not have been seen." if tried else "No trigger was tried."
    if audit.searches:
        limit = "A trigger of a kind that no search is made for, or weaker than it can see, would not have been seen."
    reuse = f"{audit.encodes:,} encodes for {count(audit.distinct_inputs, 'distinct input')}"
    run = f"{audit.seconds:.1f} s on {audit.device}, started {time_text(audit.started_at)}"
    first = f"Budget {audit.budget}, seed {audit.seed}, audit {audit.audit_version}"
    searches = [_search_line(search, audit.reference) for search in audit.searches]
    searches += [
        f"Not searched for {', '.join(one.kinds)} ({one.detector}): {one.reason}" for one in audit.not_searched
    ]
    return (first, power, *searches, limit, reuse, run)


def _search_line(search: Search, reference: str) -> str:
    over = "over the reference " if reference else ""
    return (
        f"Searched blind for {', '.join(search.kinds)} ({search.detector}): {count(search.candidates, 'candidate')}, "
        f"best {signed(search.best)} {over}on held-out drawings; {search.passes:,} passes, "
        f"{search.seconds:.1f} s"
    )


def towers(audit: Audit) -> tuple[tuple[str, str], ...]:
    """How each tower stands to the base."""
    rows = (
        ("image", audit.image_tower_same, audit.image_tower_unknown),
        ("text", audit.text_tower_same, audit.text_tower_unknown),
    )
    return tuple(
        (name, "of an unknown base" if unknown else "equal to the base" if same else "differs from the base")
        for name, same, unknown in rows
    )


def accuracy_text(audit: Audit) -> str:
    """Clean utility, beside exposure and never mixed into it."""
    if audit.clean_accuracy is None or audit.reference_accuracy is None:
        return "Clean accuracy was not measured."
    drifts = {"prompts": audit.prompt_drift, "pictures": audit.picture_drift}
    told = ", of clean ".join(f"{what} {number(value)}" for what, value in drifts.items() if value is not None)
    drift = f"; mean drift of clean {told}" if told else ""
    return f"Clean accuracy {number(audit.clean_accuracy)}, reference {number(audit.reference_accuracy)}{drift}"


def finding_sentence(finding: Finding) -> str:
    """For a finding that has no audit, a refused file above all."""
    text = f"{finding.kind.capitalize()}: {finding.reason.rstrip('.')}."
    return f"{text} It was not loaded." if finding.kind == FindingKind.REFUSED else text
