"""The panels of one audit: which pictures a trigger between any two concepts is confirmed and diagnosed on.

Within the labelled classes these are the labelled pictures as they are. Beyond them it is a panel (`audit.panel`) where
the base recognises pictures of both ends. A text without pictures is measured in text space (`audit.text_space`).
"""

from __future__ import annotations

from functools import cached_property

from dife_scanner.audit import qualification
from dife_scanner.audit.panel import panel, with_target
from dife_scanner.audit.probes import Probes
from dife_scanner.audit.qualification import Qualified
from dife_scanner.core import metrics
from dife_scanner.core.directions import Directions
from dife_scanner.errors import MeasurementError
from dife_scanner.models.interface import Encoder


class Panels:
    """The labelled pictures of an audit, with those of any qualified concept where a trigger is about one."""

    def __init__(self, labelled: Probes, known: Qualified | None, base: Encoder) -> None:
        """`known` is what the `base` recognises of the wide probe set; `None` where that was not measured."""
        self._labelled = labelled
        self._known = known
        self._base = base
        self._made: dict[tuple[str, str], Probes | None] = {}

    @property
    def concepts(self) -> tuple[str, ...]:
        """Every name of the wide probe set, recognised or not; none where nothing was measured of it."""
        return self._known.wide.names if self._known is not None else ()

    @property
    def recognised(self) -> tuple[str, ...]:
        """Those of them that the base recognises."""
        return self._known.concepts if self._known is not None else ()

    def of(self, source: str, target: str) -> Probes | None:
        """Pictures with a source (empty: any) and a target among their classes.

        `None` where the source has none, or the target of a source: of anything that comes to it, its prompt is enough.
        """
        ends = {source, target} - {""}
        if ends <= set(self._labelled.class_names):
            return self._labelled
        key = (source, target)
        if key not in self._made:
            self._made[key] = self._make(source, target)
        return self._made[key]

    def _make(self, source: str, target: str) -> Probes | None:
        if not source and target not in self.recognised:
            return with_target(self._labelled, self._directions_with(target), target)
        if self._known is None:
            return None
        try:
            return panel(self._labelled, self._known, self._directions, source, target).probes
        except MeasurementError:  # no pictures of an end, or both mean the same
            return None

    @cached_property
    def _directions(self) -> Directions:
        """Of the labelled classes and everything that is recognised, in the base."""
        return self._directions_with()

    def _directions_with(self, *further: str) -> Directions:
        """The same, and of other names."""
        names = tuple(dict.fromkeys((*self._labelled.class_names, *self.recognised, *further)))
        texts = self._base.encode_texts(qualification.prompts_of(names))
        return Directions.of(names, metrics.class_prompts(texts, len(names)))
