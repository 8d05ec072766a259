"""Escalation inside a step: low first, a look, high only where needed, and both paid for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentroute.running.agents import build_agent, run_agent
from agentroute.running.calling.client import ClientError
from agentroute.testing import FakeClient
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatReply,
    ChatRequest,
    Effort,
    EffortRange,
    Limits,
    Look,
    Query,
    SecondLook,
    ToolCall,
    Tried,
    Usage,
)

SPEC = AgentSpec(
    id="m",
    kind="llm",
    description="d",
    model="openai/m",
    effort=EffortRange(levels=("low", "high"), default="high"),
)


class Doubter:
    """Begins at low, and goes up where the answer has a question mark."""

    def __init__(self, keep: int = -1) -> None:
        self.selected: list[dict[str, Any]] = []
        self.looked: list[tuple[str, ...]] = []
        self._keep = keep

    def select(self, **given: Any) -> Effort | None:
        self.selected.append(given)
        return "low"

    def look(self, *, tried: Sequence[Tried], **given: Any) -> Look:
        self.looked.append(tuple(one.answer for one in tried))
        if "?" in tried[-1].answer and len(tried) == 1:
            return Look(keep=0, level="high")
        return Look(keep=len(tried) - 1 if self._keep < 0 else self._keep, chance=0.5)


def by_level(low: str | Exception, high: str | Exception) -> FakeClient:
    return FakeClient(lambda request: low if request.effort == "low" else high)


async def ask(client: FakeClient, effort: Doubter, spec: AgentSpec = SPEC) -> Answer:
    return await run_agent(build_agent(spec), Query(text="why?"), client, effort, Limits())


def test_the_double_is_what_the_protocol_asks_for() -> None:
    assert isinstance(Doubter(), SecondLook)


async def test_an_answer_that_does_is_not_asked_for_again() -> None:
    answer = await ask(by_level("because", "never asked"), Doubter())
    assert (answer.text, answer.usage.requests) == ("because", 1)
    assert [step.requested for step in answer.steps] == ["low"]


async def test_both_calls_are_on_the_bill_and_among_the_steps() -> None:
    answer = await ask(by_level("because?", "because of this"), Doubter())
    assert answer.text == "because of this"
    assert answer.usage.requests == 2
    assert answer.usage.cost_usd == pytest.approx(0.002)
    assert [(step.requested, step.applied) for step in answer.steps] == [("low", "low"), ("high", "high")]
    assert sum((step.usage for step in answer.steps), Usage()) == answer.usage


async def test_the_second_call_sees_what_the_first_saw() -> None:
    client = by_level("because?", "because of this")
    await ask(client, Doubter())
    assert client.requests[0].messages == client.requests[1].messages


async def test_a_second_call_that_fails_leaves_the_first_answer() -> None:
    answer = await ask(by_level("because?", ClientError("budget", "nothing left")), Doubter())
    assert (answer.status, answer.text) == ("ok", "because?")
    assert answer.usage.requests == 1


async def test_the_lower_answer_may_be_kept() -> None:
    answer = await ask(by_level("because?", "no idea"), Doubter(keep=0))
    assert answer.text == "because?"
    assert answer.usage.requests == 2


async def test_the_next_step_is_told_the_level_and_the_chance() -> None:
    def reply(request: ChatRequest) -> ChatReply | str:
        if len(request.messages) > 1:
            return "done"
        calls = (ToolCall(id="c", name="nothing", arguments="{}"),)
        return ChatReply(text="look it up?" if request.effort == "low" else "", tool_calls=calls)

    effort = Doubter()
    spec = AgentSpec(
        id="m",
        kind="llm",
        description="d",
        model="openai/m",
        strategy="react",
        tools=("crew:good",),
        effort=EffortRange(levels=("low", "high"), default="high"),
    )
    agent = build_agent(spec, allow=["crew"])
    answer = await run_agent(agent, Query(text="why?"), FakeClient(reply), effort, Limits())
    assert answer.text == "done"
    assert effort.looked[0] == ("\u2192 nothing({})",)  # tool calls are looked at as text
    first, second = effort.selected
    assert (first["previous"], first["chance"]) == (None, 1.0)
    assert (second["previous"], second["chance"], second["step"]) == ("low", 0.5, 2)


async def test_several_samples_are_looked_at_one_by_one() -> None:
    spec = AgentSpec(
        id="m",
        kind="llm",
        description="d",
        model="openai/m",
        strategy="self-consistency",
        samples=3,
        effort=EffortRange(levels=("low", "high"), default="high"),
    )
    answer = await ask(by_level("so?", "Answer: 4"), Doubter(), spec)
    assert answer.text == "4"
    assert answer.usage.requests == 6
