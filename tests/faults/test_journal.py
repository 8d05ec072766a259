"""The journal's file, cut or flipped anywhere: it gives back what was put in, or says what is lost."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agentroute.errors import AgentRouteError, StorageError
from agentroute.running.keeping.journal import Journal

DATA: dict[str, Any] = {"query": {"text": "why?"}, "notes": [], "origin": {}}
RUNS = {f"run-{n}": [("ab"[k % 2], f"answer {n} {k}") for k in range(3)] for n in range(2)}


def written(path: Path) -> bytes:
    """A journal with two runs, as one file."""
    journal = Journal(path)
    for run, said in RUNS.items():
        journal.begin(run, DATA).result()
        for agent, text in said:
            journal.add(run, "answered", {"text": text}, agent, durable=True).result()
        journal.end(run, "complete", {"answer": said[0][1]}).result()
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    return path.read_bytes()


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


def look(path: Path) -> int:
    """Read all there is of a damaged journal, hold it against the truth, and return how much was missing."""
    missing = 0
    try:
        journal = Journal(path)
    except StorageError:
        return 1
    try:
        rows = journal.runs()
        for run, said in RUNS.items():
            try:
                story = journal.story(run)
            except AgentRouteError:
                missing += 1
                continue
            assert story.data == DATA
            answers = [
                (entry.agent, entry.data["text"]) for entry in story.entries if entry.kind == "answered"
            ]
            assert [pair for pair in said if pair in answers] == answers, "nothing is made up"
            missing += len(said) - len(answers)
            if len(answers) < len(said):
                assert story.damaged or journal.store.problem, "what is missing is missed"
        assert len(rows) <= len(RUNS)
        # Whatever was damaged, the next run goes on record.
        journal.begin("next", DATA).result()
        journal.add("next", "answered", {"text": "yes"}, "a", durable=True).result()
        assert journal.story("next").entries[0].data == {"text": "yes"}
    except StorageError:
        missing += 1
    finally:
        journal.close()
        Journal(path).store._known.pop(path.absolute(), None)  # another file will have this place
    return missing


@pytest.mark.fault("F41", "`damaged; moved to X and begun anew`, or what is lost", "what can be read")
def test_no_flip_and_no_cut_of_a_journal_makes_anything_up(tmp_path: Path) -> None:
    data = written(tmp_path / "whole.db")
    used = [place for place in range(len(data)) if data[place]]
    variants = [flipped(data, place) for place in [*used[:100:2], *used[100::23]]]
    variants += [data[:cut] for cut in range(0, len(data), 2_111)]
    missing = 0
    for number, variant in enumerate(variants):
        home = tmp_path / str(number)
        home.mkdir()
        (home / "runs.db").write_bytes(variant)
        missing += bool(look(home / "runs.db"))
        shutil.rmtree(home)
    assert 0 < missing < len(variants)
