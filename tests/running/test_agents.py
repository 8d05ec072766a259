from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import crew
import pytest

from agentroute.effort.router import FixedEffort
from agentroute.errors import RegistryError
from agentroute.outcomes import Outcome, OutcomeWriter, QueryRecord, create_folder
from agentroute.registry import AgentRegistry
from agentroute.running.agents import build_agent, build_team, problem, run_agent
from agentroute.running.calling.client import ClientError
from agentroute.running.interrupts import may_be_users
from agentroute.running.strategies import final_answer
from agentroute.testing import FakeClient
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatClient,
    ChatReply,
    ChatRequest,
    EffortRange,
    Limits,
    Message,
    Passage,
    Price,
    Query,
    ToolCall,
    Usage,
)

QUERY = Query(text="why?")
NO_LIMITS = Limits()
AT_ONCE = ("crew:blocks", "crew:blocks_then_waits", "crew:naps")


def function(name: str, **keys: Any) -> AgentSpec:
    keys = {"timeout_s": 5.0, "price": Price(call=0.0), **keys}
    return AgentSpec(
        id=name.replace("_", "-"), kind="function", description="d", function=f"crew:{name}", **keys
    )


def runnable(name: str, **keys: Any) -> AgentSpec:
    keys = {"timeout_s": 5.0, **keys}
    return AgentSpec(
        id=name.replace("_", "-"), kind="runnable", description="d", runnable=f"crew:{name}", **keys
    )


def llm(**keys: Any) -> AgentSpec:
    keys = {"id": "m", "model": "openai/m", "timeout_s": 5.0, **keys}
    return AgentSpec(kind="llm", description="d", **keys)


async def ask(
    spec: AgentSpec,
    query: Query = QUERY,
    client: ChatClient | None = None,
    limits: Limits = NO_LIMITS,
    **keys: Any,
) -> Answer:
    agent = build_agent(spec, allow=["crew"])
    if spec.function in AT_ONCE:
        agent.load()  # type: ignore[attr-defined]  # so that its time is its own
    return await run_agent(agent, query, client or FakeClient(), FixedEffort(), limits, **keys)


def calls(*made: tuple[str, str], text: str = "") -> ChatReply:
    wanted = tuple(ToolCall(id=f"c{i}", name=name, arguments=given) for i, (name, given) in enumerate(made))
    return ChatReply(text=text, tool_calls=wanted, usage=Usage(requests=1, cost_usd=0.001))


# ---------------------------------------------------------------------------- functions


@pytest.mark.parametrize(
    ("name", "text"), [("good", "good: why?"), ("good_async", "async: why?"), ("dirty", "abc")]
)
async def test_a_function_answers(name: str, text: str) -> None:
    answer = await ask(function(name, price=Price(call=0.25)))
    assert (answer.status, answer.text, answer.usage) == ("ok", text, Usage(cost_usd=0.25))
    assert answer.latency_s is not None and answer.latency_s >= 0


async def test_a_function_without_a_price_costs_an_unknown_amount() -> None:
    assert (await ask(function("good", price=None))).usage == Usage(cost_usd=None)


async def test_a_function_that_asks_for_the_query_gets_it() -> None:
    answer = await ask(function("wants_query"), Query(text="x", task="t", context=(Passage(text="p"),)))
    assert answer.text == "t/1"


async def test_an_answer_keeps_its_bill_but_not_a_foreign_name() -> None:
    answer = await ask(function("whole"))
    assert (answer.agent, answer.text, answer.usage.requests) == ("whole", "42", 3)


@pytest.mark.parametrize("name", ["declines", "blank"])
async def test_nothing_to_say_is_declined_and_no_problem(name: str) -> None:
    answer = await ask(function(name))
    assert (answer.status, answer.text, answer.error) == ("skipped", "", "declined")
    assert problem(answer) is None


@pytest.mark.fault("F01", "`failed`, with the error in one line", "the other answers")
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("raises", "ValueError: first line second line"),
        ("raises_at_once", "RuntimeError: at once"),
        ("exits", "RuntimeError: SystemExit: bye"),
        ("exits_async", "SystemExit: bye"),
        ("cancels_itself", "it cancelled itself"),
        ("unprintable", "Unprintable"),
        ("unprintable_exit", "RuntimeError: UnprintableExit"),
        ("number", "TypeError: crew:number returned int: return str, None or Answer"),
        ("huge", "an answer of 2,000,001 characters; the most is 2,000,000"),
        ("not_callable", "agent 'not-callable': 'crew:not_callable' is int, not a function"),
        (
            "no_arguments",
            "agent 'no-arguments': 'crew:no_arguments' takes no arguments: it is called with the question",
        ),
        ("absent", "agent 'absent': module 'crew' has no 'absent'"),
    ],
)
async def test_every_fault_is_a_record_with_one_line(name: str, error: str) -> None:
    answer = await ask(function(name))
    assert (answer.status, answer.text, answer.error) == ("failed", "", error)
    assert problem(answer) == f"{answer.agent}: failed ({error})"


@pytest.mark.fault("F02", "`no answer within 30 s`", "the other answers")
@pytest.mark.fault("F24", "`no answer within 30 s`, although it goes on", "the other answers")
@pytest.mark.parametrize("name", ["hangs", "hangs_in_thread", "stubborn"])
async def test_an_agent_that_hangs_is_given_up_at_its_deadline(name: str) -> None:
    began = time.monotonic()
    answer = await ask(function(name, timeout_s=0.2))
    assert time.monotonic() - began < 1.2
    assert (answer.status, answer.error) == ("timed_out", "no answer within 0.2 s")


@pytest.mark.fault(
    "F04", "`it held the event loop for 2.0 s; what blocks must not be async`", "the other answers"
)
@pytest.mark.parametrize("name", ["blocks", "blocks_then_waits"])
async def test_an_async_agent_that_blocks_past_its_deadline_has_timed_out(name: str) -> None:
    answer = await ask(function(name, timeout_s=0.2, price=Price(call=0.25)))
    assert (answer.status, answer.text, answer.usage.cost_usd) == ("timed_out", "", 0.25)
    assert re.fullmatch(
        r"no answer within 0\.2 s: it held the event loop for \d\.\d s; what blocks must not be async",
        answer.error or "",
    )
    answer = await ask(function(name), deadline=time.monotonic() + 0.2)
    assert (answer.error or "").startswith("no answer before the run's time was up: it held")
    assert (await ask(function(name))).text == "too late"  # in time, whatever it thinks


async def test_who_is_held_up_by_a_blocking_agent_is_not_to_blame() -> None:
    held, busy = function("naps", timeout_s=0.2), function("blocks", timeout_s=0.2)
    assert [a.status for a in await asyncio.gather(ask(held), ask(busy))] == ["ok", "timed_out"]


# ``asyncio.run`` catches Ctrl-C, as it does for the command line and for ``AgentRoute.run``.
@pytest.mark.parametrize("name", ["interrupts", "interrupts_in_thread"])
def test_an_agent_that_raises_an_interrupt_of_its_own_has_failed(name: str) -> None:
    answer = asyncio.run(ask(function(name)))
    assert answer.status == "failed" and (answer.error or "").endswith("KeyboardInterrupt")


def test_an_interrupt_that_may_be_the_user_s_passes_through() -> None:
    def handler(*given: Any) -> None:
        raise KeyboardInterrupt

    def caught(call: Any) -> KeyboardInterrupt:
        try:
            call()
        except KeyboardInterrupt as error:
            return error
        raise AssertionError

    def own() -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    try:
        for installed in (handler, partial(handler, "main task")):
            signal.signal(signal.SIGINT, installed)
            assert may_be_users(caught(lambda: signal.raise_signal(signal.SIGINT)))
            assert not may_be_users(caught(own))
        # Python's own handler leaves no trace: it cannot be told apart.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert may_be_users(caught(lambda: signal.raise_signal(signal.SIGINT)))
        assert may_be_users(caught(own))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert not may_be_users(caught(own))
    finally:
        signal.signal(signal.SIGINT, before)
    with ThreadPoolExecutor() as pool:
        assert not pool.submit(lambda: may_be_users(caught(own))).result()


async def test_the_run_s_deadline_is_sooner_than_the_agent_s() -> None:
    answer = await ask(function("hangs"), deadline=time.monotonic() + 0.1)
    assert (answer.status, answer.error) == ("timed_out", "no answer before the run's time was up")


async def test_many_hung_threads_do_not_keep_the_next_one_waiting() -> None:
    hung = [asyncio.create_task(ask(function("hangs_in_thread", timeout_s=0.5))) for _ in range(40)]
    await asyncio.sleep(0.05)
    assert (await ask(function("good", timeout_s=2.0))).status == "ok"
    assert {answer.status for answer in await asyncio.gather(*hung)} == {"timed_out"}


async def test_cancellation_passes_through() -> None:
    task = asyncio.create_task(ask(function("hangs")))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ---------------------------------------------------------------------------- what may be named


@pytest.mark.fault("T07", "exit 2: code is for the caller to allow", "the machine")
@pytest.mark.parametrize("path", ["os:system", "crewmate:good", "crew.inner:good"])
def test_code_outside_the_allowed_modules_is_refused_with_the_remedy(path: str) -> None:
    spec = AgentSpec(id="a", kind="function", description="d", function=path)
    with pytest.raises(RegistryError) as refused:
        build_agent(spec, allow=["crew.other"])
    top = path.partition(":")[0].partition(".")[0]
    assert f"{path!r} is refused" in str(refused.value)
    assert f"pass allow=[{top!r}] or --allow {top}" in str(refused.value)


@pytest.mark.parametrize(
    "path", ["crew", "crew:", ":good", "crew:_called", "crew:good.x", "crew:good:x", "a b:c"]
)
def test_a_malformed_path_is_refused(path: str) -> None:
    with pytest.raises(RegistryError, match="is not an import path"):
        build_agent(AgentSpec(id="a", kind="function", description="d", function=path), allow=["crew"])


def test_a_missing_module_is_found_out_before_anybody_is_asked() -> None:
    with pytest.raises(RegistryError, match=r"module 'crew\.nothing' cannot be found"):
        build_agent(
            AgentSpec(id="a", kind="function", description="d", function="crew.nothing:x"), allow=["crew"]
        )
    with pytest.raises(RegistryError, match="module 'no_such_app' cannot be found"):
        build_agent(
            AgentSpec(id="a", kind="runnable", description="d", runnable="no_such_app:x"),
            allow=["no_such_app"],
        )


def test_tools_are_refused_like_functions() -> None:
    with pytest.raises(RegistryError, match="'os:remove' is refused"):
        build_agent(llm(strategy="react", tools=("os:remove",)))


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(RegistryError, match="strategy 'magic' is unknown: use one of direct, cot"):
        build_agent(llm(strategy="magic"))


def test_a_team_keeps_the_registry_s_order() -> None:
    registry = AgentRegistry.from_specs([function("good"), function("declines"), llm()])
    assert list(build_team(registry, allow=["crew"])) == ["good", "declines", "m"]


# ---------------------------------------------------------------------------- runnables


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("as_text", "ran why?"),
        ("as_message", "from blocks"),
        ("as_dict", "from a dict"),
        ("chain", "T\np | why?"),
        ("graph", "2"),
    ],
)
async def test_runnables_get_the_form_they_ask_for(name: str, text: str) -> None:
    query = Query(
        text="why?", context=(Passage(title="T", text="p"),), history=(Message(role="user", text="earlier"),)
    )
    answer = await ask(runnable(name), query)
    assert (answer.status, answer.text) == ("ok", text)


async def test_a_runnable_s_tokens_are_priced_by_its_row() -> None:
    answer = await ask(runnable("as_message", price=Price(input=1.0, output=2.0)))
    assert answer.usage == Usage(
        requests=1, input_tokens=10, output_tokens=5, reasoning_tokens=None, cost_usd=20 / 1e6
    )
    assert (await ask(runnable("as_text"))).usage.cost_usd is None


async def test_a_runnable_that_fails_is_a_record() -> None:
    answer = await ask(runnable("as_list"))
    assert answer.status == "failed" and "gave list" in (answer.error or "")
    answer = await ask(runnable("not_callable"))
    assert answer.error == "agent 'not-callable': 'crew:not_callable' is int, not a Runnable"
    assert (await ask(runnable("sleeps", timeout_s=0.2))).status == "timed_out"


# ---------------------------------------------------------------------------- models


async def test_direct_sends_system_history_context_and_question() -> None:
    client = FakeClient(["because"])
    query = Query(
        text="why?",
        context=(Passage(title="Sky", text="It is blue."), Passage(text="No title.")),
        history=(Message(role="user", text="hi"), Message(role="tool", text="7")),
    )
    answer = await ask(llm(system="Be brief.", temperature=0.2, max_tokens=9, api_key_env="K"), query, client)
    (request,) = client.requests
    assert request.messages == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "user", "content": "Result of a tool: 7"},
        {"role": "user", "content": "Context:\n[1] Sky\nIt is blue.\n\n[2] No title.\n\nQuestion: why?"},
    )
    assert (request.temperature, request.max_tokens, request.api_key_env) == (0.2, 9, "K")
    assert 0 < request.timeout_s <= 5.0
    assert (answer.text, answer.usage.requests) == ("because", 1)


async def test_an_inline_prompt_is_filled_in_one_pass() -> None:
    client = FakeClient()
    query = Query(text="what is {context}?", context=(Passage(text="secret"),))
    await ask(llm(prompt="Q={question} C={context} {other}"), query, client)
    assert client.requests[0].messages[0]["content"] == "Q=what is {context}? C=[1] secret {other}"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("First 3.\nSo 3+4.\nAnswer: 7", "7"),
        ("**Answer:** Paris", "Paris"),
        ("Answer: 1\nNo, wait.\nFinal answer: 2\n", "2"),
        ("Answer:\nThe\nlast lines", "The\nlast lines"),
        ("no marker at all", "no marker at all"),
        ("The answer: in the middle is not a marker", "The answer: in the middle is not a marker"),
    ],
)
async def test_cot_takes_what_follows_the_last_marker(reply: str, answer: str) -> None:
    assert final_answer(reply) == answer
    assert (await ask(llm(strategy="cot"), client=FakeClient([reply]))).text == answer


async def test_self_consistency_takes_the_commonest_answer_and_pays_for_all() -> None:
    client = FakeClient(["Answer: 7", "Answer: 8", "Answer: 7.0", ClientError("server", "down"), "Answer: 9"])
    answer = await ask(llm(strategy="self-consistency", samples=5), client=client)
    assert (answer.text, len(client.requests), answer.usage.requests) == ("7", 5, 4)
    answer = await ask(llm(strategy="self-consistency"), client=FakeClient([ClientError("server", "down")]))
    assert (answer.status, answer.error) == ("failed", "down")


async def test_effort_is_asked_for_and_what_was_applied_is_recorded() -> None:
    spec = llm(effort=EffortRange(levels=("low", "medium", "high"), default="high"))
    client = FakeClient([ChatReply(text="fine", applied_effort=None)])
    answer = await ask(spec, client=client, limits=Limits(effort_ceiling="medium"))
    assert client.requests[0].effort == "medium"
    assert [(step.role, step.requested, step.applied) for step in answer.steps] == [
        ("answer", "medium", None)
    ]


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ClientError("server", "500", attempts=3), "failed", "500, after 3 attempts"),
        (ClientError("timeout", "no reply"), "timed_out", "no reply"),
        (ClientError("budget", "cap reached"), "skipped", "budget: cap reached"),
        (ClientError("no_key", "variable K is not set"), "failed", "variable K is not set"),
        (KeyError("x"), "failed", "KeyError: 'x'"),
    ],
)
async def test_a_model_that_fails_is_a_record(error: Exception, status: str, line: str) -> None:
    answer = await ask(llm(), client=FakeClient([error]))
    assert (answer.status, answer.error) == (status, line)


async def test_what_was_spent_before_a_failure_is_kept() -> None:
    spent = Usage(requests=2, input_tokens=5, output_tokens=0, reasoning_tokens=0, cost_usd=0.002)
    answer = await ask(llm(), client=FakeClient([ClientError("server", "down", usage=spent)]))
    assert answer.usage == spent


async def test_a_call_that_is_cut_off_counts_as_one_of_unknown_cost() -> None:
    class Silent:
        async def chat(self, request: ChatRequest) -> ChatReply:
            await asyncio.sleep(60)
            raise AssertionError

    answer = await ask(llm(timeout_s=0.1), client=Silent())
    assert (answer.status, answer.usage.requests, answer.usage.cost_usd) == ("timed_out", 1, None)


async def test_an_empty_reply_is_a_failure() -> None:
    answer = await ask(llm(), client=FakeClient([" "]))
    assert (answer.status, answer.error) == ("failed", "ValueError: an empty answer")


# ---------------------------------------------------------------------------- react

TOOLS = ("crew:add", "crew:look_up", "crew:breaks")


async def test_react_calls_tools_and_shows_their_results() -> None:
    client = FakeClient([calls(("add", '{"a": 2, "b": 3}'), ("look_up", '{"word": "x"}')), "It is 5."])
    answer = await ask(llm(strategy="react", tools=TOOLS), client=client)
    assert answer.text == "It is 5."
    sent = client.requests[1].messages
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "tool"]
    assert [m["content"] for m in sent if m["role"] == "tool"] == ["5", '{"x": "a word"}']
    assert [call["id"] for call in sent[1]["tool_calls"]] == [m["tool_call_id"] for m in sent[2:]]
    assert [step.role for step in answer.steps] == ["plan", "tool", "tool", "answer"]
    assert answer.usage.requests == 2


async def test_a_tool_is_described_by_its_signature_and_docstring() -> None:
    client = FakeClient(["done"])
    await ask(llm(strategy="react", tools=("crew:add",)), client=client)
    (tool,) = client.requests[0].tools
    assert tool["function"]["name"] == "add"
    assert tool["function"]["description"].startswith("Add two numbers.")
    parameters = tool["function"]["parameters"]
    assert parameters["required"] == ["a"]
    assert {name: row["type"] for name, row in parameters["properties"].items()} == {
        "a": "integer",
        "b": "integer",
    }
    json.dumps(tool)


@pytest.mark.parametrize(
    ("name", "given", "result"),
    [
        ("breaks", '{"text": "x"}', "error: OSError: no such thing"),
        ("add", '{"a": "many"}', "error: a: Input should be a valid integer"),
        ("add", '{"a": 1, "c": 2}', "error: c: Extra inputs are not permitted"),
        ("add", "not json", "error: arguments: Invalid JSON"),
        ("nothing", "{}", "error: there is no tool 'nothing'; there are add, look_up, breaks"),
    ],
)
async def test_a_tool_s_error_goes_back_as_text(name: str, given: str, result: str) -> None:
    client = FakeClient([calls((name, given)), "sorry"])
    answer = await ask(llm(strategy="react", tools=TOOLS), client=client)
    assert answer.text == "sorry"
    assert client.requests[1].messages[-1]["content"].startswith(result)


async def test_the_same_call_again_is_not_made_and_ends_the_loop() -> None:
    crew.CALLS["add"] = 0
    again = calls(("add", '{"a": 1}'))
    client = FakeClient(lambda r: "enough" if "any more tools" in str(r.messages[-1]["content"]) else again)
    answer = await ask(llm(strategy="react", tools=TOOLS, max_steps=20), client=client)
    assert (answer.text, crew.CALLS["add"], len(client.requests)) == ("enough", 1, 3)


async def test_react_stops_at_max_steps() -> None:
    fresh = (calls(("add", json.dumps({"a": i}))) for i in range(100))
    client = FakeClient(lambda request: next(fresh))
    answer = await ask(llm(strategy="react", tools=TOOLS, max_steps=4), client=client)
    assert len(client.requests) == 4
    assert answer.status == "failed" and "still called tools at step 4 of 4" in (answer.error or "")
    assert answer.usage.requests == 4


async def test_a_tool_that_json_cannot_call_is_named() -> None:
    answer = await ask(llm(strategy="react", tools=("crew:takes_anything",)))
    assert "tool 'crew:takes_anything' cannot be described to a model" in (answer.error or "")


# ---------------------------------------------------------------------------- recorded


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    specs = [AgentSpec(id=name, kind="recorded", description="d") for name in ("a", "b")]
    queries = [QueryRecord(query=Query(text=f"question {i}", id=f"q{i}"), gold=("x",)) for i in range(4)]
    create_folder(tmp_path / "run", AgentRegistry.from_specs(specs), queries)
    rows = [
        Outcome(
            query="q0",
            agent="a",
            score=1.0,
            answer="x",
            input_tokens=5,
            output_tokens=2,
            cost_usd=0.1,
            latency_s=2.5,
        ),
        Outcome(query="q1", agent="a", score=0.0, answer=""),
        Outcome(query="q2", agent="a", error="it broke"),
        Outcome(query="q0", agent="b", error="first try"),
        Outcome(query="q0", agent="b", score=0.5, answer="second try"),
    ]
    with OutcomeWriter(tmp_path / "run") as writer:
        for row in rows:
            writer.append(row)
    return tmp_path


async def replay(folder: Path, agent: str, query: Query) -> Answer:
    spec = AgentSpec(id=agent, kind="recorded", description="d", outcomes="run")
    built = build_agent(spec, folder=folder)
    return await run_agent(built, query, FakeClient(), FixedEffort(), Limits())


async def test_a_recorded_answer_comes_back_with_its_bill(folder: Path) -> None:
    by_id = await replay(folder, "a", Query(text="other words", id="q0"))
    assert by_id == await replay(folder, "a", Query(text="question 0"))
    assert (by_id.text, by_id.status, by_id.score, by_id.latency_s) == ("x", "ok", 1.0, 2.5)
    assert by_id.usage == Usage(input_tokens=5, output_tokens=2, reasoning_tokens=None, cost_usd=0.1)
    assert (await replay(folder, "b", Query(text="", id="q0"))).text == "second try"


@pytest.mark.parametrize(
    ("query", "status", "error"),
    [
        ("q1", "skipped", "declined"),
        ("q2", "failed", "it broke"),
        ("q3", "skipped", "not recorded for this query"),
    ],
)
async def test_what_was_not_answered_then_is_not_answered_now(
    folder: Path, query: str, status: str, error: str
) -> None:
    answer = await replay(folder, "a", Query(text="?", id=query))
    assert (answer.status, answer.text, answer.error) == (status, "", error)


async def test_a_missing_folder_is_a_record(tmp_path: Path) -> None:
    answer = await replay(tmp_path, "a", QUERY)
    assert answer.status == "failed" and "run" in (answer.error or "")
