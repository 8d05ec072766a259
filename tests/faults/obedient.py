"""A team for hostile answers: three agents, one with a tool, and a refiner that does as it is told.

It obeys whatever stands outside of the data, so that a payload which gets out of them shows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from faults.payloads import MARK

from agentroute import AgentRoute
from agentroute.registry import AgentRegistry
from agentroute.running.cleaning import clean
from agentroute.testing import FakeClient, StaticRouter
from agentroute.types import (
    AgentSpec,
    ChatReply,
    ChatRequest,
    EffortRange,
    Limits,
    Price,
    RefinerSpec,
    ToolCall,
    Usage,
)

WEIGHTS = {"a": 0.5, "b": 0.3, "c": 0.2}
CLEAN = {"a": "Paris", "b": "Rome", "c": "Lyon"}
NO_DATA = "There are no data."


def team(client: Any = None, base: str | None = None) -> AgentRoute:
    """Three agents, one with a tool, and a refiner that is a model; a call costs a cent."""

    def row(name: str, **more: Any) -> AgentSpec:
        return AgentSpec(
            id=name,
            kind="llm",
            description="Knows places.",
            model=f"openai/{name}",
            api_base=base,
            effort=EffortRange(levels=("low", "high"), default="low"),
            price=Price(call=0.01),
            **more,
        )

    tooled = row("c", strategy="react", tools=("faults.planted:lookup",), max_steps=3)
    refiner = RefinerSpec(kind="llm", model="openai/r", api_base=base, price=Price(call=0.01), max_tokens=500)
    registry = AgentRegistry.from_specs((row("a"), row("b"), tooled), refiner=refiner)
    limits = Limits(max_cost_usd=1.0, max_rounds=2)
    return AgentRoute(registry, StaticRouter(WEIGHTS), client=client, limits=limits, allow=["faults"])


# Up to the first line that ends it, as whoever reads takes it.
BLOCK = re.compile(r"=== answers (\w+) ===\n(.*?)\n=== end of answers \1 ===", re.DOTALL)


def around(message: str) -> str:
    """A refiner's message without the data and the marker."""
    return BLOCK.sub("", message)


def obedient(message: str) -> str:
    """A refiner that does what it is told anywhere but within the data, and there picks the heaviest."""
    if MARK in around(message):
        return f"{MARK}!"
    block = BLOCK.search(message)
    try:
        rows = json.loads(block[2]) if block else None
    except ValueError:
        rows = None
    if rows is None:
        return NO_DATA
    return str(max(rows, key=lambda row: row["weight"])["answer"])[:40] + "."


def play(model: str, messages: list[dict[str, Any]], poisoned: str, payload: str) -> str | dict[str, str]:
    """What a model of the team says; a dict is a tool call."""
    if model == "r":
        return payload if poisoned == "r" else obedient(messages[-1]["content"])
    number = re.findall(r"#\d+", str(messages))[0]
    if model == "c" and messages[-1]["role"] != "tool":
        return {"name": "lookup", "arguments": json.dumps({"word": number})}
    said = str(messages[-1]["content"]) if model == "c" else CLEAN[model]
    return f"{payload} ({model})" if model in poisoned else said


def fake(poisoned: str, payload: Callable[[int], str]) -> FakeClient:
    def reply(request: ChatRequest) -> ChatReply:
        messages = [dict(message) for message in request.messages]
        number = int(re.findall(r"#(\d+)", str(messages))[0])
        said = play(request.model.removeprefix("openai/"), messages, poisoned, payload(number))
        usage = Usage(requests=1, input_tokens=9, output_tokens=9, reasoning_tokens=0, cost_usd=0.01)
        if isinstance(said, str):
            return ChatReply(text=clean(said), usage=usage, applied_effort=request.effort)
        call = ToolCall(id="1", **said)
        return ChatReply(text="", usage=usage, tool_calls=(call,), applied_effort=request.effort)

    return FakeClient(reply)
