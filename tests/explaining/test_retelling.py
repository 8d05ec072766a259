"""Reasons in a model's words: asked through the client, billed, and never a cause."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from explaining.telltale import make_telltale, telling
from routing.folders import EMBEDDER
from typer.testing import CliRunner

from agentroute.cli.app import app
from agentroute.errors import InputError
from agentroute.explaining import Explanation, explain, retell
from agentroute.registry import AgentRegistry
from agentroute.routing.cards import CardRouter
from agentroute.running.calling.client import LiteLLMClient
from agentroute.running.spending.budget import MeteredClient
from agentroute.testing import LoopbackServer
from agentroute.types import Limits, Price, RefinerSpec

QUERY, _ = telling(2000)
WORDS = "The chosen one is asked, since its description is nearest."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_telltale(tmp_path_factory.mktemp("retelling") / "telltale", 30)


@pytest.fixture(scope="module")
def found(folder: Path) -> Explanation:
    agents = AgentRegistry.from_yaml(folder / "agents.yaml").agents
    return explain(CardRouter(EMBEDDER), QUERY, agents)


def told(found: Explanation, server: LoopbackServer, shape: str = "ok", cap: float | None = None):
    """What a model makes of it, and the client that paid."""
    spec = RefinerSpec(
        kind="llm",
        model=f"openai/{shape}",
        api_base=server.url,
        price=Price(input=1.0, output=2.0),
        max_tokens=200,
        timeout_s=20.0,
    )

    async def go():
        async with LiteLLMClient(max_retries=0) as client:
            metered = MeteredClient(client, Limits(max_cost_usd=cap))
            return await retell(found, metered, spec), metered.usage

    return asyncio.run(go())


def test_a_model_retells_what_was_found_and_is_billed(found) -> None:
    with LoopbackServer(replies=lambda question: WORDS) as server:
        made, usage = told(found, server)
        (request,) = server.requests
    assert made.retold is not None and made.retold.text == WORDS
    assert made.retold.usage == usage and usage.requests == 1 and (usage.cost_usd or 0.0) > 0.0
    # It read the finished explanation; what was decided is what was decided before.
    said = request.json["messages"][-1]["content"]
    assert all(line in said for line in found.lines())
    assert made.decision == found.decision and made.reasons == found.reasons
    assert made.lines()[-1] == f"  {WORDS}" and "Not a cause" in made.lines()[-2]
    data = made.to_json()
    assert data["retold"]["causal"] is False and Explanation.from_json(data) == made


@pytest.mark.parametrize("shape", ["500", "empty", "badjson"])
def test_when_the_model_fails_the_explanation_stands(found, shape) -> None:
    with LoopbackServer() as server:
        made, _ = told(found, server, shape)
    assert made.retold is None and made.reasons == found.reasons
    assert made.notes[:-1] == found.notes and made.notes[-1].startswith("not told in words: ")


def test_a_cap_holds_before_anybody_is_asked(found) -> None:
    with LoopbackServer() as server:
        made, usage = told(found, server, cap=1e-7)
        assert not server.requests
    assert made.retold is None and "budget" in made.notes[-1] and usage.requests == 0


def test_without_a_model_the_remedy_is_told(found) -> None:
    with pytest.raises(InputError, match="refiner of kind llm"):
        asyncio.run(retell(found, MeteredClient(LiteLLMClient(), Limits()), RefinerSpec()))


def test_the_command_asks_the_refining_model(folder, tmp_path, monkeypatch) -> None:
    text = (folder / "agents.yaml").read_text("utf-8")
    args = ["explain", QUERY.text, "--allow", "crew", "--json"]
    with LoopbackServer(replies=lambda question: WORDS) as server:
        more = f"refiner: {{kind: llm, model: openai/ok, api_base: '{server.url}'}}\n"
        (tmp_path / "agents.yaml").write_text(text + more, "utf-8")
        registry = ["-r", str(tmp_path / "agents.yaml")]
        result = CliRunner().invoke(app, [*args, *registry, "--in-words"], prog_name="agentroute")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["retold"]["text"] == WORDS
        result = CliRunner().invoke(app, [*args, *registry], prog_name="agentroute")
        assert json.loads(result.stdout)["retold"] is None and len(server.requests) == 1
