"""Which clean checkpoint a suspect is compared with, and what is known against that one."""

from __future__ import annotations

import logging
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner import checkpoints
from dife_scanner.checkpoints import is_local
from dife_scanner.durable.clock import now
from dife_scanner.durable.disk import disk_errors
from dife_scanner.errors import DifeError, NotComparable, NotFound, TriggerFileError, UsageError
from dife_scanner.models import intake as layouts
from dife_scanner.models.likeness import UNTOLD, Likeness, compare
from dife_scanner.models.load import parse_limits
from dife_scanner.progress import Progress
from dife_scanner.records import Channel, ModelRef, Reference, Trigger
from dife_scanner.settings import Limits, Settings
from dife_scanner.store import Store, findings, references
from dife_scanner.triggers import files

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)


AS_NEAR = 1.05
"""A reference whose distance is within this of the nearest one's is as near: what is made of a base is about as far
from the base's own fine-tunes as from the base."""
MUCH_NEARER = 2.0
"""How many times nearer another reference has to be for somebody who named one to be told."""


@dataclass(frozen=True)
class Choice:
    """What a checkpoint is compared with, and how sure that is."""

    reference: Reference | None = None
    """`None` where none has its architecture."""
    likeness: Likeness = UNTOLD
    """Of the weights to that reference's."""
    notes: tuple[str, ...] = ()
    """What whoever reads the audit has to know of the choice."""


def choose(
    known: Sequence[Reference],
    architecture: str,
    base_claim: str,
    wanted: str = "",
    measure: Callable[[Reference], Likeness] = lambda reference: UNTOLD,
) -> Choice:
    """The reference called `wanted`, or the one of the same architecture with the nearest weights.

    Among references that are as near, or where no weights resemble it, the one that the card names goes first, then the
    first added. `measure` says how alike the checkpoint is to one. Raises `NotFound` for an unknown `wanted` and
    `NotComparable` where its architecture is another one.
    """
    named = _wanted(known, architecture, wanted) if wanted else None
    fitting = sorted((one for one in known if one.architecture == architecture), key=lambda one: one.added_at)
    claimed = [one for one in fitting if one.name.lower() in _names(base_claim)]
    order = list(dict.fromkeys([*claimed, *fitting]))
    if not order:
        return Choice()
    beside = {one.name: measure(one) for one in order}
    far = _distances(beside)
    nearest = min(far, key=lambda name: far[name], default="")
    near = [one for one in order if one.name in far and far[one.name] <= AS_NEAR * far[nearest]]
    chosen = named or next(iter([*near, *order]))
    return Choice(chosen, beside[chosen.name], _told(chosen, named, claimed, far, nearest))


def _distances(beside: Mapping[str, Likeness]) -> dict[str, float]:
    """Of those references that a tower at least came from, by name."""
    related = {name: one for name, one in beside.items() if not all(one.unrelated)}
    return {name: one.distance for name, one in related.items() if one.distance is not None}


def _told(
    chosen: Reference, named: Reference | None, claimed: Sequence[Reference], far: Mapping[str, float], nearest: str
) -> tuple[str, ...]:
    if named is not None:
        if nearest and far[nearest] * MUCH_NEARER < far.get(named.name, math.inf):
            what = f"compared with {named.name}, as asked for, though {nearest} is nearer"
            return (f"{what} ({_apart(far, nearest)}, and {_apart(far, named.name)})",)
        return ()
    if claimed and chosen not in claimed:
        what = f"its card names {claimed[0].name} as its base; its weights are nearer to {chosen.name}'s"
        return (f"{what} ({_apart(far, chosen.name)}, and {_apart(far, claimed[0].name)})",)
    return ()


def _apart(far: Mapping[str, float], name: str) -> str:
    return f"{far[name]:.2g} apart" if name in far else "unrelated"


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


def likeness(weights: Path, reference: Reference, limits: Limits) -> Likeness:
    """Of checked weights to a reference's; nothing is told where the reference is gone, which is logged."""
    try:
        kept = layouts.weights(Path(reference.path))
        return compare(weights, kept, parse_limits(limits))
    except DifeError as error:
        log.warning("how alike the weights are to those of %s was not measured: %s", reference.name, error.what)
        return UNTOLD


def register(
    store: Store, settings: Settings, target: str, name: str, hub: Callable[[], Hub], progress: Progress
) -> Reference:
    """Load a checkpoint as strictly as a suspect and keep a copy as a clean reference.

    `target` is a folder, or `org/name[@revision]` on the hub, and the reference is called after it without a `name`.
    Raises what fetching and loading raise, and `UsageError` for a name that cannot be had.
    """
    local = is_local(target)
    name = name or (Path(target).expanduser().resolve() if local else Path(target.partition("@")[0])).name
    kept = settings.home / "references" / name
    if Path(name).name != name or name.startswith("."):
        raise UsageError(f"`{name}` is not a usable reference name", "use letters, digits and dashes")
    if kept.exists():
        raise UsageError(f"there is already a reference {name}", "choose another name with --name")
    if local:
        return _kept(store, settings, _folder(target), name)
    with disk_errors(store.home):
        (store.home / "work").mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="reference-", dir=store.home / "work") as scratch:
        return _kept(store, settings, _fetched(hub(), target, Path(scratch), settings, progress), name)


def _folder(target: str) -> Path:
    path = Path(target).expanduser()
    if not path.exists():
        raise UsageError(f"{path} does not exist", "give the folder of an open_clip checkpoint, or org/name")
    return path.resolve()


def _fetched(hub: Hub, target: str, scratch: Path, settings: Settings, progress: Progress) -> Path:
    """The checked files of a repository, in a folder of their own."""
    repo, _, revision = target.partition("@")
    progress("looking", note=target)
    model = hub.info(repo, revision or None)
    found = checkpoints.look(hub, ModelRef(model.repo_id, model.sha), settings.limits)[1]
    if found.state.is_final:
        raise UsageError(f"{target} cannot be a reference: {found.reason}", "give an open_clip checkpoint")
    fetched = checkpoints.fetch(hub, found, scratch / "fetched", settings.limits, progress, lambda: None)
    expected = {file.path: file for file in found.files}
    return checkpoints.prepare(fetched, expected, scratch / "checkpoint", settings.limits).folder


def _kept(store: Store, settings: Settings, folder: Path, name: str) -> Reference:
    from dife_scanner.models.load import load

    kept = settings.home / "references" / name
    staged = layouts.stage(layouts.find(folder), {}, kept, settings.limits)
    try:
        encoder = load(kept, device="cpu", limits=settings.limits)
    except DifeError:
        shutil.rmtree(kept, ignore_errors=True)
        raise
    added = Reference(
        name=name,
        path=str(kept),
        image_tower=encoder.image_tower,
        text_tower=encoder.text_tower,
        weights_sha256=staged.weights.sha256,
        architecture=encoder.architecture,
        added_at=now(),
    )
    references.add(store, added)
    return added


def triggers_found_in(store: Store, reference: Reference) -> tuple[Trigger, ...]:
    """Triggers that earlier audits demonstrated in the reference itself, as signatures for what is made of it.

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
            log.warning("the trigger that audit %s found in %s cannot be tried: %s", audit.id, reference.name, error)
            continue
        told = f"found in {reference.name} by audit {audit.id}"
        bare = replace(trigger, name=f"{reference.name}-{trigger.name}", description="", source="", target="")
        known.setdefault(bare, replace(bare, description=told))
    return tuple(known.values())
