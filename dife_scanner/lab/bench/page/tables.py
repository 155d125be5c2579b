"""Numbers of the benchmark as Markdown: tables and cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from dife_scanner.core.calibration import upper_bound
from dife_scanner.lab.bench import results
from dife_scanner.lab.bench.results import Share
from dife_scanner.lab.bench.rows import Rows
from dife_scanner.records import Interval

NOT_RUN = "not run"
SEPARATION_HEAD = ("look", "among", "attacks", "benign", "AUROC", f"at most {results.FAIR:.2f}")
Cells = Sequence[str]


def joined(*parts: str) -> str:
    """Paragraphs, tables and pictures one below the other; empty ones are left out."""
    return "\n\n".join(filter(None, parts))


def picture(words: str, name: str) -> str:
    """A picture next to the page; nothing where it has no name."""
    return f"![{words}]({name})" if name else ""


def table(head: Cells, lines: Iterable[Cells]) -> str:
    """A Markdown table; without lines it says that nothing was run."""
    body = list(map(_line, lines))
    if not body:
        empty = " |" * (len(head) - 1)
        body = [f"| {NOT_RUN} |{empty}"]
    rule = "|" + "---|" * len(head)
    return "\n".join([_line(head), rule, *body])


def _line(cells: Cells) -> str:
    return f"| {' | '.join(cells)} |"


def separation_table(traits: Iterable[results.TraitSeparation]) -> str:
    """How well each visible trait alone separates attacks from benign models."""
    lines = []
    for trait in traits:
        models = (str(trait.attacks), str(trait.benign))
        lines.append(
            (
                trait.name,
                trait.among,
                *models,
                number(trait.auroc),
                answer(trait.fair, "too few"),
            )
        )
    return table(SEPARATION_HEAD, lines)


def false_alarms(counted: Rows) -> str:
    """Rate and upper bound of false alarms on the test side, in words."""
    alarms = results.all_alarms(counted)
    return f"{rate(alarms)}; upper bound {bound(alarms)}."


# --- cells ------------------------------------------------------------------------------------------------------


def number(value: float | None, digits: int = 2, missing: str = NOT_RUN) -> str:
    """A number with so many decimal places, or what stands for a missing one."""
    return missing if value is None else f"{value:.{digits}f}"


def span(interval: Interval | None) -> str:
    """An interval, or why there is none."""
    if interval is None:
        return "too few"
    if interval.low == interval.high:
        return "no resample differs"
    return f"{interval.low:.2f} – {interval.high:.2f}"


def ratio(share: Share) -> str:
    return f"{share.hits} of {share.n}" if share.n else "–"


def rate(share: Share) -> str:
    """How many of how many, with the 95 % interval."""
    if not share.n:
        return NOT_RUN
    interval = share.interval
    return f"{share.hits} of {share.n} ({interval.low:.2f} – {interval.high:.2f})"


def bound(share: Share) -> str:
    """One-sided 95 % upper bound of the rate."""
    return f"{upper_bound(share.hits, share.n):.2f}" if share.n else NOT_RUN


def naming(named: results.Named | None) -> str:
    """Rank, cosine and best wrong cosine of the planted target among concepts."""
    if named is None:
        return "–"
    share = f"({named.n} of {named.audited})"
    return f"{rank(named)} of {named.concepts}, {named.cosine:.2f}, {named.wrong:.2f} {share}"


def rank(named: results.Named) -> str:
    return "worse than any" if named.rank == inf else f"{named.rank:g}"


def answer(yes: bool | None, unknown: str) -> str:
    """Yes or no, a no in bold; `unknown` where it is `None`."""
    if yes is None:
        return unknown
    return "yes" if yes else "**no**"
