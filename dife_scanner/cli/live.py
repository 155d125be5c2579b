"""Progress as a person watches it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from dife_scanner.plain import plain
from dife_scanner.progress import Progress, Step

LINE_EVERY_SECONDS = 5.0
_LONGEST_NOTE = 110
"""Characters beside the bar: time left, what is found so far, and how fast it is."""


@contextmanager
def live(console: Console) -> Iterator[Progress]:
    """One bar that follows the current phase; on a console without a terminal, a line per phase."""
    if not console.is_terminal:
        yield Progress(_Lines(console))
        return
    bars = RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
        console=console,
        transient=True,
    )
    with bars:
        task = bars.add_task("starting", total=None, note="")

        def show(step: Step) -> None:
            bars.update(
                task,
                description=plain(step.phase, 40),
                completed=step.done,
                total=step.total or None,
                note=plain(step.note, _LONGEST_NOTE),
            )

        @contextmanager
        def pause() -> Iterator[None]:
            bars.stop()
            try:
                yield
            finally:
                bars.start()

        yield Progress(show, pause)


class _Lines:
    """A line when the phase changes, and one every few seconds within a phase."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase, self._at = "", 0.0

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        if step.phase == self._phase and now - self._at < LINE_EVERY_SECONDS:
            return
        self._phase, self._at = step.phase, now
        share = f" {step.done:,} of {step.total:,}" if step.total else ""
        self._console.print(Text(plain(f"{step.phase}{share} {step.note}".rstrip(), 160)))
