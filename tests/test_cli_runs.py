"""``agentroute runs``: what runs did, and going on with those that broke off, in processes of their own."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentroute.cli.app import app
from agentroute.running.keeping.journal import Journal

TEAM = """
version: 1
defaults: {timeout_s: 60, price: {call: 0.25}}
agents:
  - {id: quick, kind: function, description: Knows capitals., function: "my_crew:quick"}
  - {id: slow, kind: function, description: Knows capitals., function: "my_crew:slow"}
"""

CREW = """
import pathlib, time

HERE = pathlib.Path(__file__).parent

def note(name):
    with (HERE / "asked").open("a") as file:
        file.write(name + "\\n")

def quick(text):
    note("quick")
    return "Paris"

def slow(text):
    note("slow")
    for _ in range(6000):
        if (HERE / "open").exists():
            break
        time.sleep(0.01)
    return "Paris"
"""

QUESTION = "What is the capital of France?"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "agents.yaml").write_text(TEAM)
    (tmp_path / "my_crew.py").write_text(CREW)
    return tmp_path


def start(place: Path, *args: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from agentroute.cli import main; main()", *map(str, args)]
    return subprocess.Popen(command, cwd=place, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(*args: object, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="agentroute")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result.stdout, result.stderr


def asked(place: Path) -> list[str]:
    return sorted((place / "asked").read_text().split())


def until_quick_is_on_record(place: Path, journal: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if journal.exists() and (place / "asked").exists() and len(asked(place)) == 2:
            rows = Journal(journal).runs()
            if rows and rows[0].answers == 1:
                return
        time.sleep(0.05)
    raise AssertionError("it did not begin")


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT"])
@pytest.mark.fault("F45", "exit 130 within 2 s, with the command that goes on", "every acknowledged answer")
@pytest.mark.fault("F60", "no traceback; `runs resume` goes on", "every acknowledged answer")
def test_a_run_that_is_ended_goes_on_with_the_command_that_was_printed(place: Path, how: str) -> None:
    journal = place / "j.db"
    process = start(place, "ask", QUESTION, "--allow", "my_crew", "--journal", journal)
    until_quick_is_on_record(place, journal)
    began = time.monotonic()
    process.send_signal(getattr(signal, how))
    out, err = process.communicate(timeout=60)
    if how == "SIGINT":
        assert time.monotonic() - began < 2.0 + 1.0, "2 s, and what a busy machine adds"
        assert process.returncode == 130 and "  quick: Paris" in err
        (command,) = re.findall(r"to go on with it: agentroute (.*)", err)
    else:
        assert process.returncode == -getattr(signal, how)
        command = f"runs resume {Journal(journal).runs()[0].id} --journal {journal} --allow my_crew"
    assert "Traceback" not in err and not out
    run_id = shlex.split(command)[2]
    listed, _ = run("runs", "list", "--journal", journal)
    assert run_id[:12] in listed and "unfinished" in listed and "runs resume" in listed
    shown, _ = run("runs", "show", run_id[:8], "--journal", journal)
    assert "not answered: slow" in shown and "Paris" in shown
    assert shown.rstrip().endswith("--allow my_crew")
    (place / "open").touch()
    done = start(place, *shlex.split(command), "--json")
    out, err = done.communicate(timeout=60)
    assert done.returncode == 0, err
    result = json.loads(out)
    assert result["answer"] == "Paris" and result["run_id"] == run_id
    assert asked(place) == ["quick", "slow", "slow"], "who had answered was not asked again"
    assert any("what that cost is unknown" in line for line in result["problems"])
    # Once more: it has an answer now, and nobody is asked.
    again = start(place, *shlex.split(command), "--json")
    assert json.loads(again.communicate(timeout=60)[0]) == result and len(asked(place)) == 3
    assert json.loads(run("runs", "list", "--journal", journal, "--json")[0])[0]["state"] == "degraded"


@pytest.mark.fault("T16", "`N runs deleted`", "runs that go on, and those that can be resumed")
def test_a_run_shows_what_it_came_to_and_is_pruned(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "open").touch()
    run("ask", QUESTION, "--allow", "my_crew", "--journal", "j.db", "--json")
    (row,) = json.loads(run("runs", "list", "--journal", "j.db", "--json")[0])
    assert (row["state"], row["question"], row["answers"]) == ("degraded", QUESTION, 2)
    out, err = run("runs", "show", row["id"], "--journal", "j.db")
    assert "answer: Paris" in out and "cost $0.5" in out and "no trained router" in err
    record = json.loads(run("runs", "show", row["id"], "--journal", "j.db", "--json")[0])["record"]
    assert [e["kind"] for e in record if e["kind"] != "sent"] == [
        "routed",
        "answered",
        "answered",
        "routed",
        "ended",
    ]
    assert json.loads(run("runs", "prune", "--older-than", "1d", "--journal", "j.db", "--json")[0]) == {
        "deleted": 0
    }
    assert run("runs", "prune", "--older-than", "0s", "--journal", "j.db")[0] == "1 runs deleted\n"
    assert "no run" in run("runs", "show", row["id"], "--journal", "j.db", code=2)[1]
    assert "is no age" in run("runs", "prune", "--older-than", "soon", "--journal", "j.db", code=2)[1]


def test_commands_keep_their_record_in_the_state_folder_unless_told_otherwise(
    place: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    home = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    (place / "open").touch()
    ask: tuple[Any, ...] = ("ask", QUESTION, "--allow", "my_crew")
    assert "there is no journal at" in run("runs", "list", code=2)[1]
    run(*ask, "--no-journal")
    assert not list(home.iterdir())
    run(*ask)
    assert len(json.loads(run("runs", "list", "--json")[0])) == 1
    assert os.stat(home / "agentroute" / "runs.db").st_mode & 0o077 == 0


@pytest.mark.fault(
    "F42", "exit 23 with the path and `--no-journal`; without --journal, a warning and the answer", "-"
)
def test_a_journal_that_cannot_be_kept_is_named_or_done_without(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    (place / "open").touch()
    (place / "file").write_text("")
    ask: tuple[Any, ...] = ("ask", QUESTION, "--allow", "my_crew")
    _, err = run(*ask, "--journal", "file/runs.db", code=23)
    assert "file/runs.db" in err and "--no-journal" in err
    monkeypatch.setenv("XDG_STATE_HOME", str(place / "file"))
    out, err = run(*ask)
    assert out.startswith("Paris") and "no record is kept of this run" in err


@pytest.mark.fault("F48", "exit 21 once all runs together have spent the budget", "the ledger")
def test_commands_share_a_budget_by_its_name(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    (place / "open").touch()
    ask = ("ask", QUESTION, "--allow", "my_crew", "--journal", "j.db", "--budget", "november=0.8", "--json")
    assert json.loads(run(*ask)[0])["usage"]["cost_usd"] == 0.5
    second = json.loads(run(*ask)[0])
    assert second["usage"]["cost_usd"] == 0.25 and "skipped (budget" in second["problems"][0]
    _, err = run(*ask, code=21)
    assert "nobody who is left fits the budget" in err
    assert "to go on with it: agentroute runs resume" in err
    for bad in ("november", "november=", "=5", "november=-1", "november=nan"):
        assert "is no budget" in run(*ask[:-3], "--budget", bad, code=2)[1]
