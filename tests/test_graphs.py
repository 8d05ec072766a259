from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from agentroute.types import Answer, Limits, Query, Ranked, RoutingDecision

ROOT = Path(__file__).resolve().parent.parent
CONFIG = json.loads((ROOT / "langgraph.json").read_text())


def load(path: str) -> Any:
    file = ROOT / path
    spec = importlib.util.spec_from_file_location(f"graphs_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def cascade() -> Any:
    return load("graphs/cascade.py")


def test_every_file_in_the_folder_is_served_and_every_name_exists() -> None:
    assert sorted(CONFIG["graphs"]) == sorted(file.stem for file in (ROOT / "graphs").glob("*.py"))
    for name, target in CONFIG["graphs"].items():
        assert target == f"./graphs/{name}.py:graph"


@pytest.mark.parametrize("name", sorted(CONFIG["graphs"]))
async def test_each_graph_compiles_without_a_key_and_answers(name: str) -> None:
    path, _, attribute = CONFIG["graphs"][name].partition(":")
    graph = getattr(load(path), attribute)
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
