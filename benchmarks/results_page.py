"""A page of results of several benchmarks, each of which writes its own section."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path


def put_section(page: Path, heading: str, lines: Sequence[str]) -> None:
    """Put `lines` under `## heading`, in the place of what stands there, else at the end; the others stay."""
    section = "\n".join([f"## {heading}", "", *lines]).rstrip() + "\n"
    before, *others = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {other.partition("\n")[0]: other.rstrip() + "\n" for other in others}
    sections[f"## {heading}"] = section
    page.write_text("\n".join([before.rstrip() + "\n", *sections.values()]), encoding="utf-8")


def commit() -> str:
    """The commit that is measured, in short."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
