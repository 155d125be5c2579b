"""What an audit's time was for, what it was too short for, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.records import Audit, Budget, PlannedSearch, WorkPlan
from dife_scanner.sentences.numbers import count, number, signed
from dife_scanner.sentences.times import span_text

GO_ON = "`dife scan --more` with this audit's id goes on from there"


def not_reached_text(work: WorkPlan, search: PlannedSearch) -> str:
    """Why one search did not run."""
    return f"not reached in the {span_text(work.seconds)} granted; here it takes {_takes(work, search)}"


def lowered_text(work: WorkPlan, search: PlannedSearch, effort: Budget) -> str:
    """Why a search made a smaller effort than the audit's budget says."""
    return (
        f"made as at {effort}, since the {span_text(work.seconds)} granted are too short for more; in full it takes "
        f"{_takes(work, search)} here"
    )


def reverse_not_reached_text(work: WorkPlan) -> str:
    """Why no reverse search ran."""
    return f"the {span_text(work.seconds)} granted are too short for it"


def ended_text(demonstrated: str) -> str:
    """Why a search did not run whose channel had ended. `demonstrated`: name of the trigger that ended it."""
    shown = f"`{demonstrated}`" if demonstrated else "a trigger"
    return f"not run: the channel ended early as {shown} was demonstrated"


def precision_text(bfloat16: Sequence[str]) -> str:
    """What searches read in which precision, where that was not float32 for all."""
    return f"Searches read {' and '.join(bfloat16)} in bfloat16, which is quicker here; all that is measured is float32"


def plan_lines(audit: Audit) -> tuple[str, ...]:
    """What the time was for, in which precision, and what is left; nothing for an audit whose searches all ran at once
    in float32.
    """
    if audit.plan is None:
        return ()
    lines = _time_lines(audit.id, audit.plan.work) if audit.plan.work else ()
    if audit.plan.bfloat16:
        lines = (precision_text(audit.plan.bfloat16), *lines)
    if not audit.plan.ended:
        return lines
    names = ", ".join(audit.plan.ended)
    return (*lines, f"`dife scan --more {audit.id} --all` makes what was not run: {names}")


def _time_lines(audit_id: str, work: WorkPlan) -> tuple[str, ...]:
    lines = [f"Planned for {span_text(work.seconds)}: {_searches(work, work.searches)}"]
    if work.after:
        lines[0] += f"; goes on from audit {work.after}"
    lowered = {one.detector for one in work.searches if one.effort}
    for what, searches in (
        ("Not reached", [one for one in work.not_reached if one.detector not in lowered]),
        ("Not in full", [one for one in work.not_reached if one.detector in lowered]),
    ):
        if searches:
            lines.append(f"{what}: {_searches(work, searches)}")
    if not work.reverse:
        lines.append(f"No reverse search: {reverse_not_reached_text(work)}")
    if work.is_cut:
        lines.append(f"`dife scan --more {audit_id}` goes on from here")
    return tuple(lines)


def as_far_text(audit: Audit) -> str:
    """Why an audit that left searches out is not made again."""
    if audit.plan is not None and audit.plan.is_whole:
        return f"audit {audit.id} searched the same in bfloat16"
    if audit.plan is not None and audit.plan.ended:
        return f"audit {audit.id} ended early as well; `dife scan --more {audit.id} --all` makes what was not run"
    return f"audit {audit.id} had as much time; `dife scan --more {audit.id}` goes on from there"


def more_time_text(audit: Audit) -> str:
    """What would reach the rest."""
    names = ", ".join(f"`{one.detector}`" for one in audit.not_searched if one.unreached)
    takes = ""
    if audit.plan is not None and audit.plan.work is not None:
        work = audit.plan.work
        seconds = sum(work.seconds_of(one) for one in work.not_reached)
        takes = f", about {span_text(seconds)}"
    return f"the searches that were not reached ({names}{takes}): `dife scan --more {audit.id}`"


def _searches(work: WorkPlan, searches: Sequence[PlannedSearch]) -> str:
    texts = []
    for one in searches:
        name = f"{one.detector} as at {one.effort}" if one.effort else one.detector
        texts.append(f"{name} ({_passes(one)}, {_takes(work, one)})")
    return ", ".join(texts) or "no search"


def _passes(search: PlannedSearch) -> str:
    """`9,100 pictures and 200 texts`, in passes through a tower."""
    parts = []
    if search.images:
        parts.append(f"{search.images:,} pictures")
    if search.texts:
        parts.append(f"{search.texts:,} texts")
    return " and ".join(parts) or "no passes"


def _takes(work: WorkPlan, search: PlannedSearch) -> str:
    return f"about {span_text(work.seconds_of(search))}"


# --- while searches run -----------------------------------------------------------------------------------------


def found_text(candidates: int, best: float) -> str:
    """`3 candidates, the best +0.910 over the base`."""
    return f"{count(candidates, 'candidate')}, the best {signed(best)} over the base"


def rates_text(seconds_per_image: float, seconds_per_text: float) -> str:
    """`22 pictures/s, 450 texts/s`, as measured; empty where neither was."""
    parts = []
    for seconds, noun in ((seconds_per_image, "pictures"), (seconds_per_text, "texts")):
        if seconds > 0:
            parts.append(f"{number(1 / seconds, 0 if seconds < 0.1 else 1)} {noun}/s")
    return ", ".join(parts)


def left_text(seconds: float) -> str:
    """`about 12 min left`."""
    return f"about {span_text(max(0.0, seconds))} left"
