"""How a checkpoint's tokenizer differs from its base's, in words."""

from __future__ import annotations

from collections.abc import Sequence

from dife_scanner.records import Audit

NAMED = 3
"""Differences that a note names; of more it says how many."""


def difference_note(differences: Sequence[str], base: str) -> str:
    """What an audit says of a checkpoint that reads texts otherwise than its base.

    >>> difference_note(["17 merges differ"], "vit")
    "its tokenizer is not vit's: 17 merges differ; texts were measured as each cuts them"
    """
    told = list(differences[:NAMED])
    if len(differences) > NAMED:
        told.append(f"{len(differences) - NAMED} more")
    return (
        f"its tokenizer is not {base}'s: {', '.join(told)}; texts were measured as each cuts them"
    )


def tokenizer_lines(audit: Audit) -> tuple[str, ...]:
    """Every difference of the checkpoint's tokenizer from its base's, a line each."""
    return tuple(f"tokenizer: {one}" for one in audit.tokenizer_differences)
