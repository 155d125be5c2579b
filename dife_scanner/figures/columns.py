"""Columns side by side on one axis from zero: a histogram, or a value for each of many things in their order."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.figures.colours import Scheme


@dataclass(frozen=True)
class Column:
    """One of them."""

    name: str
    number: str
    """Its value in words."""
    share: float | None
    """Of the full height, 0..1; `None` where there is no number: drawn hatched, never as a zero."""
    marked: bool = False
    """Whether it is the audited model's own: drawn with a triangle above it."""

    def fill(self, scheme: Scheme) -> str:
        """`#rrggbb` of the column."""
        return scheme.drift if not self.marked else scheme.whole


@dataclass(frozen=True)
class Columns:
    """All of them, in the order they are drawn."""

    title: str
    columns: tuple[Column, ...]
    top: str
    """The number that the full height stands for."""
    across: str
    """What the columns are, with the unit."""
    upwards: str
    """What their heights are, with the unit."""
    sentence: str
    """What it shows, for screen readers and where nothing can be drawn."""
    mark: str = ""
    """What the triangle stands for; empty where none is drawn."""

    @property
    def legend(self) -> str:
        """Units and marks in one line."""
        mark = f" {self.mark}." if self.mark else ""
        return f"Height: {self.upwards}. Columns: {self.across}.{mark}"
