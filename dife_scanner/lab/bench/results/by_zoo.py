"""Rows as zoos: what was found and what it cost, by base and vocabulary, at each budget and version of the searches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from statistics import median

from dife_scanner.core.calibration import upper_bound
from dife_scanner.core.statistics import wilson
from dife_scanner.lab.bench.results import competition, misses, recovered
from dife_scanner.lab.bench.results.selection import (
    audited,
    counted_benign,
    flagged,
    is_flagged,
    kinds_of,
    of_kind,
    of_role,
    outcome_of,
    truth_of,
)
from dife_scanner.lab.bench.rows import FAILED, Row, Rows, Vocabulary
from dife_scanner.lab.bench.zoo import Part, Role
from dife_scanner.records import (
    AttackResult,
    Carrier,
    Channel,
    Counted,
    PartCost,
    TraceScore,
    Verdict,
    ZooResult,
)

WHOLE_AUDIT = "whole audit"
BUILDING = "building"


class Side(StrEnum):
    """Which models are counted."""

    TEST = "test"
    DEVELOPMENT = "development"
    """Whatever is not in test: what was seen while detectors were made, and what calibrates."""

    def has(self, row: Row) -> bool:
        return (row.part is Part.TEST) is (self is Side.TEST)


@dataclass(frozen=True)
class Zoo:
    """The rows of one base and vocabulary, of every budget, without those of families that stay sealed."""

    base: str
    vocabulary: Vocabulary
    rows: Rows


def results_of(zoo: Zoo, side: Side) -> tuple[ZooResult, ...]:
    """One result per budget and version of the searches that has a row on this side."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in zoo.rows:
        if side.has(row):
            groups[row.code.budget, row.code.discovery].append(row)
    return tuple(_result(zoo, side, groups, key) for key in sorted(groups))


def _result(
    zoo: Zoo, side: Side, groups: dict[tuple[str, str], list[Row]], key: tuple[str, str]
) -> ZooResult:
    mine = groups[key]
    attacks = of_role(mine, Role.ATTACK)
    working = audited(attacks)
    benign = counted_benign(mine)
    alarms = flagged(benign)
    budget, searches = key
    return ZooResult(
        base=zoo.base,
        vocabulary=zoo.vocabulary.value,
        budget=budget,
        searches=searches,
        side=side.value,
        rows=len(mine),
        commits=tuple(sorted({row.commit for row in mine if row.commit})),
        attacks=_attacks("all attacks", attacks),
        footprints=_by_footprint(attacks),
        families=_by_family(attacks),
        false_alarms=_counted(benign, is_flagged),
        alarm_bound=upper_bound(len(alarms), len(benign)) if benign else None,
        inconclusive=_counted([*working, *benign], _is_inconclusive),
        undecided_for=_undecided_for([*working, *benign]),
        costs=_costs([*working, *benign]),
        score=_score(working, benign),
        misses=misses.misses(working, _elsewhere(groups, key)),
        alarms=misses.alarms(alarms),
    )


def _is_inconclusive(row: Row) -> bool:
    return outcome_of(row).verdict is Verdict.INCONCLUSIVE


def _undecided_for(rows: Rows) -> dict[str, int]:
    """What inconclusive verdicts rest on, the most frequent first."""
    found: Counter[str] = Counter()
    for row in filter(_is_inconclusive, rows):
        basis = outcome_of(row).basis
        found[basis.value if basis is not None else misses.NOT_SAID] += 1
    return dict(found.most_common())


def _counted(rows: Rows, holds: Callable[[Row], bool]) -> Counted:
    hits = sum(map(holds, rows))
    if not rows:
        return Counted(0, 0, None, None)
    interval = wilson(hits / len(rows), len(rows), "model")
    return Counted(hits, len(rows), interval.low, interval.high)


def _elsewhere(
    groups: dict[tuple[str, str], list[Row]], key: tuple[str, str]
) -> dict[str, list[Row]]:
    """Rows of other budgets by model."""
    found: dict[str, list[Row]] = defaultdict(list)
    for other, rows in sorted(groups.items()):
        if other != key:
            for row in rows:
                found[row.model].append(row)
    return found


# --- attacks ----------------------------------------------------------------------------------------------------


def _by_footprint(attacks: Rows) -> tuple[AttackResult, ...]:
    found = []
    for carrier in Carrier:
        mine = [row for row in attacks if truth_of(row).carrier is carrier]
        if mine:
            found.append(_attacks(carrier.value, mine))
    return tuple(found)


def _by_family(attacks: Rows) -> tuple[AttackResult, ...]:
    found = [_attacks(name, of_kind(attacks, name)) for name in kinds_of(attacks)]
    return tuple(sorted(found, key=_least_found_first))


def _least_found_first(result: AttackResult) -> tuple[float, str]:
    return result.found.hits / max(1, result.found.n), result.name


def _attacks(name: str, attacks: Rows) -> AttackResult:
    working = audited(attacks)
    nameable = list(filter(recovered.is_nameable, working))
    middle = median(map(recovered.rank, nameable)) if nameable else inf
    cosines = _known(map(recovered.cosine, nameable))
    return AttackResult(
        name=name,
        drawn=len(attacks),
        failed_implants=sum(row.status == FAILED for row in attacks),
        found=_counted(working, is_flagged),
        right_trigger=_counted(working, recovered.trigger_found),
        target_top1=_counted(working, recovered.target_found),
        ranked=len(nameable),
        median_rank=None if middle == inf else middle,
        concepts=min(filter(None, map(recovered.concepts, nameable)), default=0),
        median_cosine=median(cosines) if cosines else None,
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _score(attacks: Rows, benign: Sequence[Row]) -> TraceScore | None:
    """Of all that were audited; `None` without an attack: then there is nothing to recover."""
    models = [*attacks, *benign]
    if not attacks:
        return None
    decided = [(row.flagged, row.role is Role.ATTACK) for row in models]
    cosines = [recovered.cosine(row) for row in attacks]
    accuracy = competition.accuracy(decided)
    recovery = competition.recovery(cosines)
    without = [row for row in flagged(attacks) if recovered.cosine(row) is None]
    return TraceScore(
        score=competition.score(accuracy, recovery),
        accuracy=accuracy,
        recovery=recovery,
        models=len(models),
        backdoored=len(attacks),
        without_cosine=len(without),
    )


# --- cost -------------------------------------------------------------------------------------------------------


def _costs(rows: Rows) -> tuple[PartCost, ...]:
    """Medians of each part, searches first."""
    found = []
    for channel in Channel:
        mine = [cost for row in rows if (cost := _searched(row, channel)) is not None]
        found.append(_median_cost(f"search through {channel.value}", mine))
    for part in ("pictures", "texts", "concept_prompts"):
        encoded = [float(getattr(one, part)) for row in rows if (one := outcome_of(row).encoded)]
        name = f"measuring: {part.replace('_', ' ')}"
        found.append(_median_cost(name, [(passes, None) for passes in encoded]))
    found.append(_median_cost(WHOLE_AUDIT, [(None, outcome_of(row).seconds) for row in rows]))
    found.append(_median_cost(BUILDING, [(None, row.build_seconds) for row in rows]))
    return tuple(one for one in found if one.audits)


def _searched(row: Row, channel: Channel) -> tuple[float, float] | None:
    """Passes and wall seconds of all searches of a channel; `None` where none ran."""
    mine = [one for one in outcome_of(row).searches if one.channel is channel]
    if not mine:
        return None
    return float(sum(one.passes for one in mine)), sum(one.seconds for one in mine)


def _median_cost(part: str, costs: Sequence[tuple[float | None, float | None]]) -> PartCost:
    passes = _known(one[0] for one in costs)
    seconds = _known(one[1] for one in costs)
    return PartCost(
        part=part,
        audits=len(costs),
        passes=median(passes) if passes else None,
        seconds=median(seconds) if seconds else None,
    )
