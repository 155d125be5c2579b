"""How one revision of a repository stands to the one that was audited before it."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.checkpoints import ModelRef
from dife_scanner.records.vocabulary import Verdict


@dataclass(frozen=True)
class TensorMark:
    """What is kept of a tensor once the weights are gone."""

    name: str
    sha256: str
    """Of its shape and float32 values: the same in every precision that holds them exactly."""
    sample: tuple[float, ...]
    """Eight of its values, evenly spaced."""


@dataclass(frozen=True)
class MovedTensor:
    """A tensor whose values differ."""

    name: str
    distance: float | None
    """Of the kept values to the earlier ones, in lengths of the earlier ones; `None` where that is no number."""


@dataclass(frozen=True)
class ExposureChange:
    """One cell of the exposure profile in both audits, each under the trigger that it examined."""

    interface: str
    metric: str
    before: float | None
    """Value with the trigger; `None` where it was not measured."""
    after: float | None


@dataclass(frozen=True)
class Movement:
    """What moved since another revision of the same repository was audited."""

    since: ModelRef
    audit_id: str
    """Of the earlier revision."""
    before: Verdict
    after: Verdict
    tensors: int
    """In either revision."""
    moved: int
    """Those with other values, and those that only one of the two has."""
    distance: float | None
    """Over the kept values of all tensors that both have; `None` where that is no number."""
    largest: tuple[MovedTensor, ...]
    """Up to five that both have, those that moved furthest first."""
    exposures: tuple[ExposureChange, ...]
    """Cells that either audit measured."""
