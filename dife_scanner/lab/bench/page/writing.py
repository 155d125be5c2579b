"""From committed rows to files: the page with its plot, the ledger's line, calibration pack and power table."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Pack
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import adaptive, packs, results, rows
from dife_scanner.lab.bench.make import RN, VIT, base_reference, code_of
from dife_scanner.lab.bench.page import document as page
from dife_scanner.lab.bench.page import plots
from dife_scanner.lab.bench.rows import ledger
from dife_scanner.lab.rivals import comparison as contest
from dife_scanner.lab.rivals import tuning

PAGE, PLOT, STRENGTHS = "detection-benchmark.md", "detection-benchmark.svg", "detection-benchmark-strength.svg"
CURVES = "detection-benchmark-roc.svg"


def report(data: Path, docs: Path, *, budget: str, unsealed: bool = False, into: Path | None = None) -> dict[str, str]:
    """Write everything that rows at this budget allow; what was written, and where.

    Pack and power table go into the package unless `into` names another folder.
    """
    every = rows.read(rows.folder_of(data, VIT))
    mine, larger = ([r for r in every if (r.code.budget == budget) is same] for same in (True, False))
    second = [row for row in rows.read(rows.folder_of(data, RN)) if row.code.budget == budget]
    shown, opened, other = (results.open_rows(some, unsealed=unsealed) for some in (mine, larger, second))
    ledger.look(data, (*shown, *opened, *other), what="report", unsealed=unsealed)
    written, folder = {}, into or calibration.shipped_folder()
    found: dict[tuple[str, str], Pack] = {}
    longer = ((VIT, at, opened) for at in sorted({row.code.budget for row in opened}))
    for kind, at, some in ((VIT, budget, shown), (RN, budget, other), *longer):
        base, code, where = base_reference(kind), code_of(at), "" if at == budget else f" at {at}"
        with suppress(UsageError):
            pack = found[kind, at] = packs.pack_of(some, base, code)
            written[f"pack of {base.name}{where}"] = str(calibration.write(pack, folder / f"{pack.name}.json"))
        if power := packs.power_of(some, base, code):
            path = calibration.write(power, folder / f"{base.name}-{at}-power.json")
            written[f"power over {base.name}{where}"] = str(path)
    entries = contest.read(data / "rivals")
    docs.mkdir(parents=True, exist_ok=True)
    hidden = adaptive.read(data)
    pictures = {
        "plot": PLOT if plots.scores(shown, docs / PLOT) else "",
        "curves": CURVES if plots.curves(shown, docs / CURVES) else "",
        "strengths": STRENGTHS if plots.strengths(adaptive.strengths(shown, hidden), docs / STRENGTHS) else "",
    }
    text = page.page(
        mine,
        found.get((VIT, budget)),
        entries,
        hidden,
        second,
        larger,
        tuning.read(data),
        unsealed=unsealed,
        **pictures,
    )
    (docs / PAGE).write_text(text, encoding="utf-8")
    return {**written, "page": str(docs / PAGE)}
