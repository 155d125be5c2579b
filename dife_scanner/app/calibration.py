"""Calibration files as `dife calibration` lists them, and what building one from a hub would take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.app.scanning import Data, scan_work
from dife_scanner.app.wiring import hub
from dife_scanner.records import Budget
from dife_scanner.settings import Settings
from dife_scanner.store import references
from dife_scanner.store.db import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dife_scanner.app.hub_calibration import HubPack
    from dife_scanner.baselines.calibration import File
    from dife_scanner.reports.as_json import CalibrationFile, PlanDocument


def calibration_files(
    store: Store, settings: Settings, only: Sequence[Path] = ()
) -> tuple[CalibrationFile, ...]:
    """List calibration files (those of this home and of the package, or `only` these), and whether audits use them."""
    from dife_scanner.baselines import calibration

    files: Sequence[File] = calibration.all_files(settings.home)
    if only:
        files = [calibration.file_at(path) for path in only]
    known = references.references(store)
    listed = []
    for file in files:
        listed.append(_calibration_file(file, calibration.reason_unused(file, known)))
    return tuple(listed)


def _calibration_file(file: File, unused: str) -> CalibrationFile:
    """One file as `dife calibration list` shows it; `unused`: why no audit can be compared with it."""
    from dife_scanner.baselines.calibration import today
    from dife_scanner.core.calibration import Pack, age, limits, upper_bound
    from dife_scanner.reports.as_json import CalibrationFile

    content = file.content
    if content is None:
        what = file.error.what if file.error else ""
        return CalibrationFile(str(file.path), file.shipped, "damaged", what)
    remarks: list[str] = []
    if unused:
        remarks.append(unused)
    if isinstance(content, Pack):
        remarks += limits(content, today())
    common = CalibrationFile(
        path=str(file.path),
        shipped=file.shipped,
        state="unused" if unused else "in use",
        said="; ".join(remarks),
        base=content.base,
        budget=content.searched.budget,
        discovery=content.searched.discovery,
        detectors=content.searched.detectors,
        made_on=content.made_on,
        age_days=age(content, today()),
        digest=file.digest,
    )
    if not isinstance(content, Pack):
        planted = sum(line.planted for line in content.planted)
        return replace(common, kind="power", name=file.path.stem, n=planted)
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
    store: Store,
    settings: Settings,
    base: str,
    reference: str,
    budget: Budget,
    n: int,
    minutes: float | None,
) -> HubPack:
    """Put together what `dife calibration from-hub` makes. Raises `UsageError` where the base is no reference here."""
    from dife_scanner.app import hub_calibration

    found = hub_calibration.reference_for(base, references.references(store), reference)
    work = scan_work(settings, (), reference=found.name, budget=budget, data=Data(), blind=True)
    return hub_calibration.HubPack(base, found, work, n, minutes)


def plan_hub_calibration(store: Store, wanted: HubPack) -> PlanDocument:
    """Say what is left of it in bytes and hours."""
    from dife_scanner.app import hub_calibration
    from dife_scanner.reports.as_json import PlanDocument

    cost = hub_calibration.cost(store, wanted, hub(wanted.work.settings))
    return PlanDocument(
        models=cost.models,
        auditable=cost.auditable,
        states=cost.states,
        bytes=cost.bytes,
        requests=cost.requests,
        hours=cost.hours,
        exact=cost.exact,
        assumptions=cost.assumptions,
    )
