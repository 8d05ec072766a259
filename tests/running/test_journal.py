"""The journal: what it acknowledges it gives back, and it knows what it has lost."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentroute.errors import AgentRouteError, InputError, StorageError
from agentroute.running.keeping import journal as journals
from agentroute.running.keeping.journal import Journal

DATA: dict[str, Any] = {"query": {"text": "why?"}, "notes": [], "origin": {}}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "runs.db")
    yield opened
    opened.close()


def begin(journal: Journal, *runs: str) -> None:
    for run in runs:
        journal.begin(run, DATA).result()


def add(journal: Journal, run: str, agent: str, text: str) -> None:
    journal.add(run, "answered", {"agent": agent, "text": text}, agent, durable=False).result()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), texts), max_size=8))
def test_whatever_is_added_comes_back_in_order_and_to_the_letter(
    journal: Journal, said: list[tuple[str, str]]
) -> None:
    run = f"r{len(journal.runs(10**6))}"
    begin(journal, run)
    for agent, text in said:
        add(journal, run, agent, text)
    story = journal.story(run)
    assert [(entry.agent, entry.data["text"]) for entry in story.entries] == said
    assert story.damaged == 0 and story.row.answers == len({agent for agent, _ in said})


def test_a_run_has_a_name_of_its_own(journal: Journal) -> None:
    begin(journal, "abc", "abd")
    with pytest.raises(InputError, match="there is a run abc already"):
        begin(journal, "abc")
    assert journal.story("abc").row.id == journal.story("abc").row.id == "abc"
    with pytest.raises(InputError, match="several runs begin with 'ab'"):
        journal.story("ab")
    for unknown in ("", "x", "%", "a_c"):
        with pytest.raises(InputError, match="no run"):
            journal.story(unknown)


@pytest.mark.fault("F46", "the same order of runs and entries, whatever the clock says", "the last step")
@pytest.mark.control("F46", "by the clock, as a checkpointer orders them, another run is the last one")
def test_the_latest_is_the_latest_whatever_the_clock_says(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run, now in (("first", 2_000_000.0), ("second", 1_000.0), ("third", 4_102_444_800.0), ("last", 0.0)):
        monkeypatch.setattr(journals.time, "time", lambda now=now: now)
        begin(journal, run)
        add(journal, run, "a", f"{run} 1")
        add(journal, run, "a", f"{run} 2")
        journal.end(run, "complete", {}).result()
    rows = journal.runs()
    assert [row.id for row in rows] == ["last", "third", "second", "first"]
    assert [entry.data.get("text") for entry in journal.story("second").entries][:2] == [
        "second 1",
        "second 2",
    ]
    # The control: by the clock, as a checkpointer orders them, the last run would be the oldest.
    assert max(rows, key=lambda row: row.began).id == "third"


# ---------------------------------------------------------------------------- one run, one writer

OTHER = """
import pathlib, sys
from agentroute.running.keeping.journal import Journal
journal = Journal(sys.argv[1])
journal.begin("theirs", {"query": {"text": "why?"}, "notes": [], "origin": {}}).result()
print("begun", flush=True)
sys.stdin.read()
"""


@pytest.mark.fault("F38", "`run X is already running (process N)`", "the run that goes on")
def test_a_run_that_a_live_process_is_at_cannot_be_taken_up_until_it_dies(journal: Journal) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(journal.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None and other.stdin is not None
    assert other.stdout.readline() == "begun\n"
    with pytest.raises(InputError, match=rf"run theirs is already running \(process {other.pid}\)"):
        journal.claim("theirs")
    with pytest.raises(InputError, match="already running"):
        journal.adopt("theirs").result()
    assert [(row.state, row.process) for row in journal.runs()] == [("running", str(other.pid))]
    assert journal.prune(0.0, unfinished=True) == 0
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert [row.state for row in journal.runs()] == ["unfinished"]
    journal.claim("theirs")
    assert [row.state for row in journal.runs()] == ["running"]


def test_a_run_that_has_an_answer_is_not_taken_up(journal: Journal) -> None:
    begin(journal, "done", "failed")
    journal.end("done", "complete", {}).result()
    journal.end("failed", "failed", {}).result()
    with pytest.raises(InputError, match="run done has ended: it is complete"):
        journal.claim("done", anew=True)
    with pytest.raises(InputError, match="it is failed"):
        journal.claim("failed")
    journal.claim("failed", anew=True)
    with pytest.raises(InputError, match="no run 'nobody'"):
        journal.claim("nobody")


def test_pruning_deletes_what_has_ended_long_ago(journal: Journal) -> None:
    begin(journal, "done", "open", "left")
    add(journal, "done", "a", "x")
    journal.end("done", "complete", {}).result()
    journal.release("left").result()
    assert journal.prune(3600.0) == 0
    assert journal.prune(0.0) == 1 and [row.id for row in journal.runs()] == ["left", "open"]
    assert journal.prune(0.0, unfinished=True) == 1 and [row.id for row in journal.runs()] == ["open"]
    with sqlite3.connect(journal.path) as db:
        assert db.execute("SELECT count(*) FROM events").fetchone() == (0,)


# ---------------------------------------------------------------------------- damage and secrets


def test_an_entry_that_was_changed_or_is_missing_is_known_to_be(journal: Journal) -> None:
    begin(journal, "r")
    for agent in "abc":
        add(journal, "r", agent, f"from {agent}")
    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE events SET data = replace(data, 'from a', 'from x') WHERE agent = 'a'")
        db.execute("DELETE FROM events WHERE agent = 'b'")
    story = journal.story("r")
    assert [entry.agent for entry in story.entries] == ["c"] and story.damaged == 2
    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE runs SET data = replace(data, 'why?', 'how?')")
    with pytest.raises(StorageError, match="the record of run r is damaged"):
        journal.story("r")


def test_no_flipped_byte_gives_an_answer_that_was_never_given(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    journal = Journal(path)
    begin(journal, "r")
    said = {agent: f"the answer of {agent} " * 5 for agent in ("ann", "bob")}
    for agent, text in said.items():
        add(journal, "r", agent, text)
    journal.close()
    whole, kept, lost = path.read_bytes(), 0, 0
    for place in range(0, len(whole), 797):
        (tmp_path / "copy").mkdir(exist_ok=True)
        copy = tmp_path / "copy" / "runs.db"
        copy.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        opened: Journal | None = None
        try:
            opened = Journal(copy)
            for entry in opened.story("r").entries:
                assert entry.data["text"] == said[str(entry.agent)]
            kept += 1
        except AgentRouteError:
            lost += 1
        finally:
            if opened is not None:
                opened.close()
            for file in (tmp_path / "copy").iterdir():
                if file.is_file():
                    file.unlink()
    assert lost and kept


def test_values_of_variables_named_like_secrets_are_taken_out(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = 'sk-"canary"-0123'
    monkeypatch.setenv("CANARY_API_KEY", secret)
    journal.begin("r", {**DATA, "query": {"text": f"is {secret} good?"}}).result()
    add(journal, "r", "a", f"it is {secret}")
    journal.close()
    assert b"canary" not in b"".join(
        file.read_bytes() for file in journal.path.parent.glob("runs.db*") if file.is_file()
    )
    story = journal.story("r")
    assert story.data["query"]["text"] == "is [redacted] good?"
    assert story.entries[0].data["text"] == "it is [redacted]"
    monkeypatch.delenv("CANARY_API_KEY")
    add(journal, "r", "b", f"it is {secret}")
    assert json.dumps(secret)[1:-1] in json.dumps(journal.story("r").entries[1].data), "the control"
