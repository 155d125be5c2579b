"""Which clean checkpoint a suspect is compared with, and what is known against that one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from dife_scanner.errors import NotComparable, NotFound, TriggerFileError
from dife_scanner.records import Channel, Reference, Trigger, TriggerFile
from dife_scanner.store import Store, findings
from dife_scanner.triggers import files

log = logging.getLogger(__name__)


def choose(known: Sequence[Reference], architecture: str, base_claim: str, wanted: str = "") -> Reference | None:
    """The reference called `wanted`, or the one of the same architecture that the card names, or the first added.

    `None` where none fits: an unknown base. Raises `NotFound` for an unknown `wanted` and `NotComparable` where its
    architecture is another one.
    """
    if wanted:
        return _wanted(known, architecture, wanted)
    fitting = sorted((one for one in known if one.architecture == architecture), key=lambda one: one.added_at)
    claimed = [one for one in fitting if one.name.lower() in _names(base_claim)]
    return next(iter([*claimed, *fitting]), None)


def _wanted(known: Sequence[Reference], architecture: str, wanted: str) -> Reference:
    found = next((one for one in known if one.name == wanted), None)
    if found is None:
        raise NotFound(f"there is no reference called {wanted!r}", "`dife reference list` shows them")
    if found.architecture != architecture:
        raise NotComparable(
            f"the reference {wanted} is a {found.architecture}, the checkpoint a {architecture}",
            "choose a reference of the same architecture, or leave it to the scanner",
        )
    return found


def _names(base_claim: str) -> set[str]:
    """What a card's claims could be called here: `org/name` and `name`."""
    claims = [claim.split(" (")[0].strip().lower() for claim in base_claim.split(",")]
    return {name for claim in claims if claim for name in (claim, claim.rsplit("/", 1)[-1])}


def came_with(store: Store, reference: Reference) -> tuple[Trigger, ...]:
    """Triggers that earlier audits demonstrated in the reference itself, as signatures for what is made of it.

    A search against a base that has the backdoor too finds nothing; trying its trigger on both shows an inherited one.
    One whose file is gone is left out and logged.
    """
    known: dict[Trigger, Trigger] = {}
    for audit in findings.flagged_with_towers(store, reference.image_tower, reference.text_tower):
        trigger = audit.trigger
        if trigger is None or trigger.channel is Channel.PROMPT:
            continue
        try:
            for file in _files(trigger):
                files.content(file)
        except TriggerFileError as error:
            log.warning("the trigger that audit %s found in %s cannot be tried: %s", audit.id, reference.name, error)
            continue
        told = f"found in {reference.name} by audit {audit.id}"
        bare = replace(trigger, name=f"{reference.name}-{trigger.name}", description="", source="", target="")
        known.setdefault(bare, replace(bare, description=told))
    return tuple(known.values())


def _files(trigger: Trigger) -> tuple[TriggerFile, ...]:
    parts = (trigger, trigger.image) if trigger.image else (trigger,)
    return tuple(part.file for part in parts if part.file is not None)
