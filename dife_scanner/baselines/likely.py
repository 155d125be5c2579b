"""Which known base a checkpoint was made from: its weights say so first, then its card, its adapter, its name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from dife_scanner.baselines.registry import Base, Registry
from dife_scanner.hub.claims import CARD
from dife_scanner.models.likeness import UNTOLD, Likeness
from dife_scanner.plain import plain
from dife_scanner.records import BaseClaim, ModelRef

MOST_COMPARED = 40
"""Bases that a checkpoint is compared with; the registry knows 25 of the commonest architecture."""
AS_NEAR = 1.05
"""A base whose distance is within this of the nearest one's is as near."""


class By(StrEnum):
    """What says which base it is, the surest first."""

    WEIGHTS = "its weights"
    ITSELF = "its repository"
    CARD = "its card"
    ADAPTER = "its adapter_config.json"
    CONFIGURATION = "its config.json"
    NAME = "its name"
    ARCHITECTURE = "its architecture"
    """Only the guess that is right most often."""


_ADAPTER = "adapter_config.json"
_STATED = frozenset({By.ITSELF, By.CARD, By.ADAPTER, By.CONFIGURATION})


@dataclass(frozen=True)
class Claim:
    """A base, and what names it."""

    base: Base
    by: By


@dataclass(frozen=True)
class Likely:
    """The base of a checkpoint as far as can be told without having it."""

    base: Base | None = None
    by: By = By.ARCHITECTURE
    notes: tuple[str, ...] = ()
    """What whoever reads the audit has to know of it."""

    @property
    def is_worth_fetching(self) -> bool:
        """Whether more than a guess says so, and this version reads the base."""
        return self.base is not None and self.by is not By.ARCHITECTURE and not self.base.unread


def claims(
    known: Registry, ref: ModelRef, stated: Sequence[BaseClaim], architecture: str = ""
) -> tuple[Claim, ...]:
    """Every base that something about a checkpoint names, the surest claim first and each base once.

    `stated` are the `base_claims` of its manifest, `architecture` is its own.
    """
    named = [(ref.repo_id if not ref.local else "", By.ITSELF)]
    for said in stated:
        named.append((said.name, _source(said)))
    found = [Claim(base, by) for name, by in named if (base := known.resolve(name))]
    found.sort(key=lambda claim: list(By).index(claim.by))
    alike = known.named_like(ref.repo_id)
    if alike:
        found.append(Claim(alike, By.NAME))
    for base in known.of_architecture(architecture):
        if base.usual:
            found.append(Claim(base, By.ARCHITECTURE))
    first: dict[str, Claim] = {}
    for claim in found:
        first.setdefault(claim.base.name, claim)
    return tuple(first.values())


def _source(claim: BaseClaim) -> By:
    if claim.source == CARD:
        return By.CARD
    is_adapter = claim.source.rpartition("/")[2] == _ADAPTER
    return By.ADAPTER if is_adapter else By.CONFIGURATION


def expanded(known: Registry, stated: Sequence[BaseClaim]) -> str:
    """The names that are claimed, and what references of the bases that they mean are called here."""
    names = []
    for claim in stated:
        names.append(claim.name)
        base = known.resolve(claim.name)
        if base:
            names.append(base.short)
    return ", ".join(names)


def likely(
    known: Registry,
    ref: ModelRef,
    stated: Sequence[BaseClaim],
    architecture: str,
    measure: Callable[[Base], Likeness] | None = None,
    here: Collection[str] = (),
) -> Likely:
    """The base that a checkpoint was made from, of those the registry knows and that are not `here` already.

    `measure` compares its weights with those of a base; without it the claims alone decide. What it raises is raised.
    """
    made = [
        claim for claim in claims(known, ref, stated, architecture) if claim.base.name not in here
    ]
    made = [replace(claim, base=_elsewhere(claim.base, ref)) for claim in made]
    made = [claim for claim in made if claim.base.places]
    measured: dict[str, Likeness] = {}
    if measure is not None:
        for base in _compared(known, made, ref, architecture, here):
            measured[base.name] = measure(base)
    near = _nearest(known, made, measured)
    if near is not None:
        base = _elsewhere(near, ref)
        return Likely(base, By.WEIGHTS, _contradiction(made, base, measured))
    return _claimed(made, measured)


def _elsewhere(base: Base, ref: ModelRef) -> Base:
    """The base without the checkpoint's own repository: nothing is its own proof."""
    if ref.local:
        return base
    own = ref.repo_id.lower()
    places = tuple(place for place in base.places if place.repository.lower() != own)
    return replace(base, places=places)


def _compared(
    known: Registry, made: Sequence[Claim], ref: ModelRef, architecture: str, here: Collection[str]
) -> list[Base]:
    """The bases to compare with: the claimed ones, whatever their architecture, then all of the same one."""
    bases = {claim.base.name: claim.base for claim in made}
    for base in known.of_architecture(architecture):
        if base.name not in here:
            bases.setdefault(base.name, _elsewhere(base, ref))
    readable = [base for base in bases.values() if base.places and not base.unread]
    return readable[:MOST_COMPARED]


def _nearest(
    known: Registry, made: Sequence[Claim], measured: Mapping[str, Likeness]
) -> Base | None:
    """The base whose values are nearest, and of several as near the one that is claimed first; `None` of strangers."""
    distances = {}
    for name, likeness in measured.items():
        if likeness.distance is not None and not likeness.is_strange:
            distances[name] = likeness.distance
    if not distances:
        return None
    least = min(distances.values())
    as_near = [name for name, distance in distances.items() if distance <= AS_NEAR * least]
    order = [claim.base.name for claim in made]
    as_near.sort(key=lambda name: order.index(name) if name in order else len(order))
    return known.base(as_near[0])


def _contradiction(
    made: Sequence[Claim], base: Base, measured: Mapping[str, Likeness]
) -> tuple[str, ...]:
    for claim in made:
        if claim.by not in _STATED or claim.base.name == base.name:
            continue
        if measured.get(claim.base.name, UNTOLD) != UNTOLD:
            return (
                f"{claim.by} names {claim.base.name} as its base; its weights are nearer to those of {base.name}",
            )
    return ()


def _claimed(made: Sequence[Claim], measured: Mapping[str, Likeness]) -> Likely:
    """Where no weights tell, the first claim that no weights contradict; else the first that somebody stated."""
    for claim in made:
        if measured.get(claim.base.name, UNTOLD) == UNTOLD:
            return Likely(claim.base, claim.by, _unread(claim))
    for claim in made:
        if claim.by in _STATED:
            note = f"{claim.by} names {claim.base.name} as its base; the weights that were compared are unrelated to it"
            return Likely(claim.base, claim.by, (note,))
    return Likely()


def _unread(claim: Claim) -> tuple[str, ...]:
    if not claim.base.unread:
        return ()
    name = plain(claim.base.name, 100)
    return (
        f"its base {name}, going by {claim.by}, is not read by this version: {claim.base.unread}",
    )
