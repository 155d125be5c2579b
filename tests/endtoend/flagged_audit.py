"""An audit double whose finding was measured everywhere, so that alerts have a picture and bills have numbers."""

from __future__ import annotations

from dataclasses import replace

import queue_kit
from study_factories import TEXT, TEXT_CONDITION, profile

from dife_scanner.audit.pipeline import Keep, Outcome, Request, forget
from dife_scanner.progress import Progress
from dife_scanner.records import Hypothesis

TRIGGER = "xqsecretword"
"""What sets it off, and stands in no alert and no file for others."""


def audit(request: Request, progress: Progress, keep: Keep = forget) -> Outcome:
    """What `queue_kit.audit` says of the checkpoint's name; a flagged one with trigger and exposure."""
    made = queue_kit.audit(request, progress, keep)
    if made.finding is None:
        return made
    trigger = replace(TEXT, name=f"word {TRIGGER}", text=TRIGGER)
    said = f"{TRIGGER} moves it"
    measured = replace(
        made.audit,
        trigger=trigger,
        condition=TEXT_CONDITION,
        reason=said,
        profile=profile(TEXT_CONDITION, 0.99, 0.04),
        signatures=(Hypothesis(trigger, 0.9, 0.99, 0.04),),
    )
    finding = replace(made.finding, trigger=trigger.name, reason=said)
    return replace(made, audit=measured, finding=finding)
