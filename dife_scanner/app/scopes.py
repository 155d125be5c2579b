"""How much of a hub is watched: what each choice would cost, and keeping the one that was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dife_scanner.app.wiring import hub
from dife_scanner.baselines.home import open_home
from dife_scanner.durable import clock
from dife_scanner.durable.atomic import atomic_write
from dife_scanner.errors import SettingsError
from dife_scanner.records import InUse, Scope, WatchedModel
from dife_scanner.settings import Settings, Watch, config_path
from dife_scanner.store import audits, polls

if TYPE_CHECKING:
    from dife_scanner.hub.listing import Page
    from dife_scanner.hub.poll import Plan

BACK_TO = ("30 days", "365 days", "all")
"""How far back a person is asked to choose from; any other may be typed."""
MOST_FINE_TUNED = 20
"""Models in use whose fine-tunes are counted for the question."""
SAMPLE = 12
"""Models whose sizes are requested for it."""
_LOOK_REQUESTS = 2


@dataclass(frozen=True)
class Choice:
    """One answer to how much is to be watched, and what the first reading of it takes."""

    scope: Scope
    since: str
    models: int
    requests: int
    bytes: int
    hours: float
    exact: bool


def is_fresh(settings: Settings) -> bool:
    """Whether nobody has chosen a scope and no pass was ever made in this home."""
    if settings.watch.scope:
        return False
    with open_home(settings) as store:
        return not polls.passes(store, limit=1)


def choices(settings: Settings) -> tuple[Choice, ...]:
    """What each scope takes, back to each of `BACK_TO`: estimated from one page of each source and a few sizes.

    Raises the hub's errors where it shows nothing at all, and `UsageError` for a watch-list that is none.
    """
    from dife_scanner.hub import in_use, scopes
    from dife_scanner.hub.deadline import Deadline
    from dife_scanner.hub.estimate import first_pages, sample

    client = hub(settings)
    deadline = Deadline(settings.limits.pass_seconds)
    entries = in_use.read(settings.watch.list).entries
    everything = first_pages(
        client, scopes.sources(Scope.EVERYTHING, settings.filters, ()), deadline
    )
    wanted = [WatchedModel(one) for one in entries[:MOST_FINE_TUNED]]
    tuned: dict[str, Page] = {}
    if wanted:
        tuned = first_pages(client, scopes.sources(Scope.FINE_TUNES, (), wanted), deadline)
    typical = _plan(settings, client, sample(everything, None), deadline)
    found = [_in_use(entries, typical)]
    for scope, pages in ((Scope.FINE_TUNES, tuned), (Scope.EVERYTHING, everything)):
        found += [_choice(scope, since, pages, entries, typical) for since in BACK_TO]
    return tuple(found)


def _plan(settings: Settings, client: Any, models: Sequence[Any], deadline: Any) -> Plan:
    """What these models would take, by the sizes of a few of them."""
    from dife_scanner.hub.poll import plan

    with open_home(settings) as store:
        audit_seconds = audits.usual_seconds(store, settings.budget) or 0.0
    return plan(client, models, sample=SAMPLE, audit_seconds=audit_seconds, deadline=deadline)


def _in_use(entries: Sequence[InUse], typical: Plan) -> Choice:
    """The models in use alone: each is looked up, and counted as one that can be audited."""
    each = max(1, typical.auditable)
    number = len(entries)
    requests = number * _LOOK_REQUESTS + round(number * typical.requests / each)
    size = round(number * typical.bytes / each)
    hours = number * typical.hours / each
    return Choice(Scope.IN_USE, "all", number, requests, size, hours, exact=False)


def _choice(
    scope: Scope, since: str, pages: Mapping[str, Page], entries: Sequence[InUse], typical: Plan
) -> Choice:
    from dife_scanner.hub.estimate import extent, scaled

    now = clock.moment()
    found = extent(pages, Watch(since=since).back_to(now), now)
    cost = scaled(typical, found.models)
    own = _in_use(entries, typical)
    return Choice(
        scope,
        since,
        found.models + own.models,
        found.requests + own.requests + (cost.requests if found.models else 0),
        own.bytes + (cost.bytes if found.models else 0),
        own.hours + (cost.hours if found.models else 0.0),
        found.exact,
    )


def remember(home: Path, values: Mapping[str, Any]) -> None:
    """Write what was chosen under `[watch]` in the settings file, which keeps everything else as it is.

    Raises `SettingsError` for a file that cannot be changed, and `DiskFull`.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = config_path(home).resolve()
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
        section = document.setdefault("watch", tomlkit.table())
        for name, value in values.items():
            section[name] = value
        text = tomlkit.dumps(document)
    except (OSError, ValueError, TypeError, TOMLKitError) as error:
        raise SettingsError(
            f"what was chosen cannot be written into {path}", "check the file and its permissions"
        ) from error
    with atomic_write(path) as stream:
        stream.write(text.encode())
