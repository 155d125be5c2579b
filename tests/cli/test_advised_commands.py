"""Every command that a message, a page, a docstring or a settings comment names is one that `dife` has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from dife_scanner.cli.commands import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "Makefile", *sorted((ROOT / "docs").glob("*.md"))]
SOURCES = [
    path
    for top in ("dife_scanner", "gui", "benchmarks")
    for path in sorted((ROOT / top).rglob("*.py"))
]
NO_COMMAND = {"dife prompt learner 1"}
"""Strings that begin like a command and are something else: the name of a file format."""

MENTION = re.compile(
    r"(?<![\w.@-])dife((?: +--[a-z0-9-]+(?: +[A-Z]+)?)*(?: +[a-z][a-z-]*)+[^`\n]*)"
)
"""`dife`, options (with a value in capitals) before the name, one lower-case word or more, and the rest of the line."""
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]*)")


def mentions(text: str) -> Iterator[tuple[str, bool]]:
    """What follows `dife` wherever a command is written, and whether all of it is the command.

    Within backticks, where a line may be broken, and on the lines of a code block it is; in prose the sentence goes on.
    """
    for block in re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield from ((found, True) for found in MENTION.findall(line.partition("#")[0]))
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for quoted in re.findall(r"`([^`]+)`", prose):
        yield from ((found, True) for found in MENTION.findall(" ".join(quoted.split())))
    for line in re.sub(r"`[^`]*`", "", prose).splitlines():
        yield from ((found, False) for found in MENTION.findall(line))


def strings(source: str) -> Iterator[str]:
    """Every string of a module, docstrings too; what a format string fills in is an ellipsis."""
    inner = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inner.update(map(id, node.values))
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
        elif (
            isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner
        ):
            yield node.value


def advised() -> Iterator[tuple[str, str, bool]]:
    """(where, what follows `dife`, whether that is all of it)."""
    for path in PAGES:
        text = path.read_text().replace("$(BIN)/dife", "dife")
        yield from ((str(path.relative_to(ROOT)), *found) for found in mentions(text))
    for path in SOURCES:
        source = path.read_text()
        for text in strings(source) if "dife " in source else ():
            if text not in NO_COMMAND:
                yield from ((str(path.relative_to(ROOT)), *found) for found in mentions(text))


@cache
def program() -> Any:
    """`dife` with all its commands, built once for all mentions."""
    return typer.main.get_command(app)


def wrong_with(words: str, whole: bool) -> str:
    """Why `dife` + `words` cannot be typed; empty where it can."""
    at = program()
    known = {option for parameter in at.params for option in parameter.opts}
    name = ["dife"]
    for word in (word for word in words.split() if not word.startswith("--")):
        if not hasattr(at, "commands"):
            break
        word = word.rstrip(".,;:)”\"'")
        if not re.fullmatch(
            "[a-z-]+", word
        ):  # the value of an option before the name, or an ellipsis
            continue
        if word not in at.commands:
            return f"there is no `{' '.join(name)} {word}`"
        at = at.commands[word]
        name.append(word)
        known |= {option for parameter in at.params for option in parameter.opts}
    unknown = [
        option for option in OPTION.findall(words) if whole and option not in known | {"--help"}
    ]
    return f"`{' '.join(name)}` has no {', '.join(unknown)}" if unknown else ""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Words of every command below this one that has none below it."""
    for name, below in getattr(command, "commands", {}).items():
        if getattr(below, "commands", None):
            yield from leaves(below, (*path, name))
        else:
            yield (*path, name)


def test_every_command_of_a_page_is_run_by_a_test_or_a_make_target():
    sources = [
        path.read_text() for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)
    ]
    written = " ".join("\n".join(sources).split())
    targets = (ROOT / "Makefile").read_text()
    pages = "\n".join(path.read_text() for path in PAGES if path.suffix == ".md")
    missing = []
    for words in leaves(program()):
        name = f"dife {' '.join(words)}"
        quoted = ", ".join(f'"{word}"' for word in words)
        if name in pages and quoted not in written and f"$(BIN)/{name}" not in targets:
            missing.append(name)
    assert missing == []


def test_every_command_and_option_that_is_advised_can_be_typed():
    found = list(advised())
    wrong = [
        f"{where}: dife{words}: {why}"
        for where, words, whole in found
        if (why := wrong_with(words, whole))
    ]
    assert wrong == []
    said = {" ".join(words.split()[:2]) for _, words, _ in found}
    assert {
        "calibration from-hub",
        "reference add",
        "lab reproduce",
        "config init",
    } <= said and len(found) > 100


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("run `dife nurse` first", "there is no `dife nurse`"),
        ("run “dife nurse” first", "there is no `dife nurse`"),
        ("`dife calibration\nfrom-thin-air BASE`", "there is no `dife calibration from-thin-air`"),
        ("```\n$ dife scan X --tirggers FILE   # --nonsense\n```", "`dife scan` has no --tirggers"),
        ("`dife --json --loud reference list`", "`dife reference list` has no --loud"),
        ("`dife scan X --triggers FILE --quiet --help`", ""),
        ("`dife --home X reference list`", ""),
        ("dife status, or another command with --nonsense", ""),
    ],
)
def test_what_cannot_be_typed_is_caught(text, why):
    assert [wrong_with(*found) for found in mentions(text)] == [why]
