"""What the page reports of published ideas, of drift, and of our own searches without one of their terms."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.lab.bench.page import tables
from dife_scanner.lab.bench.rows import Rows
from dife_scanner.lab.rivals import comparison, tuning
from dife_scanner.lab.rivals.entries import Entries
from dife_scanner.lab.rivals.statistics import DRIFTS, RIVALS

_STATISTIC = (
    "statistic",
    "AUROC at home",
    "attacks, benign",
    "AUROC",
    "ours there",
    "ours − its, 95 %",
    "median s",
    "median passes",
)
_TUNED = (
    "statistic",
    "chosen: starts × steps, rate",
    "AUROC",
    "margin",
    "models",
    "AUROC of the others",
)


def compared(shown: Rows, entries: Entries, tried: Sequence[tuning.Tried]) -> str:
    """Every statistic compared with ours, and how the published ones were tuned."""
    found = {line.statistic.name: line for line in comparison.lines(shown, entries)}
    lines: list[tables.Cells] = []
    for name in (*RIVALS, *DRIFTS):
        if name in found:
            lines.append(_line(found[name]))
        else:
            lines.append((name, "", tables.NOT_RUN, *[""] * 5))
    return tables.joined(
        "## Against published ideas, and without our own terms",
        "One number per model each, on models that both have seen: attacks through the statistic's own channel "
        "(picture or text) against benign models and twins of any side. *At home*: the family that the idea was "
        f"published for; where its AUROC there is below {comparison.HOME:g} at the settings chosen below, its *home "
        "attack* was *not found*, and that stands instead of a difference. A tower that "
        "was measured before costs no seconds; the difference is paired over models, and where no resample "
        "differs they are too few. *Drift alone* is the mean cosine distance of a tower's embeddings from the "
        "base's, read from the rows. *Without any reference*: texts and patches searched as in an audit of a "
        "checkpoint without a clean base, the best success of what they find (docs/discovery.md). "
        "`dife lab bench rivals` measures what is missing or was measured by an earlier version.",
        tables.table(_STATISTIC, lines),
        "Settings of published ideas were chosen on the development side, which is in no rate: the AUROC of home "
        "attacks against benign models, then the widest margin (lowest attack less highest benign model), among "
        "efforts of about the seconds of our own search of that channel. AMDET without its anchor takes AMDET's "
        "settings and twice the starts. `dife lab bench tune` tries what is missing.",
        tables.table(_TUNED, _tuned(tried)),
    )


def _line(line: comparison.Line) -> tables.Cells:
    statistic = line.statistic
    at_home, _, value = line.home
    home = f"{statistic.home}: {tables.number(value)} (n {at_home})" if statistic.home else "–"
    return (
        statistic.name,
        home,
        f"{line.attacks} against {line.benign}",
        tables.number(line.auroc),
        f"{statistic.ours or 'score'}: {tables.number(line.ours)}",
        "home attack not found" if line.lost else tables.span(line.difference),
        f"{line.seconds:.0f}",
        tables.number(line.passes, 0, missing="–"),
    )


def _tuned(tried: Sequence[tuning.Tried]) -> list[tables.Cells]:
    """One line per published idea that was tuned: the effort chosen, and the others."""
    lines: list[tables.Cells] = []
    for name in dict.fromkeys(one.rival for one in tried):
        chosen = tuning.best(tried, name)
        assert chosen is not None
        others = []
        for one in tried:
            if one.rival == name and one is not chosen:
                others.append(f"{tuning.described(one.effort)}: {one.auroc:.2f}")
        lines.append(
            (
                name,
                tuning.described(chosen.effort),
                f"{chosen.auroc:.2f}",
                f"{chosen.margin:.3f}",
                str(len(chosen.models)),
                "; ".join(others),
            )
        )
    return lines
