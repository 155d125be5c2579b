"""From committed rows to files: the page with its plot, the ledger's line, calibration pack and power table."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dife_scanner.baselines import calibration
from dife_scanner.core.calibration import Pack
from dife_scanner.errors import UsageError
from dife_scanner.lab.bench import adaptive, packs, results, rows
from dife_scanner.lab.bench.make import RN, VIT, base_reference, code_of
from dife_scanner.lab.bench.page import document, plots
from dife_scanner.lab.bench.rows import Rows, ledger
from dife_scanner.lab.rivals import entries, tuning

PAGE = "detection-benchmark.md"
PLOT = "detection-benchmark.svg"
STRENGTHS = "detection-benchmark-strength.svg"
CURVES = "detection-benchmark-roc.svg"


def report(
    data: Path,
    docs: Path,
    *,
    budget: str,
    unsealed: bool = False,
    into: Path | None = None,
) -> dict[str, str]:
    """Write everything that rows at this budget allow; what was written, and where.

    Pack and power table go into the package unless `into` names another folder.
    """
    found = _Rows.read(data, budget, unsealed=unsealed)
    ledger.look(data, (*found.shown, *found.opened, *found.opened_second), what="report", unsealed=unsealed)
    folder = into or calibration.shipped_folder()
    written: dict[str, str] = {}
    pack = _write_packs(found.shown, VIT, budget, "", folder, written)
    _write_packs(found.opened_second, RN, budget, "", folder, written)
    for at in results.budgets_of(found.opened):
        _write_packs(found.opened, VIT, at, f" at {at}", folder, written)
    docs.mkdir(parents=True, exist_ok=True)
    text = _page(found, pack, data, docs, unsealed=unsealed)
    (docs / PAGE).write_text(text, encoding="utf-8")
    written["page"] = str(docs / PAGE)
    return written


@dataclass(frozen=True)
class _Rows:
    """All rows of a report; those that are open have no sealed family's, unless it is unsealed."""

    mine: Rows
    """Of the first base at the report's budget; `shown` are those that are open."""
    larger: Rows
    """Of the first base at other budgets; `opened` are those that are open."""
    second: Rows
    """Of the second base at the report's budget."""
    shown: Rows
    opened: Rows
    opened_second: Rows

    @classmethod
    def read(cls, data: Path, budget: str, *, unsealed: bool) -> _Rows:
        every = rows.read(rows.folder_of(data, VIT))
        mine = results.at_budget(every, budget)
        larger = [row for row in every if row.code.budget != budget]
        second = results.at_budget(rows.read(rows.folder_of(data, RN)), budget)
        return cls(
            mine=mine,
            larger=larger,
            second=second,
            shown=results.open_rows(mine, unsealed=unsealed),
            opened=results.open_rows(larger, unsealed=unsealed),
            opened_second=results.open_rows(second, unsealed=unsealed),
        )


def _page(
    found: _Rows,
    pack: Pack | None,
    data: Path,
    docs: Path,
    *,
    unsealed: bool,
) -> str:
    """Draw the pictures; the page, which names those that there was anything to draw for."""
    hidden = adaptive.read(data)
    points = adaptive.strengths(found.shown, hidden)
    return document.page(
        found.mine,
        pack,
        entries.read(data / "rivals"),
        hidden,
        found.second,
        found.larger,
        tuning.read(data),
        unsealed=unsealed,
        plot=_named(PLOT, plots.scores(found.shown, docs / PLOT)),
        curves=_named(CURVES, plots.curves(found.shown, docs / CURVES)),
        strengths=_named(STRENGTHS, plots.strengths(points, docs / STRENGTHS)),
    )


def _named(picture: str, drawn: bool) -> str:
    """The picture's name, empty where there was nothing to draw."""
    return picture if drawn else ""


def _write_packs(some: Rows, kind: str, budget: str, where: str, folder: Path, written: dict[str, str]) -> Pack | None:
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
