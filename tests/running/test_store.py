"""The store of runs: what is done is on the disk, bad work costs no other, damage is set aside."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentroute.errors import StorageError
from agentroute.running.keeping.owner import Owner, is_alive
from agentroute.running.keeping.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "runs.db")
    yield opened
    opened.close()


def spend(usd: float) -> Any:
    return lambda db: db.execute("INSERT INTO budgets (name, usd) VALUES (hex(randomblob(8)), ?)", (usd,))


def total(path: Path) -> float:
    with sqlite3.connect(path) as db:
        return float(db.execute("SELECT coalesce(sum(usd), 0) FROM budgets").fetchone()[0])


async def test_what_is_written_at_once_is_there_when_it_is_done(store: Store) -> None:
    await asyncio.gather(*(store.write(spend(1.0), durable=i % 2 == 0) for i in range(100)))
    assert total(store.path) == 100.0


async def test_a_bad_piece_of_work_costs_no_other_of_its_batch(store: Store) -> None:
    def bad(db: sqlite3.Connection) -> None:
        spend(1000.0)(db)
        raise ValueError("my mistake")

    work = [spend(1.0), bad, spend(1.0), lambda db: db.execute("SELECT nonsense"), spend(1.0)]
    found = await asyncio.gather(*(store.write(one) for one in work), return_exceptions=True)
    assert [type(one).__name__ for one in found if isinstance(one, Exception)] == [
        "ValueError",
        "StorageError",
    ]
    assert total(store.path) == 3.0


def test_the_file_is_this_user_s_alone(store: Store) -> None:
    store.submit(spend(1.0), durable=True).result()
    assert store.path.stat().st_mode & 0o077 == 0


def test_a_store_that_was_closed_opens_again(store: Store) -> None:
    for _ in range(3):
        store.submit(spend(1.0), durable=False).result()
        store.close()
    assert total(store.path) == 3.0


def test_a_forked_child_writes_with_a_connection_of_its_own(store: Store) -> None:
    store.submit(spend(1.0), durable=False).result()
    mine, pid = store.owner, os.fork()
    if not pid:
        try:
            store.submit(spend(1.0), durable=False).result()
            os._exit(0 if store.owner != mine and store.alive(mine) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    store.submit(spend(1.0), durable=False).result()
    assert total(store.path) == 3.0


def test_a_store_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    soon = threading.Timer(0.3, other.rollback)
    soon.start()
    Store(path).close()
    soon.join()
    other.close()
    assert total(path) == 0.0


def test_an_owner_lives_as_long_as_its_process_and_no_longer(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from agentroute.running.keeping.owner import Owner\n"
        "owner = Owner(pathlib.Path(sys.argv[1])); print(owner.name, flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None and other.stdin is not None
    name = other.stdout.readline().strip()
    assert name.startswith(f"{other.pid}-") and is_alive(tmp_path, name)
    other.kill()
    other.wait()
    assert not is_alive(tmp_path, name) and not (tmp_path / name).exists()
    other.stdin.close()
    other.stdout.close()
    mine = Owner(tmp_path)
    assert is_alive(tmp_path, mine.name)
    mine.close()
    assert not is_alive(tmp_path, mine.name)


# ---------------------------------------------------------------------------- what cannot be used


def test_a_newer_format_and_another_program_s_file_are_left_alone(tmp_path: Path) -> None:
    for name, statement in (("newer.db", "PRAGMA user_version=99"), ("other.db", "CREATE TABLE mine (a)")):
        with sqlite3.connect(tmp_path / name) as db:
            db.execute(statement)
        db.close()
        before = (tmp_path / name).read_bytes()
        with pytest.raises(StorageError, match=r"newer version.*upgrade|another program"):
            Store(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.fault(
    "F41", "`the store of runs was damaged; moved to ...`; the run goes on", "the damaged file"
)
@pytest.mark.parametrize("damage", ["not a database", "half of it", "torn pages"])
def test_a_damaged_file_is_moved_aside_and_begun_anew(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "runs.db"
    store = Store(path)
    for _ in range(200):
        store.submit(spend(1.0), durable=False).result()
    store.close()
    whole = path.read_bytes()
    assert Store(path).problem is None, "nothing is found where nothing is wrong"
    bad = {
        "not a database": b"something else entirely" * 100,
        "half of it": whole[: len(whole) // 2],
        "torn pages": whole[:4096] + b"\xff" * 8192 + whole[12288:],
    }[damage]
    path.write_bytes(bad)
    again = Store(path)
    assert again.problem is not None and "moved to" in again.problem
    (aside,) = (
        found for found in tmp_path.glob("runs.db.damaged-*") if not found.name.endswith(("-wal", "-shm"))
    )
    assert aside.read_bytes() == bad
    again.submit(spend(1.0), durable=True).result()
    assert total(path) == 1.0
    again.close()


@pytest.mark.fault("F42", "exit 23 with the path; `--no-journal` runs all the same", "nothing is lost")
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/runs\.db"):
        Store(tmp_path / "file" / "runs.db")
