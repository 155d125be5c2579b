"""Sentences, labels and formats made from records: what terminal, window, mail and reports say alike. Pure.

Strings that a stranger wrote pass through unchanged; whoever shows a line escapes it with `plain`.
"""

from dife_scanner.plain import plain

__all__ = ["plain"]
