"""Pages of the site that are written from the code before each build: commands, settings, cards, schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from io import StringIO
from pathlib import Path

import typer
from rich.console import Console
from typer.cli import get_docs_for_click

from dife_scanner import settings
from dife_scanner.cli.commands import app
from dife_scanner.core.cards import CARDS
from dife_scanner.reports import cards

FOLDER = "generated"


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


_PAGES = {
    "every-command": _commands,
    "every-setting": _settings,
    "every-card": _cards,
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
