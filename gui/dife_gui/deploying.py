"""What can be decided about models for a deployment, and what was decided before about what is like them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dife_gui.escape import explained
from dife_scanner.errors import DifeError, NotFound
from dife_scanner.records import DecisionState, Standing
from dife_scanner.store import deciding, decisions, deployments, models
from dife_scanner.store.db import Store
from dife_scanner.store.deciding import Asked, Proposal, Subject

Jobs = Callable[[Store], Sequence[int]]
"""Reads which models are meant."""


@dataclass(frozen=True)
class Scope:
    """Some models, as they stand for one deployment."""

    models: int
    """How many were meant; those whose files were not recorded are none of the subjects."""
    deployments: tuple[str, ...]
    """All that there are."""
    deployment: str
    """The one that this is about."""
    subjects: tuple[Subject, ...]
    counts: Mapping[DecisionState, int]
    proposals: tuple[Proposal, ...]
    """What can be taken over from earlier decisions."""
    passed: Mapping[str, int]
    """Why nothing is taken over for the others, with how many."""


@dataclass(frozen=True)
class Wish:
    """A decision for a deployment that somebody wants to be kept."""

    deployment: str
    subjects: tuple[Subject, ...]
    asked: Asked | None
    """`None` where it is what was decided before about what is like them."""
    proposals: tuple[Proposal, ...] = ()


def scope(store: Store, jobs: Sequence[int], deployment: str = "") -> Scope:
    """How these models stand for a deployment, the first by name where none is given.

    Raises `NotFound` where there is no deployment, and `UsageError` for too many models.
    """
    names = tuple(one.profile.name for one in deployments.deployments(store))
    if not names:
        raise NotFound(
            "no deployment is described here", "`dife deployments add NAME` describes one"
        )
    profile = deployments.deployment(store, deployment or names[0])
    name = profile.profile.name
    subjects = deciding.subjects_of(store, jobs)
    stands: Counter[DecisionState] = Counter()
    seen = []
    for subject in subjects:
        stands[decisions.standing(store, subject.artefact, profile).state] += 1
        log = decisions.about(store, subject.artefact, name)
        seen.append(replace(subject, seen=log[-1].id if log else ""))
    made, passed = deciding.proposals(store, seen, name)
    return Scope(
        models=len(jobs),
        deployments=names,
        deployment=name,
        subjects=tuple(seen),
        counts=stands,
        proposals=tuple(made),
        passed=Counter(one.why for one in passed),
    )


def jobs_of_list(store: Store, filter: str) -> tuple[int, ...]:
    """All models that a filter lets through. Raises `QueryError`."""
    return tuple(models.order(store, filter=filter).keys)


def keep(store: Store, wish: Wish, actor: str) -> list[Standing]:
    """Store what is wished for; gives what counts then."""
    if wish.asked is None:
        return deciding.take_over(store, wish.proposals, wish.deployment, actor)
    asked = replace(wish.asked, actor=actor)
    return deciding.decide(store, wish.subjects, wish.deployment, asked)


def take_over_for(store: Store, job: int, actor: str) -> list[Standing]:
    """For one model, whatever may be taken over for any deployment. Raises `NotFound` where nothing may."""
    done: list[Standing] = []
    why = "its files were not recorded"
    for one in deployments.deployments(store):
        found = scope(store, [job], one.profile.name)
        why = next(iter(found.passed), why)
        done += deciding.take_over(store, found.proposals, found.deployment, actor)
    if not done:
        raise NotFound(f"nothing can be taken over: {why}", "decide by hand")
    return done


def problem_of(wish: Wish) -> str:
    """Why this cannot be kept, before it is tried; empty where nothing speaks against it."""
    try:
        if wish.asked is not None:
            deciding.check(wish.asked)
    except DifeError as error:
        return explained(error)
    return ""
