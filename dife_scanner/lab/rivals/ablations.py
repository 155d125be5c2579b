"""Our own searches less one of their terms, to measure what each term is worth (docs/detection-benchmark.md).

Each variant overrides one decision of the product's search and leaves the rest as it is; no audit runs any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dife_scanner.discovery.interface import Task
from dife_scanner.discovery.pictures import PATCH, ImageSearch
from dife_scanner.discovery.texts import TextSearch
from dife_scanner.discovery.wording import Ids, Wording
from dife_scanner.discovery.wording_scorer import WordingScorer


class _ScorerWithoutBase(WordingScorer):
    """The suspect alone decides what a text gains, yet token rows are compared with the reference's."""

    def _fine_tuned_rows(self) -> tuple[int, ...]:
        return self._compared_rows()


class _ScorerWithoutFingerprint(WordingScorer):
    """No token row shows where to search first."""

    def _fine_tuned_rows(self) -> tuple[int, ...]:
        return ()


class _ScorerWithoutMeaning(WordingScorer):
    """A text may say the target or any class, and its source noun need not be lost."""

    def names_target(self, ids: Ids, target: int) -> bool:
        return False

    def becomes_target(self, wording: Wording, target: int, *, noun_must_be_lost: bool) -> bool:
        return True


@dataclass(frozen=True)
class _TextSearchWithoutBase(TextSearch):
    has_base: bool = False

    def scorer(self, task: Task) -> WordingScorer:
        return _ScorerWithoutBase(task, has_base=False)


@dataclass(frozen=True)
class _TextSearchWithoutFingerprint(TextSearch):
    def scorer(self, task: Task) -> WordingScorer:
        return _ScorerWithoutFingerprint(task)


@dataclass(frozen=True)
class _TextSearchWithoutMeaning(TextSearch):
    def scorer(self, task: Task) -> WordingScorer:
        return _ScorerWithoutMeaning(task)


TEXTS_WITHOUT: Mapping[str, TextSearch] = {
    "base": _TextSearchWithoutBase(),
    "fingerprint": _TextSearchWithoutFingerprint(),
    "meaning": _TextSearchWithoutMeaning(),
}
"""Variants of the detector `texts`, by the term that is left out."""
PATCH_WITHOUT_BASE: ImageSearch = PATCH.alone()
"""The detector `patch` without its base term: the search for a checkpoint without a base, run on one that has one.

Which towers moved is still taken from the base.
"""
