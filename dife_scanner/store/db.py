"""Open the one database of a home directory, and write to it in short transactions.

Every write is one `BEGIN IMMEDIATE … COMMIT` and is never held across network, hashing or encoding. Each commit, rename
and send has a name in `CRASH_POINTS`; the crash tests kill the process at every one of them.
"""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlite_utils
from filelock import FileLock

from dife_scanner.errors import DifeError, DiskFull, HomeUnwritable, NewerSchema, StoreCorrupt
from dife_scanner.store.migrations import MIGRATIONS

DATABASE = "dife.db"
BUSY_SECONDS = 30.0

CRASH_POINTS: tuple[str, ...] = (
    "evidence.written",
    "evidence.renamed",
    "hub.renamed",
    "jobs.discover",
    "jobs.claim",
    "jobs.claim_job",
    "jobs.heartbeat",
    "jobs.advance",
    "jobs.keep_manifest",
    "jobs.retry_later",
    "jobs.finish",
    "jobs.record_death",
    "jobs.requeue_lost",
    "jobs.requeue",
    "jobs.while_none_changes",
    "jobs.cancel",
    "jobs.pause",
    "jobs.release",
    "batch.settle",
    "polls.complete_pass",
    "polls.beat",
    "findings.triage",
    "findings.recognised",
    "outbox.delivered",
    "outbox.sent",
    "outbox.failed",
    "outbox.dead",
    "outbox.revive",
    "references.add",
    "references.remove",
    "requests.add",
    "requests.take",
    "discovery.kept",
    "child.outcome",
    "worker.fetched",
    "worker.staged",
    "worker.audited",
)
"""After each commit (the name given to `Store.atomic`), rename and send. A test compares this with the call sites."""

_hits: dict[str, int] = {}


def crash_point(name: str) -> None:
    """Kill this process here when `DIFE_CRASH_AT` is `name` (or `name:n`: on the n-th passage). For crash tests.

    With `DIFE_CRASH_MARK` only once over all processes: whoever can create that file is the one that dies.
    """
    wanted = os.environ.get("DIFE_CRASH_AT")
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    if point != name:
        return
    _hits[name] = _hits.get(name, 0) + 1
    if _hits[name] == int(count or 1) and _first_to_die():
        os.kill(os.getpid(), signal.SIGKILL)


def _first_to_die() -> bool:
    mark = os.environ.get("DIFE_CRASH_MARK")
    if not mark:
        return True
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


# --- time -----------------------------------------------------------------------------------------------------


def now() -> str:
    """This moment as ISO 8601 in UTC with microseconds; such strings sort by time."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def later(seconds: float) -> str:
    """`seconds` from now (before now when negative), in the form of `now()`."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


# --- errors ---------------------------------------------------------------------------------------------------

_FULL = (sqlite3.SQLITE_FULL,)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)


def disk_full(path: Path) -> DiskFull:
    return DiskFull(f"the disk that holds {path} is full", "free some space; nothing is lost, work goes on by itself")


def home_unwritable(path: Path, why: str) -> HomeUnwritable:
    return HomeUnwritable(
        f"the state directory {path} cannot be written: {why}",
        "give this user write permission, or choose another directory with --home or DIFE_HOME",
    )


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the operating system's and SQLite's errors about `path` into ours; everything else goes through."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path) from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise disk_full(path) from error
        if error.errno in _NO_ACCESS or isinstance(error, (FileExistsError, NotADirectoryError)):
            raise home_unwritable(path, error.strerror or str(error)) from error
        raise


def _translated(error: sqlite3.Error, home: Path) -> DifeError | sqlite3.Error:
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary in _FULL or (primary == sqlite3.SQLITE_IOERR and _free_bytes(home) < 1 << 16):
        return disk_full(home)
    if primary in _UNWRITABLE:
        return home_unwritable(home, str(error))
    if primary in _CORRUPT:
        return StoreCorrupt(
            f"{home / DATABASE} is damaged: {error}",
            "run `dife doctor`; restore a backup with `dife restore`, or move the file away to start afresh",
        )
    return error


def _free_bytes(path: Path) -> int:
    try:
        found = os.statvfs(path)
    except OSError:
        return 1 << 62
    return found.f_bavail * found.f_frsize


# --- the store ------------------------------------------------------------------------------------------------


class Store:
    """One connection to a home's database; use it in the thread that opened it, and close it (or use `with`)."""

    def __init__(self, home: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.home = home
        self.read_only = read_only
        self._db = sqlite_utils.Database(connection)
        self._connection = connection

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def atomic(self, point: str) -> Iterator[None]:
        """One write transaction, named for its crash point; inside another one it simply becomes part of it."""
        if self._connection.in_transaction:
            yield
            return
        with disk_errors(self.home):
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
        """All rows at once: an unfinished cursor would hold the write-ahead log open."""
        with disk_errors(self.home):
            return list(self._db.query(sql, _clean(parameters)))

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """One statement of a transaction; only inside `atomic`."""
        if not self._connection.in_transaction:
            raise RuntimeError("a write outside Store.atomic")
        with disk_errors(self.home):
            return self._db.execute(sql, _clean(parameters))

    def data_version(self) -> int:
        """Changes whenever another connection has committed; cheap enough to ask several times a second."""
        return int(self.read("PRAGMA data_version")[0]["data_version"])

    def integrity(self) -> list[str]:
        """What SQLite's own integrity and foreign key checks complain about; empty when all is well."""
        wrong = [str(row["integrity_check"]) for row in self.read("PRAGMA integrity_check")]
        dangling = [f"dangling reference in {row['table']}" for row in self.read("PRAGMA foreign_key_check")]
        return [line for line in wrong if line != "ok"] + dangling


def _clean(parameters: Sequence[Any]) -> list[Any]:
    """Lone surrogates, which strangers can send through JSON, cannot be stored as UTF-8: they become U+FFFD."""
    return [p.encode("utf-8", "replace").decode("utf-8") if isinstance(p, str) else p for p in parameters]


def open_store(home: Path, *, read_only: bool = False) -> Store:
    """Open (and where needed create and migrate) the database of `home`.

    A `read_only` handle cannot write and works while others do; the database is still created or migrated first where
    that is due. Raises `NewerSchema`, `HomeUnwritable`, `DiskFull` or `StoreCorrupt`.
    """
    home = home.expanduser().absolute()
    path = home / DATABASE
    with disk_errors(home):
        if not (read_only and path.exists()):
            _make_home(home)
        connection = _connect(path, read_only=read_only and path.exists())
        try:
            pending = _pending(sqlite_utils.Database(connection), path)
            if pending:
                connection.close()
                _migrate(home, path)
            if pending or (read_only and not _is_read_only(connection)):
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
    uri = f"{path.as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA foreign_keys=ON")
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            path.chmod(0o600)
        else:
            connection.execute("PRAGMA query_only=ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _is_read_only(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("PRAGMA query_only").fetchone()[0])


def _pending(db: sqlite_utils.Database, path: Path) -> bool:
    """Whether migrations are due; raises `NewerSchema` where the file knows some that we do not."""
    ours = {migration.name for migration in MIGRATIONS.pending(sqlite_utils.Database(memory=True))}
    unknown = {migration.name for migration in MIGRATIONS.applied(db)} - ours
    if unknown:
        raise NewerSchema(
            f"{path} was written by a newer version of DIFE Scanner (it knows {', '.join(sorted(unknown))})",
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
