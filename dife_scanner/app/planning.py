"""What a scan or the next poll would fetch, before anything is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dife_scanner.app import own_pictures
from dife_scanner.app.bases_to_fetch import BasesToFetch
from dife_scanner.app.references import qualified
from dife_scanner.app.wiring import hub
from dife_scanner.baselines.home import open_home
from dife_scanner.durable import clock
from dife_scanner.errors import LimitExceeded, NeedsBase, Refused, Unreadable, Unsupported
from dife_scanner.records import (
    Budget,
    HubModel,
    JobState,
    Manifest,
    ModelRef,
    Reach,
    Reference,
)
from dife_scanner.sentences.numbers import count
from dife_scanner.settings import Settings
from dife_scanner.store import Store, audits, jobs, polls, references, watchlist

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from dife_scanner.hub.client import Hub
    from dife_scanner.hub.deadline import Deadline
    from dife_scanner.reports.as_json import PlanDocument, PlannedModel


def _look(
    settings: Settings, target: str, known: Sequence[Reference], bases: BasesToFetch
) -> Manifest:
    """The manifest of a target: a local path where there is one, else a repository on the endpoint."""
    from dife_scanner import checkpoints
    from dife_scanner.baselines.adapters import usable
    from dife_scanner.baselines.registry import registry
    from dife_scanner.hub.manifest import local_manifest

    limits = settings.limits
    if checkpoints.is_local(target):
        found = local_manifest(
            Path(target).expanduser().resolve(),
            checkpoint_bytes=limits.checkpoint_bytes,
            small_file_bytes=limits.small_file_bytes,
        )
        fitting = usable(found, known, registry(settings.references.registry))
        return _judged(found, lambda: checkpoints.judge_local(found, limits, fitting), bases)
    repo_id, _, revision = target.partition("@")
    client = hub(settings)
    seen = checkpoints.look(client, ModelRef(repo_id, revision), limits)
    fitting = usable(seen.manifest, known, registry(settings.references.registry))
    return _judged(seen.manifest, lambda: checkpoints.judge(client, seen, limits, fitting), bases)


def _judged(found: Manifest, judge: Callable[[], None], bases: BasesToFetch) -> Manifest:
    """The manifest with the state and the reason that `judge` gives, where it raises an error of the checkpoint's.

    A part of a checkpoint stays as it is where its base would be fetched.
    """
    from dife_scanner.queue.failures import state_of, with_advice

    try:
        judge()
    except (Refused, Unreadable, Unsupported, LimitExceeded) as error:
        if isinstance(error, NeedsBase) and bases.of(found)[2]:
            return found
        return replace(found, state=state_of(error), reason=with_advice(error), bytes_to_fetch=0)
    return found


def plan_targets(
    settings: Settings,
    targets: Sequence[str],
    budget: Budget,
    *,
    seed: int = 0,
    blind: bool = True,
    pictures: str = "",
) -> PlanDocument:
    """Say what `dife scan` would fetch for these targets, and how long it would take.

    `blind`: triggers that nobody described are searched for, which needs bases that are qualified. `pictures` are
    labelled ones of somebody's own; raises what an audit would refuse them with.
    """
    from dife_scanner.audit import qualification
    from dife_scanner.hub.poll import BYTES_PER_SECOND, audit_words
    from dife_scanner.reports.as_json import PlanDocument

    own = own_pictures.planned(settings, pictures, budget, seed, blind=blind)
    with open_home(settings) as store:
        known = references.references(store)
        audit_seconds = audits.usual_seconds(store, budget) or 0.0
        measured = qualified(store, known)
    bases = BasesToFetch(settings, known)
    manifests = [_look(settings, target, known, bases) for target in targets]
    auditable = [manifest for manifest in manifests if manifest.state is JobState.QUEUED]
    remote = [manifest for manifest in auditable if not manifest.ref.local]
    planned = tuple(_planned(manifest, bases) for manifest in manifests)
    qualify = _to_qualify(auditable, planned, known, measured) if blind else ()
    sets = qualification.bundled() if qualify else None
    total_bytes = sum(manifest.bytes_to_fetch for manifest in remote) + bases.total_bytes
    seconds = total_bytes / BYTES_PER_SECOND + audit_seconds * len(auditable)
    return PlanDocument(
        models=len(manifests),
        auditable=len(auditable),
        states=_counts_by_state(manifests),
        bytes=total_bytes,
        # two requests describe a repository, one reads the header, and each file is one more
        requests=sum(3 + len(manifest.files) for manifest in remote),
        hours=seconds / 3600,
        exact=True,
        assumptions=(
            f"downloads at {BYTES_PER_SECOND / 1e6:g} MB/s",
            audit_words(audit_seconds),
            *_pictures_words(pictures),
        ),
        targets=planned,
        qualify=qualify,
        qualify_pictures=len(qualify) * sets.pictures if sets else 0,
        qualify_texts=len(qualify) * sets.texts if sets else 0,
        own_pictures=own,
    )


def _pictures_words(pictures: str) -> tuple[str, ...]:
    if not own_pictures.is_to_be_fetched(pictures):
        return ()
    return (f"the data set {pictures} fits: it is fetched first, and was not looked at",)


def _to_qualify(
    auditable: Sequence[Manifest],
    planned: Sequence[PlannedModel],
    known: Sequence[Reference],
    measured: Container[str],
) -> tuple[str, ...]:
    """Bases that may be compared with and were not measured: all of a target's architecture, and one to be fetched."""
    architectures = {manifest.architecture for manifest in auditable}
    here = [one.name for one in known if one.architecture in architectures]
    names = [name for name in here if name not in measured]
    names += [one.base for one in planned if one.base_bytes]
    return tuple(dict.fromkeys(names))


def _counts_by_state(manifests: Sequence[Manifest]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for manifest in manifests:
        state = manifest.state.value
        counts[state] = counts.get(state, 0) + 1
    return counts


def _planned(manifest: Manifest, bases: BasesToFetch) -> PlannedModel:
    from dife_scanner.reports.as_json import PlannedModel

    base, by, size = "", "", 0
    if manifest.state is JobState.QUEUED:
        base, by, size = bases.of(manifest)
    return PlannedModel(
        manifest.ref,
        manifest.layout.value,
        manifest.state,
        manifest.reason,
        manifest.bytes_to_fetch,
        tuple(file.path for file in manifest.files),
        base,
        by,
        size,
    )


def plan_pass(settings: Settings) -> PlanDocument:
    """Say what the next poll would find and what looking at it would cost; nothing is fetched and nothing recorded.

    Of sources that were not read back yet, one page each tells how much there is.
    """
    from dife_scanner.hub.deadline import Deadline
    from dife_scanner.hub.estimate import scaled
    from dife_scanner.hub.poll import plan
    from dife_scanner.reports.as_json import PlanDocument

    client = hub(settings)
    deadline = Deadline(settings.limits.pass_seconds)
    with open_home(settings) as store:
        audit_seconds = audits.usual_seconds(store, settings.budget) or 0.0
        ahead = _ahead(store, settings, client, deadline)
    found = plan(client, ahead.models, audit_seconds=audit_seconds, deadline=deadline)
    found = scaled(found, ahead.amount)
    return PlanDocument(
        models=found.models,
        auditable=found.auditable,
        states=found.states,
        bytes=found.bytes,
        requests=found.requests + ahead.requests,
        hours=found.hours,
        exact=found.exact and ahead.exact,
        assumptions=(*found.assumptions, *ahead.problems),
    )


@dataclass(frozen=True)
class _Ahead:
    """What the next pass would find."""

    models: tuple[HubModel, ...]
    """All of it, or a sample."""
    amount: int
    """How many there are of them."""
    requests: int = 0
    """To read the listings further than was done here."""
    exact: bool = True
    problems: tuple[str, ...] = ()


def _ahead(store: Store, settings: Settings, client: Hub, deadline: Deadline) -> _Ahead:
    from dife_scanner.hub import scopes
    from dife_scanner.hub.estimate import extent, first_pages, sample
    from dife_scanner.hub.history import covers
    from dife_scanner.hub.poll import poll

    now = clock.moment()
    bound = settings.watch.back_to(now)
    watched = watchlist.watched(store, settings.endpoint)
    sources = scopes.sources(settings.watch.in_force, settings.filters, watched)
    known = jobs.known(store, settings.endpoint)
    reaches = polls.reaches(store, settings.endpoint)
    unread = [source for source in sources if not covers(reaches.get(source, Reach()), bound)]
    if not unread:
        result = poll(
            client,
            known=known,
            watermarks=polls.watermarks(store, settings.endpoint),
            overlap_seconds=settings.overlap_seconds,
            deadline=deadline,
            sources=sources,
        )
        return _Ahead(
            result.models, len(result.models), exact=result.complete, problems=result.problems
        )
    pages = first_pages(client, unread, deadline)
    size = extent(pages, bound, now)
    shown = [one for one in sample(pages, bound) if known.get(one.repo_id) != one.sha]
    amount = len(shown) if size.exact else max(len(shown), size.models - len(known))
    problems: tuple[str, ...] = ()
    if not size.exact:
        problems = (
            f"{count(size.models, 'model')} in all, at the pace of those on the first page of each source",
        )
    missing = [source for source in unread if source not in pages]
    problems += tuple(f"{source}: not read" for source in missing)
    return _Ahead(tuple(shown), amount, size.requests, size.exact and not missing, problems)
