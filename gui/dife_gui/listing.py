"""Reading the list off the window's thread: its beginning first, then the whole, broken off where nobody waits."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from dife_gui.background import Background
from dife_gui.models.keys import Steps, steps
from dife_gui.models.models_table import ModelsTable
from dife_scanner.errors import DifeError, Interrupted
from dife_scanner.records import ModelRow
from dife_scanner.store import models
from dife_scanner.store.db import Store
from dife_scanner.store.models import AT_FIRST, Sort

FIRST = 200
"""Lines that an answer begins with: more than a screen has, and few enough to be found at once."""
IN_SIGHT = 60
"""Of these, lines that are read with the answer: as many as a tall screen has."""
RESTS = 3
"""Times as long as a reading took, until the list is read again because something changed: who writes meanwhile, and
who types, has the rest of the machine."""
INSIST_MILLISECONDS = 20
"""Between two attempts to break off a reading: between two statements there is nothing to break off."""


@dataclass(frozen=True)
class Asked:
    """What the list is to show."""

    filter: str = ""
    sort: Sort = AT_FIRST


@dataclass(frozen=True)
class Listing:
    """One reading of the list."""

    asked: Asked
    steps: Steps
    """From what was shown to what was found."""
    rows: tuple[ModelRow, ...]
    """Lines that are in sight."""
    whole: bool
    """Whether it has every line, or only the first ones."""
    total: int
    """Models without the filter."""

    @property
    def found(self) -> int:
        """How many lines it has."""
        return len(self.steps.new)


def listing(
    store: Store,
    asked: Asked,
    shown: array[int],
    sight: Sequence[int],
    limit: int | None = None,
) -> Listing:
    """Read the list, of which `shown` is on screen and `sight` in sight. Raises `QueryError` and `Interrupted`.

    With a `limit` only the first lines, and these are then those in sight.
    """
    order = models.order(store, filter=asked.filter, sort=asked.sort, limit=limit)
    sight = sight if limit is None and sight else order.keys[:IN_SIGHT]
    return Listing(
        asked=asked,
        steps=steps(shown, order.keys),
        rows=tuple(models.rows_of(store, sight)),
        whole=order.whole,
        total=models.count_models(store),
    )


class Lister(QObject):
    """Keeps a table on what was asked for last.

    `found`: a `Listing` that the table has become. `busy`: whether an answer is still being looked for; looking again
    because something changed is none.
    """

    found = Signal(object)
    failed = Signal(object)
    busy = Signal(bool)

    def __init__(
        self,
        home: Path,
        table: ModelsTable,
        sight: Callable[[], Sequence[int]],
        held: Callable[[], AbstractContextManager[None]],
        parent: QObject | None = None,
    ) -> None:
        """`sight` gives the jobs that can be seen; inside `held` the place on screen is kept."""
        super().__init__(parent)
        self._table = table
        self._sight = sight
        self._held = held
        self._background = Background(home, self)
        self._asked = Asked()
        self._reading = False
        self._again = False
        self._outdated = False
        """Whether somebody asked while it was being read: what is found then may be what was before."""
        self._began = 0.0
        self._insist = QTimer(self)
        self._insist.setInterval(INSIST_MILLISECONDS)
        self._insist.timeout.connect(self._background.interrupt)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self._rested)

    def ask(self, asked: Asked) -> None:
        """Show something else; what is being read for an earlier wish is broken off."""
        self._asked = asked
        self._again = False
        self.busy.emit(True)
        if self._reading:
            self._outdated = True
            self._background.interrupt()
            self._insist.start()
        else:
            self._read(FIRST)

    def look_again(self) -> None:
        """Something changed in the store: read once more, soon."""
        if self._reading or self._rest.isActive():
            self._again = True
        else:
            self._read(None)

    @property
    def is_idle(self) -> bool:
        """Whether what was asked for last is shown."""
        return not self._reading

    def reopen(self) -> None:
        """Forget the open handle, because the file it belongs to was replaced."""
        self._background.reopen()

    def close(self) -> None:
        """Break off what runs, deliver nothing more."""
        self._background.close()

    def _read(self, limit: int | None) -> None:
        self._reading = True
        self._outdated = False
        self._began = time.monotonic()
        asked, shown, sight = self._asked, self._table.keys, tuple(self._sight())
        self._background.read(
            lambda store: listing(store, asked, shown, sight, limit),
            self._show,
            partial(self._stop, asked),
        )

    def _show(self, found: Listing) -> None:
        self._ended()
        if found.asked != self._asked or self._outdated:
            self._read(FIRST)
            return
        with self._held():
            self._table.show(found.steps, found.rows)
        if found.whole:
            self.busy.emit(False)
        self.found.emit(found)
        if found.whole:
            self._take_rest()
        else:
            self._read(None)

    def _stop(self, asked: Asked, error: DifeError) -> None:
        self._ended()
        if asked != self._asked or isinstance(error, Interrupted):
            self._read(FIRST)
            return
        self.busy.emit(False)
        self.failed.emit(error)

    def _ended(self) -> None:
        self._reading = False
        self._insist.stop()

    def _take_rest(self) -> None:
        """Some times as long as reading took: a store that changes all the time is not read all the time."""
        took = 1000 * (time.monotonic() - self._began)
        self._rest.start(round(RESTS * took))

    def _rested(self) -> None:
        if self._again and not self._reading:
            self._again = False
            self._read(None)
