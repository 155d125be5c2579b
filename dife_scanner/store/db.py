"""Open the one database of a home directory, and write to it in short transactions.

Every write is one `BEGIN IMMEDIATE … COMMIT` and is never held across network, hashing or encoding. Each commit, rename
and send has a name in `durable.crash.CRASH_POINTS`; the crash tests kill the process at every one of them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlite_utils
from filelock import FileLock

from dife_scanner.durable.crash import crash_point
from dife_scanner.durable.disk import disk_errors, disk_full, free_bytes, home_unwritable
from dife_scanner.errors import DifeError, NewerSchema, StoreCorrupt
from dife_scanner.store.migrations import MIGRATIONS

DATABASE = "dife.db"
BUSY_SECONDS = 30.0

_FULL = (sqlite3.SQLITE_FULL,)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


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
    if primary in _CORRUPT:
        return StoreCorrupt(
            f"{home / DATABASE} is damaged: {error}",
            "put a copy that you kept in its place, or move the file away to start afresh",
        )
    return error


class Store:
    """One connection to a home's database; use it in the thread that opened it, and close it (or use `with`)."""

    def __init__(self, home: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.home = home
        self.read_only = read_only
        self._db = sqlite_utils.Database(connection)
        self._connection = connection

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

    @contextmanager
    def atomic(self, point: str) -> Iterator[None]:
        """One write transaction, named for its crash point; inside another one it simply becomes part of it."""
        if self._connection.in_transaction:
            yield
            return
        with _store_errors(self.home):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        crash_point(point)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Give all rows at once: an unfinished cursor would hold the write-ahead log open."""
        with _store_errors(self.home):
            return list(self._db.query(sql, _clean(parameters)))

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement of a transaction; only inside `atomic`."""
        if not self._connection.in_transaction:
            raise RuntimeError("a write outside Store.atomic")
        with _store_errors(self.home):
            return self._db.execute(sql, _clean(parameters))

    def data_version(self) -> int:
        """Changes whenever another connection has committed; cheap enough to ask several times a second."""
        return int(self.read("PRAGMA data_version")[0]["data_version"])

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


def open_store(home: Path, *, read_only: bool = False) -> Store:
    """Open (and where needed create and migrate) the database of `home`.

    A `read_only` handle cannot write and works while others do; the database is still created or migrated first where
    that is due. Raises `NewerSchema`, `HomeUnwritable`, `DiskFull` or `StoreCorrupt`.
    """
    home = home.expanduser().absolute()
    path = home / DATABASE
    with _store_errors(home):
        # a database that is not there yet has to be made before it can be opened for reading
        reads_existing = read_only and path.exists()
        if not reads_existing:
            _make_home(home)
        connection = _connect(path, read_only=reads_existing)
        try:
            pending = _pending(sqlite_utils.Database(connection), path)
            if pending:
                connection.close()
                _migrate(home, path)
            if pending or reads_existing != read_only:
                connection.close()
                connection = _connect(path, read_only=read_only)
        except BaseException:
            connection.close()
            raise
    return Store(home, connection, read_only=read_only)


def _make_home(home: Path) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(home, os.W_OK | os.X_OK):
        raise home_unwritable(home, "permission denied")
    for name in ("evidence", "cache", "work", "logs", "references", "secrets"):
        (home / name).mkdir(mode=0o700, exist_ok=True)


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
    )
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
        else:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            path.chmod(0o600)
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


def _migrate(home: Path, path: Path) -> None:
    """Apply what is due, one process at a time: concurrent migrations fail with "database is locked"."""
    with FileLock(home / "store.lock", timeout=60):
        connection = _connect(path, read_only=False)
        try:
            db = sqlite_utils.Database(connection)
            if _pending(db, path):
                MIGRATIONS.apply(db)
        finally:
            connection.close()
