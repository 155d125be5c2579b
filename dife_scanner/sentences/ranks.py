"""What a trigger does to the order of what is found or selected, in words."""

from __future__ import annotations

from dife_scanner.records import Audit, Cell
from dife_scanner.sentences.numbers import number, signed

_MRR, _MRR_CHANGE, _FIRST_FIVE = "mrr", "delta_mrr", "h5"


def rank_lines(audit: Audit) -> list[str]:
    """One line for each interface that ranks."""
    lines = []
    for entry in audit.profile:
        if isinstance(entry, Cell) and _MRR in entry.details:
            lines.append(_line(entry))
    return lines


def _line(cell: Cell) -> str:
    """How often the target comes first, and how far it moves up."""
    details = cell.details
    k = cell.metric.rpartition("@")[2]
    place = "first" if k == "1" else f"among the first {k}"
    text = (
        f"{cell.interface}: the target comes {place} in {number(cell.attack.value)} of the cases with the trigger,"
        f" in {number(cell.reference.value)} without ({cell.reference_condition})"
    )
    if _FIRST_FIVE in details and k != "5":
        text += f"; among the first five in {number(details[_FIRST_FIVE])} with it"
    text += f"; mean reciprocal rank {number(details[_MRR])}"
    if _MRR_CHANGE in details:
        text += f", {signed(details[_MRR_CHANGE])} by the trigger"
    return text
