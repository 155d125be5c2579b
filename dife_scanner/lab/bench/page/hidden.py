"""What the page reports apart from all rates: attacks that were hidden, and how strong one has to be to be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dife_scanner.lab.bench import adaptive, results, zoo
from dife_scanner.lab.bench.page import tables
from dife_scanner.lab.bench.rows import Row, Rows
from dife_scanner.lab.bench.zoo import Role, draws
from dife_scanner.records import Channel

WORDINGS = ("letters", "one word", "two words")


def attacks(shown: Rows, entries: Sequence[adaptive.Entry]) -> str:
    """Attacks that were changed afterwards or trained against the search, and the wording of planted texts."""
    return tables.joined(
        "## Attacks that were hidden",
        "Apart from all rates, and without a target: one model of each family, changed afterwards or trained "
        "again against the search, measured natively and audited blind again. An attack that the change itself "
        "took apart is no miss. Where one class alone obeys, success is that on its pictures. "
        "`dife lab bench adaptive` makes what is missing.",
        tables.table(
            ("change", "model", "native success", "verdict", "score"), _changed(shown, entries)
        ),
        "Triggers of one or two natural words are drawn in every family of texts, beside consonants that mean "
        "nothing; working implants of the test side, by family:",
        tables.table(("planted text", "family", "flagged", "target top-1"), _worded(shown)),
    )


def _changed(shown: Rows, entries: Sequence[adaptive.Entry]) -> list[tables.Cells]:
    """One line per changed model, those of one change together; changes without any last."""
    changes = adaptive.changes()
    before = results.models_of(results.of_role(shown, Role.ATTACK))
    lines: list[tables.Cells] = []
    for entry in sorted(entries, key=lambda one: (changes.index(one.change), one.model)):
        if entry.model in before:
            lines.append(_compared(before[entry.model], entry))
    there = {entry.change for entry in entries}
    for change in changes:
        if change not in there:
            lines.append((change, "", tables.NOT_RUN, "", ""))
    return lines


def _compared(before: Row, entry: adaptive.Entry) -> tables.Cells:
    """A changed model next to the original."""
    kind = before.kind
    success = f"{_success(before.native, kind)} → {_success(entry.native, kind)}"
    score = f"{results.score(before):.2f} → {entry.outcome.score or 0.0:.2f}"
    return entry.change, entry.model, success, entry.outcome.verdict.value, score


def _success(native: Mapping[str, float], kind: str) -> str:
    return f"{native[zoo.family_of(kind).success]:.2f}"


def _worded(shown: Rows) -> list[tables.Cells]:
    """Text attacks by the wording of the planted text and by family."""
    texts: dict[tuple[int, str], list[Row]] = {}
    for row in results.attacks_on_test(shown):
        truth = results.truth_of(row)
        text = str(truth.trigger.get("text", ""))
        if text and truth.channel is Channel.TEXT:
            wording = WORDINGS.index(draws.wording(text))
            texts.setdefault((wording, row.kind), []).append(row)
    lines = []
    for (wording, kind), mine in sorted(texts.items()):
        lines.append(_wording_line(WORDINGS[wording], kind, mine))
    return lines


def _wording_line(wording: str, kind: str, rows: Rows) -> tables.Cells:
    flagged = results.share_of(rows, results.is_flagged)
    target = results.share_of(rows, results.target_right)
    return wording, kind, tables.rate(flagged), tables.ratio(target)


def strength(shown: Rows, hidden: Sequence[adaptive.Entry], picture: str) -> str:
    """How many were flagged by how well the attack works natively."""
    points = adaptive.strengths(shown, hidden)
    lines = [(band, tables.rate(share)) for band, share in results.by_strength(points)]
    return tables.joined(
        "## Power over strength",
        "Strength is the attack's own native success on held-out drawings (TS, QHR or full mechanism). Working "
        f"implants of the test side and the changed ones above, {len(points)} in all; those between are mostly merges "
        "with the base. A weak attack that is flagged says that the search's trigger does more than the planted one.",
        tables.table(("native success", "flagged"), lines),
        tables.picture("Score against native success", picture),
    )
