"""What a fault in one stage of an audit costs: a gap with a name and a reason, never what other stages found.

Some things are no gaps. A full disk is raised as `DiskFull`, so that the job is tried again; what searches finished is
kept, and makes that cheap. A process out of memory ends with its limit, one whose device is gone with that. Whoever
cancels a search ends it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TypeVar

from dife_scanner.discovery import Cancelled
from dife_scanner.durable.disk import raise_where_full
from dife_scanner.errors import DeviceLost, DifeError
from dife_scanner.models import device_faults
from dife_scanner.records import Gap

log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")


def raise_where_final(error: Exception) -> None:
    """Raise on what no stage can go on after; return for any other fault."""
    raise_where_full(error)
    if isinstance(error, (MemoryError, Cancelled, DeviceLost)):
        raise error
    of_device = device_faults.as_ours(error)
    if of_device is not None:
        raise of_device from error


def reason(error: Exception, stage: str) -> str:
    """The fault in words, for the record. An unforeseen one is logged with its traceback.

    Raises `DiskFull`, `MemoryError` and `Cancelled`, and what `device_faults` makes of a device's.
    """
    raise_where_final(error)
    if isinstance(error, DifeError):
        log.warning("%s: %s", stage, error.what)
        return error.what
    log.error("%s: an unforeseen error", stage, exc_info=error)
    return f"internal error: {type(error).__name__}: {error}"


def gaps_of(untried: Mapping[str, Exception]) -> tuple[Gap, ...]:
    """One gap per signature that could not be tried."""
    found = []
    for name, error in untried.items():
        stage = f"test of `{name}`"
        found.append(Gap(stage, reason(error, stage)))
    return tuple(found)


class Gaps:
    """Runs stages of one audit, and collects what faults kept from being done."""

    def __init__(self) -> None:
        self._found: list[Gap] = []

    def attempt(self, stage: str, do: Callable[[], T], instead: U) -> T | U:
        """What `do` returns; `instead`, with a gap named `stage`, where it raises."""
        try:
            return do()
        except Exception as error:
            self.add(stage, reason(error, stage))
            return instead

    def add(self, stage: str, why: str) -> None:
        """Note a gap."""
        self._found.append(Gap(stage, why))

    @property
    def found(self) -> tuple[Gap, ...]:
        """In the order in which they came up."""
        return tuple(self._found)
