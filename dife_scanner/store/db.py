"""Open the one database of a home directory, and write to it in short transactions.

Every write is one `BEGIN IMMEDIATE … COMMIT` and is never held across network, hashing or encoding. Each commit, rename
and send has a name in `durable.crash.CRASH_POINTS`; the crash tests kill the process at every one of them.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import sqlite_utils
from filelock import FileLock, Timeout

from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors, disk_full, free_bytes, home_unwritable
from dife_scanner.durable.jumps import Jumps
from dife_scanner.errors import (
    DifeError,
    HomeUnwritable,
    Interrupted,
    NewerSchema,
    StoreBusy,
    StoreCorrupt,
)
from dife_scanner.store import copies, trigrams
from dife_scanner.store.migrations import MIGRATIONS
from dife_scanner.store.rows import follow_clock

log = logging.getLogger(__name__)
T = TypeVar("T")

DATABASE = "dife.db"
BUSY_SECONDS = 30.0
_ATTEMPT_SECONDS = 1.0
"""SQLite itself waits no longer at a time: it cannot be interrupted meanwhile."""
_STEPS_BETWEEN_LOOKS = 10_000
"""Of the database's machine, between looks whether a reading took too long."""
_PAUSE_SECONDS = 0.1
"""Between two attempts; SQLite does not wait at all for some locks."""

_FULL = (sqlite3.SQLITE_FULL,)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


class TookTooLong(DifeError):
    """A reading needed more steps than it was given."""


@dataclass(frozen=True)
class Patience:
    """What a process does while another program holds the database: it says so once, and tries again."""

    seconds: float = BUSY_SECONDS
    """How long for; `math.inf` for as long as it takes."""
    say: Callable[[str], None] = log.warning
    stopped: Callable[[], bool] = lambda: False
    """Whether this process was asked to stop, and with it to wait."""

    def keep_trying(self, attempt: Callable[[], T]) -> tuple[T, float]:
        """Call `attempt` until it does not raise `StoreBusy`; gives its result and the seconds waited.

        Raises the last `StoreBusy` where patience ran out.
        """
        began = time.monotonic()
        said = False
        while True:
            try:
                return attempt(), time.monotonic() - began
            except StoreBusy as error:
                if self.stopped() or time.monotonic() - began >= self.seconds:
                    raise
                if not said:
                    self.say(f"{error.what}; waiting")
                    said = True
                time.sleep(_PAUSE_SECONDS)

    @property
    def attempt_seconds(self) -> float:
        """How long SQLite may wait in one attempt."""
        return min(_ATTEMPT_SECONDS, self.seconds / 4)


@contextmanager
def _store_errors(home: Path) -> Iterator[None]:
    """Turn SQLite's errors and the disk's about the database of `home` into ours; everything else goes through."""
    try:
        with disk_errors(home):
            yield
    except sqlite3.Error as error:
        raise _translated(error, home) from error


def _translated(error: sqlite3.Error, home: Path) -> DifeError | sqlite3.Error:
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF  # the rest of an extended code only says where it happened
    out_of_room = primary == sqlite3.SQLITE_IOERR and free_bytes(home) < 1 << 16
    if primary in _FULL or out_of_room:
        return disk_full(home)
    if primary in _UNWRITABLE:
        return home_unwritable(home, str(error))
    if primary in _BUSY:
        return _busy(home)
    if primary == sqlite3.SQLITE_INTERRUPT:
        return Interrupted("the reading was broken off", "read again")
    if primary in _CORRUPT:
        return StoreCorrupt(
            f"{home / DATABASE} is damaged: {error}",
            "put a copy that you kept in its place, or move the file away to start afresh",
        )
    return error


def _busy(home: Path) -> StoreBusy:
    return StoreBusy(
        f"the database {home / DATABASE} is held by another program",
        "end the program that writes to it, or wait, and try again; `fuser` names it",
    )


class Store:
    """One connection to a home's database; use it in the thread that opened it, and close it (or use `with`)."""

    def __init__(
        self,
        home: Path,
        connection: sqlite3.Connection,
        *,
        read_only: bool,
        patience: Patience,
        copy: copies.Copy | None = None,
    ) -> None:
        self.home = home
        self.read_only = read_only
        self._db = sqlite_utils.Database(connection)
        self._connection = connection
        self._patience = patience
        self._copy = copy
        """What is read in the place of a database that cannot be opened where it lies."""
        self._file = copies.state_of(home / DATABASE)
        self._jumps = Jumps()
        self._held_at = -math.inf
        """When another program was last seen to hold the database; on the monotonic clock."""

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()
        if self._copy is not None:
            self._copy.remove()

    @contextmanager
    def atomic(self, point: str) -> Iterator[None]:
        """One write transaction, named for its crash point; inside another one it simply becomes part of it."""
        if self._connection.in_transaction:
            yield
            return
        with _store_errors(self.home):
            self._try(self._begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        crash_point(point)

    def _begin(self) -> None:
        with _store_errors(self.home):
            self._connection.execute("BEGIN IMMEDIATE")

    def _try(self, attempt: Callable[[], T]) -> T:
        """Attempt something outside a transaction until the database is free, as patience has it."""
        try:
            result, waited = self._patience.keep_trying(attempt)
        except StoreBusy:
            self._held_at = time.monotonic()
            raise
        if waited > _ATTEMPT_SECONDS:
            self._held_at = time.monotonic()
        return result

    def seconds_since_held(self) -> float:
        """Since another program, or a machine that slept, last kept others from writing; infinite where none did."""
        if self._jumps.seconds():
            self._held_at = time.monotonic()
        return time.monotonic() - self._held_at

    def read(
        self,
        sql: str,
        parameters: Sequence[Any] = (),
        *,
        most_steps: int | None = None,
        most_seconds: float = math.inf,
    ) -> list[dict[str, Any]]:
        """Give all rows at once: an unfinished cursor would hold the write-ahead log open.

        With `most_steps` of the database's machine, raises `TookTooLong` after these, and after `most_seconds` by the
        clock: a step takes twenty times as long where its row has to come from the disk.
        """

        def attempt() -> list[dict[str, Any]]:
            with _store_errors(self.home), self._limited(most_steps, most_seconds):
                return list(self._db.query(sql, _clean(parameters)))

        if self._connection.in_transaction:
            return attempt()  # nothing may be tried again in the middle of one
        return self._try(attempt)

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement of a transaction; only inside `atomic`."""
        if not self._connection.in_transaction:
            raise RuntimeError("a write outside Store.atomic")
        with _store_errors(self.home):
            return self._db.execute(sql, _clean(parameters))

    @contextlib.contextmanager
    def _limited(self, most_steps: int | None, most_seconds: float) -> Iterator[None]:
        """Break off what takes more than this; without a number of steps nothing is broken off."""
        if most_steps is None:
            yield
            return
        between = min(_STEPS_BETWEEN_LOOKS, most_steps)
        steps, end, over = 0, time.monotonic() + most_seconds, False

        def look() -> int:
            nonlocal steps, over
            steps += between
            over = steps >= most_steps or time.monotonic() > end
            return int(over)

        # often, and counted here: SQLite goes on counting where the same statement ended before
        self._connection.set_progress_handler(look, between)
        try:
            yield
        except sqlite3.OperationalError as error:
            if over:
                raise TookTooLong(f"more than {steps:,} steps or {most_seconds:g} s", "") from error
            raise
        finally:
            self._connection.set_progress_handler(None, 0)

    def interrupt(self) -> None:
        """Break off what this handle reads now, which then raises `Interrupted`; the one call for another thread."""
        with contextlib.suppress(sqlite3.ProgrammingError):  # closed meanwhile
            self._connection.interrupt()

    def data_version(self) -> int:
        """Changes whenever another connection has committed; cheap enough to ask several times a second."""
        return int(self.read("PRAGMA data_version")[0]["data_version"])

    @property
    def outdated(self) -> bool:
        """Whether this handle no longer shows what the home's database holds, and has to be opened again.

        The file was replaced (a restore), or what is read here is a copy of it and it has changed since.
        """
        state = copies.state_of(self.home / DATABASE)
        if self._copy is not None:
            return state != self._copy.of
        return state.file != self._file.file

    def index_texts(self) -> None:
        """Index texts that were written since, where they have become many; outside a transaction."""

        def attempt() -> None:
            with _store_errors(self.home):
                trigrams.catch_up(self._connection)

        self._try(attempt)

    @property
    def schema(self) -> str:
        """The name of the latest change that this database went through."""
        return str(MIGRATIONS.applied(self._db)[-1].name)

    def size(self) -> int:
        """Bytes of the database and of its log on disk."""
        return sum(size for _, size in copies.state_of(self.home / DATABASE).content)

    def copy_to(self, target: Path) -> None:
        """Write the database as it is at one moment into a new file, whoever writes to it meanwhile."""

        def attempt() -> None:
            with _store_errors(self.home), contextlib.closing(sqlite3.connect(target)) as copy:
                self._connection.backup(copy)

        self._try(attempt)

    def integrity(self) -> list[str]:
        """List what SQLite's own integrity and foreign key checks complain about; empty when all is well."""
        complaints = []
        for row in self.read("PRAGMA integrity_check"):
            if row["integrity_check"] != "ok":
                complaints.append(str(row["integrity_check"]))
        for row in self.read("PRAGMA foreign_key_check"):
            complaints.append(f"dangling reference in {row['table']}")
        return complaints


def _clean(parameters: Sequence[Any]) -> list[Any]:
    """Lone surrogates, which strangers can send through JSON, cannot be stored as UTF-8: they become U+FFFD."""
    cleaned = []
    for value in parameters:
        if isinstance(value, str):
            value = value.encode("utf-8", "replace").decode("utf-8")
        cleaned.append(value)
    return cleaned


def open_store(home: Path, *, read_only: bool = False, patience: Patience | None = None) -> Store:
    """Open (and where needed create and migrate) the database of `home`.

    A `read_only` handle cannot write and works while others do; the database is still created or migrated first where
    that is due. One in a home that this user may not write is read from a private copy where it has to be. `patience`:
    what to do while another program holds the database, now and later. Raises `NewerSchema`, `HomeUnwritable`,
    `DiskFull`, `StoreCorrupt` or `StoreBusy`.
    """
    home = home.expanduser().absolute()
    waits = patience or Patience()

    def attempt() -> Store:
        with _store_errors(home):
            if read_only and (home / DATABASE).exists():
                return _open_existing(home, waits)
            # a database that is not there yet has to be made before it can be opened for reading
            return _open_made(home, waits, read_only=read_only)

    return waits.keep_trying(attempt)[0]


def _open_existing(home: Path, patience: Patience) -> Store:
    """A handle for reading: on the database itself, or on a copy where this user may write nothing there."""
    path = home / DATABASE
    try:
        with _store_errors(home):
            connection, pending = _connect_checked(path, patience, read_only=True)
    except HomeUnwritable:
        return _open_copy(home, patience)
    if not pending:
        return Store(home, connection, read_only=True, patience=patience)
    connection.close()
    if not _is_ours(home):
        return _open_copy(home, patience)
    return _open_made(home, patience, read_only=True)


def _open_copy(home: Path, patience: Patience) -> Store:
    """A handle on a private copy, migrated where that is due. Raises `HomeUnwritable` for what may not be read."""
    try:
        copy = copies.make(home / DATABASE)
    except PermissionError as error:
        raise HomeUnwritable(
            f"{home / DATABASE} is not ours to read", "check its owner, or use another --home"
        ) from error
    try:
        _migrate(copy.path.parent, copy.path, patience)
        connection = _connect(copy.path, patience, read_only=True)
    except BaseException:
        copy.remove()
        raise
    return Store(home, connection, read_only=True, patience=patience, copy=copy)


def _open_made(home: Path, patience: Patience, *, read_only: bool) -> Store:
    """A handle on a database that is created and migrated first where that is due."""
    path = home / DATABASE
    _make_home(home)
    connection, pending = _connect_checked(path, patience, read_only=False)
    due = pending or trigrams.is_due(connection)
    if due or read_only:
        connection.close()
        if due:
            _migrate(home, path, patience)
        connection = _connect(path, patience, read_only=read_only)
    store = Store(home, connection, read_only=read_only, patience=patience)
    if not read_only:
        store.index_texts()
    return store


def _connect_checked(
    path: Path, patience: Patience, *, read_only: bool
) -> tuple[sqlite3.Connection, bool]:
    """A connection, and whether migrations are due."""
    connection = _connect(path, patience, read_only=read_only)
    try:
        return connection, _pending(sqlite_utils.Database(connection), path)
    except BaseException:
        connection.close()
        raise


def _is_ours(home: Path) -> bool:
    return os.access(home, os.W_OK | os.X_OK)


def unwritable(home: Path) -> HomeUnwritable | None:
    """Why this user may not write into a home, as far as permissions tell; `None` where nothing speaks against it."""
    by_effective_user = os.access in os.supports_effective_ids
    for path in (home, home / DATABASE):
        if path.exists() and not os.access(path, os.W_OK, effective_ids=by_effective_user):
            return home_unwritable(home, "permission denied")
    return None


def _make_home(home: Path) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not _is_ours(home):
        raise home_unwritable(home, "permission denied")
    for name in ("evidence", "cache", "work", "logs", "references", "secrets"):
        (home / name).mkdir(mode=0o700, exist_ok=True)


def _connect(path: Path, patience: Patience, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    if not (read_only or path.exists()):
        path.touch(mode=0o600)  # at its creation only: whoever owns it may let others read it
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=patience.attempt_seconds,
        isolation_level=None,
    )
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        follow_clock(connection)
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _pending(db: sqlite_utils.Database, path: Path) -> bool:
    """Whether migrations are due; raises `NewerSchema` where the file knows some that we do not."""
    ours = {migration.name for migration in MIGRATIONS.pending(sqlite_utils.Database(memory=True))}
    applied = {migration.name for migration in MIGRATIONS.applied(db)}
    unknown = sorted(applied - ours)
    if unknown:
        raise NewerSchema(
            f"{path} was written by a newer version of DIFE Scanner (it knows {', '.join(unknown)})",
            "install that version again, or use another directory with --home",
        )
    return bool(MIGRATIONS.pending(db))


def _migrate(home: Path, path: Path, patience: Patience) -> None:
    """Apply what is due, one process at a time: concurrent migrations fail with "database is locked"."""
    try:
        with FileLock(home / "store.lock", timeout=60):
            connection = _connect(path, patience, read_only=False)
            try:
                db = sqlite_utils.Database(connection)
                if _pending(db, path):
                    MIGRATIONS.apply(db)
                if trigrams.is_due(connection):
                    trigrams.make(connection)
            finally:
                connection.close()
    except Timeout:
        raise _busy(home) from None
