"""What an audit found, measured again as a deployment asks: its classes, prompts, queries, pictures, pool and K.

Discovery runs once for each artefact. Here nothing is searched: each trigger that the audit demonstrated is measured by
itself, in a child like every audit, and the result is a record of its own beside the audit.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dife_scanner.app.rerun import rerun
from dife_scanner.audit import populations
from dife_scanner.audit.plan import Plan
from dife_scanner.audit.use import Use, query_templates
from dife_scanner.core.checks import demonstrated
from dife_scanner.durable.clock import now
from dife_scanner.errors import (
    AuditError,
    MeasurementError,
    NotFound,
    TriggerFileError,
    UsageError,
)
from dife_scanner.progress import Progress
from dife_scanner.records import (
    Audit,
    Cell,
    DeploymentMeasurement,
    DeploymentProfile,
    EntryType,
    MeasuredTrigger,
    OwnData,
    Severity,
    Trigger,
)
from dife_scanner.settings import Settings
from dife_scanner.store import Store, audits, deployments, measurements

MOST_TRIGGERS = 5
"""Of one audit; the strongest first."""
_OF_THE_TRIGGER = (TriggerFileError, MeasurementError, AuditError)
"""What makes one trigger not measurable for this deployment; everything else ends the command."""


def measure(
    store: Store, settings: Settings, audit_id: str, name: str, progress: Progress
) -> DeploymentMeasurement:
    """Measure and keep what an audit found, for the deployment as it is now.

    Raises `NotFound` where there is no such audit, deployment or trigger, `UsageError` where its own pictures are
    others by now, and what fetching and loading the checkpoint raise.
    """
    deployment = deployments.deployment(store, name)
    profile = deployment.profile
    stored = audits.audit(store, audit_id)
    found = _triggers(stored)
    _check_own(profile.pictures, "labelled", name)
    _check_own(profile.pool, "captions", name)
    began = time.monotonic()
    added = _added(profile, found)
    measured = []
    for trigger in found:
        measured.append(_measured(store, settings, stored, profile, trigger, added, progress))
    made = DeploymentMeasurement(
        audit=stored.id,
        deployment=name,
        version=deployment.version,
        profile=deployment.digest,
        severity=_severity(measured),
        triggers=tuple(measured),
        at=now(),
        seconds=round(time.monotonic() - began, 1),
        added=added,
    )
    measurements.keep(store, made)
    return made


def _triggers(stored: Audit) -> list[Trigger]:
    """What the audit demonstrated, the strongest first. Raises `NotFound` where that is nothing."""
    found = [stored.trigger] if stored.trigger is not None else []
    for hypothesis in stored.signatures:
        if demonstrated(hypothesis.checks) and hypothesis.trigger not in found:
            found.append(hypothesis.trigger)
    if not found:
        raise NotFound(
            f"audit {stored.id} ({stored.verdict.value}) found no trigger that could be measured for a deployment",
            "measure an audit that found one; `dife findings` lists them",
        )
    return found[:MOST_TRIGGERS]


def _check_own(data: OwnData | None, kind: str, name: str) -> None:
    """Raise `UsageError` where a deployment's own pictures are not those that its profile was made with."""
    if data is None:
        return
    if populations.read(Path(data.path), kind).digest != data.digest:  # type: ignore[call-overload]
        raise UsageError(
            f"the pictures at {data.path} are not those that the deployment `{name}` was made with",
            f"`dife deployments edit {name}` reads them anew",
        )


def _added(profile: DeploymentProfile, found: Iterable[Trigger]) -> tuple[str, ...]:
    """Sources and targets that are none of the profile's classes: without them nothing could be counted."""
    if not profile.classes:
        return ()
    names: dict[str, None] = {}
    for trigger in found:
        for name in (trigger.source, trigger.target):
            if name and name not in profile.classes:
                names[name] = None
    return tuple(names)


def _measured(
    store: Store,
    settings: Settings,
    stored: Audit,
    profile: DeploymentProfile,
    trigger: Trigger,
    added: tuple[str, ...],
    progress: Progress,
) -> MeasuredTrigger:
    """One trigger under the profile; where it cannot be measured, why."""
    queries = query_templates(profile.queries, (trigger.source, trigger.target))
    made = MeasuredTrigger(trigger.name, trigger.source, trigger.target, (), queries=len(queries))
    classes = (*profile.classes, *added) if profile.classes else ()
    asked = Plan(
        # the deployment's own prompts, where it has any, in place of those that the trigger came with
        (replace(trigger, templates=() if profile.templates else trigger.templates),),
        stored.budget,
        stored.seed,
        pictures=Path(profile.pictures.path) if profile.pictures else None,
        captions=Path(profile.pool.path) if profile.pool else None,
        use=Use(classes, profile.templates, queries, profile.k),
    )
    try:
        again = rerun(store, settings, stored, asked, progress)
    except _OF_THE_TRIGGER as error:
        return replace(made, problem=error.what)
    entries = tuple(one for one in again.profile if one.interface in profile.interfaces)
    if not entries:
        return replace(made, problem=again.reason)
    return replace(made, entries=entries)


def _severity(measured: Iterable[MeasuredTrigger]) -> Severity:
    """The worst over everything that has a number."""
    worst = Severity.NOT_MEASURED
    for one in measured:
        for entry in one.entries:
            if isinstance(entry, Cell):
                if entry.entry is EntryType.EXPOSED:
                    return Severity.EXPOSED
                worst = Severity.WEAK
    return worst
