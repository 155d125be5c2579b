"""Models named in notebooks and in configuration files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from dife_scanner.hub.in_use.found import Found, UnreadableError, each_once, entry
from dife_scanner.hub.in_use.lists import json_of
from dife_scanner.hub.in_use.python import python
from dife_scanner.records import InUse

MAX_CELLS = 5_000
_LONGEST_LINE = 4_000
"""Characters of a line of a configuration; longer ones hold data."""
_KEYS = (
    "pretrained_model_name_or_path",
    "model_name_or_path",
    "base_model_name_or_path",
    "base_model",
    "base_model_id",
    "model_id",
    "model_name",
    "repo_id",
    "hf_hub_id",
    "hf_repo",
    "clip_model",
    "vision_tower",
    "text_encoder",
)
"""Under which programs keep the name of a repository."""
_SETTING = re.compile(
    rf"(?<![\w-])[\"']?(?:{'|'.join(_KEYS)})[\"']?\s{{0,8}}[:=]\s{{0,8}}[\"']?"
    r"((?:hf[-_]hub:)?[\w.-]{1,96}/[\w.-]{1,96}(?:@[\w./-]{1,100})?)(?=[\"',\s}\]]|$)"
)
_MAGIC = re.compile(r"^(\s*)[%!?].*$", re.MULTILINE)
"""A line that the notebook and not Python understands."""


def notebook(text: str, where: str) -> Found:
    """What the code cells of a Jupyter notebook load. Raises `UnreadableError` for what is no notebook."""
    entries: list[InUse] = []
    skipped: dict[str, int] = {}
    for number, code in _code_cells(json_of(text)):
        try:
            found = python(_MAGIC.sub(r"\1pass", code), f"{where}:cell {number}")
        except UnreadableError as error:
            reason = f"cell: {error}"
            skipped[reason] = skipped.get(reason, 0) + 1
            continue
        entries += found.entries
    return Found(each_once(entries), skipped)


def _code_cells(document: Any) -> Iterator[tuple[int, str]]:
    """Number and source of each code cell."""
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        raise UnreadableError("not a notebook")
    for number, cell in enumerate(cells[:MAX_CELLS], 1):
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source")
        if isinstance(source, list):
            source = "".join(line for line in source if isinstance(line, str))
        if isinstance(source, str):
            yield number, source


def configuration(text: str, where: str) -> Found:
    """Repositories under known keys, such as `base_model: org/name`, in YAML, TOML or JSON; line by line."""
    entries: list[InUse] = []
    long = 0
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST_LINE:
            long += 1
            continue
        for named in _SETTING.finditer(line):
            found = entry(named[1], place=f"{where}:{number}")
            if found is not None:
                entries.append(found)
    return Found(each_once(entries), {"very long line": long} if long else {})
