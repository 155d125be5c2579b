"""Watch a hub, or be one worker of a watcher."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dife_scanner.baselines.home import open_home
from dife_scanner.durable import clock
from dife_scanner.records import Reach
from dife_scanner.settings import Settings
from dife_scanner.store import Store, polls, watchlist

if TYPE_CHECKING:
    from collections.abc import Callable

    from dife_scanner.progress import Progress
    from dife_scanner.queue.watch import Event, Executor, Summary


def watch(settings: Settings, *, once: bool, on_event: Callable[[Event], None]) -> Summary:
    """Supervise poller, workers and alert sender until stopped; with `once`, one pass and everything it found."""
    from dife_scanner.queue.watch import watch as supervise
    from dife_scanner.queue.work import default_work

    executor = _executor(settings)
    with open_home(settings):
        pass
    return supervise(default_work(settings), once=once, on_event=on_event, executor=executor)


def _executor(settings: Settings) -> Executor | None:
    """The driver of the Ray cluster where the settings ask for it. Raises `UsageError` and `ClusterUnavailable`."""
    if settings.cluster.executor == "local":
        return None
    from dife_scanner.cluster import ray_cluster, ray_driver
    from dife_scanner.queue.watch import Executor

    address = settings.cluster.address
    ray_cluster.check(address)
    return Executor(ray_driver.ROLE, f"the Ray cluster at {address}", ray_driver.ray_main)


def unread(store: Store, settings: Settings) -> dict[str, Reach]:
    """The sources that are not read back as far as the settings say, and how far each is."""
    from dife_scanner.hub import scopes
    from dife_scanner.hub.history import covers

    bound = settings.watch.back_to(clock.moment())
    watched = watchlist.watched(store, settings.endpoint)
    reaches = polls.reaches(store, settings.endpoint)
    found: dict[str, Reach] = {}
    for source in scopes.sources(settings.watch.in_force, settings.filters, watched):
        reach = reaches.get(source)
        if reach is not None and not covers(reach, bound):
            found[source] = reach
    return found


def work(settings: Settings, *, until_idle: bool, progress: Progress) -> None:
    """Be one worker in this process until stopped."""
    from dife_scanner.queue.processes import stop_event
    from dife_scanner.queue.stopping import run_until_stopped
    from dife_scanner.queue.work import default_work
    from dife_scanner.queue.worker import work_loop

    with open_home(settings):
        pass
    stop = stop_event()
    loop = partial(
        work_loop,
        default_work(settings),
        stop,
        until_idle=until_idle,
        progress_for=lambda job: progress,
    )
    run_until_stopped(settings.home, loop, stop)
