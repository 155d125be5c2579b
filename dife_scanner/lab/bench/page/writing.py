"""From committed rows to files: the page with its plot, the ledger's line, calibration pack and power table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Pack
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import adaptive, packs, results, rows
from dife_scanner.lab.bench.make import RN, VIT, base_reference, code_of
from dife_scanner.lab.bench.page import document, plots
from dife_scanner.lab.bench.rows import Row, ledger
from dife_scanner.lab.rivals import entries, tuning

PAGE = "detection-benchmark.md"
PLOT = "detection-benchmark.svg"
STRENGTHS = "detection-benchmark-strength.svg"
CURVES = "detection-benchmark-roc.svg"


def report(data: Path, docs: Path, *, budget: str, unsealed: bool = False, into: Path | None = None) -> dict[str, str]:
    """Write everything that rows at this budget allow; what was written, and where.

    Pack and power table go into the package unless `into` names another folder.
    """
    every = rows.read(rows.folder_of(data, VIT))
    mine = [row for row in every if row.code.budget == budget]
    larger = [row for row in every if row.code.budget != budget]
    second = [row for row in rows.read(rows.folder_of(data, RN)) if row.code.budget == budget]
    shown = results.open_rows(mine, unsealed=unsealed)
    opened = results.open_rows(larger, unsealed=unsealed)
    other_base = results.open_rows(second, unsealed=unsealed)
    ledger.look(data, (*shown, *opened, *other_base), what="report", unsealed=unsealed)
    folder = into or calibration.shipped_folder()
    written: dict[str, str] = {}
    pack = _write_packs(shown, VIT, budget, "", folder, written)
    _write_packs(other_base, RN, budget, "", folder, written)
    for at in sorted({row.code.budget for row in opened}):
        _write_packs(opened, VIT, at, f" at {at}", folder, written)
    docs.mkdir(parents=True, exist_ok=True)
    hidden = adaptive.read(data)
    points = adaptive.strengths(shown, hidden)
    text = document.page(
        mine,
        pack,
        entries.read(data / "rivals"),
        hidden,
        second,
        larger,
        tuning.read(data),
        unsealed=unsealed,
        plot=PLOT if plots.scores(shown, docs / PLOT) else "",
        curves=CURVES if plots.curves(shown, docs / CURVES) else "",
        strengths=STRENGTHS if plots.strengths(points, docs / STRENGTHS) else "",
    )
    (docs / PAGE).write_text(text, encoding="utf-8")
    written["page"] = str(docs / PAGE)
    return written


def _write_packs(
    some: Sequence[Row], kind: str, budget: str, where: str, folder: Path, written: dict[str, str]
) -> Pack | None:
    """Write the calibration pack and the power table of one base at one budget, as far as rows allow; the pack.

    Adds to `written` what was written; `where` is a further word for it.
    """
    base = base_reference(kind)
    code = code_of(budget)
    pack = None
    # Without a benign row of the calibration side there is no pack, and the page says so.
    with suppress(UsageError):
        pack = packs.pack_of(some, base, code)
        path = calibration.write(pack, folder / f"{pack.name}.json")
        written[f"pack of {base.name}{where}"] = str(path)
    power = packs.power_of(some, base, code)
    if power is not None:
        path = calibration.write(power, folder / f"{base.name}-{budget}-power.json")
        written[f"power over {base.name}{where}"] = str(path)
    return pack
