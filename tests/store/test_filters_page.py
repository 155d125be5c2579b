"""The page about filters says what the code does; its tables are held against it in `test_reference_pages`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dife_scanner.store.conditions import to_sql
from dife_scanner.store.findings import FINDING_COLUMNS
from dife_scanner.store.query import PAGE, parse

TEXT = (Path(__file__).parents[2] / PAGE).read_text()


def examples() -> list[str]:
    _, block = re.findall(r"```\n(.*?)```", TEXT, re.DOTALL)
    rows = re.findall(r"^\| (`.*) \| ", TEXT.partition("## Fields")[0], re.MULTILINE)
    written = [text.replace("\\|", "|") for text in re.findall(r"`([^`]+)`", " ".join(rows))]
    return [
        *block.splitlines(),
        *(text for text in written if text not in (">=", "<", "<=", "( … )")),
    ]


@pytest.mark.parametrize("text", examples())
def test_every_example_on_the_page_can_be_typed(text: str) -> None:
    to_sql(parse(text), FINDING_COLUMNS)
