"""Which clean checkpoint a suspect is compared with, and what is known against that one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from pathlib import Path

from dife_scanner.checkpoints import Prepared, completed_config
from dife_scanner.errors import DifeError, NotComparable, NotFound, TriggerFileError
from dife_scanner.models import intake as layouts
from dife_scanner.models.likeness import UNTOLD, Likeness, compare
from dife_scanner.models.load import configuration, parse_limits
from dife_scanner.models.tensors import expected_tensors, same_shapes
from dife_scanner.records import Channel, Reference, Trigger
from dife_scanner.settings import Limits
from dife_scanner.store import Store, findings
from dife_scanner.triggers import files

log = logging.getLogger(__name__)


AS_NEAR = 1.05
"""A reference whose distance is within this of the nearest one's is as near: what is made of a base is about as far
from the base's own fine-tunes as from the base."""
MUCH_NEARER = 2.0
"""How many times nearer another reference has to be for somebody who named one to hear of it."""


class Fit(IntEnum):
    """How well a reference's tensors go with a checkpoint's; only `NONE` is false."""

    NONE = 0
    INTERPOLATED = 1
    """They have the same names and shapes, but for the number of positions."""
    EXACT = 2


@dataclass(frozen=True)
class Choice:
    """What a checkpoint is compared with, and how sure that is."""

    reference: Reference | None = None
    """`None` where none has its tensors."""
    likeness: Likeness = UNTOLD
    """Of the weights to that reference's."""
    notes: tuple[str, ...] = ()
    """What whoever reads the audit has to know of the choice."""


def fits(prepared: Prepared, limits: Limits) -> Callable[[Reference], Fit]:
    """Whether a reference's tensors have the names and shapes of a checkpoint's: then they can be compared.

    A part of a checkpoint is measured as it is when it is completed with the reference. One whose configuration is gone
    or cannot be read is logged and fits nothing. Each reference is looked at once: that takes a process.
    """

    @cache
    def fit(reference: Reference) -> Fit:
        try:
            theirs = configuration(Path(reference.path), limits)
        except DifeError as error:
            log.warning("the reference %s is passed over: %s", reference.name, error.what)
            return Fit.NONE
        config = completed_config(prepared, reference, limits)
        if config is None:
            return Fit.NONE
        if not same_shapes(config, theirs):
            return Fit.NONE
        exact = expected_tensors(config) == expected_tensors(theirs)
        return Fit.EXACT if exact else Fit.INTERPOLATED

    return fit


def choose(
    known: Sequence[Reference],
    fitting: Callable[[Reference], int],
    base_claim: str,
    wanted: str = "",
    measure: Callable[[Reference], Likeness] = lambda reference: UNTOLD,
) -> Choice:
    """Choose the reference called `wanted`, or the one with the nearest weights among those that are `fitting`.

    Among references that are as near, or where no weights resemble it, the one that the card names goes first, then the
    one that fits best, then the first added. `measure` says how alike the checkpoint is to one. Raises `NotFound` for
    an unknown `wanted` and `NotComparable` where its tensors are of other shapes.
    """
    named = None
    if wanted:
        named = _named_reference(known, fitting, wanted)
    names_on_card = _names(base_claim)
    comparable = sorted(
        (reference for reference in known if fitting(reference)),
        key=lambda reference: (-fitting(reference), reference.added_at),
    )
    claimed = [reference for reference in comparable if reference.name.lower() in names_on_card]
    order = list(dict.fromkeys([*claimed, *comparable]))
    if not order:
        return Choice()
    likenesses = {reference.name: measure(reference) for reference in order}
    distances = _distances(likenesses)
    if named:
        return Choice(named, likenesses[named.name], _notes_on_named(named, distances))
    nearest = _nearest(order, distances)
    return Choice(nearest, likenesses[nearest.name], _notes_on_claim(nearest, claimed, distances))


def _distances(likenesses: Mapping[str, Likeness]) -> dict[str, float]:
    """Distances to those references to which at least one tower is related, by name."""
    found = {}
    for name, likeness in likenesses.items():
        if likeness.distance is not None and not likeness.is_strange:
            found[name] = likeness.distance
    return found


def _nearest(order: Sequence[Reference], distances: Mapping[str, float]) -> Reference:
    """The first that is about as near as the nearest; the very first where none has a distance."""
    least = min(distances.values(), default=math.inf)
    for reference in order:
        if reference.name in distances and distances[reference.name] <= AS_NEAR * least:
            return reference
    return order[0]


def _notes_on_named(named: Reference, distances: Mapping[str, float]) -> tuple[str, ...]:
    """What somebody has to know whose reference is much farther from the weights than another one."""
    nearest = min(distances, key=lambda name: distances[name], default="")
    if not nearest or distances[nearest] * MUCH_NEARER >= distances.get(named.name, math.inf):
        return ()
    what = f"compared with {named.name}, as asked for, though {nearest} is nearer"
    return (f"{what} ({_apart(distances, nearest)}, and {_apart(distances, named.name)})",)


def _notes_on_claim(
    chosen: Reference, claimed: Sequence[Reference], distances: Mapping[str, float]
) -> tuple[str, ...]:
    """What is to be known where the card names another base than the weights show."""
    if not claimed or chosen in claimed:
        return ()
    what = (
        f"its card names {claimed[0].name} as its base; its weights are nearer to {chosen.name}'s"
    )
    return (f"{what} ({_apart(distances, chosen.name)}, and {_apart(distances, claimed[0].name)})",)


def _apart(distances: Mapping[str, float], name: str) -> str:
    if name not in distances:
        return "unrelated"
    return f"{distances[name]:.2g} apart"


def _named_reference(
    known: Sequence[Reference], fitting: Callable[[Reference], int], wanted: str
) -> Reference:
    by_name = {reference.name: reference for reference in known}
    found = by_name.get(wanted)
    if found is None:
        raise NotFound(
            f"there is no reference called {wanted!r}", "`dife reference list` shows them"
        )
    if not fitting(found):
        raise NotComparable(
            f"the tensors of the reference {wanted} ({found.architecture}) are not those of the checkpoint",
            "choose a reference of the same architecture, or leave it to the scanner",
        )
    return found


def _names(base_claim: str) -> set[str]:
    """What a card's claims could be called here: `org/name` and `name`."""
    names = set()
    for claim in base_claim.split(","):
        name = claim.split(" (")[0].strip().lower()
        if name:
            names.add(name)
            names.add(name.rsplit("/", 1)[-1])
    return names


def likeness(weights: Path, reference: Reference, limits: Limits) -> Likeness:
    """Measure how alike checked weights are to a reference's; where the reference is gone, that is logged instead."""
    try:
        reference_weights = layouts.weights(Path(reference.path))
        return compare(weights, reference_weights, parse_limits(limits))
    except DifeError as error:
        log.warning(
            "how alike the weights are to those of %s was not measured: %s",
            reference.name,
            error.what,
        )
        return UNTOLD


def triggers_found_in(store: Store, reference: Reference) -> tuple[Trigger, ...]:
    """List triggers that earlier audits demonstrated in the reference itself, as signatures for what is made of it.

    A search against a base that has the backdoor too finds nothing; trying its trigger on both shows an inherited one.
    One whose file is gone is left out and logged.
    """
    known: dict[Trigger, Trigger] = {}
    for audit in findings.demonstrated_in(store, reference.image_tower, reference.text_tower):
        trigger = audit.trigger
        if trigger is None or trigger.channel is Channel.PROMPT:
            continue
        try:
            for file in trigger.files:
                files.content(file)
        except TriggerFileError as error:
            log.warning(
                "the trigger that audit %s found in %s cannot be tried: %s",
                audit.id,
                reference.name,
                error,
            )
            continue
        signature = replace(
            trigger,
            name=f"{reference.name}-{trigger.name}",
            description="",
            source="",
            target="",
        )
        # the newest audit describes a trigger that several found
        description = f"found in {reference.name} by audit {audit.id}"
        known.setdefault(signature, replace(signature, description=description))
    return tuple(known.values())


def flagged(store: Store, known: Sequence[Reference]) -> frozenset[str]:
    """Names of the references in which an audit demonstrated a trigger."""
    names = set()
    for reference in known:
        if findings.demonstrated_in(store, reference.image_tower, reference.text_tower):
            names.add(reference.name)
    return frozenset(names)
