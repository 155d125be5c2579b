"""picklescan: lists what a pickle imports, and calls imports dangerous or suspicious by lists of its own.

Its answer is text. Every file is read as a pickle, a zip or a numpy array; what is none of them it says it could not
parse, and ends as if the file were clean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dife_scanner.models.opinions.interface import NotUnderstoodError, Said
from dife_scanner.records import OpinionVerdict

_CLEAN, _DANGEROUS = 0, 1
_COUNTED = re.compile(r"^(Scanned files|Suspicious globals|Dangerous globals): (\d{1,9})$", re.M)
_FOUND = "' FOUND"
_WORDS = ("dangerous", "suspicious", "unknown")
_LISTED, _SUSPICIOUS = "  * ", " - suspicious"
_READ = 1024**2
"""Bytes of the end of an answer that are looked at; the result stands there."""
_NOT_PARSED = "could not parse"


class Picklescan:
    """One run for each file, because it takes one path and passes over unusual names in a folder."""

    name = "picklescan"

    def arguments(self, files: Sequence[Path]) -> list[list[str]]:
        return [["--globals", "--path", str(file)] for file in files]

    def read(self, code: int, answer: bytes) -> Said:
        text = answer[-_READ:].decode("utf-8", "replace")
        # an author can repeat these lines by the name of an import, so that the largest number counts
        counts: dict[str, int] = {}
        for name, digits in _COUNTED.findall(text):
            counts[name] = max(int(digits), counts.get(name, 0))
        details = tuple(filter(None, map(_finding, text.splitlines())))
        if code == _DANGEROUS or counts.get("Dangerous globals"):
            return Said(OpinionVerdict.MALICIOUS, details)
        if code != _CLEAN or "Scanned files" not in counts:
            raise NotUnderstoodError(f"it ended with exit code {code} and no result")
        if counts.get("Suspicious globals"):
            return Said(OpinionVerdict.SUSPICIOUS, details)
        if _NOT_PARSED in text or not counts["Scanned files"]:
            return Said(OpinionVerdict.NOT_RUN, why_not="it reads no such files")
        return Said(OpinionVerdict.CLEAN)


def _finding(line: str) -> str:
    """What a line of the answer names, without the path in front; empty for any other line."""
    if line.startswith(_LISTED) and line.endswith(_SUSPICIOUS):
        return line.removeprefix(_LISTED)
    if line.endswith(_FOUND):
        for word in _WORDS:
            _, import_of, rest = line.partition(f"{word} import '")
            if import_of:
                return f"{import_of}{rest}".removesuffix(" FOUND")
    return ""
