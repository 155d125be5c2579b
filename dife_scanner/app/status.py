"""How things stand: what runs, what is watched and how far it was read, what waits, and what it takes of the disk."""

from __future__ import annotations

from dife_scanner.app import watching
from dife_scanner.durable.clock import now
from dife_scanner.durable.fetched import disk_use
from dife_scanner.queue.work import left_of_limits
from dife_scanner.records import AlertState
from dife_scanner.reports.as_json import StatusDocument
from dife_scanner.settings import Settings
from dife_scanner.store import Store, jobs, outbox, polls, silences, watchlist
from dife_scanner.store.throughput import throughput


def status(store: Store, settings: Settings) -> StatusDocument:
    """Read all of it; only processes that run count."""
    beats = [beat for beat in polls.beats(store) if polls.is_alive(beat)]
    dead = outbox.alerts(store, state=AlertState.DEAD)
    last_pass = polls.latest_complete(store)
    return StatusDocument(
        watching=any(beat.role == "watcher" for beat in beats),
        processes=tuple(beats),
        counts=jobs.counts(store),
        last_pass_at=last_pass.at if last_pass else None,
        alerts_pending=len(outbox.alerts(store, state=AlertState.PENDING)),
        alerts_dead=len(dead),
        alerts_error=f"{dead[0].channel}: {dead[0].last_error}" if dead else "",
        silences=len(silences.silences(store, at=now())),
        disk=disk_use(settings.home, settings.disk.quota_bytes, settings.disk.free_bytes),
        scope=settings.watch.in_force.value,
        since=settings.watch.since,
        unread=watching.unread(store, settings),
        throughput=throughput(store),
        hub_left=left_of_limits(settings),
        in_use=tuple(watchlist.watched(store, settings.endpoint)),
    )
