"""The time of day is asked for in one place, so that a test, or a simulated week, can move it for everything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dife_scanner.durable import clock

ROOT = Path(__file__).parent.parent
ASKS = re.compile(r"\b(?:datetime\.(?:now|utcnow|today)|date\.today)\(|\btime\.time\b")
IN_SQL = re.compile(
    r"['\"]now['\"]|\bCURRENT_(?:TIMESTAMP|DATE|TIME)\b|\bunixepoch\(\)", re.IGNORECASE
)
OF_THE_MACHINE = {
    "dife_scanner/durable/clock.py": "it is the clock",
    "dife_scanner/hub/budget.py": "its windows are those of the hub, which has a clock of its own",
    "dife_scanner/durable/jumps.py": "it compares two clocks of the machine",
    "dife_scanner/queue/cleanup.py": "it compares with times of files, which the machine sets",
    "dife_scanner/queue/schedule.py": "its scheduler goes by the machine's clock",
}
"""Modules that ask the machine itself, and why."""


def modules() -> Iterator[Path]:
    """The modules of the scanner and the window, without the laboratory, which plays the world outside."""
    for folder in (ROOT / "dife_scanner", ROOT / "gui" / "dife_gui"):
        for path in sorted(folder.rglob("*.py")):
            if "lab" not in path.relative_to(ROOT).parts:
                yield path


def asking(source: str) -> list[str]:
    """Calls that ask for the time of day, and strings of SQL that make SQLite ask."""
    found = ASKS.findall(source)
    if not IN_SQL.search(source):
        return found
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        text = node.value
        if "(" in text or "SELECT" in text or "DEFAULT" in text:
            found += IN_SQL.findall(text)
    return found


def test_nothing_else_asks_for_the_time_of_day() -> None:
    found = {}
    for path in modules():
        asked = asking(path.read_text(encoding="utf-8"))
        if asked:
            found[path.relative_to(ROOT).as_posix()] = asked
    assert set(found) == set(OF_THE_MACHINE), found


@pytest.mark.parametrize(
    "source",
    [
        "at = datetime.now(UTC)",
        "at = time.time()",
        "sql = \"SELECT julianday('now') - 1\"",
        "sql = f\"julianday('now') - {x}\"",
        'sql = "CREATE TABLE t (at TEXT DEFAULT CURRENT_TIMESTAMP)"',
    ],
)
def test_what_asks_is_seen(source: str) -> None:
    assert asking(source)


def test_the_clock_of_a_process_can_be_ahead() -> None:
    before = clock.moment()
    try:
        clock.set_ahead(86_400)
        assert 86_400 <= (clock.moment() - before).total_seconds() < 2 * 86_400
        assert clock.now()[:10] > before.isoformat()[:10]
    finally:
        clock.set_ahead(0)
    assert clock.later(60) < clock.later(3600)
