"""Calibration files as `dife calibration` lists them, and what building one from a hub would take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.records import Budget
from dife_scanner.settings import Settings
from dife_scanner.store import references
from dife_scanner.store.db import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dife_scanner.app.hub_calibration import Asked as Presumed
    from dife_scanner.baselines.calibration import File
    from dife_scanner.reports.as_json import CalibrationFile, PlanDocument
from dife_scanner.app.scanning import Data, scan_work
from dife_scanner.app.wiring import hub


def calibration_files(store: Store, settings: Settings, only: Sequence[Path] = ()) -> tuple[CalibrationFile, ...]:
    """Calibration files (those of this home and of the package, or `only` these) and whether an audit can use them."""
    from dife_scanner.baselines import calibration

    there = [calibration.file_at(path) for path in only] if only else calibration.found(settings.home)
    known = references.references(store)
    return tuple(_calibration_file(one, calibration.unused(one, known)) for one in there)


def _calibration_file(one: File, unused: str) -> CalibrationFile:
    """One file as `dife calibration list` shows it; `unused`: why no audit can be read beside it."""
    from dife_scanner.baselines.calibration import today
    from dife_scanner.core.calibration import Pack, age, limits, upper_bound
    from dife_scanner.reports.as_json import CalibrationFile

    content = one.content
    if content is None:
        return CalibrationFile(str(one.path), one.shipped, "damaged", one.error.what if one.error else "")
    pack = content if isinstance(content, Pack) else None
    said = [unused] if unused else []
    common = CalibrationFile(
        path=str(one.path),
        shipped=one.shipped,
        state="unused" if unused else "in use",
        said="; ".join([*said, *(limits(pack, today()) if pack else ())]),
        base=content.base,
        budget=content.searched.budget,
        discovery=content.searched.discovery,
        detectors=content.searched.detectors,
        made_on=content.made_on,
        age_days=age(content, today()),
        digest=one.digest,
    )
    if not isinstance(content, Pack):
        planted = sum(line.planted for line in content.planted)
        return replace(common, kind="power", name=one.path.stem, n=planted)
    return replace(
        common,
        kind="pack",
        name=content.name,
        n=content.n,
        smallest_p=1 / (content.n + 1),
        tested=content.tested,
        alarms=content.alarms,
        alarm_bound=upper_bound(content.alarms, content.tested),
    )


def hub_calibration_request(
    store: Store, settings: Settings, base: str, reference: str, budget: Budget, n: int, minutes: float | None
) -> Presumed:
    """What `dife calibration from-hub` is asked for. Raises `UsageError` where the base is no reference here."""
    from dife_scanner.app import hub_calibration

    found = hub_calibration.reference_for(base, references.references(store), reference)
    work = scan_work(settings, (), reference=found.name, budget=budget, data=Data(), blind=True)
    return hub_calibration.Asked(base, found, work, n, minutes)


def plan_hub_calibration(store: Store, asked: Presumed) -> PlanDocument:
    """What is left of it in bytes and hours."""
    from dife_scanner.app import hub_calibration
    from dife_scanner.reports.as_json import PlanDocument

    cost = hub_calibration.cost(store, asked, hub(asked.work.settings))
    return PlanDocument(
        cost.models, cost.auditable, cost.states, cost.bytes, cost.requests, cost.hours, cost.exact, cost.assumptions
    )
