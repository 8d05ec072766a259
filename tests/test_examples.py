"""Every example runs as a user runs it: as a script, from another folder, without a key."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentroute.registry import AgentRegistry
from agentroute.testing import LoopbackServer

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NUMBERED = sorted(path.name for path in EXAMPLES.glob("[0-9]*.py"))
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an example needs of a fresh clone: no router has been trained in it."""
    folder = tmp_path_factory.mktemp("clone")
    for part in ("examples", "agents"):
        shutil.copytree(ROOT / part, folder / part)
    return folder


def run(
    name: str, *arguments: str | Path, clone: Path, code: int = 0, env: Mapping[str, str] | None = None
) -> str:
    elsewhere = clone / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    given = {key: value for key, value in os.environ.items() if key not in KEYS} | dict(env or {})
    ran = subprocess.run(
        [sys.executable, clone / "examples" / name, *arguments],
        cwd=elsewhere,
        env=given,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == code, ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout


def test_the_examples_are_numbered_and_each_is_run_here() -> None:
    assert [name[:2] for name in NUMBERED] == [f"{n:02d}" for n in range(1, len(NUMBERED) + 1)]
    tests = Path(__file__).read_text()
    assert [name for name in NUMBERED if f'run("{name}"' not in tests.replace("\n        ", "")] == []
    others = {path.name for path in EXAMPLES.glob("*.py")} - set(NUMBERED)
    assert others == {"demo.py", "draw_graph.py", "my_chain.py", "my_functions.py"}


def test_five_lines(clone: Path) -> None:
    lines = run("01_five_lines.py", clone=clone).splitlines()
    assert lines[0] == "5040"
    weights = [float(line.split()[1]) for line in lines[1:] if re.fullmatch(r"\S+ +[01]\.\d\d", line)]
    assert weights and sum(weights) == pytest.approx(1, abs=0.02)
    assert any(line.startswith("Usage(requests=0") for line in lines)
    assert lines[-1].startswith("note: no trained router")


def test_python_functions(clone: Path, tmp_path: Path) -> None:
    said = run("02_python_functions.py", clone=clone)
    assert "How many letters has 'banana'? 6\n" in said
    assert "What is 'stressed' spelled backwards? desserts\n" in said
    (tmp_path / "team.yaml").write_text(said[said.index("version: 1") :])
    assert AgentRegistry.from_yaml(tmp_path / "team.yaml").ids == ("letters", "backwards")


def test_effort_for_any_agent(clone: Path) -> None:
    lines = run("08_effort_for_any_agent.py", clone=clone).splitlines()
    assert lines == [
        "high  calls population",
        "low   18,400 people live there.",
        "on the wire: ['high', 'low']",
    ]


def test_langchain_runnable(clone: Path) -> None:
    lines = run("03_langchain_runnable.py", clone=clone).splitlines()
    assert lines[0] == "apple, pear, quince"
    assert "letters   skipped  declined" in lines and lines[-1] == "cost: unknown"


def test_llm_team_without_a_key_names_the_variables(clone: Path) -> None:
    said = run("04_llm_team.py", clone=clone, code=2)
    assert all(name in said for name in KEYS)


def test_llm_team_asks_the_address_it_is_given_and_sends_it_no_key(clone: Path) -> None:
    with LoopbackServer(replies=lambda question: "the Danube") as server:
        secret = {"OPENAI_API_KEY": "sk-secret"}
        said = run("04_llm_team.py", "Which?", "--api-base", server.url, clone=clone, env=secret)
        assert said.startswith("the Danube\n")
        assert re.search(r"^complete|^degraded", said, re.M) and "no trained router" in said
        asked = re.search(r"requests: (\d+); cost: \$0\.0", said)
        assert asked is not None and int(asked[1]) == len(server.requests) >= 3
        assert not any("sk-secret" in str(request.headers) for request in server.requests)


def test_llm_team_whose_models_all_fail_ends_with_a_reason(clone: Path) -> None:
    with LoopbackServer() as server:
        base = server.url  # nobody listens there once the block has ended
    said = run("04_llm_team.py", "Which?", "--api-base", base, clone=clone, code=20)
    assert "failed" in said


def test_own_langgraph(clone: Path) -> None:
    lines = run("05_own_langgraph.py", clone=clone).splitlines()
    assert [line.split()[0] for line in lines] == ["human", "ai", "ai"] * 2
    assert lines[1].split() == ["ai", "40.8"] and lines[2].endswith("The team says: 40.8")
    assert lines[4].split() == ["ai", "5040"]


def test_collect_train_evaluate_and_nobody_is_asked_twice(clone: Path, tmp_path: Path) -> None:
    first = run("06_collect_train_evaluate.py", tmp_path / "words", clone=clone)
    lines = [json.loads(line) for line in (tmp_path / "words" / "questions.jsonl").read_text().splitlines()]
    asked = 4 * len(lines)
    assert f"{asked} answers recorded, 0 were there before, 0 agents failed" in first
    assert "verdict: " in first and "best_single" in first
    assert first.splitlines()[-1] == "42 from roman"
    again = run("06_collect_train_evaluate.py", tmp_path / "words", clone=clone)
    assert f"0 answers recorded, {asked} were there before" in again
    assert table(again) == table(first)


def test_growing_graph_asks_on_only_where_it_pays(clone: Path, tmp_path: Path) -> None:
    said = run("07_growing_graph.py", tmp_path / "sums", clone=clone)
    *runs, mean = re.split(r"^(?=What is |\d)", said, flags=re.M)[1:]
    assert len(runs) == 2 and re.fullmatch(r"1\.\d calls a question on average, of 3 agents\n", mean)
    rounds = []
    for told in runs:
        assert re.findall(r"^  round (\d)", told, re.M) == [str(n + 1) for n in range(told.count("  round "))]
        asked = re.findall(r"^  round \d: ask (.*?) \(", told, re.M)
        assert asked == re.findall(r"^    (\w+): ", told, re.M)
        (chance,) = re.findall(r"^  round \d: stop \(.* a chance of (\d\.\d\d);", told, re.M)
        total = sum(map(int, re.findall(r"\d+", told.partition("?")[0])))
        assert re.search(rf"^  \d+, confidence {chance}, \$0\.0\d+; right is {total}$", told, re.M)
        rounds.append(len(asked))
    # A sum at a glance is enough; "I don't know" is not, and somebody else is asked.
    assert rounds[0] == 1 < rounds[1]
    assert "glance: I don't know" in runs[1] and "asking on is worth its price" in runs[1]


def test_the_graph_is_drawn_as_it_grows(clone: Path, tmp_path: Path) -> None:
    given = (tmp_path / "graph.svg", "--every", "12", "--epochs", "2")
    said = run("draw_graph.py", *given, clone=clone)
    assert "round 1\n" in said and "\nstop\n" in said
    assert re.search(r"^\S.*, confidence [01]\.\d\d$", said, re.M)
    picture = (tmp_path / "graph.svg").read_text()
    assert picture.startswith("<?xml") and "Kite Week" in picture


def table(said: str) -> list[str]:
    """The scores, which the same outcomes give again; the seconds may differ."""
    rows = re.findall(r"^(\w+) +(\d?\.\d{3}) +(\S+)", said, re.M)
    assert len(rows) > 10
    return [" ".join(row) for row in rows]
