"""What a scanner has to offer for a second opinion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dife_scanner.plain import plain
from dife_scanner.records import OpinionVerdict

MOST_DETAILS = 10
_LONGEST_DETAIL = 200


@dataclass(frozen=True)
class OpinionLimits:
    """What one scanner may use for one checkpoint."""

    seconds: float
    memory_mib: int


@dataclass(frozen=True)
class Said:
    """What a scanner's answer comes to."""

    verdict: OpinionVerdict
    details: tuple[str, ...] = ()
    why_not: str = ""


class NotUnderstoodError(Exception):
    """An answer in another form than this scanner's; the message is safe to show."""


class Scanner(Protocol):
    """One kind of scanner."""

    @property
    def name(self) -> str:
        """Of the program, and of the package that brings it."""

    def arguments(self, files: Sequence[Path]) -> list[list[str]]:
        """The arguments of each run that is needed for these files."""

    def read(self, code: int, answer: bytes) -> Said:
        """What one run says by its exit code and its standard output. Raises `NotUnderstoodError`.

        Files can make a scanner print what their author wrote: nothing in the answer may make the verdict milder.
        """


_ORDER = (
    OpinionVerdict.MALICIOUS,
    OpinionVerdict.SUSPICIOUS,
    OpinionVerdict.CLEAN,
    OpinionVerdict.NOT_RUN,
)


def together(parts: Sequence[Said]) -> Said:
    """One opinion from those about single files: the worst that any of them says."""
    worst = min(parts, key=lambda said: _ORDER.index(said.verdict))
    details = [detail for said in parts for detail in said.details]
    if worst.verdict is OpinionVerdict.NOT_RUN:
        return Said(worst.verdict, shown(details), worst.why_not)
    unread = [said.why_not for said in parts if said.verdict is OpinionVerdict.NOT_RUN]
    if unread:
        details.append(f"no opinion on {len(unread)} of {len(parts)} files: {unread[0]}")
    return Said(worst.verdict, shown(details))


def shown(details: Sequence[str]) -> tuple[str, ...]:
    """The first few different ones, safe to show, and how many more there are."""
    different = list(dict.fromkeys(details))
    kept = [plain(detail, _LONGEST_DETAIL) for detail in different[:MOST_DETAILS]]
    if len(different) > MOST_DETAILS:
        kept.append(f"and {len(different) - MOST_DETAILS} more")
    return tuple(kept)
