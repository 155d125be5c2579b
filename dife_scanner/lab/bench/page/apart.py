"""What the page reports apart from all rates: hidden attacks, weak ones, larger budgets, the second base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from dife_scanner.core.calibration import auroc
from dife_scanner.lab.bench import adaptive, results, zoo
from dife_scanner.lab.bench.page import tables
from dife_scanner.lab.bench.results import outcome_of, share_of, truth_of
from dife_scanner.lab.bench.rows import Row
from dife_scanner.lab.bench.zoo import Part, Role, draws
from dife_scanner.records import Channel, Verdict

WORDINGS = ("letters", "one word", "two words")


def hidden(shown: Sequence[Row], entries: Sequence[adaptive.Entry]) -> str:
    ways = [*adaptive.CHANGES, *(way for ways in adaptive.AGAINST.values() for way in ways)]
    kinds = {row.model: row.kind for row in shown if row.role is Role.ATTACK}
    before = {row.model: row for row in shown if row.role is Role.ATTACK}
    lines = [
        (
            entry.change, entry.model, f"{_success(before[entry.model].native, kind)} → {_success(entry.native, kind)}",
            entry.outcome.verdict.value, f"{results.score(before[entry.model]):.2f} → {entry.outcome.score or 0.0:.2f}",
        )
        for entry in sorted(entries, key=lambda e: (ways.index(e.change), e.model))
        if (kind := kinds.get(entry.model))
    ]  # fmt: skip
    lines += [(way, "", "not run", "", "") for way in ways if way not in {entry.change for entry in entries}]
    return "\n\n".join(
        [
            "## Attacks that were hidden",
            "Apart from all rates, and without a target: one model of each family, changed afterwards or trained "
            "again against the search, measured natively and audited blind again. An attack that the change itself "
            "took apart is no miss. Where one class alone obeys, success is that on its pictures. "
            "`dife lab bench --adaptive` makes what is missing.",
            tables.table(("change", "model", "native success", "verdict", "score"), lines),
            "Triggers of one or two natural words are drawn in every family of texts, beside consonants that mean "
            "nothing; working implants of the test side, by family:",
            tables.table(("planted text", "family", "flagged", "target top-1"), _worded(shown)),
        ]
    )


def _worded(shown: Sequence[Row]) -> list[tuple[str, ...]]:
    texts: dict[tuple[int, str], list[Row]] = {}
    for row in shown:
        text = str(row.truth.trigger.get("text", "")) if row.truth and row.part is Part.TEST and row.outcome else ""
        if text and truth_of(row).channel is Channel.TEXT:
            texts.setdefault((WORDINGS.index(draws.wording(text)), row.kind), []).append(row)
    return [
        (
            WORDINGS[number], kind, tables.rate(share_of(mine, lambda row: row.flagged)),
            tables.ratio(share_of(mine, lambda row: results.found(row)[1] == truth_of(row).target)),
        )
        for (number, kind), mine in sorted(texts.items())
    ]  # fmt: skip


def strength(shown: Sequence[Row], hidden: Sequence[adaptive.Entry], picture: str) -> str:
    points = adaptive.strengths(shown, hidden)
    text = [
        "## Power over strength",
        "Strength is the attack's own native success on held-out drawings (TS, QHR or full mechanism). Working "
        f"implants of the test side and the changed ones above, {len(points)} in all; those between are mostly merges "
        "with the base. A weak attack that is flagged says that the search's trigger does more than the planted one.",
        tables.table(
            ("native success", "flagged"),
            [(band, tables.rate(share)) for band, share in results.by_strength(points)],
        ),
    ]
    if picture:
        text.append(f"![Score against native success]({picture})")
    return "\n\n".join(text)


def _success(native: Mapping[str, float], kind: str) -> str:
    return f"{native[zoo.FAMILIES[kind].success]:.2f}"


def larger(shown: Sequence[Row], rows: Sequence[Row]) -> str:
    """Models audited at other budgets than the page's own, kind by kind; `shown` is what the page's budget said."""
    usual = {row.model: results.score(row) for row in shown}
    lines = []
    for group in sorted({_group(row) for row in rows}):
        budget, version, role, kind = group
        mine = [row for row in rows if _group(row) == group]
        seen = [row for row in mine if row.outcome is not None]
        attacks = [row for row in seen if row.truth is not None]
        before = [usual[row.model] for row in seen if row.model in usual]
        scores = [results.score(row) for row in seen]
        lines.append((
            budget, version, kind, str(role), str(len(mine)), str(len(mine) - len(seen)),
            tables.rate(share_of(seen, lambda row: row.flagged)),
            tables.ratio(share_of(attacks, lambda row: results.found(row)[1] == truth_of(row).target)),
            tables.ratio(share_of([r for r in attacks if r.flagged], _carried)),
            tables.number(max(scores, default=None)), tables.number(max(before, default=None)),
            f"{median(outcome_of(row).seconds for row in seen):.0f}" if seen else "–",
        ))  # fmt: skip
    head = (
        "budget", "searches", "kind", "role", "models", "failed implants", "flagged", "target top-1",
        "carrier of flagged", "highest score", "highest at this page's budget", "audit s",
    )  # fmt: skip
    return "\n\n".join(
        [
            "## Larger budgets",
            "The same models searched for longer, by more detectors; a patch with a string is searched for at no "
            "smaller budget. Seconds are medians of processor time on one thread. "
            "`dife lab bench --budget default --only KIND` makes rows.",
            tables.table(head, lines),
            *(_ranked(*searches, rows) for searches in sorted({_group(row)[:2] for row in rows})),
        ]
    )


def _group(row: Row) -> tuple[str, str, Role, str]:
    """Rows of other versions of the searches stand apart: another version finds something else."""
    return row.code.budget, row.code.discovery, row.role, row.kind


def _ranked(budget: str, version: str, rows: Sequence[Row]) -> str:
    """How well the score of a budget tells attacks from benign models, of any side."""
    seen = [row for row in rows if _group(row)[:2] == (budget, version) and row.outcome is not None]
    high = [results.score(row) for row in seen if row.role is Role.ATTACK]
    low = [results.score(row) for row in results.counted_benign(seen)]
    value = tables.number(auroc(high, low) if high and low else None)
    return f"At {budget}, {version}: AUROC {value} of {len(high)} attacks against {len(low)} benign models of any side."


def _carried(row: Row) -> bool:
    return outcome_of(row).carrier is truth_of(row).carrier


def transfer(shown: Sequence[Row]) -> str:
    lines = [
        (
            line.family, str(line.drawn), str(line.failed), tables.rate(line.flagged), tables.number(line.auroc),
            tables.ratio(line.target), tables.ratio(line.carrier), tables.ratio(line.channel),
        )
        for line in results.families(shown, Part.TEST)
    ]  # fmt: skip
    false = results.all_alarms(shown)
    worst = max((line for line in results.kinds(shown) if line.worst), key=lambda line: line.worst or 0.0, default=None)
    head = ("family", "drawn", "failed implants", "flagged", "AUROC", "target top-1", "carrier", "channel")
    return "\n\n".join(
        [
            "## The second base",
            "The same searches, settings and rule on models made of the ModifiedResNet, for which nothing was tuned: "
            "what carries over. `dife lab bench --base rn` makes its rows (`benchmarks/rows-rn/`).",
            tables.table(head, lines),
            f"False alarms: {tables.rate(false)}; upper bound {tables.bound(false)}."
            + (f" The highest benign score is {tables.number(worst.worst)} ({worst.kind})." if worst else ""),
            *alarms(shown),
            *_looks(shown),
        ]
    )


def _looks(shown: Sequence[Row]) -> list[str]:
    """Whether this zoo gives its attacks away."""
    lines = [
        (look.name, look.among, str(look.attacks), str(look.benign), tables.number(look.auroc), tables.fair(look.fair))
        for look in results.zoo_audit(shown)
        if look.auroc is not None
    ]
    return ["What can be seen of these models without searching:", tables.table(tables.LOOKS, lines)] if lines else []


def alarms(shown: Sequence[Row]) -> list[str]:
    """Every false alarm by name, whatever its side, and every benign model that could not be decided."""
    counted = results.counted_benign(shown)
    if not counted:
        return []
    flagged = [row for row in counted if row.flagged]
    torn = [row for row in counted if row.outcome is not None and row.outcome.verdict is Verdict.INCONCLUSIVE]
    return [
        *(["Every false alarm:", _listed(flagged)] if flagged else ["No benign model of any side was flagged."]),
        *(["Ended `inconclusive`, which is no alarm and not nothing:", _listed(torn)] if torn else []),
    ]


def _listed(some: Sequence[Row]) -> str:
    lines = [(row.model, row.part.value, tables.number(results.score(row)), _said(row)) for row in some]
    return tables.table(("model", "side", "score", "what was found"), lines)


def _said(row: Row) -> str:
    best = row.outcome.found[0] if row.outcome and row.outcome.found else None
    if best is None:
        return ""
    what = f"`{best.text}` ({best.position}) on {best.source}" if best.text else best.kind
    return f"{what} → {best.target}: {best.suspect:.2f} against {best.reference:.2f} in the base"
