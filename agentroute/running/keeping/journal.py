"""What happened in each run, written down as it happens, so that a run that broke off can go on.

An answer is acknowledged when it is on the disk, and its node returns only then. What the clock said is kept
for people; the order is that of our own numbers.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from agentroute.errors import InputError, StorageError
from agentroute.running.calling.faults import without_secrets
from agentroute.running.keeping.owner import process_of
from agentroute.running.keeping.store import Store
from agentroute.running.keeping.story import Plain, RunRow, RunState, Story, checksum


def default_path() -> Path:
    """Return the journal that commands use when none is named: ``runs.db`` in this user's state folder."""
    from platformdirs import user_state_path

    return user_state_path("agentroute") / "runs.db"


class Journal:
    """The runs on record in one file; several processes may use it at once.

    What is written holds questions and answers, so that the file is this user's alone. Values of environment
    variables that are named like secrets are taken out of it.

    Args:
        path: The file, made if missing; by default ``runs.db`` in this user's state folder.

    Raises:
        StorageError: It cannot be opened for writing.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self.store = Store.at(default_path() if path is None else path)

    def __reduce__(self) -> tuple[type[Journal], tuple[Path]]:
        return Journal, (self.path,)  # the same file, opened once per process

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.store.path

    def close(self) -> None:
        """Write what is queued and close the file; a later use opens it again."""
        self.store.close()

    # ------------------------------------------------------------------------------- writing

    def begin(self, run: str, data: Plain) -> Future[None]:
        """Put a new run on record, as this process's."""
        text, owner, now = _text(data), self.store.owner, time.time()

        def work(db: sqlite3.Connection) -> None:
            try:
                db.execute(
                    "INSERT INTO runs (id, owner, status, began, data, sum) VALUES (?, ?, 'open', ?, ?, ?)",
                    (run, owner, now, text, checksum(run, text)),
                )
            except sqlite3.IntegrityError:
                raise InputError(f"there is a run {run} already: give each run a name of its own") from None

        return self.store.submit(work, durable=False)

    def claim(self, run: str, *, anew: bool = False) -> None:
        """Make this process the one writer of a run that broke off.

        Args:
            run: The run.
            anew: Whether a run that ended without an answer may be taken up too.

        Raises:
            InputError: There is no such run, it has an answer, or a live process is at it.
        """

        def work(db: sqlite3.Connection) -> None:
            found = db.execute("SELECT owner, status FROM runs WHERE id = ?", (run,)).fetchone()
            if found is None:
                raise self._unknown(run)
            owner, status = found
            if status == "open" and owner != self.store.owner and self.store.alive(owner):
                raise _busy(run, owner)
            if status not in ("open", "failed") or (status == "failed" and not anew):
                raise InputError(f"run {run} has ended: it is {status}")
            db.execute(
                "UPDATE runs SET owner = ?, status = 'open', ended = NULL WHERE id = ?",
                (self.store.owner, run),
            )

        self.store.submit(work, durable=True).result()

    def adopt(self, run: str) -> Future[bool]:
        """Take up a run that a checkpointer brings back; false when this journal does not know it."""

        def work(db: sqlite3.Connection) -> bool:
            found = db.execute("SELECT owner FROM runs WHERE id = ?", (run,)).fetchone()
            if found is None:
                return False
            if found[0] != self.store.owner and self.store.alive(found[0]):
                raise _busy(run, found[0])
            db.execute("UPDATE runs SET owner = ?, status = 'open' WHERE id = ?", (self.store.owner, run))
            return True

        return self.store.submit(work, durable=False)

    def add(
        self, run: str, kind: str, data: Plain, agent: str | None = None, *, durable: bool
    ) -> Future[int]:
        """Put something that happened on record.

        Args:
            run: In which run.
            kind: What sort of thing; see ``story.Entry``.
            data: What there is to say of it.
            agent: Whose it is.
            durable: Whether it is on the disk when it is done.

        Returns:
            Its number among all entries.
        """
        return self.store.submit(partial(_add, run, kind, _text(data), agent), durable=durable)

    def end(self, run: str, status: str, data: Plain, *, durable: bool = True) -> Future[None]:
        """Put a run's end on record."""
        text, now = _text(data), time.time()

        def work(db: sqlite3.Connection) -> None:
            _add(run, "ended", text, None, db)
            db.execute("UPDATE runs SET status = ?, ended = ?, owner = NULL WHERE id = ?", (status, now, run))

        return self.store.submit(work, durable=durable)

    def release(self, run: str) -> Future[None]:
        """Give up a run that this process was at, if it has not ended; another may take it up."""
        owner = self.store.owner

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE runs SET owner = NULL WHERE id = ? AND owner = ? AND status = 'open'", (run, owner)
            )

        return self.store.submit(work, durable=False)

    def prune(self, older_than_s: float, *, unfinished: bool = False) -> int:
        """Delete runs that began long ago.

        Args:
            older_than_s: How long ago in seconds.
            unfinished: Delete those as well that broke off and could be resumed.

        Returns:
            How many were deleted. A run that a live process is at is never one of them.
        """
        before = time.time() - older_than_s

        def work(db: sqlite3.Connection) -> int:
            rows = db.execute("SELECT id, owner, status FROM runs WHERE began <= ?", (before,)).fetchall()
            gone = [
                run
                for run, owner, status in rows
                if status != "open" or (unfinished and not self.store.alive(owner))
            ]
            for run in gone:
                db.execute("DELETE FROM events WHERE run = ?", (run,))
                db.execute("DELETE FROM runs WHERE id = ?", (run,))
            return len(gone)

        count = self.store.submit(work, durable=True).result()
        if count:
            with self.store.reading() as db:
                db.execute("VACUUM")
        return count

    # ------------------------------------------------------------------------------- reading

    def runs(self, most: int = 50) -> list[RunRow]:
        """Return the latest runs, the latest first.

        Args:
            most: How many at most.

        Returns:
            The runs, by the order in which they began here.
        """
        self._flush()
        with self.store.reading() as db:
            rows = db.execute(f"{_ROWS} ORDER BY seq DESC LIMIT ?", (most,)).fetchall()
        return [self._row(row) for row in rows]

    def story(self, run: str) -> Story:
        """Return all that is on record of a run.

        Args:
            run: The run's name, or enough of its beginning.

        Returns:
            The story.

        Raises:
            InputError: There is no such run, or several begin like that.
            StorageError: The record of how it began is damaged.
        """
        self._flush()
        with self.store.reading() as db:
            rows = db.execute(f"{_ROWS} WHERE id = ?", (run,)).fetchall()
            if not rows and run:
                rows = db.execute(f"{_ROWS} WHERE substr(id, 1, ?) = ? LIMIT 2", (len(run), run)).fetchall()
            if not rows:
                raise self._unknown(run)
            if len(rows) > 1:
                raise InputError(f"several runs begin with {run!r}: give more of the name")
            row = self._row(rows[0])
            found = db.execute(
                "SELECT seq, number, kind, agent, data, sum FROM events WHERE run = ? ORDER BY seq", (row.id,)
            ).fetchall()
        text, total = rows[0][5], rows[0][6]
        if total != checksum(row.id, text):
            raise StorageError(f"{self.path}: the record of run {row.id} is damaged; ask the question again")
        return Story.read(row, json.loads(text), found)

    def _row(self, row: Sequence[Any]) -> RunRow:
        run, owner, status, began, ended, text, _, answers = row
        alive = status == "open" and self.store.alive(owner)
        state: RunState = status if status != "open" else ("running" if alive else "unfinished")
        try:
            question = str(json.loads(text)["query"]["text"])
        except (ValueError, KeyError, TypeError):
            question = "(damaged)"
        return RunRow(
            id=run,
            state=state,
            began=began,
            ended=ended,
            question=question,
            answers=answers,
            process=process_of(owner) if alive else None,
        )

    def _flush(self) -> None:
        """Wait for what this process has queued."""
        self.store.submit(lambda db: None, durable=False).result()

    def _unknown(self, run: str) -> InputError:
        return InputError(
            f"there is no run {run!r} in {self.path}: `agentroute runs list` shows those there are"
        )


_ROWS = """
SELECT id, owner, status, began, ended, data, sum,
    (SELECT count(DISTINCT agent) FROM events WHERE events.run = runs.id AND kind = 'answered')
FROM runs
"""


def _add(run: str, kind: str, text: str, agent: str | None, db: sqlite3.Connection) -> int:
    # Numbered within the run, so that one that is missing is missed.
    number = db.execute("SELECT coalesce(max(number), 0) + 1 FROM events WHERE run = ?", (run,)).fetchone()[0]
    total = checksum(run, str(number), kind, str(agent), text)
    seq = db.execute(
        "INSERT INTO events (run, number, kind, agent, data, sum) VALUES (?, ?, ?, ?, ?, ?)",
        (run, number, kind, agent, text, total),
    ).lastrowid
    return int(seq or 0)


def _busy(run: str, owner: str) -> InputError:
    return InputError(
        f"run {run} is already running (process {process_of(owner)}): one run has one writer; wait for it"
    )


def _text(data: Plain) -> str:
    return without_secrets(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
