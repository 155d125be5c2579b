"""modelaudit: reads some forty formats, safetensors among them. Its answer is one JSON document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dife_scanner.models import strict_json
from dife_scanner.models.opinions.interface import NotUnderstoodError, Said
from dife_scanner.records import OpinionVerdict

_DONE = (0, 1)
"""Exit codes of a complete scan, without and with findings."""
_WORST_FIRST = (
    ("critical", OpinionVerdict.MALICIOUS),
    ("warning", OpinionVerdict.SUSPICIOUS),
)


class Modelaudit:
    """One run for all files. `--strict` turns off its list of names that it trusts, and its cache."""

    name = "modelaudit"

    def arguments(self, files: Sequence[Path]) -> list[list[str]]:
        return [["scan", "--format", "json", "--strict", "--no-cache", *map(str, files)]]

    def read(self, code: int, answer: bytes) -> Said:
        try:
            document = strict_json.read(answer)
        except ValueError as error:
            raise NotUnderstoodError(f"its answer is not strict JSON: {error}") from None
        issues = list(_issues(document))
        details = tuple(f"{severity}: {message}" for severity, message in issues)
        found = {severity for severity, _ in issues}
        for severity, verdict in _WORST_FIRST:
            if severity in found:
                return Said(verdict, details)
        if code not in _DONE or document.get("success") is not True:
            return Said(OpinionVerdict.NOT_RUN, details, "it could not complete its scan")
        if not document.get("files_scanned"):
            return Said(OpinionVerdict.NOT_RUN, details, "it reads no such files")
        return Said(OpinionVerdict.CLEAN, details)


def _issues(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Severity and message of each."""
    issues = document.get("issues")
    if not isinstance(issues, list):
        raise NotUnderstoodError("its answer has no list of issues")
    for issue in issues:
        if not isinstance(issue, dict):
            raise NotUnderstoodError("an issue of its answer is not an object")
        yield str(issue.get("severity")), str(issue.get("message"))
