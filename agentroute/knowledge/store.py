"""Vectors on disk by key.

The file holds hashes and vectors, never a text. It is a cache: whatever is wrong with it, vectors are
computed again and nothing is raised.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import RLock

import numpy as np

_log = logging.getLogger(__name__)
_MAX_BYTES = 2 * 2**30
"""Size at which the older half is dropped: about 1.2 million vectors of 384 numbers."""
_DAMAGE = (sqlite3.Error, ValueError)
"""What a damaged file raises: some of SQLite's own messages about one cannot be decoded."""
_KEYS_PER_SELECT = 900
"""SQLite before 3.32 takes 999 parameters."""


class VectorStore:
    """One SQLite file of checked float32 vectors by key; safe for several threads and processes.

    A damaged file is moved aside and a new one begun. Where the file cannot be opened or written, reading
    finds nothing and writing does nothing.

    Args:
        path: The file; made with its folder when missing.
        busy_s: Seconds to wait for another process that is writing.
    """

    def __init__(self, path: Path, *, busy_s: float = 5.0) -> None:
        self.path, self._busy_s = path, busy_s
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._usable = True

    def read(self, keys: Sequence[bytes]) -> dict[bytes, np.ndarray]:
        """Return the vectors that are there and whole.

        Args:
            keys: Hashes, in any order.

        Returns:
            A vector for each key that is known.
        """
        found: dict[bytes, np.ndarray] = {}
        with self._lock:
            try:
                connection = self._open()
                if connection is None:
                    return found
                for start in range(0, len(keys), _KEYS_PER_SELECT):
                    part = keys[start : start + _KEYS_PER_SELECT]
                    marks = ",".join("?" * len(part))
                    rows = connection.execute(
                        f"SELECT key, vector, crc FROM vectors WHERE key IN ({marks})", part
                    )
                    for key, blob, crc in rows:
                        if isinstance(blob, bytes) and zlib.crc32(blob) == crc and len(blob) % 4 == 0:
                            found[bytes(key)] = np.frombuffer(blob, dtype="<f4").astype(np.float32)
            except _DAMAGE as error:
                self._give_up(error)
        return found

    def write(self, vectors: Mapping[bytes, np.ndarray]) -> None:
        """Keep vectors, in one transaction.

        Args:
            vectors: A float32 vector for each key.
        """
        rows = [
            (key, blob := vector.astype("<f4").tobytes(), zlib.crc32(blob)) for key, vector in vectors.items()
        ]
        with self._lock:
            try:
                connection = self._open()
                if connection is not None:
                    with connection:
                        connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            except _DAMAGE as error:
                self._give_up(error)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection | None:
        if self._process != os.getpid():  # SQLite connections do not survive a fork
            self._connection, self._process = None, os.getpid()
        if self._connection is None and self._usable:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self.path, timeout=self._busy_s, check_same_thread=False)
            except OSError as error:
                self._usable = False
                _log.info("vectors are not kept on disk: %s", error)
                return None
            try:
                _prepare(connection)
            except _DAMAGE:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _give_up(self, error: Exception) -> None:
        if _is_busy(error):
            return  # this call goes without; the next one tries again
        self.close()
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in (
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_PERM,
        ):
            self._usable = False
            _log.info("vectors are not kept on disk: %s: %s", self.path, error)
            return
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            os.replace(self.path, aside)
            for tail in ("-wal", "-shm"):
                self.path.with_name(self.path.name + tail).unlink(missing_ok=True)
            _log.warning("the vector cache %s cannot be read (%s): moved to %s", self.path, error, aside.name)
        except OSError:
            self._usable = False


def _prepare(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        if not _is_busy(error):  # another process is switching it at this moment
            raise
    connection.execute("PRAGMA synchronous=NORMAL")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'vectors'").fetchone():
        columns = "key BLOB PRIMARY KEY, vector BLOB NOT NULL, crc INTEGER NOT NULL"
        connection.execute(f"CREATE TABLE IF NOT EXISTS vectors ({columns})")
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    if (pages - free) * size > _MAX_BYTES:
        with connection:
            connection.execute(
                "DELETE FROM vectors WHERE rowid < (SELECT (min(rowid) + max(rowid)) / 2 FROM vectors)"
            )


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
