"""The page about filters says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dife_scanner.store.audits import AUDIT_COLUMNS
from dife_scanner.store.conditions import to_sql
from dife_scanner.store.decisions import DECISION_COLUMNS
from dife_scanner.store.fields import Columns
from dife_scanner.store.findings import FINDING_COLUMNS
from dife_scanner.store.models import MODEL_COLUMNS
from dife_scanner.store.query import PAGE, parse

TEXT = (Path(__file__).parents[2] / PAGE).read_text()
LISTS = {
    "findings": FINDING_COLUMNS,
    "audits": AUDIT_COLUMNS,
    "models": MODEL_COLUMNS,
    "decisions": DECISION_COLUMNS,
}


def table(columns: Columns) -> str:
    lines = ["| Field | Kind | What |", "| --- | --- | --- |"]
    for field, column in columns.items():
        values = ", ".join(f"`{choice}`" for choice in column.choices if choice)
        what = f"{column.about}: {values}" if values else column.about
        lines.append(f"| `{field}` | {column.kind} | {what} |")
    return "\n".join(lines)


@pytest.mark.parametrize("name", LISTS)
def test_the_tables_list_every_field(name: str) -> None:
    assert f"<!-- {name} -->\n\n{table(LISTS[name])}\n" in TEXT


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
