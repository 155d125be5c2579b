"""What the pages read, and what somebody decides on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from dife_scanner.app.status import status
from dife_scanner.baselines.home import open_for_reading
from dife_scanner.cli import shown
from dife_scanner.records import DeploymentDecision, Finding, Standing, Tally, TriageState
from dife_scanner.reports.as_json import StatusDocument
from dife_scanner.settings import Settings
from dife_scanner.store import (
    Patience,
    Store,
    artefacts,
    audits,
    deciding,
    deployments,
    findings,
    lookup,
    open_store,
    polls,
    requests,
    triage,
    triage_log,
    upcoming,
)
from dife_scanner.store.deciding import Asked, Proposal, Scope
from dife_scanner.store.requests import RequestKind
from dife_scanner.store.triage_log import TriageEvent
from dife_scanner.store.upcoming import Upcoming

MOST_ROWS = 500
"""Findings in the list; how many there are stands beside it."""
_PATIENCE_SECONDS = 2.0
"""How long somebody who decides waits for another program that holds the database."""


@dataclass(frozen=True)
class Overview:
    """How things stand."""

    status: StatusDocument
    tally: Tally
    triage: Mapping[TriageState, int]
    newest: tuple[Finding, ...]


@dataclass(frozen=True)
class Listed:
    """Findings that a filter lets through, the last seen first."""

    filter: str
    rows: tuple[Finding, ...]
    count: int
    seen: Mapping[str, int]
    """By fingerprint, the latest event of each."""


@dataclass(frozen=True)
class Pace:
    """How fast audits go here."""

    workers: int
    seconds: float | None
    """An audit's, of late."""


@dataclass(frozen=True)
class InFull:
    """One finding with all that is known of it."""

    found: shown.Found
    events: tuple[TriageEvent, ...]


class Desk:
    """Reads through one handle; each decision is written through its own."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self._opened = 1
        """How often the store was opened."""

    @property
    def actor(self) -> str:
        return self.settings.who

    def changed(self) -> tuple[int, int]:
        """Differs whenever another program has written, or put another database in the place of this one."""
        if self.store.outdated:
            self.store.close()
            self.store = open_for_reading(self.settings)
            self._opened += 1
        return self._opened, self.store.data_version()

    def close(self) -> None:
        """Let go of the database."""
        self.store.close()

    # --- reading ---

    def overview(self) -> Overview:
        open_ones = findings.findings(self.store, filter="triage:new,regressed,expired", limit=5)
        return Overview(
            status=status(self.store, self.settings),
            tally=audits.tally(self.store),
            triage=triage.all_by_state(self.store),
            newest=tuple(open_ones),
        )

    def queue(self) -> Upcoming:
        return upcoming.upcoming(self.store)

    def pace(self) -> Pace:
        seconds = audits.usual_seconds(self.store, self.settings.budget)
        workers = polls.running(self.store, "worker") or self.settings.audits_at_once
        return Pace(workers, seconds)

    def findings(self, filter: str) -> Listed:
        """At most `MOST_ROWS`. Raises `QueryError`."""
        rows = findings.findings(self.store, filter=filter, limit=MOST_ROWS)
        seen = triage_log.last_events(self.store, [row.fingerprint for row in rows])
        return Listed(filter, tuple(rows), findings.count(self.store, filter=filter), seen)

    def in_full(self, fingerprint: str) -> InFull:
        """Raises `NotFound`."""
        found = shown.found(self.store, lookup.find(self.store, fingerprint))
        return InFull(found, tuple(triage_log.events(self.store, fingerprint)))

    def all_of(self, filter: str) -> dict[str, int]:
        """How all findings stand that a filter lets through. Raises `UsageError` for too many."""
        return triage.of_filter(self.store, filter)

    def by_state(self, about: Mapping[str, int]) -> dict[TriageState, int]:
        return triage.by_state(self.store, about)

    def seen_again(self, about: Mapping[str, int]) -> dict[str, int]:
        """How findings stand by now."""
        return triage_log.last_events(self.store, about)

    # --- deciding ---

    def decide(
        self, state: TriageState, about: Mapping[str, int], note: str, expires: str
    ) -> triage.Act:
        """Keep a decision; raises what `triage.decide` raises, and the store's errors."""
        with self._writing() as store:
            return triage.decide(store, state, about, actor=self.actor, note=note, expires=expires)

    def undo(self, act: int) -> triage.Undone:
        """Take an act back."""
        with self._writing() as store:
            return triage.undo(store, act, actor=self.actor)

    def redo(self, act: int) -> triage.Undone:
        """Decide again what an act took back."""
        with self._writing() as store:
            return triage.redo(store, act, actor=self.actor)

    # --- for deployments ---

    def deployments(self) -> tuple[str, ...]:
        """Their names. Raises `NotFound` where there is none."""
        names = tuple(one.profile.name for one in deployments.deployments(self.store))
        if not names:
            raise deciding.no_deployment()
        return names

    def jobs_of(self, fingerprints: Sequence[str]) -> tuple[int, ...]:
        """The jobs of the checkpoints that these findings are about; those are left out that have none."""
        jobs = []
        for one in fingerprints:
            job = artefacts.job_of(self.store, findings.finding(self.store, one).ref)
            if job is not None:
                jobs.append(job.id)
        return tuple(jobs)

    def alike(self, finding: Finding) -> dict[str, int]:
        """How the findings stand of all models with the same effect on an equal tower."""
        jobs = self.jobs_of([finding.fingerprint])
        alike = deciding.jobs_like(self.store, jobs[0]) if jobs else ()
        return triage.of_jobs(self.store, alike)

    def scope(
        self, jobs: Sequence[int], deployment: str, looked: Callable[[int, int], None]
    ) -> Scope:
        """How these models stand for a deployment. Raises `NotFound`, and `UsageError` for too many.

        `looked` gets at how many it was looked, and of how many, where more follow.
        """
        whole = deciding.meant(self.store, jobs, deployment)
        parts = list(deciding.portions(whole))
        stand: list[Scope] = []
        for part in parts:
            stand.append(deciding.looked_at(self.store, part))
            if len(stand) < len(parts):
                looked(len(stand) * deciding.PORTION, len(whole.subjects))
        return reduce(deciding.joined, stand) if stand else whole

    def decide_for(self, scope: Scope, asked: Asked) -> list[Standing]:
        """Keep a decision about all of them; raises what `deciding.decide` raises."""
        with self._writing() as store:
            return deciding.decide(store, scope.subjects, scope.deployment, asked)

    def take_over(self, proposals: Sequence[Proposal], deployment: str) -> list[Standing]:
        """Decide about all of them as before about what is like them, where that may be."""
        with self._writing() as store:
            return deciding.take_over(store, proposals, deployment, self.actor)

    def take_over_for(self, job: int) -> list[Standing]:
        """The same for one model and every deployment. Raises `NotFound` where nothing may be taken over."""
        with self._writing() as store:
            return deciding.take_over_for(store, job, self.actor)

    def take_back(self, made: Sequence[DeploymentDecision]) -> list[Standing]:
        """Decide again as it was before these."""
        with self._writing() as store:
            return deciding.take_back(store, made, self.actor)

    # --- the queue ---

    def ask(self, kind: RequestKind, job: int | None = None) -> None:
        """Ask the watcher for something about the queue."""
        with self._writing() as store:
            requests.request_queue(store, kind, job, actor=self.actor)

    def _writing(self) -> Store:
        return open_store(self.settings.home, patience=Patience(_PATIENCE_SECONDS))
