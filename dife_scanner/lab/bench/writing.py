"""From committed rows to files: the page with its plot, the ledger's line, calibration pack and power table."""

from __future__ import annotations

from pathlib import Path

from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import adaptive, contest, packs, page, results, rows
from dife_scanner.lab.bench.make import base_reference, code_of
from dife_scanner.queue import calibration

PAGE, PLOT = "detection-benchmark.md", "detection-benchmark.svg"


def report(data: Path, docs: Path, *, budget: str, unsealed: bool = False, into: Path | None = None) -> dict[str, str]:
    """Write everything that rows at this budget allow; what was written, and where.

    Pack and power table go into the package unless `into` names another folder.
    """
    mine = [row for row in rows.read(data / "rows") if row.code.budget == budget]
    shown = results.open_rows(mine, unsealed=unsealed)
    written, folder, base, code = {}, into or calibration.shipped_folder(), base_reference(), code_of(budget)
    try:
        pack = packs.pack_of(shown, base, code)
        written["pack"] = str(calibration.write(pack, folder / f"{pack.name}.json"))
    except UsageError:
        pack = None
    if power := packs.power_of(shown, base, code):
        written["power"] = str(calibration.write(power, folder / f"{base.name}-{budget}-power.json"))
    entries = contest.read(data / "rivals")
    page.look(data / "ledger.jsonl", shown, unsealed=unsealed)
    docs.mkdir(parents=True, exist_ok=True)
    plot = PLOT if page.draw(shown, docs / PLOT) else ""
    (docs / PAGE).write_text(
        page.page(mine, pack, entries, adaptive.read(data), unsealed=unsealed, plot=plot), encoding="utf-8"
    )
    return {**written, "page": str(docs / PAGE)}
