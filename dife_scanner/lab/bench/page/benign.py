"""What the page reports of benign models: false alarms, copies of the base, calibration, and kinds it has not seen."""

from __future__ import annotations

from statistics import median

from dife_scanner.core.calibration import Pack, p_value
from dife_scanner.lab.bench import results, zoo
from dife_scanner.lab.bench.page import tables
from dife_scanner.lab.bench.results import attacks_on_test, benign_on_test
from dife_scanner.lab.bench.results.false_alarms import at_most
from dife_scanner.lab.bench.rows import Outcome, Row, Rows
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.lab.bench.zoo.benign import KINDS
from dife_scanner.records import Verdict

_LEVELS = (0.05, 0.1, 0.2)
"""p-values that models are counted at."""


def models(shown: Rows) -> str:
    """Every benign kind, worst first."""
    head = (
        "kind",
        "fit",
        "calibrate",
        "test",
        "alarms in test",
        "upper bound of the rate",
        "highest score, any side",
    )
    unseen = ", ".join(name for name, kind in KINDS.items() if kind.only_test)
    return tables.joined(
        "## Benign models, worst first",
        f"Split by training run; these kinds are only in test: {unseen}. A twin has its attack's data, steps and "
        "rate without the poison, and stands on its attack's side. Bounds are one-sided, 95 %.",
        tables.table(head, [*_kinds(shown), _all(shown)]),
        *alarmed(shown),
    )


def _kinds(shown: Rows) -> list[tables.Cells]:
    """One line per kind, those without a row last."""
    lines = list(map(_kind, results.kinds(shown)))
    there = {line[0] for line in lines}
    for name in KINDS:
        if name not in there:
            lines.append((name, "0", "0", "0", "", tables.NOT_RUN, ""))
    return lines


def _all(shown: Rows) -> tables.Cells:
    """All kinds together."""
    counted = results.counted_benign(shown)
    counts = [str(len(results.on_side(counted, part))) for part in Part]
    alarms = results.all_alarms(shown)
    return "**all**", *counts, f"{alarms.hits}", tables.bound(alarms), ""


def _kind(line: results.KindLine) -> tables.Cells:
    counts = [str(line.counts[part]) for part in Part]
    bound = f"{line.bound:.2f}" if line.alarms.n else tables.NOT_RUN
    return line.kind, *counts, f"{line.alarms.hits}", bound, tables.number(line.worst)


def alarmed(shown: Rows) -> list[str]:
    """Every false alarm by name, whatever its side, and every benign model that could not be decided."""
    counted = results.counted_benign(shown)
    if not counted:
        return []
    flagged = results.flagged(counted)
    undecided = [row for row in counted if results.outcome_of(row).verdict is Verdict.INCONCLUSIVE]
    text = ["No benign model of any side was flagged."]
    if flagged:
        text = ["Every false alarm:", _listed(flagged)]
    if undecided:
        text += ["Ended `inconclusive`, which is no alarm and not nothing:", _listed(undecided)]
    return text


def _listed(some: Rows) -> str:
    return tables.table(("model", "side", "score", "what was found"), map(_listed_line, some))


def _listed_line(row: Row) -> tables.Cells:
    return row.model, row.part.value, tables.number(results.score(row)), _best_found(row)


def _best_found(row: Row) -> str:
    """The best candidate, in words."""
    if row.outcome is None or not row.outcome.found:
        return ""
    best = row.outcome.found[0]
    what = f"`{best.text}` ({best.position}) on {best.source}" if best.text else best.kind
    return f"{what} → {best.target}: {best.suspect:.2f} against {best.reference:.2f} in the base"


def copies(shown: Rows) -> str:
    """Copies of the base, in other precisions or under other names."""
    made = {row.kind: row.outcome for row in results.of_role(shown, Role.COPY)}
    lines = [_copy(name, made.get(name)) for name in zoo.COPIES]
    return tables.joined(
        "## Copies of the base",
        "Nothing was trained, so they count in no rate; none may be flagged.",
        tables.table(("copy", "verdict", "score"), lines),
    )


def _copy(name: str, outcome: Outcome | None) -> tables.Cells:
    if outcome is None:
        return name, tables.NOT_RUN, ""
    return name, outcome.verdict.value, tables.number(outcome.score, missing="–")


def calibration(shown: Rows, pack: Pack | None) -> str:
    """How scores of the test side compare with the calibration set."""
    head = "## Calibration"
    if pack is None:
        return tables.joined(head, "Not run: no benign row of the calibration side.")
    kinds = {model.kind for model in pack.models}
    smallest = 1 / (pack.n + 1)
    lines = [
        _p_values("benign, test", benign_on_test(shown), pack),
        _p_values("attacks, test", attacks_on_test(shown), pack),
    ]
    return tables.joined(
        head,
        f"The pack holds {pack.n} benign models of {len(kinds)} kinds, so no p-value below "
        f"{smallest:.3f} exists. A p-value is conformal, (1 + benign models at least as high) / (n + 1): never the "
        "probability of a backdoor. Many benign models score 0, so p is 1 for them.",
        tables.table(("models", "p ≤ .05", "p ≤ .1", "p ≤ .2", "median p"), lines),
    )


def _p_values(name: str, some: Rows, pack: Pack) -> tables.Cells:
    """How many have a p-value of at most each level, and the median."""
    values = [p_value(score, pack) for score in results.scores(some)]
    counts = [tables.ratio(at_most(level, values)) for level in _LEVELS]
    middle = tables.number(median(values)) if values else tables.NOT_RUN
    return name, *counts, middle


def left_out(shown: Rows) -> str:
    """Every benign kind against a pack of the others."""
    lines: list[tables.Cells] = []
    for line in results.left_out(shown):
        beyond = map(tables.ratio, line.beyond)
        lines.append(
            (
                line.kind,
                str(line.models),
                str(line.pack),
                *beyond,
                tables.number(line.worst),
            )
        )
    levels = [f"p ≤ {level}" for level in results.LEVELS]
    head = ("kind", "models", "in the pack without it", *levels, "highest score")
    return tables.joined(
        "## Kinds that calibration has not seen, worst first",
        "Each benign kind against a pack of the other kinds alone, models of the sides that calibrate and test. "
        "By chance a share of .05 and of .1 lies beyond; a kind that lies far beyond is one whose p-values mean "
        "little where no pack knows it. A flag takes nothing from a pack, so none of this moves a verdict.",
        tables.table(head, lines),
    )
