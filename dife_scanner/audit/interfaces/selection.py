"""Selection: one candidate of a fixed group is chosen by its score with a text.

The reference is the clean checkpoint's clean selector *with the clean query* (paper, deployment extensions), so a
difference mixes what the trigger does with what changed anyway; `Cell.trigger` and `Cell.drift` are the two parts.
Where the condition has no text trigger the two clean selectors stand side by side as a selector control.
"""

from __future__ import annotations

import numpy as np

from dife_scanner.audit.interfaces.ranking import (
    over_groups,
    over_test_lists,
    selected,
    target_first,
)
from dife_scanner.audit.interfaces.registry import interface
from dife_scanner.audit.interfaces.retrieval import target_drawings
from dife_scanner.audit.interfaces.subject import Subject
from dife_scanner.audit.populations import GENERATOR_GROUPS, PROXY_GROUPS
from dife_scanner.core.cards import (
    CANDIDATE_SELECTION,
    GENERATOR_SELECTION,
    PROXY_SELECTION,
    Card,
)
from dife_scanner.core.metrics import Indices
from dife_scanner.errors import MeasurementError
from dife_scanner.records import Cell, SelectorControl

GROUP_SIZE = 10


@interface(CANDIDATE_SELECTION)
def candidates(card: Card, subject: Subject) -> Cell | SelectorControl:
    """Groups of ten labelled pictures: one of the target, one of the source, eight of anything else."""
    groups = _groups(card, subject)
    targets = target_first(groups)
    cases = over_test_lists(subject, groups, targets)
    population = subject.labelled(
        "candidate groups",
        lists=groups,
        targets=targets,
        queries=subject.source_queries,
    )
    return selected(card, subject, cases, population)


def _groups(card: Card, subject: Subject) -> Indices:
    """One group [g, 10] for each target drawing, which stands first. Raises `MeasurementError`."""
    rng = subject.rng(card)
    is_source = subject.labels == subject.source
    sources = np.flatnonzero(is_source)
    others = np.flatnonzero(~is_source & (subject.labels != subject.target))
    _check_enough(len(sources), len(others))
    groups = []
    for _, views in target_drawings(subject):
        # So that the clean query has one right answer in every group.
        source = rng.choice(sources)
        rest = rng.choice(others, size=GROUP_SIZE - 2, replace=False)
        groups.append([views[0], source, *rest])
    return np.array(groups, np.intp)


def _check_enough(sources: int, others: int) -> None:
    """Raise `MeasurementError` where no group can be filled."""
    if sources and others >= GROUP_SIZE - 2:
        return
    raise MeasurementError(
        f"the pool has {sources} pictures of the source and {others} of other classes; "
        f"a group needs 1 and {GROUP_SIZE - 2}",
        "use a larger budget or more pictures",
    )


@interface(PROXY_SELECTION)
def proxy(card: Card, subject: Subject) -> Cell | SelectorControl:
    """Groups of ten natural pictures with two of the target; no generator takes part."""
    return _grouped(card, subject, PROXY_GROUPS)


@interface(GENERATOR_SELECTION)
def generator(card: Card, subject: Subject) -> Cell | SelectorControl:
    """Groups of six pictures made beforehand by a clean generator, one of the target."""
    return _grouped(card, subject, GENERATOR_GROUPS)


def _grouped(card: Card, subject: Subject, kind: str) -> Cell | SelectorControl:
    cases, manifest = over_groups(subject, kind)
    return selected(card, subject, cases, subject.populations.used(manifest))
