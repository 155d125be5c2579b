"""Progress that does nothing until someone listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What is going on, and how much of it is done (`total` is 0 where it is not known)."""

    phase: str
    done: int
    total: int
    note: str = ""


class Progress:
    """Call it with each step; `listen` decides what happens with them."""

    def __init__(
        self,
        listen: Callable[[Step], None] | None = None,
        pause: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._listen = listen
        self._pause = pause

    def __call__(self, phase: str, done: int = 0, total: int = 0, note: str = "") -> None:
        if self._listen is not None:
            self._listen(Step(phase, done, total, note))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing is drawn meanwhile, so that somebody can be asked something."""
        with self._pause():
            yield


SILENT = Progress()
