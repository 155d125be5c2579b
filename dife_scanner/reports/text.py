"""Strings for showing. The window takes `plain` from here, because it knows the reports and not the core."""

from dife_scanner.core.plain import plain

__all__ = ["plain"]
