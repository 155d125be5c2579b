"""Tables of the six families: exposure, branch swap, component repair, seeds, and diagnosis against profile."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from dife_scanner.core.agreement import (
    Profile,
    account,
    compare,
    profile_after,
)
from dife_scanner.lab.reproduction import criteria, paper
from dife_scanner.lab.reproduction.lines import FAMILIES, SEEDS, seeds_of
from dife_scanner.lab.reproduction.markdown import (
    NONE,
    maybe,
    number,
    numbers,
    table,
)
from dife_scanner.lab.reproduction.reproduce import Results
from dife_scanner.records import Audit, Cell, Channel, Entry
from dife_scanner.reports.study import entry_of

Rows = list[Sequence[str]]


def exposure(results: Results) -> str:
    """Return the exposure matrix, cells decided otherwise than in the paper, and planted-image retrieval."""
    rows: Rows = []
    for name, values in paper.EXPOSURE.items():
        cells = []
        for interface, theirs in zip(paper.COLUMNS, values, strict=True):
            cells.append(_side_by_side(theirs, results.entry(name, interface)))
        rows.append((name, *cells))
    different: Rows = []
    for one in criteria.differences(results):
        row = (one.name, one.interface, one.theirs, one.ours, one.rule)
        different.append(row)
    planted: Rows = []
    for name in FAMILIES:
        planted.append(_planted(results, name))
    text = "## Exposure matrix: paper / ours\n\n"
    text += table(("checkpoint", *paper.COLUMNS), rows)
    text += "\nCells that the rules decide otherwise than the paper's matrix:\n\n"
    text += table(("checkpoint", "interface", "paper", "ours", "rule"), different)
    text += (
        "\nA triggered picture *in* the pool, asked for by a clean target query, and the clean pool that the paper's "
        "near-zero figures for visual attacks read like:\n\n"
    )
    heads = (
        "checkpoint",
        "planted-image retrieval, H@1",
        "H@10",
        "image-text retrieval, clean pool and query",
    )
    return text + table(heads, planted)


def _planted(results: Results, name: str) -> Sequence[str]:
    """Return a family's row about triggered pictures in the pool."""
    entry = results.entry(name, "planted-image retrieval")
    return (
        name,
        criteria.short(entry),
        _detail(results, name, "planted-image retrieval", "h10"),
        _detail(results, name, "image-text retrieval", "clean_pool_exposure"),
    )


def _detail(results: Results, name: str, interface: str, detail: str) -> str:
    cell = results.cell(name, interface)
    return NONE if cell is None else number(cell.details[detail])


def _side_by_side(theirs: float | None, entry: Entry | None) -> str:
    their_text = "N.E." if theirs is None else number(theirs)
    return f"{their_text} / {criteria.short(entry)}"


def branch_swap(results: Results) -> str:
    """Return the branch swap and what follows from it."""
    rows: Rows = []
    for name, theirs in paper.BRANCH_SWAP.items():
        ratios = numbers(paper.RATIOS[name])
        row = (*numbers(theirs), *ratios, paper.DIAGNOSES[name])
        rows.append((name, "paper", *row))
        audit = results.audits.get(name)
        if audit and audit.branch_swap and audit.diagnosis:
            swap = audit.branch_swap
            found = audit.diagnosis
            values = numbers((swap.a00, swap.a10, swap.a01, swap.a11))
            ratios = numbers((found.signal, found.vrs, found.trs, found.css))
            rows.append((name, "ours", *values, *ratios, found.carrier.value))
    heads = (
        "checkpoint",
        "",
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
    note = "\nThe paper's ratios follow from its a-values to four decimals (tested).\n"
    return "## Branch swap\n\n" + table(heads, rows) + note


def component_repair(results: Results) -> str:
    """Return the component repair of the coupled family."""
    rows: Rows = []
    for name, theirs in paper.REPAIR.items():
        rows.append((name, "paper", *numbers(theirs), paper.DIAGNOSES[name]))
        audit = results.audits.get(name)
        if audit and audit.repair and audit.diagnosis:
            repair = audit.repair
            values = (
                repair.full,
                repair.prompt_only,
                repair.trigger_only,
                repair.both_clean,
            )
            carrier = audit.diagnosis.carrier.value
            rows.append((name, "ours", *numbers(values), carrier))
    heads = (
        "checkpoint",
        "",
        "full",
        "prompt only",
        "trigger only",
        "both clean",
        "diagnosis",
    )
    return "## Component repair\n\n" + table(heads, rows)


def over_seeds(results: Results) -> str:
    """Return each family's own measure and clean accuracy over its seeds."""
    rows: Rows = []
    for name, (mean, deviation, accuracy) in paper.SEEDS.items():
        lines = seeds_of(name)
        audits = [results.audits[line] for line in lines if line in results.audits]
        failed = [f"seed {seed}" for seed, line in enumerate(lines) if line in results.failures]
        clean = [audit.clean_accuracy for audit in audits if audit.clean_accuracy is not None]
        rows.append(
            (
                name,
                _spread(mean, deviation),
                _own_spread(audits),
                ", ".join(failed) or "none",
                number(accuracy),
                maybe(fmean(clean) if clean else None),
            )
        )
    heads = (
        "checkpoint",
        "paper, mean ± sample sd",
        "ours",
        "failed implants",
        "clean accuracy, paper",
        "ours",
    )
    note = (
        "\nAn implant enters only after passing its native validation. Seeds are drawn in order until "
        f"{SEEDS} have passed; the numbers of those that failed stand below.\n"
    )
    title = "## Seeds: the diagnostic's own value\n\n"
    return title + table(heads, rows) + note


def _own_spread(audits: Sequence[Audit]) -> str:
    """Return mean, deviation and number of the audits' own measures."""
    values = []
    for audit in audits:
        value = _native(audit)
        if value is not None:
            values.append(value)
    if not values:
        return "not audited"
    deviation = stdev(values) if len(values) > 1 else None
    return f"{_spread(fmean(values), deviation)} (n = {len(values)})"


def _spread(mean: float, deviation: float | None) -> str:
    if deviation is None:
        return number(mean)
    return f"{number(mean)} ± {number(deviation)}"


def _native(audit: Audit) -> float | None:
    """Return the attack's own measure: QHR, TS, or TS under the full mechanism."""
    if audit.trigger is None:
        return None
    interface = "prompted classification"
    if audit.trigger.channel is Channel.IMAGE:
        interface = "zero-shot classification"
    entry = entry_of(audit, interface)
    return entry.attack.value if isinstance(entry, Cell) else None


def agreements(results: Results) -> str:
    """Return whether each family's diagnosis and profile agree."""
    profiles = {}
    for name in FAMILIES:
        if name in results.audits:
            profiles[name] = _profile(results.audits[name])
    rows: Rows = []
    for name, profile in profiles.items():
        profile_text = NONE if profile is None else compare(profile).text
        rows.append((name, profile_text))
    counted = account(profiles.get(name) for name in FAMILIES)
    text = "## Diagnosis against profile\n\n"
    text += table(("checkpoint", "agreement"), rows)
    return (
        text
        + f"\nPaper: 4/4 simple cases matched, 1 boundary, 1 ambiguous, 0 missing. Ours: {counted}.\n"
    )


def _profile(audit: Audit) -> Profile | None:
    if audit.diagnosis is None:
        return None
    return profile_after(audit.diagnosis, audit.profile)
