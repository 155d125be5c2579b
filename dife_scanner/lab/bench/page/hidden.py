"""What the page reports apart from all rates: attacks that were hidden, and how strong one has to be to be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dife_scanner.lab.bench import adaptive, results, zoo
from dife_scanner.lab.bench.page import tables
from dife_scanner.lab.bench.rows import Row
from dife_scanner.lab.bench.zoo import Part, Role, draws
from dife_scanner.records import Channel

WORDINGS = ("letters", "one word", "two words")


def attacks(shown: Sequence[Row], entries: Sequence[adaptive.Entry]) -> str:
    """Attacks that were changed afterwards or trained against the search, and the wording of planted texts."""
    return tables.joined(
        "## Attacks that were hidden",
        "Apart from all rates, and without a target: one model of each family, changed afterwards or trained "
        "again against the search, measured natively and audited blind again. An attack that the change itself "
        "took apart is no miss. Where one class alone obeys, success is that on its pictures. "
        "`dife lab bench adaptive` makes what is missing.",
        tables.table(("change", "model", "native success", "verdict", "score"), _changed(shown, entries)),
        "Triggers of one or two natural words are drawn in every family of texts, beside consonants that mean "
        "nothing; working implants of the test side, by family:",
        tables.table(("planted text", "family", "flagged", "target top-1"), _worded(shown)),
    )


def _changed(shown: Sequence[Row], entries: Sequence[adaptive.Entry]) -> list[tables.Cells]:
    """One line per changed model, those of one change together; changes without any last."""
    changes = adaptive.changes()
    before = {row.model: row for row in shown if row.role is Role.ATTACK}
    lines: list[tables.Cells] = []
    for entry in sorted(entries, key=lambda one: (changes.index(one.change), one.model)):
        if entry.model not in before:
            continue
        row = before[entry.model]
        success = f"{_success(row.native, row.kind)} → {_success(entry.native, row.kind)}"
        score = f"{results.score(row):.2f} → {entry.outcome.score or 0.0:.2f}"
        lines.append((entry.change, entry.model, success, entry.outcome.verdict.value, score))
    there = {entry.change for entry in entries}
    for change in changes:
        if change not in there:
            lines.append((change, "", tables.NOT_RUN, "", ""))
    return lines


def _success(native: Mapping[str, float], kind: str) -> str:
    return f"{native[zoo.FAMILIES[kind].success]:.2f}"


def _worded(shown: Sequence[Row]) -> list[tables.Cells]:
    """Text attacks by the wording of the planted text and by family."""
    texts: dict[tuple[int, str], list[Row]] = {}
    for row in shown:
        text = _planted_text(row)
        if text:
            wording = WORDINGS.index(draws.wording(text))
            texts.setdefault((wording, row.kind), []).append(row)
    lines: list[tables.Cells] = []
    for (wording, kind), mine in sorted(texts.items()):
        flagged = tables.rate(results.share_of(mine, results.is_flagged))
        target = tables.ratio(results.share_of(mine, results.target_right))
        lines.append((WORDINGS[wording], kind, flagged, target))
    return lines


def _planted_text(row: Row) -> str:
    """The text of an audited text attack of the test side; empty for all others."""
    if row.truth is None or row.outcome is None or row.part is not Part.TEST:
        return ""
    if row.truth.channel is not Channel.TEXT:
        return ""
    return str(row.truth.trigger.get("text", ""))


def strength(shown: Sequence[Row], hidden: Sequence[adaptive.Entry], picture: str) -> str:
    """How many were flagged by how well the attack works natively."""
    points = adaptive.strengths(shown, hidden)
    lines = [(band, tables.rate(share)) for band, share in results.by_strength(points)]
    return tables.joined(
        "## Power over strength",
        "Strength is the attack's own native success on held-out drawings (TS, QHR or full mechanism). Working "
        f"implants of the test side and the changed ones above, {len(points)} in all; those between are mostly merges "
        "with the base. A weak attack that is flagged says that the search's trigger does more than the planted one.",
        tables.table(("native success", "flagged"), lines),
        f"![Score against native success]({picture})" if picture else "",
    )
