"""Branch swap, component repair and the footprint diagnosis that follows from them (paper §5)."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from dife_scanner.records.vocabulary import Carrier, Channel


@dataclass(frozen=True)
class BranchSwap:
    """a_vt of paper §5: v, t in {0 reference, 1 suspect} for the image and the text branch."""

    readout: str
    a00: float
    a10: float
    a01: float
    a11: float
    n: int
    drawings: int
    mixed_accuracy: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Clean accuracy of the four pairs in the order 00, 10, 01, 11: the interchangeability check."""
    aligned: bool = False
    """Whether the suspect's towers were turned onto the reference's (orthogonal Procrustes) before swapping."""
    mixed_accuracy_before: tuple[float, float, float, float] | None = None
    """The same four before that; `None` where nothing was aligned."""


@dataclass(frozen=True)
class ComponentRepair:
    """What a mechanism-level attack reaches with parts of it repaired (paper §5), each in 0..1."""

    readout: str
    full: float
    """The whole mechanism: the learned prompt and the image trigger."""
    prompt_only: float
    trigger_only: float
    both_clean: float
    """Neither: the reference."""
    n: int
    drawings: int


_P = ParamSpec("_P")


_T = TypeVar("_T")


_decided: ContextVar[bool] = ContextVar("_decided", default=False)


def decided(make: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """`make(...)`, allowed to make a `Diagnosis`. For `core.footprint.diagnose`, which decides one, and
    `store.codec.restore`, which reads one that was decided and kept; a test sees to it that nothing else calls this.
    """
    token = _decided.set(True)
    try:
        return make(*args, **kwargs)
    finally:
        _decided.reset(token)


@dataclass(frozen=True)
class Diagnosis:
    """Which component carries the exposure, decided before any profile is measured (paper §5).

    Only `core.footprint.diagnose` makes one; calling this class raises `TypeError`.
    """

    carrier: Carrier
    channel: Channel
    signal: float
    vrs: float
    """Of a branch swap; after component repair the same ratio with `trigger only` as a10 …"""
    trs: float
    """… and `prompt only` as a01."""
    css: float
    reason: str
    predicted: tuple[str, ...] = ()
    """Interfaces that run the carrier and are well formed under the condition: where exposure is expected."""
    diagnostic: str = ""
    """The interface whose readout decided: its cell repeats a11 and never counts as agreement."""

    def __post_init__(self) -> None:
        if not _decided.get():
            raise TypeError(
                "a Diagnosis is decided by core.footprint.diagnose(evidence, condition), "
                "or read back by store.codec.restore; it cannot be written down"
            )
