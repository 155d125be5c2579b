"""One checkpoint under two configurations: its own, and its base's.

A setting such as the activation or the picture's normalisation changes what a checkpoint computes and no tensor's
shape. Somebody can change it to escape a comparison, or by mistake. So where settings deviate, suspect and base are
compared twice, both under the suspect's and then both under the base's: under equal settings only weights differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from dife_scanner.audit import faults
from dife_scanner.audit.report import Outcome
from dife_scanner.audit.request import Request
from dife_scanner.core.verdict import base_settings_decide
from dife_scanner.errors import AuditError, MeasurementError, TriggerFileError
from dife_scanner.models.config import deviations
from dife_scanner.models.load import configuration, default_limits
from dife_scanner.records import Audit, Deviation, SettingsOf, UnderOtherSettings, Verdict
from dife_scanner.sentences.settings import other_text

Under = Callable[[SettingsOf], Outcome]
"""Audits suspect and base under one of the two configurations."""


@dataclass(frozen=True)
class _Failed:
    """Why nothing could be measured under a configuration."""

    settings: SettingsOf
    error: Exception


def audit_both(under: Under) -> Outcome:
    """The audit that decides, which names what the other came to.

    The base's settings come first: whoever wrote the suspect's cannot make them costly or unusable. Raises what `under`
    raised where no verdict came out that could stand alone.
    """
    base = _tried(under, SettingsOf.BASE)
    own = _tried(under, SettingsOf.SUSPECT)
    if isinstance(own, _Failed):
        return _after_failure(own, base)
    if isinstance(base, _Failed):
        return _after_failure(base, own)
    if base_settings_decide(own.audit, base.audit):
        return _with_other(base, _came_to(own.audit), own)
    return _with_other(own, _came_to(base.audit), base)


def deviations_of(request: Request) -> tuple[Deviation, ...]:
    """Settings of the checkpoint's own configuration that differ from the base's; none without a base, and where its
    own cannot be run. Raises what reading a configuration raises.
    """
    base = request.reference
    if base is None or request.own_settings_problem:
        return ()
    limits = request.limits or default_limits()
    theirs = configuration(Path(base.path), limits)
    return deviations(configuration(request.folder, limits), theirs)


def _tried(under: Under, settings: SettingsOf) -> Outcome | _Failed:
    try:
        return under(settings)
    except TriggerFileError:  # somebody's own, under either
        raise
    except Exception as error:
        faults.raise_where_final(error)
        return _Failed(settings, error)


def _after_failure(failed: _Failed, other: Outcome | _Failed) -> Outcome:
    """What the other audit says alone. What another try may mend, a limit or a fault, leaves only a flag standing."""
    if isinstance(other, _Failed):
        raise failed.error
    lasting = isinstance(failed.error, (AuditError, MeasurementError))
    if not lasting and other.audit.verdict is not Verdict.FLAGGED:
        raise failed.error
    why = faults.reason(failed.error, f"audit under the {failed.settings}'s settings")
    nothing = UnderOtherSettings(failed.settings, None, why)
    return _with_other(other, nothing)


def _came_to(audit: Audit) -> UnderOtherSettings:
    return UnderOtherSettings(
        settings=audit.settings,
        verdict=audit.verdict,
        reason=audit.reason,
        clean_accuracy=audit.clean_accuracy,
        reference_accuracy=audit.reference_accuracy,
    )


def _with_other(
    outcome: Outcome, other: UnderOtherSettings, made: Outcome | None = None
) -> Outcome:
    """The deciding audit, with what the other one came to and took, and with its finding where there is none."""
    note = other_text(other)
    decided = outcome.audit
    record = replace(
        decided,
        under_other=other,
        notes=tuple(dict.fromkeys((*decided.notes, note))),
        reason=f"{decided.reason}; {note}",
        seconds=round(decided.seconds + (made.audit.seconds if made else 0.0), 3),
    )
    finding = outcome.finding
    if finding is None and made is not None:
        finding = made.finding
    if finding is not None:
        finding = replace(finding, reason=record.reason, audit_id=record.id)
    return Outcome(record, finding, outcome.files)
