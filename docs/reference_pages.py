"""What the pages say that the code knows best.

Pages of the site are written from it before each build: commands, settings, cards, detectors, words, schemas. Tables
within pages that are read in the tree too, of fields of filters and of keys, are written by

    python docs/reference_pages.py

and a test compares them.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import typer
from dife_gui.views import keys as window
from rich.console import Console
from typer.cli import get_docs_for_click

from dife_scanner import discovery, settings
from dife_scanner.cli.commands import app
from dife_scanner.cli.top import keys as terminal
from dife_scanner.core import checks
from dife_scanner.core.cards import CARDS
from dife_scanner.discovery import effort
from dife_scanner.records import Budget, vocabulary
from dife_scanner.reports import cards
from dife_scanner.sentences.checks import LABELS
from dife_scanner.store.audits import AUDIT_COLUMNS
from dife_scanner.store.decisions import DECISION_COLUMNS
from dife_scanner.store.fields import Columns
from dife_scanner.store.findings import FINDING_COLUMNS
from dife_scanner.store.models import MODEL_COLUMNS

FOLDER = "generated"
DOCS = Path(__file__).parent


def _commands() -> str:
    """Every command with its arguments and options, as `dife COMMAND --help` says them."""
    program = typer.main.get_command(app)
    context = typer.Context(program, info_name="dife")
    return get_docs_for_click(obj=program, ctx=context, name="dife", title="Every command")


def _settings() -> str:
    """The file that `dife config init` writes."""
    return (
        "# Every setting\n\nWhat `dife config init` writes: each setting at its default, with what it does.\n\n"
        f"```toml\n{settings.template()}```\n"
    )


def _cards() -> str:
    """Every interface card in full, as `dife cards NAME` shows it."""
    parts = ["# Every interface card\n\nWhat `dife cards NAME` shows.\n"]
    for card in CARDS:
        console = Console(file=StringIO(), width=100)
        console.print(cards.in_full(card))
        shown = console.file.getvalue()
        parts.append(f"## {card.interface}\n\n```text\n{shown}```\n")
    return "\n".join(parts)


def _schemas() -> Iterator[str]:
    """One line for each document that a command writes with `--json`, with the fields of its top."""
    yield "# Every schema\n\nDocuments that commands write with `--json`."
    yield "The schemas lie in `dife_scanner/assets/schemas/`.\n"
    yield "| file | document | fields |\n|---|---|---|"
    folder = files("dife_scanner") / "assets" / "schemas"
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        schema = json.loads(path.read_text(encoding="utf-8"))
        fields = ", ".join(f"`{name}`" for name in schema.get("properties", {}))
        about = str(schema.get("description", "")).partition("\n")[0]
        yield f"| `{path.name}` | {about} | {fields} |"


def _detectors() -> Iterator[str]:
    """What each detector is made to find and when it runs, and the numbers that each budget buys."""
    yield "# Every detector\n\nIn the order in which an audit runs them."
    yield "[detectors.md](../detectors.md) explains each.\n"
    yield "| detector | channel | made to find | budgets |\n|---|---|---|---|"
    for detector in discovery.DETECTORS:
        budgets = [f"`{budget}`" for budget in Budget if detector.name in discovery.names(budget)]
        ran = ", ".join(budgets) or "all, where a prompt learner came along"
        kinds = "; ".join(detector.kinds)
        yield f"| `{detector.name}` | {detector.channel} | {kinds} | {ran} |"
    for name, by_budget in vars(effort).items():
        if name.endswith("_EFFORTS"):
            yield from _efforts(name, by_budget)


def _efforts(name: str, by_budget: dict[Budget, Any]) -> Iterator[str]:
    """The numbers of one search, a column for each budget."""
    yield f"\n## {name.removesuffix('_EFFORTS').replace('_', ' ').capitalize()}\n"
    budgets = list(by_budget)
    yield "| number | what | " + " | ".join(f"`{budget}`" for budget in budgets) + " |"
    yield "|---" * (len(budgets) + 2) + "|"
    first = by_budget[budgets[0]]
    about = _said_of_fields(type(first))
    for field in fields(first):
        values = [_number(getattr(by_budget[budget], field.name)) for budget in budgets]
        what = about.get(field.name, "")
        yield f"| `{field.name}` | {what} | " + " | ".join(values) + " |"


def _number(value: object) -> str:
    """A number of an effort; one that consists of several is written with their names."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return re.sub(r"^\w+\(|\)$", "", str(value))


def _said_of_fields(made: type) -> dict[str, str]:
    """What is written below each field of a class and its bases."""
    found: dict[str, str] = {}
    for one in reversed(made.__mro__[:-1]):
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        assert isinstance(tree, ast.ClassDef)
        for field, said in zip(tree.body, tree.body[1:], strict=False):
            if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
                continue
            if isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant):
                found[field.target.id] = " ".join(str(said.value.value).split())
    return found


def _words() -> Iterator[str]:
    """Every word of the closed vocabularies, and the checks."""
    yield "# Every word\n\nStates, verdicts, entries and all other closed vocabularies of the code."
    yield "[states.md](../states.md) says what each means and what comes next.\n"
    yield "| vocabulary | what it says | words |\n|---|---|---|"
    for name, words in vars(vocabulary).items():
        if isinstance(words, type) and issubclass(words, StrEnum) and words is not StrEnum:
            said = " ".join((words.__doc__ or "").partition("\n")[0].split())
            listed = ", ".join(f"`{word}`" for word in words if word.value)
            yield f"| {name} | {said} | {listed} |"
    yield "\n## Checks\n\n| check | kind | what is measured | threshold |\n|---|---|---|---|"
    for check in checks.CHECKS:
        label = LABELS[check.name]
        yield f"| `{check.name}` | {check.kind} | {label.question} | {label.bound.replace('{}', '…')} |"


# --- tables within pages ----------------------------------------------------------------------------------------


def _fields_table(columns: Columns) -> Iterator[str]:
    """Every field that a filter can name."""
    yield "| Field | Kind | What |\n| --- | --- | --- |"
    for field, column in columns.items():
        values = ", ".join(f"`{choice}`" for choice in column.choices if choice)
        what = f"{column.about}: {values}" if values else column.about
        yield f"| `{field}` | {column.kind} | {what} |"


def _keys_table(keys: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Keys as they are shown, and what each does."""
    yield "| Key | What it does |\n| --- | --- |"
    for shown, does in keys:
        yield f"| `{shown}` | {does} |"


def _tables() -> dict[str, Iterator[str]]:
    """Tables by the name in the comment that stands before each in its page."""
    return {
        "findings": _fields_table(FINDING_COLUMNS),
        "audits": _fields_table(AUDIT_COLUMNS),
        "models": _fields_table(MODEL_COLUMNS),
        "decisions": _fields_table(DECISION_COLUMNS),
        "window": _keys_table((key.shown, key.does) for key in window.KEYS),
        "terminal": _keys_table((key.shown or key.names[0], key.does) for key in terminal.KEYS),
    }


def with_tables(page: str) -> tuple[str, set[str]]:
    """A page's text with its tables as the code has them, and the names of these tables."""
    there = set()
    for name, lines in _tables().items():
        table = "\n".join(lines)
        begin = f"<!-- {name} -->\n\n"
        before, mark, after = page.partition(begin)
        if mark:
            there.add(name)
            rest = re.sub(r"\A(?:\|.*\n)*", "", after)
            page = f"{before}{begin}{table}\n{rest}"
    return page, there


def write_tables() -> None:
    """Write every table into its page."""
    for path in sorted(DOCS.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after, _ = with_tables(before)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"{path.name}: written")


_PAGES = {
    "every-command": _commands,
    "every-setting": _settings,
    "every-card": _cards,
    "every-detector": lambda: "\n".join(_detectors()) + "\n",
    "every-word": lambda: "\n".join(_words()) + "\n",
    "every-schema": lambda: "\n".join(_schemas()) + "\n",
}
NAMES = [f"{FOLDER}/{name}" for name in _PAGES]


def write(docs: Path) -> None:
    """Writes the pages below `docs`; one that is as it was keeps its time, and is not built again."""
    folder = docs / FOLDER
    folder.mkdir(exist_ok=True)
    for name, page in _PAGES.items():
        path = folder / f"{name}.md"
        text = page()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_tables()
