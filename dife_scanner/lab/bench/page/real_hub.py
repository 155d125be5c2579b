"""docs/real-hub.md from the rows of the benchmark on a real hub; what was not run says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from dife_scanner.app import hub_calibration
from dife_scanner.app.hub_calibration import RepositoryRow
from dife_scanner.core.calibration import conformal, upper_bound
from dife_scanner.lab.bench import results, rows
from dife_scanner.lab.bench.page import tables
from dife_scanner.lab.bench.real_hub import (
    Published,
    RunOptions,
    drawn_from,
    implant_rows,
    published,
)
from dife_scanner.lab.bench.results.false_alarms import at_most
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import Reference
from dife_scanner.reports.markdown import escaped
from dife_scanner.store import Store
from dife_scanner.store import references as kept_references

PAGE = "real-hub.md"


def write(store: Store, options: RunOptions, docs: Path) -> Path:
    """Write the page into the folder; where it lies."""
    known = {one.name: one for one in kept_references.references(store)}
    parts = [
        "# On a real hub",
        "Written by `make bench-real` from the rows it keeps; weights are never kept. Fine-tunes "
        "are presumed benign, which nobody knows. Bounds of rates are Clopper–Pearson, one-sided, 95 %.",
    ]
    for base in options.bases:
        parts.append(f"## {escaped(base, 100)}")
        parts += _base(options, base, known.get(base.rsplit("/", 1)[-1]))
    parts.append("## Published as poisoned")
    parts.append(_poisoned(published(options)))
    docs.mkdir(parents=True, exist_ok=True)
    path = docs / PAGE
    path.write_text(tables.joined(*parts) + "\n", encoding="utf-8")
    return path


def _base(options: RunOptions, base: str, reference: Reference | None) -> list[str]:
    """The results of one base; `reference` is missing where it was never fetched."""
    if reference is None:
        return [tables.NOT_RUN]
    return [_fine_tunes(options, base, reference), _implanted(options, reference)]


def _fine_tunes(options: RunOptions, base: str, reference: Reference) -> str:
    """Split by author: one half calibrates, the other is read against it."""
    mine = drawn_from(options, base, reference)
    drawn = [row for row in hub_calibration.read(mine) if row.searched == mine.searched]
    if not drawn:
        return "Fine-tunes: not run."
    scored = hub_calibration.scored(mine, drawn)
    return tables.joined(
        tables.table(("fine-tunes", ""), _counts(drawn, scored)),
        _flagged([row for row in scored if row.flagged]),
        _without_score([row for row in drawn if row.score is None]),
    )


def _counts(
    drawn: Sequence[RepositoryRow], scored: Sequence[RepositoryRow]
) -> list[tuple[str, str]]:
    calibrate = _scores(row for row in scored if _calibrates(row))
    test = _scores(row for row in scored if not _calibrates(row))
    p_values = [conformal(score, calibrate) for score in test] if calibrate else []
    flagged = sum(row.flagged for row in scored)
    lines = [
        ("fine-tunes that were tried, by distinct authors where scored", str(len(drawn))),
        ("of these scored", str(len(scored))),
        (
            "copies of the base in other numbers, which count for nothing",
            str(sum(row.copied for row in drawn)),
        ),
        ("flagged", f"{flagged} (upper bound of the rate {_bound(flagged, len(scored))})"),
        ("authors that calibrate / are read against them", f"{len(calibrate)} / {len(test)}"),
    ]
    for level in results.LEVELS:
        share = at_most(level, p_values)
        lines.append((f"p ≤ {level}", f"{share.hits} of {share.n}"))
    lines.append(("highest score", f"{max(_scores(scored), default=0.0):.2f}"))
    return lines


def _scores(rows: Iterable[RepositoryRow]) -> list[float]:
    return [row.score or 0.0 for row in rows]


def _flagged(some: Sequence[RepositoryRow]) -> str:
    if not some:
        return ""
    return tables.table(("flagged", "commit", "score", "why"), map(_flagged_line, some))


def _flagged_line(row: RepositoryRow) -> tables.Cells:
    return escaped(row.repo_id), row.revision[:12], f"{row.score:.2f}", escaped(row.reason, 200)


def _without_score(some: Sequence[RepositoryRow]) -> str:
    if not some:
        return ""
    return tables.table(("without a score", "state", "why"), map(_without_score_line, some))


def _without_score_line(row: RepositoryRow) -> tables.Cells:
    return escaped(row.repo_id), row.state.value, escaped(row.reason, 200)


def _calibrates(row: RepositoryRow) -> bool:
    """By author, so that no author stands on both sides."""
    return sha256(row.author.encode()).digest()[0] % 2 == 0


def _implanted(options: RunOptions, reference: Reference) -> str:
    made = results.of_role(rows.read(implant_rows(options, reference)), Role.ATTACK)
    lines = list(map(_family, results.families(made, Part.TEST)))
    if not lines:
        return "Implants made here: not run."
    head = ("implants made here", "drawn", "failed implants", "flagged", "target top-1", "audit s")
    return tables.table(head, lines)


def _family(line: results.FamilyLine) -> tables.Cells:
    return (
        line.family,
        str(line.drawn),
        str(line.failed),
        f"{line.flagged.hits} of {line.flagged.n}",
        f"{line.target.hits} of {line.target.n}",
        f"{line.audit:.0f}",
    )


def _poisoned(found: Sequence[Published]) -> str:
    if not found:
        return tables.NOT_RUN
    head = ("checkpoint", "commit", "state", "verdict", "furthest without a base", "why")
    return tables.table(head, map(_published_line, found))


def _published_line(row: Published) -> tables.Cells:
    return (
        escaped(row.repo_id),
        row.revision[:12],
        row.state.value,
        row.verdict.value if row.verdict else "–",
        tables.number(row.furthest, missing="–"),
        escaped(row.reason, 200),
    )


def _bound(alarms: int, of: int) -> str:
    """One-sided 95 % upper bound of the rate of false alarms."""
    return f"{upper_bound(alarms, of):.3f}" if of else tables.NOT_RUN
