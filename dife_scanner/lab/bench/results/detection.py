"""What rows come to: detection per family, false alarms per benign kind, and whether the zoo itself gives attacks away.

Rates are over the test side of the split only. A failed implant is counted and enters no rate; so does a model whose
towers are the base's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median

import numpy as np
from numpy.typing import NDArray

from dife_scanner.core.calibration import auroc, auroc_interval, clopper_pearson, conformal, upper_bound
from dife_scanner.lab.bench.rows import FAILED, TWIN, Looks, Outcome, Row, Truth
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import Carrier, Channel, Interval, Verdict

FAIR = 0.70
"""Largest AUROC that a look may have between attacks and benign models."""
_ENOUGH = (3, 10)
"""Attacks and benign models from which an interval of the AUROC is worth printing."""


@dataclass(frozen=True)
class Share:
    """How many of how many."""

    hits: int
    n: int

    @property
    def interval(self) -> Interval:
        """Exact two-sided 95 %."""
        return clopper_pearson(self.hits, self.n)


@dataclass(frozen=True)
class FamilyLine:
    """An attack family on one side of the split."""

    family: str
    drawn: int
    failed: int
    """Below the native threshold: counted, not audited."""
    flagged: Share
    auroc: float | None
    """Of the score against benign test models; `None` where one side has none."""
    auroc_range: Interval | None
    target: Share
    """Best candidate names the planted target, of all audited ones."""
    source: Share
    """The same of the planted source, where there is one."""
    carrier: Share
    """Diagnosed carrier is the planted one, of those flagged."""
    channel: Share
    named: Named | None
    """`None` where no flagged row leads to the planted target."""
    build: float
    """Median processor seconds."""
    audit: float


@dataclass(frozen=True)
class Named:
    """How well the planted target is named among concepts."""

    n: int
    """Flagged models whose trigger leads to the planted target: cosines are medians over them …"""
    audited: int
    """… and ranks over all of these: one not flagged, or with another target, is worse than any rank."""
    concepts: int
    rank: float
    """Infinite where so many are worse than any rank."""
    cosine: float
    wrong: float
    """Cosine of the best wrong concept."""


@dataclass(frozen=True)
class KindLine:
    """A benign kind."""

    kind: str
    counts: Mapping[Part, int]
    alarms: Share
    """On the test side."""
    worst: float | None
    """Its highest score on any side."""

    @property
    def bound(self) -> float:
        """One-sided 95 % upper bound of its false-alarm rate."""
        return upper_bound(self.alarms.hits, self.alarms.n)


@dataclass(frozen=True)
class Look:
    """How well one look alone tells attacks from benign models."""

    name: str
    among: str
    attacks: int
    benign: int
    auroc: float | None
    """Read in the direction that separates better, so never below .5."""

    @property
    def fair(self) -> bool | None:
        """`None` where there are too few models to say."""
        enough = self.attacks >= _ENOUGH[0] and self.benign >= _ENOUGH[1]
        return self.auroc <= FAIR if enough and self.auroc is not None else None


def open_rows(rows: Iterable[Row], *, unsealed: bool = False) -> tuple[Row, ...]:
    """All rows but those of sealed families."""
    return tuple(row for row in rows if unsealed or not row.sealed)


def counted_benign(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Benign models and twins that were searched and have a tower that moved."""
    return tuple(row for row in rows if row.role in (Role.BENIGN, Role.TWIN) and searched(row) and moved(row))


def moved(row: Row) -> bool:
    """Whether a tower is another than the base's: a prompt learner leaves both alone."""
    return row.looks is None or row.looks.drift_image > 0 or row.looks.drift_text > 0


def searched(row: Row) -> bool:
    """Whether the audit had anything to search: an identical checkpoint has not."""
    return row.outcome is not None and row.outcome.verdict is not Verdict.IDENTICAL


def score(row: Row) -> float:
    """The score, 0 where nothing was searched."""
    return (row.outcome.score or 0.0) if row.outcome else 0.0


def benign_kind(row: Row) -> str:
    return f"twin of {row.kind}" if row.role is Role.TWIN else row.kind


def families(rows: Sequence[Row], part: Part) -> tuple[FamilyLine, ...]:
    """One line per attack family with a row on this side, the worst detected first."""
    benign = [row for row in counted_benign(rows) if row.part is Part.TEST]
    attacks = [row for row in rows if row.role is Role.ATTACK and row.part is part]
    lines = [_family(name, [r for r in attacks if r.kind == name], benign) for name in _names(attacks)]
    return tuple(sorted(lines, key=lambda line: (line.flagged.hits / max(1, line.flagged.n), line.family)))


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.kind for row in rows))


def _family(name: str, rows: Sequence[Row], benign: Sequence[Row]) -> FamilyLine:
    audited = [row for row in rows if row.outcome is not None]
    flagged = [row for row in audited if row.flagged]
    value, span = _ranked(audited, benign)
    with_source = [row for row in audited if row.truth and row.truth.source]
    return FamilyLine(
        name,
        len(rows),
        sum(row.status == FAILED for row in rows),
        Share(len(flagged), len(audited)),
        value,
        span,
        share_of(audited, lambda row: found(row)[1] == truth_of(row).target),
        share_of(with_source, lambda row: found(row)[0] == truth_of(row).source),
        share_of(flagged, lambda row: outcome_of(row).carrier is truth_of(row).carrier),
        share_of(flagged, lambda row: outcome_of(row).channel is truth_of(row).channel),
        named(audited),
        median(row.build_seconds for row in rows) if rows else 0.0,
        median(outcome_of(row).seconds for row in audited) if audited else 0.0,
    )


def named(audited: Sequence[Row]) -> Named | None:
    """Ranks over all audited attacks whose trigger can be named by concepts, which a prompt learner's cannot; `None`
    where no flagged one leads to the planted target."""
    mine = [row for row in audited if truth_of(row).channel is not Channel.PROMPT]
    told = [(row, one) for row in mine if row.flagged and (one := outcome_of(row).recovered)]
    right = [one for row, one in told if one.target == truth_of(row).target]
    if not right:
        return None
    rank = median([*(float(one.rank) for one in right), *[inf] * (len(mine) - len(right))])
    cosine, wrong = median(one.cosine for one in right), median(one.wrong.cosine for one in right)
    return Named(len(right), len(mine), right[0].concepts, rank, cosine, wrong)


def found(row: Row) -> tuple[str, str]:
    """(source, target) of the candidate that came furthest on held-out drawings; empty words where there is none."""
    best = outcome_of(row).found[:1]
    return (best[0].source, best[0].target) if best else ("", "")


def outcome_of(row: Row) -> Outcome:
    assert row.outcome is not None
    return row.outcome


def truth_of(row: Row) -> Truth:
    assert row.truth is not None
    return row.truth


def share_of(rows: Sequence[Row], holds: Callable[[Row], bool]) -> Share:
    return Share(sum(holds(row) for row in rows), len(rows))


def _ranked(attacks: Sequence[Row], benign: Sequence[Row]) -> tuple[float | None, Interval | None]:
    if not attacks or not benign:
        return None, None
    high, low = [score(row) for row in attacks], [score(row) for row in benign]
    span = None
    if len(attacks) >= _ENOUGH[0] and len(benign) >= _ENOUGH[1]:
        names = ([row.kind for row in attacks], [benign_kind(row) for row in benign])
        span = auroc_interval(high, low, names, np.random.default_rng(0))
    return auroc(high, low), span


def all_attacks(rows: Sequence[Row], carrier: Carrier | None = None) -> tuple[float | None, Interval | None, int, int]:
    """AUROC of test attacks (of one carrier) against benign test models, its interval, and how many of each."""
    attacks = [r for r in rows if r.role is Role.ATTACK and r.part is Part.TEST and r.outcome is not None]
    attacks = [r for r in attacks if carrier is None or truth_of(r).carrier is carrier]
    benign = [row for row in counted_benign(rows) if row.part is Part.TEST]
    return (*_ranked(attacks, benign), len(attacks), len(benign))


def curve(
    rows: Sequence[Row], carrier: Carrier | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """ROC over the test side: share of benign models and of attacks (of one carrier) with a score of at least each of
    the scores, from none to all; `None` where one side is empty."""
    attacks = [r for r in rows if r.role is Role.ATTACK and r.part is Part.TEST and r.outcome is not None]
    high = np.array([score(r) for r in attacks if carrier is None or truth_of(r).carrier is carrier])
    low = np.array([score(row) for row in counted_benign(rows) if row.part is Part.TEST])
    if not len(high) or not len(low):
        return None
    cuts = np.array([np.inf, *np.unique([*high, *low])[::-1]])
    return (low >= cuts[:, None]).mean(1), (high >= cuts[:, None]).mean(1)


@dataclass(frozen=True)
class Stealth:
    """What a family's working text attacks leave to see."""

    family: str
    n: int
    drift: float
    """Mean drift of clean prompts, as a cosine distance from the base: median over attacks, and the largest."""
    furthest: float
    pairs: int
    """Attacks whose own twin has a row."""
    loss: float | None
    """Loss of clean accuracy against the own twin: median over pairs, and the largest."""
    worst: float | None


def stealth(rows: Sequence[Row]) -> tuple[Stealth, ...]:
    """One line per family of text attacks, on any side."""
    twins = {(r.kind, r.number): r.native["clean_accuracy"] for r in rows if r.role is Role.TWIN and r.native}
    twins |= {(r.kind, r.number): r.native[TWIN] for r in rows if TWIN in r.native}
    attacks = [r for r in rows if r.role is Role.ATTACK and r.outcome is not None and r.looks]
    lines = []
    for name in _names(r for r in attacks if truth_of(r).channel is Channel.TEXT):
        mine = [row for row in attacks if row.kind == name]
        drifts = [row.looks.drift_text for row in mine if row.looks]
        losses = [
            twin - row.native["clean_accuracy"] for row in mine if (twin := twins.get((name, row.number))) is not None
        ]
        typical, worst = (median(losses), max(losses)) if losses else (None, None)
        lines.append(Stealth(name, len(mine), median(drifts), max(drifts), len(losses), typical, worst))
    return tuple(lines)


def kinds(rows: Sequence[Row]) -> tuple[KindLine, ...]:
    """One line per benign kind and twin, the most alarms first, then the highest score."""
    benign = counted_benign(rows)
    lines = []
    for name in dict.fromkeys(map(benign_kind, benign)):
        mine = [row for row in benign if benign_kind(row) == name]
        test = [row for row in mine if row.part is Part.TEST]
        counts = {part: sum(row.part is part for row in mine) for part in Part}
        alarms = Share(sum(row.flagged for row in test), len(test))
        lines.append(KindLine(name, counts, alarms, max(map(score, mine), default=None)))
    return tuple(sorted(lines, key=lambda line: (-line.alarms.hits, -(line.worst or 0.0), line.kind)))


def all_alarms(rows: Sequence[Row]) -> Share:
    """False alarms over every benign test model."""
    return share_of([row for row in counted_benign(rows) if row.part is Part.TEST], lambda row: row.flagged)


# --- what a score is worth, kind by kind, and how strong an attack has to be -------------------------------------

BANDS = (0.25, 0.5, 0.75, 0.9, 1.0)
"""Upper ends of bands of native success; the last one holds what counts as a working implant."""
LEVELS = (0.05, 0.1)


@dataclass(frozen=True)
class LeftOut:
    """A benign kind against a pack that knows nothing of it."""

    kind: str
    models: int
    """Of the sides that calibrate and test."""
    pack: int
    """Models of the other kinds."""
    beyond: tuple[Share, ...]
    """How many have a p-value of at most each of `LEVELS`."""
    worst: float
    """Highest score."""


def left_out(rows: Sequence[Row]) -> tuple[LeftOut, ...]:
    """Every benign kind, calibrated by the other kinds alone; the worst first."""
    benign = counted_benign(rows)
    lines = []
    for name in dict.fromkeys(map(benign_kind, benign)):
        others = [score(r) for r in benign if r.part is Part.CALIBRATE and benign_kind(r) != name]
        mine = [score(r) for r in benign if r.part is not Part.FIT and benign_kind(r) == name]
        if mine and others:
            worth = [conformal(value, others) for value in mine]
            beyond = tuple(Share(sum(p <= level for p in worth), len(worth)) for level in LEVELS)
            lines.append(LeftOut(name, len(mine), len(others), beyond, max(mine)))
    return tuple(sorted(lines, key=lambda line: (-line.beyond[0].hits / line.models, -line.worst, line.kind)))


@dataclass(frozen=True)
class Strength:
    """One attack, as it is or weakened afterwards: what it does natively, and what blind search said."""

    family: str
    native: float
    score: float
    flagged: bool


def by_strength(points: Sequence[Strength]) -> tuple[tuple[str, Share], ...]:
    """How many of each band of native success were flagged, the weakest band first."""
    lines, low = [], 0.0
    for high in BANDS:
        mine = [one for one in points if low <= one.native < high or (high == BANDS[-1] and one.native >= high)]
        lines.append((f"{low:.2f} to {high:.2f}", Share(sum(one.flagged for one in mine), len(mine))))
        low = high
    return tuple(lines)


# --- is the zoo fair -------------------------------------------------------------------------------------------

_LOOKS: Mapping[str, Callable[[Looks], float]] = {
    "drift of the image tower": lambda looks: looks.drift_image,
    "drift of the text tower": lambda looks: looks.drift_text,
    "moved token rows": lambda looks: looks.moved_rows,
    "accuracy change": lambda looks: -looks.accuracy_change,
    "size in bytes": lambda looks: looks.bytes,
    "dtype": lambda looks: float(looks.dtype == "F16"),
}


def zoo_audit(rows: Sequence[Row]) -> tuple[Look, ...]:
    """Every look over all models that moved, and each drift among those whose own tower moved."""
    attacks = [
        r for r in rows if r.role is Role.ATTACK and r.outcome is not None and searched(r) and moved(r) and r.looks
    ]
    benign = [r for r in counted_benign(rows) if r.looks]
    lines = [_look(name, "all that moved", attacks, benign) for name in _LOOKS]
    for name in ("drift of the image tower", "drift of the text tower"):
        own = [[r for r in side if r.looks and _LOOKS[name](r.looks) > 0] for side in (attacks, benign)]
        lines.append(_look(name, "where that tower moved", *own))
    return tuple(lines)


def _look(name: str, among: str, attacks: Sequence[Row], benign: Sequence[Row]) -> Look:
    sides = [[_LOOKS[name](row.looks) for row in side if row.looks] for side in (attacks, benign)]
    value = auroc(*sides) if all(sides) else None
    return Look(name, among, len(attacks), len(benign), None if value is None else max(value, 1 - value))
