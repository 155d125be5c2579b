"""A step of a search that memory is too short for is made again with less held at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from dife_scanner.models.device_faults import is_used_up

if TYPE_CHECKING:
    from dife_scanner.models.gradient import Towers

log = logging.getLogger(__name__)

T = TypeVar("T")


def backing_off(towers: Sequence[Towers], inputs: int, step: Callable[[], T]) -> T:
    """What a step of so many pictures comes to; where memory is used up it is made again, in ever smaller parts.

    First layers are recomputed on the way back, which changes no number. Then each part has half as many inputs, and
    the last bits of sums may change. Passes of what failed do not count. What holds less stays so.

    Raises the error where one picture at a time is too much as well.
    """
    before = [one.passes for one in towers]
    while True:
        try:
            return step()
        except (RuntimeError, MemoryError) as error:
            able = is_used_up(error) and any(one.holds_less(inputs) for one in towers)
            if not able:
                raise
            log.warning("%s; going on with %s", error, [one.way_back for one in towers])
        for one, passes in zip(towers, before, strict=True):
            one.passes = passes
        _let_go()


def _let_go() -> None:
    """What torch keeps of a GPU's memory for later is free for the next try."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
