"""The reverse search: the same searches for triggers of the base that the suspect lacks, if it lost clean accuracy.

Two models that lie far apart differ both ways: each responds to something that the other does not, and what is found in
the suspect need be no trace of a trigger that somebody planted. A base has nothing of the kind over a checkpoint that
was tuned for an attack and little else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from dife_scanner.audit import hypotheses, search
from dife_scanner.audit.sides import Pair, Side
from dife_scanner.audit.stages import Splits
from dife_scanner.core import checks
from dife_scanner.models.interface import Encoder
from dife_scanner.progress import Progress, Step
from dife_scanner.records import Channel, Hypothesis, Interval, Origin, ReverseSearch, Search
from dife_scanner.sentences.work_plan import reverse_not_reached_text

T = TypeVar("T")

CHANNELS = (Channel.IMAGE, Channel.TEXT)
"""What is searched the other way round. What acts in both is held against either half alone in either model already,
and a prompt learner has no base."""


def accuracy_lost(test: Pair[Side]) -> float:
    """Clean accuracy of the base less the suspect's on held-out pictures, -1..1."""
    return test.reference.accuracy - test.suspect.accuracy


def searched(
    results: Sequence[Hypothesis],
    encoders: Pair[Encoder],
    splits: Splits,
    options: search.Options,
    progress: Progress,
) -> tuple[tuple[Hypothesis, ...], str]:
    """The same hypotheses; those that nothing else stands against, with what the reverse search found in the base.

    Second, what of it could not run, in words. Then it says nothing for a trigger; what it found may speak against one.
    """
    if not options.plan.detectors:
        return tuple(results), "this audit runs no searches"
    concerned = [_concerned(one) for one in results]
    if accuracy_lost(splits.test) < checks.ACCURACY_LOST or not any(concerned):
        return tuple(results), ""
    if options.plan.work is not None and not options.plan.work.reverse:
        return tuple(results), reverse_not_reached_text(options.plan.work)
    every, failed = _found(_swapped(encoders), splits.exchanged(), options, progress)
    out = []
    for result, is_concerned in zip(results, concerned, strict=True):
        alike = _alike(every.results, result)
        with_found = replace(result, exchanged=_strongest(alike, every.searches))
        counts = is_concerned and (not failed or _stands_against(with_found))
        out.append(with_found if counts else result)
    return tuple(out), failed


def _alike(found: Sequence[Hypothesis], result: Hypothesis) -> list[Hypothesis]:
    """What was found in the base whose target has a name, or has none, as the result's."""
    unnamed = result.trigger.unnamed_target
    return [row for row in found if row.trigger.unnamed_target is unnamed]


def _stands_against(row: Hypothesis) -> bool:
    return checks.REVERSE_SEARCH in checks.not_passed(checks.run_all(row))


def _concerned(row: Hypothesis) -> bool:
    searchable = row.origin is not Origin.KNOWN and row.trigger.channel in CHANNELS
    return searchable and checks.open_but_for_drawings(checks.run_all(row))


def _found(
    encoders: Pair[Encoder],
    splits: Splits,
    options: search.Options,
    progress: Progress,
) -> tuple[search.Discovered, str]:
    """What the searches find in the first of these; finished ones have names of their own.

    Second, which searches a fault or the time limit ended, and why.
    """

    def tell(step: Step) -> None:
        progress(f"reverse search: {step.phase}", step.done, step.total, step.note)

    able = [one for one in search.detectors(options.plan.detectors) if one.channel in CHANNELS]
    plan = replace(options.plan, detectors=tuple(one.name for one in able))
    options = replace(options, plan=plan, reverse=True, learner=None)
    found = search.discover(encoders, splits, options, Progress(tell))
    reasons: dict[str, list[str]] = {}
    for one in found.failed:
        reasons.setdefault(one.reason, []).append(one.detector)
    failed = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
    return replace(found, results=hypotheses.corrected(found.results)), failed


def _strongest(rows: Sequence[Hypothesis], searches: Sequence[Search]) -> ReverseSearch:
    """The strongest of the triggers found in the base, and what the searches took."""
    passes = sum(one.passes for one in searches)
    seconds = round(sum(one.seconds for one in searches), 3)
    best = max(rows, key=_rank, default=None)
    if best is None:
        return ReverseSearch(passes, seconds)
    in_base, in_suspect, effect = _measured(best)
    if effect is None:
        return ReverseSearch(passes, seconds)
    trigger = best.trigger
    return ReverseSearch(
        passes=passes,
        seconds=seconds,
        kind=trigger.kind,
        text=trigger.text,
        source=trigger.source,
        target=trigger.target,
        base=round(in_base, 6),
        suspect=round(in_suspect, 6),
        low=round(effect.low, 6),
        demonstrated=_demonstrated(best),
    )


def _measured(row: Hypothesis) -> tuple[float, float, Interval | None]:
    """Success in the base and in the suspect, and the interval between, of a trigger found in the base."""
    space = row.picture_space
    if space is not None:
        return space.suspect, space.reference, space.effect
    return row.suspect or 0.0, row.reference or 0.0, row.effect


def _rank(row: Hypothesis) -> tuple[bool, float]:
    _, _, effect = _measured(row)
    return _demonstrated(row), effect.low if effect else 0.0


def _demonstrated(row: Hypothesis) -> bool:
    """Whether it passes every check that applies without looking at other clean references."""
    return row.origin is Origin.DISCOVERED and checks.demonstrated(checks.run_all(row))


def _swapped(pair: Pair[T]) -> Pair[T]:
    return Pair(pair.reference, pair.suspect)
