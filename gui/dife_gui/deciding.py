"""Decisions about findings, kept off the window's thread: about one or many, and the last one taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from dife_gui.background import Background
from dife_gui.escape import explained
from dife_scanner import settings
from dife_scanner.errors import DifeError
from dife_scanner.records import TriageState
from dife_scanner.sentences.triage import findings_text, redone_text, state_words, undone_text
from dife_scanner.store import models, triage
from dife_scanner.store.db import Store

_order = count(1)


def act_number() -> int:
    """Of one act in this process: a later one has a larger number, whatever it was about."""
    return next(_order)


def actor(home: Path) -> str:
    """Who decides here, as the settings or the system say."""
    return settings_of(home).who


def keys_of(home: Path) -> settings.Keys:
    """What somebody chose to press, or what is pressed at first."""
    return settings_of(home).keys


def settings_of(home: Path) -> settings.Settings:
    """The settings of this home, those at first where its file cannot be used."""
    try:
        return settings.load(home)
    except DifeError:  # a settings file that cannot be used is no reason not to decide
        return settings.Settings.model_construct(home=home)


@dataclass(frozen=True)
class Wish:
    """A decision that somebody wants to be kept."""

    state: TriageState | None
    """None where it is only said who shall look at findings."""
    note: str
    expires: str
    about: Mapping[str, int]
    """By fingerprint, the latest event that they have seen."""
    job: int | None = None
    """The job of the one model that it was decided on; none where it is about many."""
    assignee: str | None = None
    """Who shall look at them; without one that stays."""
    answer: str = ""
    """What the supplier said, of disputed ones."""


@dataclass(frozen=True)
class Subject:
    """What a decision about many would be about."""

    models: int
    """Marked, or in the list."""
    about: Mapping[str, int]
    """Their findings, as they stand."""
    counts: Mapping[TriageState, int]


class Deciding(QObject):
    """Keeps what somebody decides in this window, and knows what could be taken back."""

    kept = Signal(object)
    """A `Wish` that is stored."""
    refused = Signal(object, object)
    """A `Wish` that is not, and the `DifeError` that says why."""
    said = Signal(str)
    """What came of it, for the status line."""
    returned = Signal(int)
    """The job of a single model about which a decision was taken back, or made again."""

    def __init__(self, home: Path, background: Background, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._home = home
        self._keys = keys_of(home)
        self._background = background
        self._acts: list[tuple[int, int | None]] = []
        """Numbers of what was decided in this window and not taken back, oldest first, and their jobs."""
        self.latest = 0
        """`act_number` of the last decision that can be taken back."""
        self._undone: list[tuple[int, int | None]] = []
        """The same of what was taken back since the last decision."""

    def keep(self, wish: Wish) -> None:
        """Store a decision."""
        home = self._home

        def write(store: Store) -> triage.Act:
            return triage.decide(
                store,
                wish.state,
                wish.about,
                actor=actor(home),
                note=wish.note,
                expires=wish.expires,
                assignee=wish.assignee,
                answer=wish.answer,
            )

        def stored(act: triage.Act) -> None:
            self._acts.append((act.number, wish.job))
            self.latest = act_number()
            self._undone.clear()
            what = _kept_text(wish, len(act.fingerprints))
            self.said.emit(f"{what}; {self._keys.undo} takes it back")
            self.kept.emit(wish)

        self._background.write(write, stored, lambda error: self.refused.emit(wish, error))

    def undo(self) -> None:
        """Take back what was decided last in this window."""
        if not self._acts:
            self.said.emit("Nothing was decided in this window that could be taken back")
            return
        act, job = self._acts.pop()
        home = self._home

        def taken(done: triage.Undone) -> None:
            self._undone.append((done.act, job))
            self._tell(f"{undone_text(done)}; {self._keys.redo} decides it again", job)

        self._background.write(
            lambda store: triage.undo(store, act, actor=actor(home)),
            taken,
            lambda error: self.said.emit(f"Not taken back: {explained(error)}"),
        )

    def redo(self) -> None:
        """Decide again what was taken back last in this window."""
        if not self._undone:
            self.said.emit("Nothing was taken back in this window since the last decision")
            return
        act, job = self._undone.pop()
        home = self._home

        def decided(done: triage.Undone) -> None:
            self._acts.append((done.act, job))
            self._tell(redone_text(done), job)

        self._background.write(
            lambda store: triage.redo(store, act, actor=actor(home)),
            decided,
            lambda error: self.said.emit(f"Not decided again: {explained(error)}"),
        )

    def _tell(self, text: str, job: int | None) -> None:
        self.said.emit(text)
        if job is not None:
            self.returned.emit(job)


def _kept_text(wish: Wish, count: int) -> str:
    if wish.state is None:
        return f"{findings_text(count)} assigned to {wish.assignee or 'nobody'}"
    return f"{findings_text(count)} set to “{state_words(wish.state)}”"


AHEAD = 1_000
"""Models after the selected one among which the next finding is looked for."""
UNDECIDED = frozenset({TriageState.NEW, TriageState.REGRESSED, TriageState.EXPIRED})


def next_undecided(store: Store, jobs: Sequence[int]) -> int | None:
    """The first of these jobs that has a finding which waits for a decision."""
    rows = {row.job.id: row for row in models.rows_of(store, jobs)}
    for job in jobs:
        row = rows.get(job)
        if row is not None and row.finding and row.triage in UNDECIDED:
            return job
    return None


def subject_of_jobs(store: Store, jobs: Sequence[int]) -> Subject:
    """The findings of these models."""
    about = triage.of_jobs(store, jobs)
    return Subject(len(jobs), about, triage.by_state(store, about))


def subject_of_list(store: Store, filter: str, models: int) -> Subject:
    """The findings of all models that a filter lets through. Raises `QueryError`, and `UsageError` for too many."""
    about = triage.of_models(store, filter)
    return Subject(models, about, triage.by_state(store, about))


def problem_of(wish: Wish) -> str:
    """Why this cannot be kept, before it is tried; empty where nothing speaks against it."""
    try:
        triage.check(wish.state, wish.note, wish.expires, wish.assignee, wish.answer)
    except DifeError as error:
        return explained(error)
    return ""
