"""A level on every call of a LangChain chat model, in agents that are not ours, seen on the wire."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from agentroute import EffortMiddleware, with_effort
from agentroute.effort.router import FixedEffort
from agentroute.errors import InputError
from agentroute.testing import LoopbackServer
from agentroute.types import AgentSpec, Effort, Limits, StepRole


@tool
def population(town: str) -> str:
    """Look up how many people live in a town."""
    return "2,310"


def provider(body: dict[str, Any]) -> str | dict[str, Any]:
    """Call the tool, then say what it said."""
    last = body["messages"][-1]
    if last["role"] == "tool" or not body.get("tools"):
        return f"It is {last['content']}"
    function = {"name": "population", "arguments": json.dumps({"town": "Orrin"})}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


class ByRole:
    """An effort router that remembers what it was asked."""

    def __init__(self, **levels: Effort | None) -> None:
        self.levels = levels
        self.asked: list[dict[str, Any]] = []

    def select(
        self,
        *,
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
    ) -> Effort | None:
        self.asked.append(
            {"history": history, "observation": observation, "spec": spec, "role": role, "step": step}
        )
        return self.levels.get(role)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(models={"gpt-5-mini": provider}) as running:
        yield running


@pytest.fixture
def model(server: LoopbackServer) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-5-mini", base_url=server.url, api_key="no-key", max_retries=0)  # type: ignore[arg-type]


def sent(server: LoopbackServer) -> list[Any]:
    return [request.json.get("reasoning_effort") for request in server.requests]


ASK = {"messages": [HumanMessage("How many people live in Orrin?")]}


def test_an_agent_of_langchain_runs_with_the_wrapped_model(server: LoopbackServer, model: ChatOpenAI) -> None:
    router = ByRole(plan="high", tool="low")
    agent = create_agent(with_effort(model, router), [population])
    result = agent.invoke(ASK)
    assert result["messages"][-1].text == "It is 2,310"
    assert sent(server) == ["high", "low"]
    assert [m.response_metadata["effort"] for m in result["messages"] if m.type == "ai"] == ["high", "low"]
    first, second = router.asked
    assert (first["role"], first["step"], first["observation"]) == (
        "plan",
        1,
        "How many people live in Orrin?",
    )
    assert (second["role"], second["step"], second["observation"]) == ("tool", 2, "2,310")
    assert [message["role"] for message in second["history"]] == ["user", "assistant", "tool"]
    assert second["history"][1]["tool_calls"][0]["function"]["name"] == "population"
    assert first["spec"].model == "gpt-5-mini"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_middleware_does_the_same(server: LoopbackServer, model: ChatOpenAI, asynchronous: bool) -> None:
    router = ByRole(plan="medium", tool=None)
    agent = create_agent(
        model, [population], system_prompt="Be brief.", middleware=[EffortMiddleware(router)]
    )
    result = asyncio.run(agent.ainvoke(ASK)) if asynchronous else agent.invoke(ASK)
    assert result["messages"][-1].text == "It is 2,310"
    assert sent(server) == ["medium", None]
    assert [message["role"] for message in router.asked[0]["history"]] == ["system", "user"]


def test_chains_batches_streams_and_async_calls_all_carry_the_level(
    server: LoopbackServer, model: ChatOpenAI
) -> None:
    wrapped = with_effort(model, ByRole(answer="low"))
    chain = ChatPromptTemplate.from_messages([("user", "{q}")]) | wrapped
    assert chain.invoke({"q": "a"}).text == "It is a"
    assert [reply.text for reply in wrapped.batch(["b", "c"])] == ["It is b", "It is c"]
    assert asyncio.run(wrapped.ainvoke("d")).text == "It is d"
    assert sent(server) == ["low"] * 4


def test_a_model_with_tools_bound_to_it_is_wrapped_as_a_runnable(
    server: LoopbackServer, model: ChatOpenAI
) -> None:
    wrapped = with_effort(model.bind_tools([population]), ByRole(plan="high", tool="low"))
    call = wrapped.invoke([HumanMessage("How many?")])
    assert call.tool_calls[0]["name"] == "population"
    messages = [HumanMessage("How many?"), call, ToolMessage("7", tool_call_id="c1")]
    assert asyncio.run(wrapped.ainvoke(messages)).text == "It is 7"
    assert sent(server) == ["high", "low"]


class Streaming(BaseChatModel):
    """A chat model that notes the options of its calls."""

    seen: list[dict[str, Any]] = []  # noqa: RUF012  # pydantic copies it

    @property
    def _llm_type(self) -> str:
        return "noting"

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **given: Any
    ) -> Any:
        self.seen.append(given)
        return ChatResult(generations=[ChatGeneration(message=AIMessage("fine"))])

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **given: Any
    ) -> Any:
        from langchain_core.messages import AIMessageChunk
        from langchain_core.outputs import ChatGenerationChunk

        self.seen.append(given)
        for word in ("fi", "ne"):
            yield ChatGenerationChunk(message=AIMessageChunk(word))


def test_a_stream_stays_a_stream() -> None:
    model = Streaming()
    wrapped = with_effort(model, ByRole(answer="high"))
    chunks = [chunk.text for chunk in wrapped.stream("x")]
    assert [chunk for chunk in chunks if chunk] == ["fi", "ne"]
    assert model.seen == [{"reasoning_effort": "high"}]


def test_a_model_may_take_the_level_in_words_of_its_own() -> None:
    model = Streaming()
    budgets = {"low": 1024, "high": 4096}
    options = lambda level: {"thinking": {"type": "enabled", "budget_tokens": budgets[level]}}  # noqa: E731
    with_effort(model, ByRole(answer="low"), options=options).invoke("x")
    with_effort(model, ByRole(answer="low"), options="depth").invoke("x")
    assert model.seen == [{"thinking": {"type": "enabled", "budget_tokens": 1024}}, {"depth": "low"}]


def test_what_the_caller_binds_himself_stays(server: LoopbackServer, model: ChatOpenAI) -> None:
    with_effort(model, ByRole(answer="low")).bind(temperature=0.5, stop=["x"]).invoke("a")
    body = server.requests[-1].json
    assert (body["temperature"], body["stop"], body["reasoning_effort"]) == (0.5, ["x"], "low")


def test_what_acts_around_a_call_acts_once(server: LoopbackServer, model: ChatOpenAI) -> None:
    class Counts(BaseCallbackHandler):
        begun = 0

        def on_chat_model_start(self, *about: Any, **more: Any) -> None:
            self.begun += 1

    counts = Counts()
    model.callbacks, model.tags = [counts], ["mine"]
    wrapped = with_effort(model, ByRole(answer="low"))
    wrapped.invoke("a")
    assert (counts.begun, wrapped.tags, wrapped.profile) == (1, ["mine"], model.profile)


def test_structured_output_comes_through_the_wrapper(server: LoopbackServer, model: ChatOpenAI) -> None:
    wrapped = with_effort(model, ByRole(plan="high")).with_structured_output(population.args_schema)
    assert wrapped.invoke("Orrin?").town == "Orrin"
    assert sent(server) == ["high"]


def test_levels_are_those_of_the_model_and_limits_hold(server: LoopbackServer, model: ChatOpenAI) -> None:
    fixed = FixedEffort()
    with_effort(model, fixed).invoke("a")
    with_effort(model, fixed, default="low").invoke("a")
    with_effort(model, fixed, limits=Limits(effort_ceiling="medium")).invoke("a")
    with_effort(model, fixed, name="openai/gpt-4o").invoke("a")  # which takes no level, so that none is sent
    assert sent(server) == ["high", "low", "medium", None]


def test_history_may_be_long_and_steps_may_have_no_text() -> None:
    router, model = ByRole(answer="low", plan="low"), Streaming()
    wrapped = with_effort(model, router)
    turns = [
        SystemMessage("s"),
        *(HumanMessage(str(n)) if n % 2 else AIMessage(str(n)) for n in range(10_000)),
    ]
    wrapped.invoke(turns)
    wrapped.invoke([HumanMessage("")])
    wrapped.invoke([AIMessage("only me")])
    assert [len(asked["history"]) for asked in router.asked] == [10_001, 1, 1]
    assert [asked["step"] for asked in router.asked] == [1, 1, 2]
    assert [asked["observation"] for asked in router.asked] == ["9999", "", "only me"]


def test_what_cannot_be_used_is_refused_at_once() -> None:
    model, router = Streaming(), ByRole()
    with pytest.raises(InputError, match="give a LangChain chat model"):
        with_effort("gpt-5", router)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="give an EffortRouter"):
        with_effort(model, object())  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'extreme'"):
        with_effort(model, router, levels=["low", "extreme"])  # type: ignore[list-item]
    with pytest.raises(InputError, match="levels are none"):
        with_effort(model, router, levels=[])
    with pytest.raises(InputError, match="default is 'xhigh'"):
        with_effort(model, router, default="xhigh")
    with pytest.raises(InputError, match="'extreme'"):
        EffortMiddleware(router, levels=["extreme"])  # type: ignore[list-item]
    assert with_effort(RunnableLambda(lambda messages: messages), router).invoke("x") == "x"


def test_without_langchain_the_middleware_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['langchain'] = None\n"
        "import agentroute\n"
        "try: agentroute.EffortMiddleware\n"
        "except agentroute.InputError as error: print(error)\n"
        "agentroute.with_effort; print('still there')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[0].endswith("pip install 'agentroute-graph[langchain]'")
    assert ran.stdout.splitlines()[1] == "still there"
