"""One pass over a hub's listings: what is new since the last one, and what it would cost to look at it.

A listing is not a snapshot: a model that changes while we page jumps ahead of the cursor, and this pass misses it. So
each source is read from the top down to its watermark less an overlap, and revisions are distinguished by commit. The
watermark of a source is the newest change seen on its first page. It is handed out only when the source was read to
its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dife_scanner.durable import clock
from dife_scanner.errors import BadToken, HubError, HubUnavailable, LimitExceeded, UsageError
from dife_scanner.hub import listing
from dife_scanner.hub.client import Hub
from dife_scanner.hub.deadline import Deadline
from dife_scanner.hub.listing import Page
from dife_scanner.hub.manifest import manifest, wanted_files
from dife_scanner.hub.scopes import SOURCES
from dife_scanner.records import HubModel, JobState, ModelRef

LOOKBACK_DAYS = 30.0
"""How far a source is read that has no watermark yet. All years would be millions of models."""

Progress = Callable[[str, int, int], None]
"""Called after each page with the source, its pages so far and the models seen in the whole pass."""


@dataclass(frozen=True)
class PollResult:
    """What one pass found."""

    models: tuple[HubModel, ...]
    """Revisions not known before, each repository once, newest change first. From the listing: no sizes."""
    watermarks: dict[str, str]
    """For each source read to its end (the one before where it shows nothing). Store them after `models`."""
    malformed: int
    """Items that could not be read."""
    requests: int
    """Sent in this pass, redirects and retries included."""
    seen: int
    """Distinct repositories within the time looked at."""
    complete: bool
    """Every source was read to its end."""
    problems: tuple[str, ...] = ()
    """Why a source was not, and the kinds of malformed items."""
    retry_after: float | None = None
    """Seconds the hub requires us to wait."""
    repositories: frozenset[str] = frozenset()
    """Those that `seen` counts."""
    errors: tuple[HubError | LimitExceeded, ...] = ()
    """One for each source that was not read to its end, as far as it was tried."""
    tried: tuple[str, ...] = ()
    """Sources that were asked for, read to their end or not."""


@dataclass
class _Pass:
    """What one pass has gathered so far."""

    newest: dict[str, HubModel] = field(default_factory=dict)
    """The latest revision seen of each repository."""
    watermarks: dict[str, str] = field(default_factory=dict)
    """Of the sources read to their end; empty text for one that showed nothing."""
    malformed: dict[str, int] = field(default_factory=dict)
    """Items that could not be read, counted by reason."""
    tried: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    errors: list[HubError | LimitExceeded] = field(default_factory=list)


def poll(
    hub: Hub,
    *,
    known: Mapping[str, str],
    watermarks: Mapping[str, str],
    overlap_seconds: float = 3600.0,
    deadline: Deadline | None = None,
    sources: Sequence[str] = SOURCES,
    lookback_days: float | None = LOOKBACK_DAYS,
    since: datetime | None = None,
    progress: Progress | None = None,
) -> PollResult:
    """Read every source down to what was read before.

    `known` maps repositories to the commit seen last. A source without a watermark is read `lookback_days` back
    (`None`: to its end); `since` (with a time zone) replaces watermark and look-back. The overlap catches what was
    pushed during the last pass and what the hub dated late.

    A source that fails or is cut by the deadline makes the pass incomplete. Raises `HubUnavailable` where the hub never
    answered, `BadToken`, and the source's own error where none could be read.
    """
    _check_time_zone(since)
    deadline = deadline or Deadline()
    began = clock.moment()
    requests_before = hub.requests
    found = _Pass()
    for number, source in enumerate(sources, 1):
        bound = since or _bound(watermarks.get(source), overlap_seconds, lookback_days, began)
        if not _read_source(hub, source, bound, began, found, deadline, progress):
            for left in sources[number:]:
                found.problems.append(f"{left}: not read in this pass")
            break
    if found.errors and not found.newest and not found.watermarks:
        raise found.errors[0]
    models = sorted(
        found.newest.values(), key=lambda model: (model.last_modified, model.repo_id), reverse=True
    )
    return PollResult(
        models=tuple(model for model in models if known.get(model.repo_id) != model.sha),
        watermarks=_to_keep(found.watermarks, watermarks),
        malformed=sum(found.malformed.values()),
        requests=hub.requests - requests_before,
        seen=len(models),
        complete=set(sources) <= set(found.watermarks),
        problems=_all_problems(found),
        retry_after=longest_wait(found.errors),
        repositories=frozenset(found.newest),
        errors=tuple(found.errors),
        tried=tuple(found.tried),
    )


def _to_keep(read: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """Watermarks of the sources read; one that shows nothing keeps the one it had."""
    kept = {}
    for source, value in read.items():
        value = value or before.get(source, "")
        if value:
            kept[source] = value
    return kept


def _check_time_zone(since: datetime | None) -> None:
    if since is not None and since.tzinfo is None:
        raise UsageError(
            "the time to look back to has no time zone", "write it as 2026-10-01T00:00:00Z"
        )


def _all_problems(found: _Pass) -> tuple[str, ...]:
    """Those of the sources, then the malformed items by kind."""
    lines = list(found.problems)
    for kind, count in sorted(found.malformed.items()):
        lines.append(f"{count} × {kind}")
    return tuple(lines)


def longest_wait(errors: Sequence[HubError | LimitExceeded]) -> float | None:
    """Seconds that the hub requires us to wait, if it did."""
    longest: float | None = None
    for error in errors:
        wait = _wait(error)
        if wait and (longest is None or wait > longest):
            longest = wait
    return longest


def _read_source(
    hub: Hub,
    source: str,
    bound: datetime | None,
    began: datetime,
    found: _Pass,
    deadline: Deadline,
    progress: Progress | None,
) -> bool:
    """Read one source into `found`; false where going on with the next makes no sense.

    That is: the time is up, the hub has never answered, or it requires us to wait.
    """
    newest = ""
    found.tried.append(source)
    oldest = listing.utc(bound) if bound else ""
    try:
        for number, page in enumerate(hub.pages(source, bound, deadline=deadline), 1):
            if (
                number == 1
            ):  # later pages may hold what changed since; the next pass has to find that again
                newest = _newest(page)
            _add(found, page, oldest)
            if progress:
                progress(source, number, len(found.newest))
    except BadToken:
        raise
    except (HubError, LimitExceeded) as error:
        found.errors.append(error)
        found.problems.append(f"{source}: {error.what}")
        return not deadline.passed and hub.answers > 0 and _wait(error) is None
    # A date from the future would hide everything changed until then.
    found.watermarks[source] = min(newest, listing.utc(began))
    return True


def _newest(page: Page) -> str:
    """The latest change on a page; empty where it shows no model."""
    return max((model.last_modified for model in page.models), default="")


def _add(found: _Pass, page: Page, oldest: str) -> None:
    """Add a page's models that changed at `oldest` or later, and its malformed items."""
    for model in page.models:
        if model.last_modified < oldest:
            continue
        earlier = found.newest.get(model.repo_id)
        if earlier is None or earlier.last_modified < model.last_modified:
            found.newest[model.repo_id] = model
    for reason in page.malformed:
        found.malformed[reason] = found.malformed.get(reason, 0) + 1


def _wait(error: HubError | LimitExceeded) -> float | None:
    """Seconds the hub requires us to wait with this error, if it did."""
    if isinstance(error, HubUnavailable):
        return error.retry_after
    return None


def _bound(
    watermark: str | None, overlap: float, lookback_days: float | None, began: datetime
) -> datetime | None:
    """How far back a source is read; `None` means to its end."""
    if watermark:
        return datetime.fromisoformat(watermark) - timedelta(seconds=overlap)
    if lookback_days is None:
        return None
    return began - timedelta(days=lookback_days)


# --- before anything is fetched -------------------------------------------------------------------------------

API_REQUESTS = {False: 500, True: 1000}
"""Per five minutes without and with a token, as the hub documents; what it says in its answers wins."""
RESOLVER_REQUESTS = {False: 3000, True: 5000}
"""The same for files. The hub counts these apart."""
WINDOW_SECONDS = 300.0
BYTES_PER_SECOND = 10e6
"""Assumed of a line nobody has measured."""
SAMPLE = 50
"""Models whose sizes are requested: a tenth of what a client without a token may request in one window."""
_REQUESTS_TO_LOOK = 2
"""At each auditable model before its files are fetched: what it is, and its files."""


@dataclass(frozen=True)
class Plan:
    """What fetching the models of a pass would take."""

    models: int
    """New revisions."""
    auditable: int
    """Of these, how many have a layout this version can audit, as far as names tell."""
    states: dict[str, int]
    """New revisions by the state they would go to at once."""
    bytes: int
    """To be fetched."""
    requests: int
    """Still to be sent, for looking at and fetching the auditable ones."""
    hours: float
    """Of waiting for rate limits, of downloads and of audits, one after another."""
    exact: bool
    """Every size was requested; otherwise the mean of a sample stands for the others."""
    assumptions: tuple[str, ...]


def plan(
    hub: Hub,
    models: Sequence[HubModel],
    *,
    sample: int = SAMPLE,
    bytes_per_second: float = BYTES_PER_SECOND,
    audit_seconds: float = 0.0,
    deadline: Deadline | None = None,
) -> Plan:
    """Work out the cost of looking at and fetching `models`; sends one listing request for each of at most
    `sample` models.

    `audit_seconds` is what one audit takes on this machine, where known. Raises the errors of `Hub.tree` only where
    no size at all could be learned.
    """
    wanted: list[HubModel] = []
    states: dict[str, int] = {}
    for model in models:
        state = manifest(model, {}, may_open=hub.has_token).state
        states[state.value] = states.get(state.value, 0) + 1
        if state is JobState.QUEUED:
            wanted.append(model)
    sizes = _sizes(hub, _spread(wanted, sample), deadline or Deadline())
    total_bytes = _for_all([size for size, _ in sizes], len(wanted))
    total_files = _for_all([count for _, count in sizes], len(wanted))
    quota, window = _api_quota(hub)
    looks = _REQUESTS_TO_LOOK * len(wanted)
    # The two limits run side by side, so the slower one decides.
    waiting = max(
        looks / quota * window, total_files / RESOLVER_REQUESTS[hub.has_token] * WINDOW_SECONDS
    )
    return Plan(
        models=len(models),
        auditable=len(wanted),
        states=states,
        bytes=total_bytes,
        requests=looks + total_files,
        hours=(waiting + total_bytes / bytes_per_second + audit_seconds * len(wanted)) / 3600,
        exact=len(sizes) == len(wanted),
        assumptions=_assumptions(
            hub, quota, window, bytes_per_second, audit_seconds, len(sizes), len(wanted)
        ),
    )


def _for_all(measured: Sequence[int], wanted: int) -> int:
    """The sum over all wanted models, where each that was not measured counts as the mean of those that were."""
    return round(sum(measured) * wanted / max(1, len(measured)))


def _spread(models: Sequence[HubModel], most: int) -> Sequence[HubModel]:
    """At most `most` of the models, evenly over their order: neighbours are often of one author and one size."""
    step = math.ceil(len(models) / max(1, most))
    return models[:: max(1, step)]


def _sizes(hub: Hub, models: Sequence[HubModel], deadline: Deadline) -> list[tuple[int, int]]:
    """Bytes and number of files to fetch of each model whose files the hub listed.

    Stops at the first error of the hub itself; raises the last error only where nothing could be learned.
    """
    sizes: list[tuple[int, int]] = []
    failure: HubError | LimitExceeded | None = None
    for model in models:
        try:
            files = hub.tree(ModelRef(model.repo_id, model.sha), deadline=deadline)
        except HubUnavailable as error:
            failure = error
            break
        except (HubError, LimitExceeded) as error:
            failure = error  # gone or closed since the listing
            continue
        to_fetch = wanted_files(files)
        sizes.append((sum(file.size or 0 for file in to_fetch), len(to_fetch)))
    if failure is not None and not sizes:
        raise failure
    return sizes


def _api_quota(hub: Hub) -> tuple[int, float]:
    """Requests and seconds of the hub's window, from its own answers where it says."""
    rate = hub.rate
    if rate is not None and rate.bucket == "api" and rate.quota and rate.window:
        return rate.quota, float(rate.window)
    return API_REQUESTS[hub.has_token], WINDOW_SECONDS


def audit_words(seconds: float) -> str:
    """What a plan assumes of an audit's time in seconds, 0 where no audit has run here yet."""
    if not seconds:
        return "audit time not included: none has run here yet"
    return f"{seconds:.3g} s per audit, as here so far"


def _assumptions(
    hub: Hub,
    quota: int,
    window: float,
    bytes_per_second: float,
    audit_seconds: float,
    sampled: int,
    wanted: int,
) -> tuple[str, ...]:
    """What the figures of a plan rest on, a line each."""
    source = "as the hub states" if hub.rate and hub.rate.quota else "as documented"
    lines = [
        f"{quota} API requests per {window:g} s ({source}), {RESOLVER_REQUESTS[hub.has_token]} file requests per "
        f"{WINDOW_SECONDS:g} s (as documented)",
        f"downloads at {bytes_per_second / 1e6:g} MB/s, one after another",
        audit_words(audit_seconds),
    ]
    if sampled < wanted:
        lines.append(
            f"sizes of {sampled} models requested, their mean taken for the other {wanted - sampled}"
        )
    return tuple(lines)
