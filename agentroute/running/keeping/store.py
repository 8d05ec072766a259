"""One SQLite file that several processes write to, and the thread through which this process does.

All writes that wait at the same moment go to the disk together: one transaction, one ``fsync``. So ten agents
that answer at once wait for the disk once, and the event loop never does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

from agentroute.errors import StorageError
from agentroute.running.keeping.owner import Owner, is_alive

_T = TypeVar("_T")
_VERSION = 1
_MOST_AT_ONCE = 512
_BUSY_S = 20.0
_SQLITE = (sqlite3.Error, UnicodeDecodeError)  # some of its messages about damage cannot be decoded
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CHECKED_BYTES = 64_000_000  # a larger file is looked through only when it is read back

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, owner TEXT, status TEXT NOT NULL,
    began REAL NOT NULL, ended REAL, data TEXT NOT NULL, sum INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL,
    agent TEXT, data TEXT NOT NULL, sum INTEGER NOT NULL, UNIQUE (run, number)
);
CREATE TABLE IF NOT EXISTS budgets (
    name TEXT PRIMARY KEY, requests INTEGER NOT NULL DEFAULT 0, tokens INTEGER NOT NULL DEFAULT 0,
    usd REAL NOT NULL DEFAULT 0, seconds REAL NOT NULL DEFAULT 0, unknown INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS holds (
    id INTEGER PRIMARY KEY AUTOINCREMENT, budget TEXT NOT NULL, owner TEXT NOT NULL,
    requests INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL NOT NULL, seconds REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS holds_of ON holds (budget);
"""


class _Job(NamedTuple):
    work: Callable[[sqlite3.Connection], Any]
    durable: bool
    done: Future[Any]


class Store:
    """The file, opened for this process. ``Store.at`` gives one per path and process.

    A file that is damaged is moved aside, never written over; ``problem`` says so.

    Args:
        path: The database; made if missing, for this user alone.

    Raises:
        StorageError: It cannot be opened for writing, or was made by a newer version.
    """

    _known: ClassVar[dict[Path, Store]] = {}
    _guard = threading.Lock()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self.problem: str | None = None
        self._lock = threading.Lock()
        self._process = -1
        self._level = ""
        self._thread: threading.Thread | None = None
        self._open()

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Store:
        """Return this process's store for a path, opened if it is not yet."""
        key = Path(path).absolute()
        with cls._guard:
            found = cls._known.get(key)
            if found is None:
                found = cls._known[key] = cls(key)
            return found

    @property
    def owner(self) -> str:
        """The name of this process among those that use the file."""
        self._mine()
        return self._owner.name

    def alive(self, owner: str | None) -> bool:
        """Say whether an owner's process lives."""
        return owner is not None and is_alive(self._owners, owner)

    # ------------------------------------------------------------------------------- writing

    def submit(self, work: Callable[[sqlite3.Connection], _T], *, durable: bool) -> Future[_T]:
        """Queue a piece of work; work is done in the order it comes.

        Args:
            work: Reads and writes within a transaction; when it raises, what it wrote is undone.
            durable: Whether it is on the disk when it is done. Otherwise it survives the end of the process,
                not that of the machine.

        Returns:
            What ``work`` returned or raised; ``StorageError`` when the disk refused.
        """
        job = _Job(work, durable, Future())
        self._mine()
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="agentroute-store", daemon=True)
                self._thread.start()
                _running.add(self)
            self._jobs.put(job)
        return cast("Future[_T]", job.done)

    async def write(self, work: Callable[[sqlite3.Connection], _T], *, durable: bool = True) -> _T:
        """Do a piece of work and wait for it without blocking the event loop; see ``submit``."""
        return await finished(self.submit(work, durable=durable))

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the file for a short read.

        Raises:
            StorageError: It cannot be read.
        """
        try:
            connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            try:
                yield connection
            finally:
                connection.close()
        except _SQLITE as error:
            raise self._refusal(error) from error

    def close(self) -> None:
        """Do what is queued and close; the next use opens it again."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._jobs.put(None)
        if thread is not None:
            thread.join()
        _running.discard(self)
        if self._known.get(self.path) is self:
            del self._known[self.path]
        if self._process == os.getpid():
            self._connection.close()
            self._owner.close()
        self._process = -1

    def _mine(self) -> None:
        """Open the file anew in a forked child: a connection, its thread and its lock are the parent's."""
        if self._process != os.getpid():
            with self._lock:
                if self._process != os.getpid():
                    self._thread = None
                    self._open()

    def _work(self) -> None:
        jobs, connection = self._jobs, self._connection
        while True:
            job = jobs.get()
            batch: list[_Job] = []
            while job is not None:
                batch.append(job)
                if len(batch) == _MOST_AT_ONCE:
                    break
                try:
                    job = jobs.get_nowait()
                except queue.Empty:
                    break
            if batch:
                self._commit(connection, batch)
            if job is None:
                return

    def _commit(self, connection: sqlite3.Connection, batch: list[_Job]) -> None:
        """Do a batch in one transaction, and tell nobody that it is done before it is."""
        found: list[tuple[Any, BaseException | None]] = []
        try:
            level = "FULL" if any(job.durable for job in batch) else "NORMAL"
            if level != self._level:
                connection.execute(f"PRAGMA synchronous={level}")
                self._level = level
            connection.execute("BEGIN IMMEDIATE")
            for job in batch:
                found.append(_one(connection, job.work))
            connection.execute("COMMIT")
        except BaseException as error:  # a full disk, a lock that is never let go, a damaged page
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            refusal = self._refusal(error) if isinstance(error, _SQLITE) else error
            found = [(None, refusal)] * len(batch)
        for job, (value, failure) in zip(batch, found, strict=True):
            if not job.done.set_running_or_notify_cancel():
                continue  # nobody waits for it any more; it is written all the same
            if failure is None:
                job.done.set_result(value)
            else:
                refused = self._refusal(failure) if isinstance(failure, _SQLITE) else failure
                job.done.set_exception(refused)

    # ------------------------------------------------------------------------------- opening

    def _open(self) -> None:
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._level = ""
        self._owners = self.path.with_name(f"{self.path.name}-owners")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._connection = self._connect()
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
                self._set_aside()
                self._connection = self._connect()
            self._owner = Owner(self._owners)
        except (OSError, *_SQLITE) as error:
            raise self._refusal(error) from error
        self._process = os.getpid()

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            # Before anything is written: a file of another kind must not be touched.
            # One statement sees one state: another process may be making the tables at this moment.
            version, tables = connection.execute(
                "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master)"
            ).fetchone()
            if version > _VERSION:
                raise StorageError(
                    f"{self.path} was written by a newer version of agentroute (format {version}, this one "
                    f"reads {_VERSION}): upgrade, or name another file"
                )
            if not version and tables:
                raise StorageError(f"{self.path} is another program's database: name another file")
            if version and self.path.stat().st_size <= _CHECKED_BYTES:
                _look_through(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            _to_wal(connection)
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={_VERSION}; COMMIT;")
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}-{os.getpid()}")
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        self.problem = f"the store of runs was damaged; moved to {aside} and begun anew"

    def _refusal(self, error: BaseException) -> StorageError:
        if isinstance(error, StorageError):
            return error
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if _is_damage(error):
            why = f"{why}; it is damaged, and the next start moves it aside"
        return StorageError(f"{self.path}: {why}")


async def finished(job: Future[_T]) -> _T:
    """Wait for a piece of work, which is done whether or not anybody waits for it any more."""
    waiting = asyncio.wrap_future(job)
    waiting.add_done_callback(_looked_at)
    return await asyncio.shield(waiting)


def _looked_at(waiting: asyncio.Future[Any]) -> None:
    if not waiting.cancelled():
        waiting.exception()


def _one(
    connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Any]
) -> tuple[Any, BaseException | None]:
    """Do one piece of work; its own mistake must not cost the others of its batch."""
    connection.execute("SAVEPOINT one")
    try:
        found = work(connection)
    except BaseException as error:
        if isinstance(error, sqlite3.Error) and not connection.in_transaction:
            raise  # the whole transaction is gone
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return None, error
    connection.execute("RELEASE one")
    return found, None


def _is_damage(error: BaseException) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _to_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log; of two at once SQLite lets one wait and refuses the other."""
    end = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _look_through(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        error = sqlite3.DatabaseError(found)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


_running: set[Store] = set()


@atexit.register
def _finish() -> None:
    for store in list(_running):
        store.close()
