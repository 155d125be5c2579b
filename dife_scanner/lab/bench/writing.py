"""From committed rows to files: the page with its plot, the ledger's line, calibration pack and power table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dife_scanner.core.calibration import Pack
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import adaptive, contest, packs, page, plots, results, rows
from dife_scanner.lab.bench.make import RN, VIT, base_reference, code_of
from dife_scanner.lab.bench.rows import Row
from dife_scanner.lab.bench.zoo import Part
from dife_scanner.queue import calibration

PAGE, PLOT, STRENGTHS = "detection-benchmark.md", "detection-benchmark.svg", "detection-benchmark-strength.svg"
CURVES = "detection-benchmark-roc.svg"


def report(data: Path, docs: Path, *, budget: str, unsealed: bool = False, into: Path | None = None) -> dict[str, str]:
    """Write everything that rows at this budget allow; what was written, and where.

    Pack and power table go into the package unless `into` names another folder.
    """
    every = rows.read(rows.folder_of(data, VIT))
    mine, larger = ([r for r in every if (r.code.budget == budget) is same] for same in (True, False))
    second = [row for row in rows.read(rows.folder_of(data, RN)) if row.code.budget == budget]
    shown = results.open_rows(mine, unsealed=unsealed)
    written, folder, code = {}, into or calibration.shipped_folder(), code_of(budget)
    found: dict[str, Pack] = {}
    for kind, some in ((VIT, shown), (RN, second)):
        base = base_reference(kind)
        with suppress(UsageError):
            found[kind] = packs.pack_of(some, base, code)
            written[f"pack of {base.name}"] = str(calibration.write(found[kind], folder / f"{found[kind].name}.json"))
        if power := packs.power_of(some, base, code):
            path = calibration.write(power, folder / f"{base.name}-{budget}-power.json")
            written[f"power over {base.name}"] = str(path)
    entries = contest.read(data / "rivals")
    look(data / "ledger.jsonl", shown, unsealed=unsealed)
    docs.mkdir(parents=True, exist_ok=True)
    hidden = adaptive.read(data)
    pictures = {
        "plot": PLOT if plots.scores(shown, docs / PLOT) else "",
        "curves": CURVES if plots.curves(shown, docs / CURVES) else "",
        "strengths": STRENGTHS if plots.strengths(adaptive.strengths(shown, hidden), docs / STRENGTHS) else "",
    }
    text = page.page(mine, found.get(VIT), entries, hidden, second, larger, unsealed=unsealed, **pictures)
    (docs / PAGE).write_text(text, encoding="utf-8")
    return {**written, "page": str(docs / PAGE)}


def look(ledger: Path, shown: Sequence[Row], *, unsealed: bool) -> None:
    """Write down that test data were looked at: one line per different state of the rows."""
    state = {
        "what": "report",
        "unsealed": unsealed,
        "test_rows": sum(row.part is Part.TEST for row in shown),
        "digests": sorted({row.code.digest for row in shown}),
    }
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.exists() else []
    if not lines or {k: v for k, v in json.loads(lines[-1]).items() if k != "on"} != state:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        with ledger.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"on": rows.today(), **state}, sort_keys=True) + "\n")
