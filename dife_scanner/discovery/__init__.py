"""Blind search for triggers, one file per detector; `names` says which of them an audit runs at a budget.

Reading order: `interface` and `effort`, then

- texts: `texts` runs `sensitivity_scan`, `slot_seeds` (with `slot_inversion`), `close_search` (with `beam`),
  `noun_scan` and `text_candidates`, then beyond the labelled classes `open_scan` (with `concept_reading`)
  and `open_texts`; what texts gain and mean is in `wording`, `checkpoint_scores`, `word_meaning` and `wording_scorer`;
- pictures: `pictures` runs `image_inversion`, over `pattern_families` and towards `inversion_objectives`; beyond the
  labelled classes `open_targets` and `unnamed_targets` say what triggered pictures come to;
- both together: `joint` extends that by `joint_objectives`, `trigger_strings` (with `beam`) and `string_scorer`;
- prompt learners: `learned` extends it by `learned_prompts`;
- any of them with the effort of a smaller budget: `lowered`.
"""

from dife_scanner.discovery.interface import (
    Cancelled,
    Candidate,
    Detector,
    Load,
    SearchResult,
    Task,
)
from dife_scanner.discovery.joint import JOINT
from dife_scanner.discovery.learned import LEARNED
from dife_scanner.discovery.lowered import Lowered, ways
from dife_scanner.discovery.pictures import (
    FAINT,
    PATCH,
    WARP_AND_COLOUR,
)
from dife_scanner.discovery.texts import TEXTS, scanned_texts
from dife_scanner.records import Budget

DETECTORS: tuple[Detector, ...] = (
    TEXTS,
    PATCH,
    FAINT,
    WARP_AND_COLOUR,
    JOINT,
    LEARNED,
)
"""All there are, in the order they run."""
_AT_EVERY_BUDGET = (TEXTS, PATCH, FAINT, WARP_AND_COLOUR)
_BY_BUDGET: dict[Budget, tuple[Detector, ...]] = {
    Budget.QUICK: _AT_EVERY_BUDGET,
    Budget.DEFAULT: (*_AT_EVERY_BUDGET, JOINT),
    Budget.DEEP: (*_AT_EVERY_BUDGET, JOINT),
}

__all__ = [
    "DETECTORS",
    "LEARNED",
    "Cancelled",
    "Candidate",
    "Detector",
    "Load",
    "Lowered",
    "SearchResult",
    "Task",
    "names",
    "scanned_texts",
    "ways",
]


def names(budget: Budget) -> tuple[str, ...]:
    """The detectors that every checkpoint is searched with at this budget, by name.

    `LEARNED` is not among them: an audit adds it, at every budget, where a prompt learner came with the checkpoint.
    """
    return tuple(detector.name for detector in _BY_BUDGET[budget])
