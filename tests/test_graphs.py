from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from routing.folders import shared_folder

from agentroute.outcomes import OutcomeFolder, OutcomeWriter, create_folder
from agentroute.pipeline import load_router
from agentroute.registry import AgentRegistry
from agentroute.routing.config import TrainConfig
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.types import Answer, Limits, Query, Ranked, RoutingDecision

ROOT = Path(__file__).resolve().parent.parent
CONFIG = json.loads((ROOT / "langgraph.json").read_text())


def load(path: str, root: Path = ROOT) -> Any:
    file = root / path
    spec = importlib.util.spec_from_file_location(f"graphs_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load("graphs/cascade.py", untrained(tmp_path_factory.mktemp("untrained")))


def untrained(home: Path) -> Path:
    """What a graph needs of a fresh clone, where no router has been trained yet."""
    for part in ("graphs", "agents"):
        shutil.copytree(ROOT / part, home / part)
    return home


def test_every_file_in_the_folder_is_served_and_every_name_exists() -> None:
    assert sorted(CONFIG["graphs"]) == sorted(file.stem for file in (ROOT / "graphs").glob("*.py"))
    for name, target in CONFIG["graphs"].items():
        assert target == f"./graphs/{name}.py:graph"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which a router was trained, on a team that says what it said when it was recorded."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "graphs", home / "graphs")
    source, outcomes = OutcomeFolder.open(shared_folder()), home / "outcomes"
    team = [
        replace(spec, kind="recorded", function=None, outcomes="../outcomes")
        for spec in source.registry.agents
    ]
    create_folder(outcomes, AgentRegistry.from_specs(team), source.queries.values())
    with OutcomeWriter(outcomes) as writer:
        writer.append(*source.read())
    (home / "agents").mkdir()
    (home / "agents" / "workbench.yaml").write_text(AgentRegistry.from_specs(team).to_yaml())
    config = TrainConfig(epochs=10, batch_size=32)
    router = train(outcomes, config=config, embedder="hashing")
    # As if validation had chosen what none of the graphs is named for.
    router.with_preset("top1").save(home / "routers" / "workbench")
    return home


@pytest.mark.parametrize("name", sorted(CONFIG["graphs"]))
async def test_a_trained_router_is_held_to_the_way_that_the_graph_is_named_for(
    clone: Path, name: str
) -> None:
    graph = load(f"graphs/{name}.py", clone).graph
    router = load_router(clone / "routers" / "workbench", name)
    assert isinstance(router, GraphRouter)
    table, held = OutcomeFolder.open(clone / "outcomes").table(), set(router.manifest["test_ids"])
    agents = AgentRegistry.from_yaml(clone / "agents" / "workbench.yaml").agents
    table = replace(table, agents=agents)
    table = table.take([i for i, row in enumerate(table.queries) if row.query.id in held][:10])
    found = router.replay(table)
    for row, record in enumerate(table.queries):
        given = {"question": record.query.text}
        state = await graph.ainvoke(
            given, output_keys=["answer", "answers", "decisions", "confidence", "status"]
        )
        asked = {answer["agent"] for answer in state["answers"]}
        assert asked == {agents[i].id for i in np.flatnonzero(found.asked[row])}
        assert state["answer"] == table.answers[row][found.leader[row]] and state["status"] == "complete"
        assert state["confidence"] == pytest.approx(found.share[row], abs=1e-5)
        assert (state["decisions"][-1]["confidence"] is None) == (name == "one_round")
        if name == "cascade":
            first = agents[found.asked[row].argmax()]  # the cheapest come first in this team
            assert state["decisions"][0]["selected"] == [[first.id, 1.0]]
            assert len(state["decisions"]) == len(asked) + 1
        if name == "one_round":
            assert len(state["decisions"]) == 2


@pytest.mark.parametrize("name", sorted(CONFIG["graphs"]))
async def test_each_graph_compiles_without_a_key_or_a_router_and_answers(name: str, tmp_path: Path) -> None:
    path, _, attribute = CONFIG["graphs"][name].partition(":")
    graph = getattr(load(path, untrained(tmp_path)), attribute)
    state = await graph.ainvoke({"question": "What is 12% of 340?"})
    assert state["answer"] and state["status"] in ("complete", "degraded")
    assert set(graph.get_input_jsonschema()["properties"]) == {"question", "messages"}


class Ranking:
    version = "ranking"

    def route(self, query: Query, agents: Any, **given: Any) -> RoutingDecision:
        rows = (("dear", 0.9, 2.0), ("unknown", 0.8, None), ("cheap", 0.5, 0.1), ("free", 0.4, 0.0))
        return RoutingDecision(
            ranking=tuple(Ranked(agent=name, score=score, cost_usd=cost) for name, score, cost in rows),
            selected=(("dear", 1.0),),
        )


def test_the_cascade_climbs_from_the_cheapest_until_two_agree(cascade: Any) -> None:
    said = {"free": "1", "cheap": "2", "dear": "1.0", "unknown": "3"}
    router, answers = cascade.Cascade(Ranking()), []
    for turn in range(1, 9):
        decision = router.route(Query(text="q"), (), answers=answers, limits=Limits(max_rounds=5), round=turn)
        if decision.stop:
            break
        ((agent, weight),) = decision.selected
        assert weight == 1.0
        answers.append(Answer(agent=agent, text=said[agent]))
    assert [answer.agent for answer in answers] == ["free", "cheap", "dear"]
    assert decision.stop and decision.reason == "two answers agree"
    assert decision.weights == pytest.approx({"free": 1 / 3, "cheap": 1 / 3, "dear": 1 / 3})


def test_the_cascade_goes_on_past_failures_and_ends(cascade: Any) -> None:
    router, answers = cascade.Cascade(Ranking()), []
    for turn in range(1, 5):
        decision = router.route(Query(text="q"), (), answers=answers, limits=Limits(max_rounds=5), round=turn)
        answers.append(Answer(agent=decision.selected[0][0], status="failed", error="x"))
    assert [answer.agent for answer in answers] == ["free", "cheap", "dear", "unknown"]
    decision = router.route(Query(text="q"), (), answers=answers, limits=Limits(max_rounds=5), round=5)
    assert decision.abstained and not decision.selected
