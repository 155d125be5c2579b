"""Signs of life of this process, given wherever work may take long without asking whether it is to stop.

They are counted in memory that the parent shares where it watches this process (`queue/hanging`), and nowhere else.
"""

from __future__ import annotations

from typing import Any

_counts: list[Any] = []
"""The count of this process; none where nobody watches it."""


def count_in(count: Any) -> None:
    """From now on count signs of life of this process in `count`, which has a `value`."""
    _counts[:] = [count]


def sign() -> None:
    """Give a sign of life."""
    for count in _counts:
        count.value += 1
