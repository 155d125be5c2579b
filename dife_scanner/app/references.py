"""Clean references: add, list, verify and pin them, and check that one is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dife_scanner.app.wiring import channels, hub
from dife_scanner.errors import AuditError, NotFound
from dife_scanner.records import Qualification, Reference, TrustRecord
from dife_scanner.settings import Settings
from dife_scanner.store import references, trust
from dife_scanner.store.db import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dife_scanner.progress import Progress
    from dife_scanner.reports.as_json import (
        ReferenceChecksDocument,
        ReferencesDocument,
        RegistryDocument,
    )


def add_reference(
    store: Store, settings: Settings, target: str, name: str, progress: Progress
) -> Reference:
    """Register a known base, a folder or a repository as clean. Raises what `baselines.adding.register` raises."""
    from dife_scanner.baselines.adding import register

    told = _told(settings)
    return register(store, settings, target, name, lambda: hub(settings), progress, told)


def qualify(store: Store, settings: Settings, name: str, progress: Progress) -> ReferencesDocument:
    """Measure what one reference recognises, or all of them; what was measured before is not measured again.

    Raises `NotFound`, what measuring raises, and `AuditError` where its process died.
    """
    from dife_scanner.queue import child, outcome, qualifying
    from dife_scanner.queue.work import threads
    from dife_scanner.reports.as_json import ReferencesDocument

    chosen = references.references(store)
    if name:
        chosen = [references.reference(store, name)]
    for one in chosen:
        try:
            qualifying.qualify(store, one, settings, progress, threads=threads(settings))
        except (child.ChildDied, outcome.ChildBug) as error:
            raise AuditError(
                f"what {one.name} recognises could not be measured: {error}"
            ) from error
    return ReferencesDocument(tuple(chosen), qualified=qualified(store, chosen))


def _told(settings: Settings) -> list[str]:
    """Names of the alert channels. Raises `SettingsError` for an address that is none."""
    return [channel.name for channel in channels(settings)]


def listed(store: Store) -> ReferencesDocument:
    """The references, what audits lack, and what is trusted of the repositories."""
    from dife_scanner.reports.as_json import ReferencesDocument

    here = tuple(references.references(store))
    return ReferencesDocument(
        references=here,
        wanted=references.wanted(store),
        trusted=tuple(trust.records(store)),
        qualified=qualified(store, here),
    )


def qualified(store: Store, here: Sequence[Reference]) -> dict[str, Qualification]:
    """What each of these recognises of the wide probe set, by name; those that were not measured are missing."""
    from dife_scanner.queue import qualifying

    found = {}
    for one in here:
        kept = qualifying.kept(store, one)
        if kept is not None:
            found[one.name] = kept
    return found


def known_bases(store: Store, settings: Settings) -> RegistryDocument:
    """Every base of the registry. Raises `SettingsError` for a bad file of one's own."""
    from dife_scanner.baselines.registry import registry
    from dife_scanner.reports.as_json import KnownBase, RegistryDocument

    here = {one.base: one.name for one in references.references(store) if one.base}
    found = []
    for base in registry(settings.references.registry).bases:
        found.append(
            KnownBase(
                name=base.name,
                aliases=base.aliases,
                architecture=base.architecture,
                repositories=tuple(place.repository for place in base.places),
                source=base.source,
                reference=here.get(base.name, ""),
                unread=base.unread,
            )
        )
    return RegistryDocument(tuple(found))


def verified(
    store: Store, settings: Settings, name: str, progress: Progress
) -> ReferenceChecksDocument:
    """Verify one reference, or all of them. Raises `NotFound`."""
    from dife_scanner.baselines.verifying import verify
    from dife_scanner.reports.as_json import ReferenceChecksDocument

    chosen = references.references(store)
    if name:
        chosen = [references.reference(store, name)]
    client = hub(settings)
    told = _told(settings)
    checks = []
    for number, reference in enumerate(chosen):
        progress("verifying", number, len(chosen), reference.name)
        checks.append(verify(store, reference, client, told))
    return ReferenceChecksDocument(tuple(checks))


def pin(store: Store, settings: Settings, name: str, revision: str, sha256: str) -> TrustRecord:
    """Pin a base. Raises what `baselines.verifying.pin` raises."""
    from dife_scanner.baselines import verifying

    return verifying.pin(store, settings, name, revision, sha256)


def check_reference(store: Store, name: str) -> None:
    """Check that a named reference is there, before anything is fetched. Raises `NotFound`."""
    from dife_scanner.checkpoints import is_local

    known = {reference.name for reference in references.references(store)}
    if not name or name in known:
        return
    advice = "`dife reference list` shows them"
    if is_local(name):
        advice = f"`dife reference add {name}` first"
    raise NotFound(f"there is no reference called {name!r}", advice)
