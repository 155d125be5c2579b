"""What another scanner says of the same files."""

from __future__ import annotations

from dataclasses import dataclass

from dife_scanner.records.vocabulary import OpinionVerdict


@dataclass(frozen=True)
class Opinion:
    """Evidence beside our own judgement; it never decides anything."""

    tool: str
    version: str
    """Empty where it does not say."""
    verdict: OpinionVerdict
    details: tuple[str, ...] = ()
    """What it found, in its own words, made safe to show."""
    why_not: str = ""
    """Why there is no opinion; empty where there is one."""
