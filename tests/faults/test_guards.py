"""Each guard killed in turn: what could not be checked is never taken for safe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from teams import function, llm, team

from agentroute.errors import BudgetError, RunError
from agentroute.knowledge import files
from agentroute.pipeline import AgentRoute
from agentroute.registry import AgentRegistry, reader
from agentroute.running import agents, finishing, nodes, refine
from agentroute.running.breaker import Breaker
from agentroute.running.calling import client as calling
from agentroute.running.calling import faults, pace, reply, wire
from agentroute.running.keeping import journal as journals
from agentroute.running.keeping.journal import Journal
from agentroute.running.spending import budget, ledger, shared
from agentroute.running.spending.shared import Budget
from agentroute.testing import FakeClient, LoopbackServer, StaticRouter
from agentroute.types import Limits, Price, RefinerSpec, RunResult

pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*' on TypedDict class:UserWarning")

KEY = "canary-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(server: LoopbackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.requests.clear()
    monkeypatch.setenv("CANARY_API_KEY", KEY)


def kill(monkeypatch: pytest.MonkeyPatch, guard: object, name: str) -> None:
    def dead(*given: Any, **named: Any) -> Any:
        raise RuntimeError("the guard is dead")

    async def dead_too(*given: Any, **named: Any) -> Any:
        dead()

    found = getattr(guard, name)
    monkeypatch.setattr(guard, name, dead_too if asyncio.iscoroutinefunction(found) else dead)


async def ask(
    server: LoopbackServer, place: Path, model: str = "gpt-4o-mini", most: float = 0.5
) -> RunResult | RunError:
    """Ask a model and a function, under every guard that there is."""
    specs = [
        llm("m", model=f"openai/{model}", api_base=server.url, api_key_env="CANARY_API_KEY"),
        function("paris", 0.0),
    ]
    record = Journal(place / "runs.db")
    async with calling.LiteLLMClient(max_retries=0) as client:
        group = team(
            ["m", "paris"],
            specs=specs,
            client=client,
            limits=Limits(max_cost_usd=most),
            budget=Budget("b", max_cost_usd=1.0, store=place / "runs.db"),
            journal=record,
        )
        try:
            return await group.arun("why?")
        except RunError as error:
            return error
        finally:
            record.close()


async def test_with_every_guard_alive_the_model_is_asked(server: LoopbackServer, tmp_path: Path) -> None:
    result = await ask(server, tmp_path)
    assert isinstance(result, RunResult) and (result.status, result.problems) == ("complete", ())
    assert [answer.status for answer in result.answers] == ["ok", "ok"] and len(server.requests) == 1
    assert result.usage.cost_usd


@pytest.mark.fault("T20", "the run fails, or the agent does, with the guard's error", "nothing was sent")
@pytest.mark.parametrize(
    ("guard", "name"),
    [
        (nodes, "read_question"),
        (nodes, "judge"),
        (nodes, "beyond"),
        (Breaker, "left_out"),
        (Breaker, "enter"),
        (budget, "estimate"),
        (calling.LiteLLMClient, "price_of"),
        (ledger, "refusal"),
        (shared, "refusal"),
        (Budget, "_reconcile"),
        (pace.Pace, "turn"),
        (Journal, "begin"),
        (Journal, "add"),
        (journals, "without_secrets"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__.rpartition(".")[2],
)
async def test_what_cannot_be_checked_before_a_call_is_not_sent(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: object, name: str
) -> None:
    kill(monkeypatch, guard, name)
    result = await ask(server, tmp_path)
    assert server.requests == []
    assert "the guard is dead" in str(result if isinstance(result, RunError) else result.problems)
    if isinstance(result, RunResult):
        assert result.status == "degraded" and result.sources == ("paris",)


@pytest.mark.fault(
    "T20", "`failed`; the answer is not used, and what it cost is unknown", "the other answers"
)
@pytest.mark.parametrize(
    ("guard", "name"),
    [
        (wire, "_problem"),
        (wire, "_unpacker"),
        (reply, "clean"),
        (calling, "read_usage"),
        (calling, "read_reply"),
        (calling, "applied_effort"),
        (ledger, "_filled"),
        (Breaker, "leave"),
        (agents, "clean"),
        (refine, "vote"),
        (finishing, "certainty"),
        (Journal, "end"),
    ],
    ids=lambda part: part if isinstance(part, str) else part.__name__.rpartition(".")[2],
)
async def test_an_answer_that_cannot_be_checked_is_not_used(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: object, name: str
) -> None:
    kill(monkeypatch, guard, name)
    result = await ask(server, tmp_path)
    assert len(server.requests) == 1
    if isinstance(result, RunError):  # what guards every agent, or the end, is dead for all of them
        assert "the guard is dead" in str(result) and result.cost_usd is None
    else:
        assert (result.status, result.sources) == ("degraded", ("paris",))
        assert result.answers[0].status == "failed" and result.usage.cost_usd is None
        assert result.usage.requests == 1


@pytest.mark.control("T20", "a check that says `nothing wrong` where it cannot know lets the call through")
async def test_a_guard_that_fails_open_spends_what_is_not_there(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "m: skipped (budget" in str((await ask(server, tmp_path, most=1e-9)).problems)
    assert server.requests == []
    monkeypatch.setattr(ledger, "refusal", lambda *given: None)
    assert (await ask(server, tmp_path, most=1e-9)).problems == ()
    assert len(server.requests) == 1


@pytest.mark.fault("T20", "the error's kind alone, when its words cannot be cleaned", "the key")
@pytest.mark.parametrize(
    ("guard", "name"), [(faults, "without_secrets"), (faults, "clean"), (calling, "judge")], ids=str
)
async def test_words_that_cannot_be_cleaned_are_not_shown(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: object, name: str
) -> None:
    async def priced(client: object, model: str) -> Price:
        return Price(input=1.0, output=1.0)

    monkeypatch.setattr(calling.LiteLLMClient, "price_of", priced)
    kill(monkeypatch, guard, name)
    result = await ask(server, tmp_path, "echokey401")
    assert len(server.requests) == 1 and isinstance(result, RunResult)
    assert result.problems[0].startswith("m: failed") and result.sources == ("paris",)
    assert KEY not in repr(result)


@pytest.mark.fault("T20", "`skipped (budget: the price ... is unknown)`", "the budget")
@pytest.mark.parametrize("price", [float("nan"), -1.0, float("inf")])
async def test_a_price_that_is_no_price_is_unknown(price: float) -> None:
    class Odd(FakeClient):
        async def price_of(self, model: str) -> Price:
            return Price(call=price)

    client = Odd(["Paris"])
    with pytest.raises(BudgetError, match="price of a call of openai/m is unknown"):
        await team(["m"], specs=[llm("m")], client=client, limits=Limits(max_cost_usd=1.0)).arun("why?")
    assert client.requests == []


@pytest.mark.fault("T20", "`not refined: ...`, and the answer of most weight", "all answers")
@pytest.mark.parametrize("name", ["render", "clean"])
async def test_what_cannot_be_refined_safely_is_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    specs = [function("paris"), function("rome")]
    refiner = RefinerSpec(kind="llm", model="openai/r")
    registry = AgentRegistry.from_specs(specs, refiner=refiner)
    plain = team({"paris": 0.6, "rome": 0.4}, specs=specs)
    group = AgentRoute(registry, plain.router, client=FakeClient(["merged"]), allow=["crew"])
    assert (await group.arun("why?")).answer == "merged"
    kill(monkeypatch, refine, name)
    result = await group.arun("why?")
    assert (result.answer, result.status) == ("Paris", "degraded")
    assert result.problems == ("not refined: RuntimeError: the guard is dead",)


@pytest.mark.fault("T20", "an error; the registry, or the router file, is not loaded", "what is in use")
def test_a_file_that_cannot_be_checked_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "team.yaml"
    row = "{id: a, kind: llm, description: A., model: openai/x, api_base: 'https://example.org/v1'}"
    path.write_text(f"version: 1\nagents:\n  - {row}\n")
    files.save(tmp_path, {}, {"x": np.ones(1, np.float32)})
    group = AgentRoute.from_yaml(path, StaticRouter(["a"]), reload=True)
    assert files.load(tmp_path)
    kill(monkeypatch, reader, "address_problem")
    kill(monkeypatch, files, "_digest")
    with pytest.raises(RuntimeError, match="the guard is dead"):
        AgentRegistry.from_yaml(path)
    with pytest.raises(RuntimeError, match="the guard is dead"):
        files.load(tmp_path)
    path.write_text(path.read_text().replace("example.org", "192.168.1.20"))
    with pytest.raises(RuntimeError, match="the guard is dead"):
        group.run("why?")
    assert group.registry["a"].api_base == "https://example.org/v1"
