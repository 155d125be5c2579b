"""Which interfaces an audit measures, and the one way through all of them.

A built-in interface registers a function under its card of `core.cards`; a researcher's file brings a card of its own
(docs/extending.md). Nothing here knows what any interface does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dife_scanner.audit import faults
from dife_scanner.audit.interfaces.subject import NoPool, Subject
from dife_scanner.core.agreement import Profile, profile_after
from dife_scanner.core.cards import CARDS, Card
from dife_scanner.core.validity import judge, selector_control
from dife_scanner.errors import (
    AuditError,
    MeasurementError,
    ProbeError,
    UsageError,
)
from dife_scanner.records import (
    ArtefactMissing,
    Cell,
    Diagnosis,
    Entry,
    NotRun,
    SelectorControl,
)

Measuring = Callable[[Card, Subject], Cell | SelectorControl | NotRun | ArtefactMissing]
"""Measures one card on one subject. Only called when the question is well formed or a selector control is due."""

_MEASURES: dict[str, tuple[Card, Measuring]] = {}


def interface(card: Card) -> Callable[[Measuring], Measuring]:
    """Register the decorated function as the one that measures `card`.

    Raises `UsageError` where the interface has one already.
    """

    def register(measuring: Measuring) -> Measuring:
        name = card.interface
        if name in _MEASURES:
            _, taken = _MEASURES[name]
            raise UsageError(
                f"the interface `{name}` is already measured by {taken.__module__}.{taken.__qualname__}",
                "give the new interface's card another name",
            )
        _MEASURES[name] = (card, measuring)
        return measuring

    return register


def forget(name: str) -> None:
    """Take an interface out again. Raises `UsageError` for one that is not registered."""
    if name not in _MEASURES:
        known = ", ".join(card.interface for card in cards())
        raise UsageError(f"there is no interface `{name}`", f"there are: {known}")
    del _MEASURES[name]


def cards() -> tuple[Card, ...]:
    """Every registered card: the framework's in its own order, then extensions in the order of registration."""
    registered = [card for card, _ in _MEASURES.values()]
    # The framework's own order, not that in which modules were imported.
    builtin = [card for card in CARDS if card.interface in _MEASURES]
    extensions = [card for card in registered if card not in builtin]
    return (*builtin, *extensions)


Kinds = tuple[type[Exception], ...]


def measure_all(subject: Subject, diagnosis: Diagnosis, *, raised: Kinds = ()) -> Profile:
    """The exposure profile, one entry per card. Takes the frozen diagnosis, so that it cannot be measured first.

    A card that cannot be asked is not run, with its reason, unless its error is one of those to be `raised`.
    """
    return profile_after(diagnosis, _entries(subject, raised))


def measure_undiagnosed(subject: Subject, *, raised: Kinds = ()) -> tuple[Entry, ...]:
    """The same entries where a fault left no diagnosis, so that there is none to compare them with."""
    return tuple(_entries(subject, raised))


def _entries(subject: Subject, raised: Kinds) -> Iterator[Entry]:
    subject.encode_ahead()
    for card in cards():
        try:
            entry = measure_one(card, subject)
        except raised:
            raise
        except Exception as error:
            entry = NotRun(card.interface, faults.reason(error, card.interface))
        yield entry


def measure_one(card: Card, subject: Subject) -> Entry:
    """One card's entry: N.E. where the question is not well formed, else what its function measures.

    Raises `MeasurementError` naming card and pool where a number cannot be computed.
    """
    # A selector control needs no trigger, so that its question is not judged.
    if not selector_control(card, subject.condition):
        absent = judge(card, subject.condition)
        if absent is not None:
            return absent
    subject.populations.enter()
    with named(card, lambda: subject.populations.current):
        return _measured(card, subject)


def _measured(card: Card, subject: Subject) -> Entry:
    """What the card's function returns, or why it could not run."""
    _, measure = _MEASURES[card.interface]
    try:
        return measure(card, subject)
    except NoPool as missing:
        return NotRun(card.interface, str(missing))
    except ProbeError as error:
        reason = f"{error.what}; {error.advice}"
        return ArtefactMissing(card.interface, subject.populations.current, reason)


@contextmanager
def named(card: Card, pool: Callable[[], str]) -> Iterator[None]:
    """Errors that leave say which card was measured and on which pool, unless they say it themselves."""
    try:
        yield
    except (MeasurementError, AuditError) as error:
        if getattr(error, "card", ""):
            raise
        # An error of a pool names it in its own words.
        known = getattr(error, "pool", "")
        raise MeasurementError(
            error.what,
            error.advice,
            card=card.interface,
            pool="" if known else pool(),
        ) from error
