"""The README keeps its word: every command and every block of code in it is run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agentroute.outcomes import QueryRecord
from agentroute.registry import AgentRegistry
from agentroute.testing import LoopbackServer
from agentroute.workbench.ladders import record, shipped_questions
from agentroute.workbench.questions import records

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.S | re.M)
PARTS = ("agents", "examples", "graphs", "langgraph.json", "constraints.txt")
SETUP = re.compile(r"(make|pip|git) ")
"""Commands that build the environment which the tests run in: checked by what they name."""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone after `make demo`, with a small router, and with somebody's own questions."""
    folder = tmp_path_factory.mktemp("clone")
    for part in PARTS:
        (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, folder / part)
    for name, triples in (("workbench.jsonl", records()[::6]), ("questions.jsonl", records()[3::9])):
        lines = [QueryRecord(query=query, gold=gold, meta=meta).to_json() for query, gold, meta in triples]
        (folder / name).write_text("\n".join(lines))
    collected, trained = "runs/workbench", "routers/workbench"
    execute(["agentroute", "collect", "agents/workbench.yaml", "workbench.jsonl", "--out", collected], folder)
    execute(
        ["agentroute", "train", collected, "--out", trained, "--epochs", "3", "--embedder", "hashing"], folder
    )
    record(shipped_questions()[::3], folder / "runs" / "workbench-effort")
    for text in (*blocks("python"), *blocks("yaml")):
        if named := re.match(r"# (\S+\.(?:py|yaml))\n", text):
            (folder / named[1]).write_text(text)
    return folder


def execute(command: list[str], clone: Path) -> str:
    binaries = Path(sys.executable).parent
    env = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    env["PATH"] = f"{binaries}{os.pathsep}{env.get('PATH', '')}"
    ran = subprocess.run(command, cwd=clone, env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, f"{command[-1]}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


def test_the_first_lines_are_the_two_commands() -> None:
    first = [line for line in README.splitlines() if line][1:4]
    assert first[0] == "```bash"
    assert first[1].split("#")[0].strip() == "make demo" and first[2].split("#")[0].strip() == "make test"


def test_what_builds_the_environment_names_what_is_there() -> None:
    lines = [line.split("#")[0].strip() for text in blocks("bash") for line in text.splitlines()]
    setup = [line for line in lines if SETUP.match(line)]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert len(setup) >= 4
    for line in setup:
        command, *words = line.split()
        if command == "make":
            assert words[0] in targets
            continue
        assert words[:3] == ["install", "--constraint", "constraints.txt"]
        named = re.fullmatch(r'"\.\[(\w+)\]"', words[3])
        assert words[3] in pinned if named is None else named[1] in extras


def test_every_command_works_in_the_order_of_the_page(clone: Path) -> None:
    def prepared(line: str) -> str:
        return f"{line} --api-base {server.url}" if "04_llm_team.py" in line else line

    with LoopbackServer() as server:
        for text in blocks("bash"):
            lines = [prepared(line) for line in text.splitlines() if line and not SETUP.match(line)]
            execute(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], clone)
        assert server.requests
    report = json.loads((clone / "report.json").read_text())
    assert report["verdict"] and report["policies"]["oracle"]["score"] > 0
    assert (clone / "report.png").stat().st_size > 10_000
    assert (clone / "runs" / "mine" / "outcomes.jsonl").exists()


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_every_block_of_python_runs(number: int, clone: Path) -> None:
    code = blocks("python")[number]
    said = execute([sys.executable, "-c", code], clone)
    assert bool(said) is ("print(" in code)


def test_the_functions_and_the_team_of_the_page_work_together(clone: Path) -> None:
    (code,) = [text for text in blocks("python") if "team.yaml" in text]
    assert execute([sys.executable, "-c", code], clone) == "10 to 16\n"


def test_every_registry_and_every_question_of_the_page_is_valid(tmp_path: Path) -> None:
    for text in blocks("yaml"):
        (tmp_path / "team.yaml").write_text(text)
        assert len(AgentRegistry.from_yaml(tmp_path / "team.yaml")) >= 2
    shipped = (ROOT / "examples" / "desk" / "desk.utterances.jsonl").read_text("utf-8").splitlines()
    questions = [line for text in blocks("json") for line in text.splitlines() if "labels" not in line]
    assert [
        line
        for text in blocks("json")
        for line in text.splitlines()
        if "labels" in line and line not in shipped
    ] == []
    assert len([QueryRecord.from_json(json.loads(line)).gold for line in questions]) >= 2


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) >= 6
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_table_of_commands_is_the_command_line(clone: Path) -> None:
    told = re.findall(r"^\| `agentroute (\w+) ", README, re.M)
    shown = execute(["agentroute", "--help"], clone)
    listed = shown[shown.index("Commands") :]
    assert told == re.findall(
        r"^\W*(check|ask|route|explain|collect|train|evaluate|onboard|effort|runs)\b", listed, re.M
    )


def test_there_is_a_place_for_the_measured_table() -> None:
    table = README.partition("<!-- demo-table:start -->")[2].partition("<!-- demo-table:end -->")
    assert table[0].strip() and table[1]
