"""What the page says of rows other than its own: larger budgets, and the second base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from dife_scanner.core.calibration import auroc
from dife_scanner.lab.bench import results
from dife_scanner.lab.bench.page import benign, tables
from dife_scanner.lab.bench.results import is_flagged, outcome_of, share_of
from dife_scanner.lab.bench.rows import Row
from dife_scanner.lab.bench.zoo import Part, Role

Group = tuple[str, str, Role, str]
"""Budget, version of the searches, role and kind: another version finds something else, so it stands apart."""
_BUDGETS = (
    "budget",
    "searches",
    "kind",
    "role",
    "models",
    "failed implants",
    "flagged",
    "target top-1",
    "carrier of flagged",
    "highest score",
    "highest at this page's budget",
    "audit s",
)


def budgets(shown: Sequence[Row], rows: Sequence[Row]) -> str:
    """Models audited at other budgets than the page's own, kind by kind; `shown` is what the page's budget said."""
    usual = {row.model: results.score(row) for row in shown}
    lines = []
    for group in sorted({_group(row) for row in rows}):
        mine = [row for row in rows if _group(row) == group]
        lines.append(_budget_line(group, mine, usual))
    searches = sorted({_group(row)[:2] for row in rows})
    return tables.joined(
        "## Larger budgets",
        "The same models searched for longer, by more detectors; a patch with a string is searched for at no "
        "smaller budget. Seconds are medians of processor time on one thread. "
        "`dife lab bench rows --budget default --only KIND` makes rows.",
        tables.table(_BUDGETS, lines),
        *(_ranked(budget, version, rows) for budget, version in searches),
    )


def _group(row: Row) -> Group:
    return row.code.budget, row.code.discovery, row.role, row.kind


def _budget_line(group: Group, rows: Sequence[Row], usual: Mapping[str, float]) -> tables.Cells:
    budget, version, role, kind = group
    audited = [row for row in rows if row.outcome is not None]
    attacks = [row for row in audited if row.truth is not None]
    flagged = [row for row in attacks if row.flagged]
    scores = [results.score(row) for row in audited]
    before = [usual[row.model] for row in audited if row.model in usual]
    seconds = [outcome_of(row).seconds for row in audited]
    return (
        budget,
        version,
        kind,
        str(role),
        str(len(rows)),
        str(len(rows) - len(audited)),
        tables.rate(share_of(audited, is_flagged)),
        tables.ratio(share_of(attacks, results.target_right)),
        tables.ratio(share_of(flagged, results.carrier_right)),
        tables.number(max(scores, default=None)),
        tables.number(max(before, default=None)),
        f"{median(seconds):.0f}" if seconds else "–",
    )


def _ranked(budget: str, version: str, rows: Sequence[Row]) -> str:
    """How well the score of a budget tells attacks from benign models, of any side."""
    audited = [row for row in rows if _group(row)[:2] == (budget, version) and row.outcome is not None]
    high = [results.score(row) for row in audited if row.role is Role.ATTACK]
    low = [results.score(row) for row in results.counted_benign(audited)]
    value = tables.number(auroc(high, low) if high and low else None)
    return f"At {budget}, {version}: AUROC {value} of {len(high)} attacks against {len(low)} benign models of any side."


def second_base(shown: Sequence[Row]) -> str:
    """Models made of the second base."""
    lines = []
    for line in results.families(shown, Part.TEST):
        shares = (line.target, line.carrier, line.channel)
        drawn = (line.family, str(line.drawn), str(line.failed), tables.rate(line.flagged), tables.number(line.auroc))
        lines.append((*drawn, *map(tables.ratio, shares)))
    head = ("family", "drawn", "failed implants", "flagged", "AUROC", "target top-1", "carrier", "channel")
    return tables.joined(
        "## The second base",
        "The same searches, settings and rule on models made of the ModifiedResNet, for which nothing was tuned: "
        "what carries over. `dife lab bench rows --base rn` makes its rows (`benchmarks/rows-rn/`).",
        tables.table(head, lines),
        f"False alarms: {tables.false_alarms(shown)}{_highest_benign(shown)}",
        *benign.alarmed(shown),
        *_looks(shown),
    )


def _highest_benign(shown: Sequence[Row]) -> str:
    """The kind with the highest benign score, where one is above 0."""
    lines = [line for line in results.kinds(shown) if line.worst]
    worst = max(lines, key=lambda line: line.worst or 0.0, default=None)
    if worst is None:
        return ""
    return f" The highest benign score is {tables.number(worst.worst)} ({worst.kind})."


def _looks(shown: Sequence[Row]) -> list[str]:
    """Whether this zoo gives its attacks away."""
    looks = [look for look in results.zoo_audit(shown) if look.auroc is not None]
    if not looks:
        return []
    return ["What can be seen of these models without searching:", tables.looks_table(looks)]
