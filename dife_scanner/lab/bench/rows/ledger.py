"""Every look at test data is a line: benchmarks/ledger.jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dife_scanner.lab.bench import rows
from dife_scanner.lab.bench.rows import Row
from dife_scanner.lab.bench.zoo import Part

FILE = "ledger.jsonl"


def look(data: Path, shown: Sequence[Row], *, what: str, models: Sequence[str] = (), unsealed: bool = False) -> None:
    """Write down what looks at which rows, before it does: one line per different state of the rows.

    `models` are those of the test side that are looked at where it is not all of `shown`.
    """
    mine = [row for row in shown if row.part is Part.TEST and (not models or row.model in set(models))]
    state: dict[str, Any] = {
        "what": what,
        "unsealed": unsealed,
        "test_rows": len({row.model for row in mine}),
        "digests": sorted({row.code.digest for row in (mine if models else shown)}),
        **({"models": sorted(set(models))} if models else {}),
    }
    path = data / FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    before = ({key: value for key, value in json.loads(line).items() if key != "on"} for line in lines)
    if state not in before:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"on": rows.today(), **state}, sort_keys=True) + "\n")
