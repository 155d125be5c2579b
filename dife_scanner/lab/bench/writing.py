"""From committed rows to files: the page with its plot, the ledger's line, calibration pack and power table."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dife_scanner.core.calibration import Pack
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import adaptive, contest, ledger, packs, page, plots, results, rows, tuning
from dife_scanner.lab.bench.make import RN, VIT, base_reference, code_of
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
    for other in sorted({row.code.budget for row in larger}):
        base, longer = base_reference(VIT), results.open_rows(larger, unsealed=unsealed)
        with suppress(UsageError):
            more = packs.pack_of(longer, base, code_of(other))
            written[f"pack of {base.name} at {other}"] = str(calibration.write(more, folder / f"{more.name}.json"))
        if power := packs.power_of(longer, base, code_of(other)):
            path = calibration.write(power, folder / f"{base.name}-{other}-power.json")
            written[f"power over {base.name} at {other}"] = str(path)
    entries = contest.read(data / "rivals")
    ledger.look(data, shown, what="report", unsealed=unsealed)
    docs.mkdir(parents=True, exist_ok=True)
    hidden = adaptive.read(data)
    pictures = {
        "plot": PLOT if plots.scores(shown, docs / PLOT) else "",
        "curves": CURVES if plots.curves(shown, docs / CURVES) else "",
        "strengths": STRENGTHS if plots.strengths(adaptive.strengths(shown, hidden), docs / STRENGTHS) else "",
    }
    text = page.page(
        mine, found.get(VIT), entries, hidden, second, larger, tuning.read(data), unsealed=unsealed, **pictures
    )
    (docs / PAGE).write_text(text, encoding="utf-8")
    return {**written, "page": str(docs / PAGE)}
