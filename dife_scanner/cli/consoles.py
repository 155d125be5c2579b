"""Consoles of Rich. Its own ends the program with code 1 where nobody reads its output any more."""

from __future__ import annotations

from rich.console import Console


class Results(Console):
    """For standard output; `streams.for_whoever_reads` takes care of a reader that went away."""

    def on_broken_pipe(self) -> None:
        """Let the `BrokenPipeError` through, which is handled just now."""
        raise


class Talk(Console):
    """For standard error, which may go unread while the command goes on."""

    def on_broken_pipe(self) -> None:
        """Say nothing any more."""
        self.quiet = True
