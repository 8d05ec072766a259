"""``agentroute effort``: from a folder to a router and its worth, on the command line and in a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from effort.ladder import make_ladder
from test_cli import run

from agentroute import AgentRoute
from agentroute.effort import train as training
from agentroute.effort.ladder_router import LadderRouter
from agentroute.effort.step_router import StepRouter
from agentroute.errors import InputError, RouterFileError
from agentroute.routing.router import GraphRouter
from agentroute.testing import LoopbackServer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ladder(tmp_path_factory.mktemp("sums"), 120)


@pytest.fixture(scope="module")
def router(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("router")
    said, _ = run("effort", "train", folder, "--out", out)
    assert "saves" in said
    return out


def test_evaluate_writes_what_was_promised(router: Path, folder: Path, tmp_path: Path) -> None:
    shown, _ = run("effort", "evaluate", router, folder, "--json", tmp_path / "r.json", "--no-control")
    assert "verdict" in shown
    found = json.loads((tmp_path / "r.json").read_text())
    assert {"fixed_low", "fixed_high", "random", "oracle", "agentroute"} <= set(found["policies"])


def test_each_kind_of_router_is_told_from_the_other(router: Path) -> None:
    with pytest.raises(RouterFileError, match="a router of effort, not of agents"):
        GraphRouter.load(router)


def test_train_says_it_in_json(folder: Path, tmp_path: Path) -> None:
    args = ("effort", "train", folder, "--out", tmp_path / "r", "--max-loss", "0.0")
    said, _ = run(*args, "--doubt", "0", "--json")
    (ladder,) = json.loads(said)["ladders"]
    assert ladder["rungs"] == ["low", "medium", "high"]
    assert ladder["loss"] <= 0.0 < ladder["saved"] and ladder["loss_error"] > 0.0


def test_train_says_that_no_loss_at_all_cannot_be_promised(folder: Path, tmp_path: Path) -> None:
    said, _ = run("effort", "train", folder, "--out", tmp_path / "r", "--max-loss", "0.0")
    assert "always high: nothing saves within 0 points of loss with 1 standard errors in reserve" in said
    assert "allow more --max-loss" in said


def test_what_cannot_be_used_is_said(folder: Path, router: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    run("effort", "train", folder, "--out", tmp_path / "file", code=2)
    _, said = run("effort", "train", folder, "--out", tmp_path / "r", "--price", "gold", code=2)
    assert "gold" in said
    _, said = run("effort", "train", tmp_path, "--out", tmp_path / "r", code=2)
    _, said = run("effort", "evaluate", tmp_path / "none", folder, code=2)
    assert "no router to read there" in said
    assert not (tmp_path / "r").exists()


def test_a_run_goes_low_first_and_up_where_it_looks_unsure(router: Path, tmp_path: Path) -> None:
    """On the wire, with the real client: what was asked for, in which order, and what it came to."""
    sure, unsure = "Add 10, 20, 30. This is sum 7 of the day.", "Add 11, 21, 31. This is sum 8 of the day."
    with LoopbackServer() as server:

        def reply(question: str) -> str:
            effort = server.requests[-1].json.get("reasoning_effort")
            guess = question == unsure and effort == "low"
            return "perhaps 66, but I am not sure" if guess else "63" if question == unsure else "60"

        server._replies = reply
        (tmp_path / "team.yaml").write_text(
            "version: 1\nagents:\n  - id: adder\n    kind: llm\n    description: Adds.\n"
            "    model: openai/gpt-5-mini\n"
            f"    api_base: {server.url}\n    effort: {{levels: [low, medium, high], default: high}}\n"
        )
        team = AgentRoute.from_yaml(tmp_path / "team.yaml", effort=router)
        first = team.run(sure)
        assert first.answer == "60"
        assert [request.json["reasoning_effort"] for request in server.requests] == ["low"]
        second = team.run(unsure)
        assert second.answer == "63"
        asked = [request.json["reasoning_effort"] for request in server.requests[1:]]
        assert asked[0] == "low"
        assert len(asked) == 2
        steps = second.answers[0].steps
        assert [step.requested for step in steps] == asked == [step.applied for step in steps]
        assert second.answers[0].usage.requests == 2


def test_a_ladder_of_agents_is_a_router_of_a_team(router: Path, folder: Path, tmp_path: Path) -> None:
    """Agent and level chosen together: recorded rungs, the real workflow, round by round."""
    text = (folder / "agents.yaml").read_text()
    team_file = tmp_path / "team.yaml"
    team_file.write_text(text.replace("model: adder,", f"model: adder, outcomes: {folder},"))
    team = AgentRoute.from_yaml(team_file, router=LadderRouter.load(router))
    learned = StepRouter.load(router)
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()][:12]
    asked = []
    for row in rows:
        result = team.run(row["text"])
        asked.append([answer.agent for answer in result.answers])
        assert asked[-1] == sorted(asked[-1], key=["adder@low", "adder@medium", "adder@high"].index)
        assert result.answer is not None
    assert any(len(names) > 1 for names in asked)
    assert any(names == ["adder@low"] for names in asked)
    assert learned.plans[0].choice.at is not None


def test_a_ladder_router_needs_its_rungs(router: Path) -> None:
    with pytest.raises(InputError, match="name one of adder"):
        LadderRouter.load(router, "nobody")


def test_an_effort_router_is_no_router_of_agents(router: Path, tmp_path: Path) -> None:
    with pytest.raises((RouterFileError, InputError)):
        AgentRoute.from_yaml("agents/workbench.yaml", router=router)
    with pytest.raises(RouterFileError, match="no router to read there"):
        AgentRoute.from_yaml("agents/workbench.yaml", effort=tmp_path / "none")


def test_the_settings_that_are_tried_ascend() -> None:
    assert list(training.PRICES) == sorted(training.PRICES)


def test_ask_takes_an_effort_router(router: Path, folder: Path, tmp_path: Path) -> None:
    registry = tmp_path / "team.yaml"
    registry.write_text(
        "version: 1\ndefaults: {price: {call: 0}}\nagents:\n"
        "  - {id: twice, kind: function, description: Doubles., function: 'evaluation.pupils:knows'}\n"
    )
    _, said = run("ask", "So?", "--registry", registry, "--effort", folder, code=2)
    assert "no router to read there" in said
