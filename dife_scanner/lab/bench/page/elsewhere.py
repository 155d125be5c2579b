"""What the page reports of rows other than its own: larger budgets, and the second base."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from dife_scanner.core.calibration import auroc
from dife_scanner.lab.bench import results
from dife_scanner.lab.bench.page import benign, tables
from dife_scanner.lab.bench.results import is_flagged, outcome_of, share_of
from dife_scanner.lab.bench.rows import Row, Rows
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


def budgets(shown: Rows, rows: Rows) -> str:
    """Models audited at other budgets than the page's own, kind by kind; `shown` is the rows of the page's budget."""
    usual = results.models_of(shown)
    groups = _grouped(rows)
    lines = [_budget_line(group, groups[group], usual) for group in sorted(groups)]
    searches = sorted({(budget, version) for budget, version, _, _ in groups})
    return tables.joined(
        "## Larger budgets",
        "The same models searched for longer, by more detectors; a patch with a string is searched for at no "
        "smaller budget. Seconds are medians of processor time on one thread. "
        "`dife lab bench rows --budget default --only KIND` makes rows.",
        tables.table(_BUDGETS, lines),
        *(_ranked(budget, version, rows) for budget, version in searches),
    )


def _grouped(rows: Rows) -> dict[Group, list[Row]]:
    groups: dict[Group, list[Row]] = {}
    for row in rows:
        group = (row.code.budget, row.code.discovery, row.role, row.kind)
        groups.setdefault(group, []).append(row)
    return groups


def _budget_line(group: Group, rows: Rows, usual: Mapping[str, Row]) -> tables.Cells:
    budget, version, role, kind = group
    audited = results.audited(rows)
    attacks = results.of_role(audited, Role.ATTACK)
    before = [usual[row.model] for row in audited if row.model in usual]
    return (
        budget,
        version,
        kind,
        str(role),
        str(len(rows)),
        str(len(rows) - len(audited)),
        tables.rate(share_of(audited, is_flagged)),
        tables.ratio(share_of(attacks, results.target_right)),
        tables.ratio(share_of(results.flagged(attacks), results.carrier_right)),
        tables.number(max(results.scores(audited), default=None)),
        tables.number(max(results.scores(before), default=None)),
        _median_seconds(audited),
    )


def _median_seconds(audited: Rows) -> str:
    if not audited:
        return "–"
    return f"{median(outcome_of(row).seconds for row in audited):.0f}"


def _ranked(budget: str, version: str, rows: Rows) -> str:
    """How well the score of a budget separates attacks from benign models, of any side."""
    audited = results.audited(results.at_budget(rows, budget, version))
    high = results.scores(results.of_role(audited, Role.ATTACK))
    low = results.scores(results.counted_benign(audited))
    value = tables.number(auroc(high, low) if high and low else None)
    return f"At {budget}, {version}: AUROC {value} of {len(high)} attacks against {len(low)} benign models of any side."


def second_base(shown: Rows) -> str:
    """Models made of the second base."""
    head = (
        "family",
        "drawn",
        "failed implants",
        "flagged",
        "AUROC",
        "target top-1",
        "carrier",
        "channel",
    )
    return tables.joined(
        "## The second base",
        "The same searches, settings and rule on models made of the ModifiedResNet, for which nothing was tuned: "
        "what carries over. `dife lab bench rows --base rn` makes its rows (`benchmarks/rows-rn/`).",
        tables.table(head, map(_family, results.families(shown, Part.TEST))),
        f"False alarms: {tables.false_alarms(shown)}{_highest_benign(shown)}",
        *benign.alarmed(shown),
        *_separations(shown),
    )


def _family(line: results.FamilyLine) -> tables.Cells:
    return (
        line.family,
        str(line.drawn),
        str(line.failed),
        tables.rate(line.flagged),
        tables.number(line.auroc),
        tables.ratio(line.target),
        tables.ratio(line.carrier),
        tables.ratio(line.channel),
    )


def _highest_benign(shown: Rows) -> str:
    """The kind with the highest benign score, where one is above 0."""
    lines = [line for line in results.kinds(shown) if line.worst]
    worst = max(lines, key=lambda line: line.worst or 0.0, default=None)
    if worst is None:
        return ""
    return f" The highest benign score is {tables.number(worst.worst)} ({worst.kind})."


def _separations(shown: Rows) -> list[str]:
    """Whether this zoo gives its attacks away."""
    traits = [trait for trait in results.zoo_audit(shown) if trait.auroc is not None]
    if not traits:
        return []
    return ["What can be seen of these models without searching:", tables.separation_table(traits)]
