"""Numbers of the benchmark as Markdown: tables and cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from dife_scanner.core.calibration import upper_bound
from dife_scanner.lab.bench import results
from dife_scanner.lab.bench.results import Share
from dife_scanner.records import Interval

LOOKS = ("look", "among", "attacks", "benign", "AUROC", f"at most {results.FAIR:.2f}")


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table; without lines it says that nothing was run."""
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join(
        [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *(body or [f"| not run |{' |' * (len(head) - 1)}"])]
    )


def number(value: float | None) -> str:
    return "not run" if value is None else f"{value:.2f}"


def span(interval: Interval | None) -> str:
    if interval is None:
        return "too few"
    return "no resample differs" if interval.low == interval.high else f"{interval.low:.2f} – {interval.high:.2f}"


def ratio(share: Share) -> str:
    return f"{share.hits} of {share.n}" if share.n else "–"


def naming(named: results.Named | None) -> str:
    if named is None:
        return "–"
    return f"{rank(named)} of {named.concepts}, {named.cosine:.2f}, {named.wrong:.2f} ({named.n} of {named.audited})"


def rank(named: results.Named) -> str:
    return "worse than any" if named.rank == inf else f"{named.rank:g}"


def rate(share: Share) -> str:
    if not share.n:
        return "not run"
    return f"{share.hits} of {share.n} ({share.interval.low:.2f} – {share.interval.high:.2f})"


def bound(share: Share) -> str:
    return f"{upper_bound(share.hits, share.n):.2f}" if share.n else "not run"


def fair(fair: bool | None) -> str:
    return "too few" if fair is None else "yes" if fair else "**no**"
