"""What somebody wishes for models and a deployment in the window; the rules are in `store/deciding`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dife_gui.escape import explained
from dife_scanner.errors import DifeError
from dife_scanner.records import Standing
from dife_scanner.store import deciding, models
from dife_scanner.store.db import Store
from dife_scanner.store.deciding import Asked, Proposal, Subject

Jobs = Callable[[Store], Sequence[int]]
"""Reads which models are meant."""


@dataclass(frozen=True)
class Wish:
    """A decision for a deployment that somebody wants to be kept."""

    deployment: str
    subjects: tuple[Subject, ...]
    asked: Asked | None
    """`None` where it is what was decided before about what is like them."""
    proposals: tuple[Proposal, ...] = ()


def jobs_of_list(store: Store, filter: str) -> tuple[int, ...]:
    """All models that a filter lets through. Raises `QueryError`."""
    return tuple(models.order(store, filter=filter).keys)


def keep(store: Store, wish: Wish, actor: str) -> list[Standing]:
    """Store what is wished for; gives what counts then."""
    if wish.asked is None:
        return deciding.take_over(store, wish.proposals, wish.deployment, actor)
    asked = replace(wish.asked, actor=actor)
    return deciding.decide(store, wish.subjects, wish.deployment, asked)


def portions(wish: Wish) -> list[Wish]:
    """What is taken over, in parts of at most `deciding.PORTION`."""
    starts = range(0, len(wish.proposals), deciding.PORTION)
    return [
        replace(wish, proposals=wish.proposals[start : start + deciding.PORTION])
        for start in starts
    ]


def problem_of(wish: Wish) -> str:
    """Why this cannot be kept, before it is tried; empty where nothing speaks against it."""
    try:
        if wish.asked is not None:
            deciding.check(wish.asked)
    except DifeError as error:
        return explained(error)
    return ""
