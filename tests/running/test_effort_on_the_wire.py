"""Effort on the wire: what each family of models was really sent, and what is said of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentroute import AgentRegistry, AgentRoute, AgentSpec
from agentroute.effort.families import family_of
from agentroute.effort.levels import levels_for
from agentroute.errors import BudgetError
from agentroute.evaluation.collect import acollect
from agentroute.outcomes import OutcomeFolder, QueryRecord
from agentroute.running.calling.client import ClientError, LiteLLMClient
from agentroute.running.calling.sent import applied_effort
from agentroute.running.spending.budget import ASSUMED_OUTPUT_TOKENS
from agentroute.testing import LoopbackServer, StaticRouter
from agentroute.types import EFFORTS, THINKING_TOKENS, ChatRequest, Effort, EffortRange, Limits, Price, Query

# pydantic says this whenever litellm builds the schema of one more provider's messages
pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*' on TypedDict class:UserWarning")

MODELS = [
    "openai/gpt-5-mini",
    "openai/gpt-5.1",
    "openai/gpt-5.2",
    "openai/o3-mini",
    "openai/my-own-model",
    "hosted_vllm/Qwen/Qwen3-8B",
    "openrouter/openai/gpt-5-mini",
    "deepseek/deepseek-chat",
    "groq/openai/gpt-oss-120b",
    "together_ai/openai/gpt-oss-120b",
    "mistral/mistral-small-latest",
    "mistral/magistral-medium-latest",
    "perplexity/sonar-reasoning",
    "anthropic/claude-sonnet-4-5",
    "anthropic/claude-opus-4-6",
    "anthropic/claude-opus-4-7",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-3.1-pro-preview",
    "ollama_chat/qwen3:8b",
    "ollama_chat/gpt-oss:20b",
]
CLAUDE = "anthropic/claude-sonnet-4-5"
QUESTION = ({"role": "user", "content": "2+2?"},)
DEAF = ["openai/gpt-4o", "xai/grok-4", "groq/llama-3.3-70b-versatile", "mistral/mistral-large-latest"]
OTHER_REPLIES = ("anthropic/", "gemini/", "ollama_chat/", "groq/")  # that the server does not give


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[LiteLLMClient]:
    async with LiteLLMClient(max_retries=0) as opened:
        await opened.open()
        yield opened


def llm(model: str, server: LoopbackServer, *levels: Effort) -> AgentSpec:
    return AgentSpec(
        id="thinker",
        kind="llm",
        description="Thinks.",
        model=model,
        api_base=server.url,
        effort=EffortRange(levels=levels, default=levels[-1]),
    )


async def send(client: LiteLLMClient, server: LoopbackServer, model: str, level: Effort | None) -> Any:
    """Send a request; return what the server saw, and the level that the client says was applied."""
    asked = ChatRequest(model=model, messages=QUESTION, effort=level, api_base=server.url)
    said = None
    # What is not in OpenAI's shape is no answer to these; the server has seen the request all the same.
    with contextlib.suppress(ClientError) if model.startswith(OTHER_REPLIES) else contextlib.nullcontext():
        said = (await client.chat(asked)).applied_effort
    return server.requests[-1].json, said


@pytest.mark.parametrize("model", MODELS)
async def test_every_level_worth_asking_for_arrives(
    client: LiteLLMClient, server: LoopbackServer, model: str
) -> None:
    levels = levels_for(llm(model, server, *EFFORTS))
    assert levels
    bodies = []
    for level in levels:
        body, said = await send(client, server, model, level)
        assert applied_effort(json.dumps(body).encode(), level, model) == level
        assert model.startswith(OTHER_REPLIES) or said == level
        bodies.append(json.dumps(body, sort_keys=True))
    assert len(set(bodies)) == len(levels), "two levels that look alike on the wire are one"


@pytest.mark.parametrize("model", DEAF)
async def test_a_model_without_levels_is_sent_none(
    client: LiteLLMClient, server: LoopbackServer, model: str
) -> None:
    plain, _ = await send(client, server, model, None)
    body, said = await send(client, server, model, "high")
    assert (body, said) == (plain, None)
    assert levels_for(llm(model, server, *EFFORTS)) == ()


@pytest.mark.parametrize("level", ["low", "medium", "high", "xhigh"])
async def test_max_tokens_make_room_for_a_budget_of_thinking_that_would_not_fit(
    client: LiteLLMClient, server: LoopbackServer, level: Effort
) -> None:
    budget = family_of(CLAUDE).budgets[level]
    for given, sent in ((100, 100 + budget), (budget, 2 * budget), (budget + 1, budget + 1)):
        asked = ChatRequest(
            model=CLAUDE, messages=QUESTION, effort=level, max_tokens=given, api_base=server.url
        )
        assert await client.cap_of(asked) == sent  # which a budget holds room for
        with contextlib.suppress(ClientError):
            await client.chat(asked)
        body = server.requests[-1].json
        assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (budget, sent)


async def test_a_budget_counts_the_level_of_a_step(server: LoopbackServer) -> None:
    spec = replace(llm("openai/gpt-5-mini", server, "low", "high"), price=Price(input=0.0, output=10.0))
    registry = AgentRegistry.from_specs([spec])
    room = 1.01 * 10.0 * (ASSUMED_OUTPUT_TOKENS + THINKING_TOKENS["low"]) / 1e6
    limits = Limits(max_cost_usd=room)
    low = AgentRoute(registry, StaticRouter(["thinker"]), limits=replace(limits, effort_ceiling="low"))
    assert (await low.arun("2+2?")).answers[0].steps[0].applied == "low"
    await low.aclose()
    before = len(server.requests)
    high = AgentRoute(registry, StaticRouter(["thinker"]), limits=limits)
    with pytest.raises(BudgetError, match="may cost"):
        await high.arun("2+2?")
    await high.aclose()
    assert len(server.requests) == before, "there is room for a step at low, and none for one at high"


async def test_a_run_and_a_collection_say_what_was_not_applied(
    server: LoopbackServer, tmp_path: Path
) -> None:
    deaf = replace(llm("openai/noeffort", server, "low", "high"), id="deaf")
    old = replace(llm("openai/gpt-4o", server, "low"), id="old")
    registry = AgentRegistry.from_specs([llm("openai/gpt-5-mini", server, "low", "high"), deaf, old])
    team = AgentRoute(registry, StaticRouter(["thinker", "deaf", "old"]))
    result = await team.arun("2+2?")
    await team.aclose()
    steps = {answer.agent: [(s.requested, s.applied) for s in answer.steps] for answer in result.answers}
    assert steps == {"thinker": [("high", "high")], "deaf": [("high", None)], "old": [("low", None)]}
    told = [line for line in result.problems if "not applied" in line]
    assert told == [
        "deaf: effort high was asked for, and not applied",
        "old: effort low was asked for, and not applied",
    ]
    assert result.status == "complete"

    await acollect(registry, [QueryRecord(query=Query(id="q", text="2+2?"), gold=("ok",))], tmp_path)
    found = {outcome.agent: outcome for outcome in OutcomeFolder.open(tmp_path).read()}
    assert (found["thinker"].effort, found["deaf"].effort) == ("high", None)
    assert [(s["requested"], s["applied"]) for s in found["deaf"].steps] == [("high", None)]
