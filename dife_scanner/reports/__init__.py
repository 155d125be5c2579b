"""Records in, text and pictures out."""

from dife_scanner.reports.text import plain

__all__ = ["plain"]
