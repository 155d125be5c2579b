"""Every look at test data is a line: benchmarks/ledger.jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dife_scanner.lab.bench.rows.files import today
from dife_scanner.lab.bench.rows.records import Rows
from dife_scanner.lab.bench.zoo import Part

FILE = "ledger.jsonl"


def look(
    data: Path,
    shown: Rows,
    *,
    what: str,
    models: Sequence[str] = (),
    unsealed: bool = False,
) -> None:
    """Write down what reads which rows, before it does: one line per different state of the rows.

    `models` are those of the test side that are looked at where it is not all of `shown`.
    """
    state: dict[str, Any] = {"what": what, "unsealed": unsealed}
    test = [row for row in shown if row.part is Part.TEST]
    if models:
        state["models"] = sorted(set(models))
        test = [row for row in test if row.model in models]
        shown = test
    state["test_rows"] = len({row.model for row in test})
    state["digests"] = sorted({row.code.digest for row in shown})
    path = data / FILE
    if state not in _states(path):
        _append(path, {"on": today(), **state})


def _append(path: Path, line: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, sort_keys=True) + "\n")


def _states(path: Path) -> list[dict[str, Any]]:
    """What was looked at before, without the day."""
    if not path.exists():
        return []
    states = []
    for line in path.read_text(encoding="utf-8").splitlines():
        state = json.loads(line)
        state.pop("on", None)
        states.append(state)
    return states
