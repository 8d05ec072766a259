"""``agentroute effort collect``, and what ``check`` says of levels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agentroute.cli.app import app
from agentroute.outcomes import OutcomeFolder
from agentroute.testing import LoopbackServer

REGISTRY = """
version: 1
agents:
  - id: adder
    kind: llm
    description: Adds.
    model: openai/{model}
    api_base: {url}
    effort: {{levels: [low, high], default: low}}
    price: {{input: 1, output: 10}}
"""


def thinker(body: dict[str, Any]) -> str:
    """Only who thinks hard adds right."""
    return "4" if body.get("reasoning_effort") == "high" else "5"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(models={"thinker": thinker}) as running:
        yield running


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    file.write_text(
        '{"id": "q1", "text": "2+2?", "gold": ["4"]}\n{"id": "q2", "text": "2+3?", "gold": ["9"]}\n'
    )
    return file


def registry(tmp_path: Path, server: LoopbackServer, model: str = "thinker") -> Path:
    file = tmp_path / "team.yaml"
    file.write_text(REGISTRY.format(model=model, url=server.url))
    return file


def run(*args: object, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="agentroute")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result.stdout, result.stderr


def test_collect_says_the_price_first_and_shows_the_shares(
    server: LoopbackServer, questions: Path, tmp_path: Path
) -> None:
    team, folder = registry(tmp_path, server), tmp_path / "labels"
    out, err = run("effort", "collect", team, questions, "--out", folder, "--runs", 2)
    assert err.index("trajectories: 2 calls, about $") < err.index("1 steps of 1 right trajectories: 4 calls")
    assert "1 right trajectories, 1 steps, 4 made again now, 0 were there" in out
    assert [line.split()[:2] for line in out.splitlines() if "@" in line] == [
        ["adder@low", "0.000"],
        ["adder@high", "1.000"],
    ]
    assert len(OutcomeFolder.open(folder).queries) == 1
    again = json.loads(run("effort", "collect", team, questions, "-o", folder, "--runs", 2, "--json")[0])
    assert (again["repeats"]["kept"], again["repeats"]["recorded"], again["cost_usd"]) == (4, 0, 0.0)


def test_the_price_alone_asks_nobody_and_leaves_nothing(
    server: LoopbackServer, questions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "labels"
    out, err = run("effort", "collect", registry(tmp_path, server), questions, "-o", folder, "--estimate")
    assert (out, server.requests, folder.exists()) == ("", [], False)
    assert "trajectories: 2 calls, about $" in err and "12 calls" in err


def test_it_ends_with_a_code_that_says_why(server: LoopbackServer, questions: Path, tmp_path: Path) -> None:
    team, folder = registry(tmp_path, server), tmp_path / "labels"
    _, err = run("effort", "collect", team, questions, "-o", folder, "--max-cost-usd", 0, code=21)
    assert "run the same command again" in err
    _, err = run("effort", "collect", team, questions, "-o", folder, "--judge", "os:remove", code=2)
    assert "--allow" in err
    deaf = registry(tmp_path, server, "gpt-4o")
    _, err = run("effort", "collect", deaf, questions, "-o", tmp_path / "x", code=2)
    assert "no agent has levels" in err
    assert server.requests == []
    broken = registry(tmp_path, server, "400")
    run("effort", "collect", broken, questions, "-o", tmp_path / "y", code=20)


def test_check_says_what_becomes_of_levels(server: LoopbackServer, tmp_path: Path) -> None:
    _, err = run("check", registry(tmp_path, server, "gpt-4o"))
    assert "openai/gpt-4o takes no level" in err
    _, err = run("check", registry(tmp_path, server))
    assert "takes no level" not in err


def test_a_level_that_no_provider_has_is_refused_where_it_is_written(
    server: LoopbackServer, tmp_path: Path
) -> None:
    file = registry(tmp_path, server)
    file.write_text(file.read_text().replace("[low, high]", "[low, extreme]"))
    _, err = run("check", file, code=2)
    assert "team.yaml:9" in err and "extreme" in err
