"""The command: what it prints is what the function finds, and what cannot be used is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from explaining.telltale import DECIDES, make_telltale, telling
from typer.testing import CliRunner

from agentroute.cli.app import app
from agentroute.cli.output import plain
from agentroute.explaining import Explanation, explain
from agentroute.pipeline import load_router
from agentroute.registry import AgentRegistry
from agentroute.types import Limits

QUERY, RIGHT = telling(2000)


def run(*args: object, code: int = 0) -> tuple[str, str]:
    """Run a command in this process; a failure is one message, never a traceback."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="agentroute")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr and isinstance(result.exception, SystemExit | None)
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An outcome folder, and the router that was trained on it."""
    import torch

    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("explain")
    folder = make_telltale(home / "telltale", 120)
    run("train", folder, "--out", home / "router", "--embedder", "hashing", "--epochs", 2)
    return folder, home / "router"


def asked(saved: tuple[Path, Path], *more: object, code: int = 0, query: str = QUERY.text) -> tuple[str, str]:
    folder, router = saved
    team = ("-r", folder / "agents.yaml", "--allow", "crew", "--router", router)
    return run("explain", query, *team, *more, code=code)


def test_the_command_says_what_the_function_finds(saved) -> None:
    folder, router = saved
    agents = AgentRegistry.from_yaml(folder / "agents.yaml").agents
    found = explain(load_router(router), QUERY.text, agents)
    said, err = asked(saved, "--json")
    assert Explanation.from_json(json.loads(said)) == found and not err
    assert asked(saved)[0].splitlines() == [plain(line) for line in found.lines()]
    assert found.first == RIGHT and DECIDES[RIGHT] in found.deletion.words


def test_its_options_are_heard(saved) -> None:
    folder, router = saved
    agents = AgentRegistry.from_yaml(folder / "agents.yaml").agents
    texts = {f"q{seed}": telling(seed)[0].text for seed in range(120)}
    more = ("--past", 2, "--seed", 5, "--max-cost-usd", 0.002, "--preset", "top1", "--data", folder)
    found = Explanation.from_json(json.loads(asked(saved, *more, "--json")[0]))
    assert found == explain(
        load_router(router, "top1"),
        QUERY.text,
        agents,
        limits=Limits(max_cost_usd=0.002),
        past=2,
        texts=texts,
        seed=5,
    )
    assert len(found.past) == 2 and found.past[0].text == texts[found.past[0].id]
    assert "costs more than is left" in {place.reason for place in found.decision.ranking}


def test_it_draws(saved, tmp_path: Path) -> None:
    said, _ = asked(saved, "--picture", tmp_path / "why.svg", "--json")
    drawn = (tmp_path / "why.svg").read_text(encoding="utf-8")
    assert all(f">{agent}<" in drawn for agent in DECIDES) and json.loads(said)["first"] == RIGHT


def test_without_a_router_descriptions_are_what_it_explains(saved) -> None:
    folder, _ = saved
    said, _ = run("explain", QUERY.text, "-r", folder / "agents.yaml", "--allow", "crew")
    assert "no trained router" in said and "likeness of its description" in said


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--past", "-1"), "'--past'"),
        (("--picture", "why.txt"), "ending decides the format"),
        (("--picture", "/nowhere/why.svg"), "/nowhere/why.svg"),
        (("--data", "/nowhere"), "/nowhere is not a folder"),
        (("--router", "/nowhere"), "no router to read there"),
        (("--preset", "none"), "no preset 'none'"),
        (("--max-cost-usd", "nan"), "not a finite number"),
        (("--target-coverage", "2"), "not a share"),
    ],
)
def test_what_cannot_be_used_is_refused(saved, more, message) -> None:
    said, err = asked(saved, *more, code=2)
    assert message in " ".join(err.split()) and not said


def test_an_empty_question_and_one_that_cannot_be_written_are_refused(saved) -> None:
    assert "empty" in asked(saved, query=" ", code=2)[1]
    assert "lone surrogate" in asked(saved, query="a \udc80", code=2)[1]
    assert "no registry" in run("explain", "hello", code=2)[1]


def test_control_characters_do_not_reach_the_terminal(saved) -> None:
    said, _ = asked(saved, query=f"the \x1b[31m{DECIDES[RIGHT]} is old?")
    assert "\x1b[31m" not in said and DECIDES[RIGHT] in said
