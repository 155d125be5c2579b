"""A checkpoint needs a base that is not here: find out which, and fetch it where that is allowed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dife_scanner.baselines import fetching
from dife_scanner.baselines.base_samples import BaseSamples
from dife_scanner.baselines.fetching import Fetching
from dife_scanner.baselines.likely import Likely, claims, likely
from dife_scanner.baselines.registry import Base, Registry, registry
from dife_scanner.baselines.samples import Matrices, Read
from dife_scanner.errors import (
    BaseChanged,
    DifeError,
    HubUnavailable,
    LimitExceeded,
    NotFound,
)
from dife_scanner.models.likeness import Likeness
from dife_scanner.records import BaseClaim, ModelRef, Reference
from dife_scanner.sentences import bases as sentences
from dife_scanner.settings import Settings
from dife_scanner.store import Store, references

if TYPE_CHECKING:
    from dife_scanner.hub.client import Hub

log = logging.getLogger(__name__)

Confirm = Callable[[str], bool]
"""Puts a question to a person; whether the answer is yes."""
_NOT_FETCHED = (BaseChanged, NotFound, LimitExceeded)
"""Why a base does not come here, however often it is tried."""


@dataclass(frozen=True)
class Needs:
    """A checkpoint without a base, and what is known of it."""

    ref: ModelRef
    stated: tuple[BaseClaim, ...]
    """As in its manifest."""
    architecture: str
    """As in its manifest, or in its checked configuration."""
    weights: Callable[[Hub], tuple[Matrices, Read]] | None = None
    """Its matrices and how their bytes are read, from the disk or from the hub; `None` where they cannot be."""


@dataclass(frozen=True)
class Acquired:
    """What came of it."""

    reference: Reference | None = None
    base: str = ""
    """The registry's name of the base that is lacking; empty where none is known, or where it is here now."""
    notes: tuple[str, ...] = ()
    """For whoever reads the audit."""


def acquire(
    store: Store,
    needs: Needs,
    by: Callable[[], Fetching],
    settings: Settings,
    confirm: Confirm | None = None,
) -> Acquired:
    """Find the base that a checkpoint was made from, and fetch it as `references.fetch` says.

    Nothing is asked of the hub where `never` stands there, or where nothing suggests a base. `confirm` is there where a
    person can be asked. Raises `HubUnavailable` for a checkpoint of the hub; for a local one it becomes a note.
    """
    known = registry(settings.references.registry)
    here = {one.base for one in references.references(store) if one.base}
    if not _is_anything_known(known, needs):
        return Acquired()
    try:
        made = by() if settings.references.fetch != "never" else None
        measure = _measure(made, needs) if made else None
        found = likely(known, needs.ref, needs.stated, needs.architecture, measure, here)
        if found.base is None or not found.is_worth_fetching:
            return Acquired(notes=(*found.notes, *_guess(found)))
        return _fetched_or_named(store, found, found.base, made, confirm)
    except HubUnavailable as error:
        if not needs.ref.local:
            raise
        return Acquired(notes=(sentences.not_looked_for(error.what),))


def _is_anything_known(known: Registry, needs: Needs) -> bool:
    named = claims(known, needs.ref, needs.stated, needs.architecture)
    return bool(named or known.of_architecture(needs.architecture))


def _measure(by: Fetching, needs: Needs) -> Callable[[Base], Likeness] | None:
    """What compares with a base on the hub; `None` where the checkpoint's own weights cannot be read so."""
    if needs.weights is None:
        return None
    by.progress("looking for its base", note=str(needs.ref))
    try:
        available, read = needs.weights(by.hub)
    except HubUnavailable:
        raise
    except DifeError as error:
        log.info("%s is not compared with bases: %s", needs.ref, error.what)
        return None
    return BaseSamples(by.hub, by.settings.home, available, read).likeness


def _guess(found: Likely) -> tuple[str, ...]:
    if found.base is None or found.base.unread:
        return ()
    return (sentences.guess(found.base.name),)


def _fetched_or_named(
    store: Store, found: Likely, base: Base, by: Fetching | None, confirm: Confirm | None
) -> Acquired:
    """Fetch the base where `by` says how and somebody or the settings allow it; else say which it is."""
    size = 0
    if by is not None and by.settings.references.fetch == "ask":
        size = fetching.announced_bytes(by.hub, base, by.settings)
    if by is None or not _is_allowed(by, confirm, sentences.question(base.name, found.by, size)):
        told = sentences.lacking(base.name, found.by, size)
        return Acquired(None, base.name, (*found.notes, told))
    try:
        reference = fetching.fetch_base(store, base, by)
    except _NOT_FETCHED as error:
        log.warning("%s", error.what)
        return Acquired(None, base.name, (*found.notes, error.what))
    return Acquired(reference, "", (*found.notes, sentences.fetched(base.name, found.by)))


def _is_allowed(by: Fetching, confirm: Confirm | None, question: str) -> bool:
    if by.settings.references.fetch == "auto":
        return True
    if confirm is None:
        return False
    with by.progress.paused():
        return confirm(question)
