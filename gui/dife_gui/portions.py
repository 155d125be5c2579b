"""Work on many things in parts, one after another on the thread of the store: between two parts others come to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dife_scanner.errors import DifeError
from dife_scanner.store.db import Store

P = TypeVar("P")
R = TypeVar("R")

Run = Callable[[Callable[[Store], Any], Callable[[Any], None], Callable[[DifeError], None]], None]
"""`Background.read` or `Background.write`."""


def in_portions(
    run: Run,
    parts: Sequence[P],
    does: Callable[[Store, P], R],
    progress: Callable[[int], None],
    done: Callable[[list[R]], None],
    failed: Callable[[list[R], DifeError], None],
) -> None:
    """Do each part once the one before is done; `progress` gets how many are, where more follow.

    Ends with `done` and all results, or at the first error with those so far.
    """
    results: list[R] = []

    def go_on() -> None:
        if len(results) == len(parts):
            done(results)
            return
        part = parts[len(results)]
        run(lambda store: does(store, part), came, lambda error: failed(results, error))

    def came(result: R) -> None:
        results.append(result)
        if len(results) < len(parts):
            progress(len(results))
        go_on()

    go_on()
