"""``agentroute onboard``: what it asks, what it keeps, what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluation import mechanic
from routing.folders import make_folder, team
from routing.labelled import make_labelled
from typer.testing import CliRunner

from agentroute.cli.app import app
from agentroute.outcomes import OutcomeFolder
from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter
from agentroute.routing.router_file import ENCODER_FOLDER

ROW = """version: 1
agents:
  - id: {0}
    kind: function
    description: {1}
    examples: [Which piston is this?]
    function: evaluation.mechanic:{0}
    price: {{call: 0.5}}
"""


def run(*args: object, code: int = 0) -> tuple[str, str]:
    """Run a command in this process; a failure is one message, never a traceback."""
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="agentroute")
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    assert "Traceback" not in result.stderr
    return result.stdout, result.stderr


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    mechanic.asked.clear()
    mechanic.moods["broken"] = False
    yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outcome folder, the team it was recorded with, and a router."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("cli")
    folder = make_folder(home / "topics")
    (home / "team.yaml").write_text(AgentRegistry.from_specs(team()).to_yaml())
    run("train", folder, "--out", home / "router", "--embedder", "hashing", "--epochs", 3)
    return home


@pytest.fixture
def onboard(home: Path, tmp_path: Path) -> Any:
    def command(
        name: str = "mechanic",
        *more: object,
        code: int = 0,
        about: str = "Mends engines, pistons and valves.",
    ) -> tuple[str, str]:
        row = tmp_path / "agent.yaml"
        row.write_text(ROW.format(name, about))
        given = {
            "--router": home / "router",
            "--registry": home / "team.yaml",
            "--outcomes": home / "topics",
            "--out": tmp_path / "r2",
            "--allow": "evaluation.mechanic",
        }
        named = [part for pair in given.items() if pair[0] not in more for part in pair]
        return run("onboard", row, *named, *more, code=code)

    return command


def test_an_agent_joins_and_the_next_route_can_choose_it(onboard: Any, home: Path, tmp_path: Path) -> None:
    old = (home / "router" / "router.safetensors").read_bytes()
    out, err = onboard("oracle", "--probe", 12)
    told = f"{tmp_path / 'r2'}: oracle scored 1.000 on 12 known questions, cost $6; expected on all: 0."
    assert told in out.replace("\n", " ")
    assert f"oracle is not in {home / 'team.yaml'} yet: put its row there" in err
    assert mechanic.asked["oracle"] == 12
    kept = OutcomeFolder.open(tmp_path / "r2" / "probed" / "oracle")
    assert kept.registry.ids == ("oracle",) and len(kept.queries) == 12
    assert GraphRouter.load(tmp_path / "r2").record.agents[-1] == "oracle"
    assert (home / "router" / "router.safetensors").read_bytes() == old
    larger = AgentRegistry.from_yaml(home / "team.yaml").add(
        *AgentRegistry.from_yaml(tmp_path / "agent.yaml")
    )
    (tmp_path / "team.yaml").write_text(larger.to_yaml())
    scores = []
    for router in (home / "router", tmp_path / "r2"):
        named = "--registry", tmp_path / "team.yaml", "--router", router
        allow = "--allow", "evaluation.mechanic", "--allow", "crew"
        out, _ = run("route", "Which turbine is number 3?", *named, *allow, "--json")
        scores.append({ranked["agent"]: ranked["score"] for ranked in json.loads(out)["ranking"]})
    before, after = scores
    assert after.pop("oracle") > before.pop("oracle") and after == before


def test_json_says_all_of_it(onboard: Any, tmp_path: Path) -> None:
    out, _ = onboard("mechanic", "--probe", 6, "--probed", tmp_path / "there", "--json")
    found = json.loads(out)
    assert (found["agent"], len(found["probes"]), found["report"]["recorded"]) == ("mechanic", 6, 6)
    assert found["probed"] == str(tmp_path / "there") and (tmp_path / "there" / "outcomes.jsonl").is_file()
    assert 0.0 <= found["score"] <= 1.0 and 0.0 < found["expected"] < 1.0
    assert found["router"] == str(tmp_path / "r2")


def test_a_budget_stops_it_and_the_same_command_goes_on(onboard: Any, tmp_path: Path) -> None:
    _, err = onboard("mechanic", "--probe", 6, "--max-cost-usd", 1.2, "--concurrency", 1, code=21)
    assert "no router was saved; the outcomes so far are kept in" in err.replace("\n", " ")
    assert not (tmp_path / "r2" / "router.safetensors").exists() and mechanic.asked["mechanic"] == 2
    onboard("mechanic", "--probe", 6)
    assert mechanic.asked["mechanic"] == 6 and (tmp_path / "r2" / "router.safetensors").exists()


def test_an_agent_that_always_fails_ends_with_its_reason(onboard: Any, tmp_path: Path) -> None:
    mechanic.moods["broken"] = True
    _, err = onboard("oracle", "--probe", 3, code=20)
    assert "oracle came to no score on any of 3 queries" in err and "out of steam" in err
    mechanic.moods["broken"] = False
    assert "scored 1.000" in onboard("oracle", "--probe", 3, "--retry")[0]


def test_a_card_like_anothers_is_warned_of(onboard: Any, home: Path) -> None:
    about = AgentRegistry.from_yaml(home / "team.yaml").agents[0].description
    _, err = onboard("mechanic", "--probe", 2, about=about)
    assert "rivers and mechanic have the same description" in err.replace("\n", " ")


def test_what_does_not_fit_is_refused_before_anybody_is_asked(
    onboard: Any, home: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken.yaml"
    taken.write_text(ROW.format("mechanic", "Another one."))
    assert "has another agent 'mechanic'" in onboard("mechanic", "--registry", taken, code=2)[1]
    two = tmp_path / "two.yaml"
    two.write_text((home / "team.yaml").read_text())
    given = ("--router", home / "router", "--outcomes", home / "topics", "--out", tmp_path / "r2")
    assert "has 4 rows" in run("onboard", two, *given, "--registry", taken, code=2)[1]
    assert "no router to read" in onboard("mechanic", "--router", tmp_path / "none", code=2)[1]
    assert "is not a folder" in onboard("mechanic", "--outcomes", tmp_path / "none", code=2)[1]
    (tmp_path / "file").write_text("")
    assert "is a file" in onboard("mechanic", "--out", tmp_path / "file", code=2)[1]
    assert not mechanic.asked and not (tmp_path / "r2").exists()


def test_an_agent_that_is_in_the_registry_already_is_welcome(onboard: Any, tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    there.write_text(ROW.format("mechanic", "Mends engines, pistons and valves."))
    _, err = onboard("mechanic", "--probe", 2, "--registry", there)
    assert "is not in" not in err


def test_the_encoder_beside_a_router_goes_with_it(onboard: Any, home: Path, tmp_path: Path) -> None:
    encoder = home / "router" / ENCODER_FOLDER
    encoder.mkdir()
    (encoder / "part").write_text("weights")
    try:
        onboard("mechanic", "--probe", 2)
        assert (tmp_path / "r2" / ENCODER_FOLDER / "part").read_text() == "weights"
    finally:
        (encoder / "part").unlink()
        encoder.rmdir()


def test_route_names_the_default_agent_where_nobody_fits(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    folder = make_labelled(tmp_path / "errands")
    run("train", folder, "--out", tmp_path / "router", "--embedder", "hashing", "--epochs", 2)
    query, plain = "the tax visa invoice dentist please", folder / "agents.yaml"
    named = tmp_path / "named.yaml"
    named.write_text(plain.read_text() + "default_agent: poems\n")
    for registry, who in ((plain, "nobody"), (named, "only the default agent poems")):
        _, err = run("route", query, "-r", registry, "--router", tmp_path / "router")
        assert f"{who} would be asked: no agent fits: the best, " in " ".join(err.split())
