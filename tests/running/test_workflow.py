from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import crew
import numpy as np
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from agentroute.effort.router import FixedEffort
from agentroute.errors import QueryError
from agentroute.running.agents import build_agent
from agentroute.running.calling.client import ClientError
from agentroute.running.context import RunContext
from agentroute.running.refine import LLMRefiner, VoteRefiner
from agentroute.running.workflow import build_workflow
from agentroute.testing import FakeClient, StaticRouter
from agentroute.types import (
    AgentSpec,
    ChatClient,
    Limits,
    Price,
    Query,
    Ranked,
    Refiner,
    RefinerSpec,
    Router,
    RoutingDecision,
)

ALL = [
    "run_id",
    "query",
    "answers",
    "decisions",
    "problems",
    "notes",
    "weights",
    "failure",
    "answer",
    "status",
]
ALL += ["sources", "confidence", "messages"]
FREE = Price(call=0.0)
NO_LIMITS = Limits()


def function(name: str, **keys: Any) -> AgentSpec:
    keys = {"id": name.replace("_", "-"), "timeout_s": 5.0, "price": FREE, **keys}
    return AgentSpec(kind="function", description="d", function=f"crew:{name}", **keys)


def llm(name: str, price: Price | None = None) -> AgentSpec:
    return AgentSpec(id=name, kind="llm", description="d", model="openai/m", price=price, max_tokens=100)


def build(
    router: Router,
    specs: Sequence[AgentSpec],
    limits: Limits = NO_LIMITS,
    client: ChatClient | None = None,
    refiner: Refiner | None = None,
    **keys: Any,
) -> StateGraph[Any, Any, Any, Any]:
    team = {spec.id: build_agent(spec, allow=["crew"]) for spec in specs}
    make = (lambda: client) if client is not None else None
    return build_workflow(
        router, team, specs, refiner or VoteRefiner(), FixedEffort(), limits, client=make, **keys
    )


async def run(
    router: Router,
    specs: Sequence[AgentSpec],
    limits: Limits = NO_LIMITS,
    question: Any = "why?",
    **keys: Any,
) -> dict[str, Any]:
    graph = build(router, specs, limits, **keys).compile()
    found: dict[str, Any] = await graph.ainvoke({"question": question}, output_keys=ALL)
    return found


def statuses(state: dict[str, Any]) -> dict[str, str]:
    return {record["agent"]: record["status"] for record in state["answers"]}


def deciding(*decisions: Any) -> Router:
    """A router that returns these in turn, whatever they are, and raises those that are exceptions."""

    class Scripted:
        version = "scripted"

        def __init__(self) -> None:
            self.left = list(decisions)

        def route(self, query: Query, agents: Sequence[AgentSpec], **given: Any) -> RoutingDecision:
            decision: Any = self.left.pop(0)
            if isinstance(decision, Exception):
                raise decision
            return decision  # type: ignore[no-any-return]

    return Scripted()


def select(**weights: float) -> RoutingDecision:
    ids = [(name.replace("_", "-"), weight) for name, weight in weights.items()]
    return RoutingDecision(ranking=tuple(Ranked(agent=i, score=w) for i, w in ids), selected=tuple(ids))


# ---------------------------------------------------------------------------- nobody's fault costs the others


@pytest.mark.fault("F01", "`degraded`, with a line that names the agent and its error", "the other answers")
@pytest.mark.parametrize(
    ("bad", "status"),
    [
        ("raises", "failed"),
        ("raises_at_once", "failed"),
        ("exits_async", "failed"),
        ("cancels_itself", "failed"),
        ("interrupts_in_thread", "failed"),
        ("hangs", "timed_out"),
        ("hangs_in_thread", "timed_out"),
        ("stubborn", "timed_out"),
        ("blank", "skipped"),
        ("declines", "skipped"),
        ("number", "failed"),
    ],
)
async def test_one_bad_agent_never_loses_the_others_answers(bad: str, status: str) -> None:
    specs = [function(bad, timeout_s=0.3), function("paris"), function("good_async"), function("paris_too")]
    state = await run(StaticRouter([spec.id for spec in specs]), specs)
    assert [record["agent"] for record in state["answers"]] == [spec.id for spec in specs]
    assert list(statuses(state).values()) == [status, "ok", "ok", "ok"]
    assert (state["answer"], state["sources"]) == ("Paris", ["paris", "paris-too"])
    declined = status == "skipped"
    assert state["status"] == ("complete" if declined else "degraded")
    assert [line.partition(":")[0] for line in state["problems"]] == ([] if declined else [specs[0].id])


def test_an_agent_that_raises_an_interrupt_does_not_end_the_run() -> None:
    specs = [function("interrupts"), function("paris")]
    state = asyncio.run(run(StaticRouter(["interrupts", "paris"]), specs))
    assert statuses(state) == {"interrupts": "failed", "paris": "ok"}
    assert (state["answer"], state["problems"]) == ("Paris", ["interrupts: failed (KeyboardInterrupt)"])


async def test_answers_keep_the_order_of_the_selection_whatever_finishes_first() -> None:
    specs = [function("hangs", timeout_s=0.2), function("paris"), function("rome")]
    state = await run(StaticRouter(["rome", "hangs", "paris"]), specs)
    assert [record["agent"] for record in state["answers"]] == ["rome", "hangs", "paris"]


async def test_weights_decide() -> None:
    specs = [function("paris"), function("rome"), function("paris_too")]
    heavy = {"paris": 0.2, "rome": 0.6, "paris-too": 0.2}
    state = await run(StaticRouter(heavy), specs)
    assert (state["answer"], state["confidence"]) == ("Rome", pytest.approx(0.6))


# ---------------------------------------------------------------------------- the cycle


async def test_a_second_wave_goes_out_after_the_first_and_sees_its_answers() -> None:
    router = StaticRouter(["paris"], ["rome", "paris-too"])
    state = await run(router, [function("paris"), function("rome"), function("paris_too")])
    assert [[answer.agent for answer in answers] for _, answers in router.calls] == [
        [],
        ["paris"],
        ["paris", "rome", "paris-too"],
    ]
    assert [d["round"] for d in state["decisions"]] == [1, 2, 3] and state["decisions"][-1]["stop"]
    assert state["answer"] == "Paris"


async def test_no_more_waves_go_out_than_the_limit_but_the_last_answers_are_weighed() -> None:
    router = StaticRouter(["paris"], ["rome"], ["paris-too"])
    specs = [function("paris"), function("rome"), function("paris_too")]
    state = await run(router, specs, Limits(max_rounds=2))
    assert list(statuses(state)) == ["paris", "rome"]
    assert len(router.calls) == 3 and len(state["decisions"]) == 2
    state = await run(StaticRouter({"paris": 0.3, "rome": 0.7}), specs, Limits(max_rounds=1))
    assert state["decisions"][-1]["stop"] and state["answer"] == "Rome"


async def test_a_wave_without_an_answer_is_followed_by_another() -> None:
    state = await run(StaticRouter(["raises"], ["paris"]), [function("raises"), function("paris")])
    assert (state["answer"], state["status"]) == ("Paris", "degraded")


async def test_nobody_is_asked_twice() -> None:
    crew.CALLS["good"] = 0
    specs = [function("good"), function("rome")]
    router = deciding(select(good=1.0), select(good=0.5, rome=0.5), select(good=1.0))
    state = await run(router, specs, Limits(max_rounds=9))
    assert crew.CALLS["good"] == 1 and list(statuses(state)) == ["good", "rome"]
    assert state["status"] == "complete"


# ---------------------------------------------------------------------------- the selection is checked


async def test_abstaining_is_a_failure_with_a_reason() -> None:
    state = await run(StaticRouter(), [function("paris")])
    assert (state["answer"], state["status"]) == ("", "failed")
    assert state["failure"] == {
        "kind": "agents",
        "message": "no agent was asked: no agent fits",
        "problems": [],
    }


@pytest.mark.fault("F20", "the default agent's answer, or an error: no agent fits", "the decision")
async def test_an_empty_selection_is_never_silence() -> None:
    state = await run(deciding(select()), [function("paris")])
    assert state["failure"]["message"] == "no agent was asked: no agent fits"


# ---------------------------------------------------------------------------- the default agent

NOBODY = RoutingDecision(
    ranking=(Ranked(agent="paris", score=0.1), Ranked(agent="good", score=0.05, cost_usd=0.5)),
    selected=(),
    abstained=True,
    reason="no agent fits: the best, paris, is below 0.3",
)
INSTEAD = f"{NOBODY.reason}; the default agent good was asked"


@pytest.mark.parametrize("nobody", [NOBODY, replace(NOBODY, abstained=False)])
async def test_where_no_agent_fits_the_default_agent_is_asked_and_the_result_says_so(
    nobody: RoutingDecision,
) -> None:
    specs = [function("paris"), function("good")]
    router = deciding(nobody)  # asked again, it would have nothing to say
    state = await run(router, specs, default_agent="good")
    assert (state["answer"], state["status"], state["sources"]) == ("good: why?", "complete", ["good"])
    assert state["problems"] == [INSTEAD]
    assert statuses(state) == {"good": "ok"}
    (decision,) = state["decisions"]
    assert decision["abstained"] and not decision["stop"] and decision["selected"] == [["good", 1.0]]
    assert decision["reason"] == INSTEAD and state["confidence"] == 1.0


async def test_a_default_agent_that_fails_is_not_followed_by_others() -> None:
    specs = [function("raises"), function("paris")]
    state = await run(deciding(NOBODY, select(paris=1.0)), specs, default_agent="raises")
    assert (state["answer"], state["status"]) == ("", "failed")
    assert statuses(state) == {"raises": "failed"}
    assert state["failure"]["message"] == (
        "none of 1 agents answered: no agent fits, and the default agent has no answer"
    )
    assert state["failure"]["problems"] == [
        f"{NOBODY.reason}; the default agent raises was asked",
        "raises: failed (ValueError: first line second line)",
    ]


async def test_the_default_agent_waits_until_nobody_fits() -> None:
    specs = [function("paris"), function("good"), function("raises")]
    for waves in (["paris"],), (["raises"], ["paris"]):
        state = await run(StaticRouter(*waves), specs, default_agent="good")
        assert state["answer"] == "Paris" and "good" not in statuses(state)
    # Somebody was asked before: those who are left do not fit any better.
    state = await run(deciding(select(raises=1.0), NOBODY), specs, default_agent="good")
    assert state["status"] == "failed" and statuses(state) == {"raises": "failed"}


async def test_a_default_agent_that_costs_more_than_is_left_is_not_asked() -> None:
    specs = [function("paris"), function("good", price=Price(call=0.5))]
    poor, rich = Limits(max_cost_usd=0.4), Limits(max_cost_usd=0.6)
    state = await run(deciding(NOBODY), specs, poor, default_agent="good")
    assert state["status"] == "failed" and statuses(state) == {}
    state = await run(deciding(NOBODY), specs, rich, default_agent="good")
    assert state["status"] == "complete" and statuses(state) == {"good": "ok"}
    # The router ranks nobody, so that only the bill knows the price.
    state = await run(StaticRouter(), specs, poor, default_agent="good")
    assert state["failure"]["kind"] == "budget" and statuses(state) == {"good": "skipped"}


# ---------------------------------------------------------------------------- a selection like no other


@pytest.mark.fault("F20", "`degraded`, with the name of who is gone", "the other answers")
async def test_an_unknown_agent_is_named_and_the_others_are_asked() -> None:
    state = await run(deciding(select(ghost=0.5, paris=0.5), select()), [function("paris")])
    assert (state["answer"], state["status"]) == ("Paris", "degraded")
    assert state["problems"] == ["router: selected 'ghost', which the registry does not have"]
    state = await run(deciding(select(ghost=1.0)), [function("paris")])
    assert state["status"] == "failed"
    assert state["failure"]["problems"] == ["router: selected 'ghost', which the registry does not have"]


async def test_a_wave_is_cut_to_the_heaviest() -> None:
    router = deciding(select(paris=0.2, rome=0.5, good=0.3), select())
    state = await run(router, [function("paris"), function("rome"), function("good")], Limits(max_agents=2))
    assert list(statuses(state)) == ["rome", "good"]
    assert state["problems"] == ["router: selected 3 agents, the cap is 2: the heaviest were asked"]


@pytest.mark.fault("T19", "a decision without them", "the other weights")
async def test_weights_that_are_no_numbers_count_nothing() -> None:
    router = deciding(select(paris=float("nan"), rome=0.2, good=-1.0), select())
    state = await run(router, [function("paris"), function("rome"), function("good")])
    assert state["answer"] == "Rome"
    assert state["weights"] == {"paris": 0.0, "rome": 0.2, "good": 0.0}


async def test_a_decision_is_plain_data_whatever_numbers_it_holds() -> None:
    first = replace(
        select(paris=0.5, rome=0.5), expected_score=np.float32(0.5), expected_cost_usd=np.float64(0.0)
    )
    sure = {"confidence": np.float32(0.75), "assured": np.bool_(True), "stop": np.bool_(True)}
    last = replace(select(paris=0.7, rome=0.3), coverage=np.float16(0.5), round=np.int64(2), **sure)
    state = await run(deciding(first, last), [function("paris"), function("rome")], Limits(max_rounds=1))
    assert (state["answer"], state["status"], state["confidence"]) == ("Paris", "complete", 0.75)
    found = state["decisions"][-1]
    assert [type(found[name]) for name in ("confidence", "assured", "stop", "coverage", "round")] == [
        float,
        bool,
        bool,
        float,
        int,
    ]


@pytest.mark.parametrize("odd", [float("nan"), -0.1, 1.5])
async def test_a_confidence_that_is_no_chance_is_left_out(odd: float) -> None:
    last = replace(select(paris=0.7, rome=0.3), stop=True, confidence=odd, assured=True)
    router = deciding(select(paris=0.5, rome=0.5), last)
    state = await run(router, [function("paris"), function("rome")])
    assert (state["answer"], state["confidence"]) == ("Paris", pytest.approx(0.7))
    assert state["problems"] == [f"router: its confidence of {odd} is no chance from 0 to 1; it is left out"]
    assert state["decisions"][-1]["assured"] is None


@pytest.mark.parametrize("fault", [ValueError("bad\nscores"), SystemExit("x"), "not a decision", None])
async def test_a_router_that_fails_at_once_fails_the_run_with_a_reason(fault: Any) -> None:
    state = await run(deciding(fault), [function("paris")])
    assert state["status"] == "failed" and "the router" in state["failure"]["message"]
    assert "\n" not in state["failure"]["message"]


async def test_a_router_that_fails_later_loses_no_answer() -> None:
    state = await run(deciding(select(paris=1.0), ValueError("bad")), [function("paris")])
    assert (state["answer"], state["status"]) == ("Paris", "degraded")
    assert state["problems"] == ["router: failed (ValueError: bad)"]


async def test_routing_leaves_the_event_loop_free() -> None:
    class Slow(StaticRouter):
        def route(self, *given: Any, **named: Any) -> RoutingDecision:
            time.sleep(0.3)
            return super().route(*given, **named)

    ticks = 0
    task = asyncio.create_task(run(Slow(["paris"]), [function("paris")]))
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks >= 5


# ---------------------------------------------------------------------------- time


@pytest.mark.fault("F23", "the result, at the deadline", "the other answers")
async def test_at_the_deadline_the_running_agents_end_and_the_others_answers_are_refined() -> None:
    specs = [function("paris"), function("hangs"), function("hangs_in_thread"), function("rome")]
    began = time.monotonic()
    state = await run(StaticRouter([spec.id for spec in specs], ["rome"]), specs, Limits(deadline_s=0.5))
    assert 0.45 < time.monotonic() - began < 1.7
    assert statuses(state)["hangs"] == statuses(state)["hangs-in-thread"] == "timed_out"
    assert (state["answer"], state["status"]) == ("Paris", "degraded")


@pytest.mark.fault("F19", "exit 22 or 20, a line for each agent", "every failure")
async def test_a_deadline_without_any_answer_says_so() -> None:
    state = await run(StaticRouter(["hangs"]), [function("hangs")], Limits(deadline_s=0.2))
    assert state["failure"]["kind"] == "deadline"
    assert state["failure"]["problems"] == ["hangs: timed out (no answer before the run's time was up)"]


async def test_a_router_that_hangs_ends_at_the_deadline() -> None:
    class Hanging(StaticRouter):
        def route(self, *given: Any, **named: Any) -> RoutingDecision:
            time.sleep(5)
            raise AssertionError

    began = time.monotonic()
    state = await run(Hanging(["paris"]), [function("paris")], Limits(deadline_s=0.2))
    assert time.monotonic() - began < 1.2 and state["failure"]["kind"] == "deadline"


async def test_no_more_agents_run_at_a_time_than_the_limit() -> None:
    running, most = 0, 0

    async def reply(request: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    class Counting(FakeClient):
        async def chat(self, request: Any) -> Any:
            await reply(request)
            return await super().chat(request)

    specs = [llm(f"m{i}") for i in range(9)]
    state = await run(StaticRouter([s.id for s in specs]), specs, Limits(concurrency=3), client=Counting())
    assert most == 3 and set(statuses(state).values()) == {"ok"}


async def test_those_whose_turn_does_not_come_in_time_are_named() -> None:
    specs = [function("hangs"), function("paris")]
    state = await run(StaticRouter(["hangs", "paris"]), specs, Limits(concurrency=1, deadline_s=0.2))
    assert state["failure"]["problems"][1] == (
        "paris: timed out (its turn did not come before the run's time was up)"
    )


async def test_cancelling_a_run_passes_through() -> None:
    task = asyncio.create_task(run(StaticRouter(["hangs"]), [function("hangs")]))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2.0)


# ---------------------------------------------------------------------------- money


@pytest.mark.fault("F47", "`degraded`; whom the budget left out", "the answers so far, and the budget")
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_no_more_is_spent_than_the_budget(concurrency: int) -> None:
    client = FakeClient()
    specs = [llm(f"m{i}", Price(input=1.0, output=10.0)) for i in range(6)]
    limits = Limits(max_cost_usd=0.0035, concurrency=concurrency)
    state = await run(StaticRouter([spec.id for spec in specs]), specs, limits, client=client)
    spent = sum(record["usage"]["cost_usd"] for record in state["answers"])
    assert 0 < spent <= 0.0035
    assert len(client.requests) == list(statuses(state).values()).count("ok") < 6
    assert state["status"] == "degraded" and "skipped (budget: " in state["problems"][-1]


async def test_functions_with_a_price_are_on_the_same_bill() -> None:
    specs = [function(name, price=Price(call=0.4)) for name in ("paris", "rome", "good")]
    state = await run(
        StaticRouter([spec.id for spec in specs]), specs, Limits(max_cost_usd=1.0, concurrency=1)
    )
    assert list(statuses(state).values()) == ["ok", "ok", "skipped"]


@pytest.mark.fault("F49", "`skipped`: no price is known", "the budget")
async def test_what_has_no_price_is_not_asked_under_a_cap_and_free_agents_are() -> None:
    specs = [function("paris"), function("rome", price=None)]
    state = await run(StaticRouter(["paris", "rome"]), specs, Limits(max_cost_usd=0.0))
    assert statuses(state) == {"paris": "ok", "rome": "skipped"}
    assert "price" in state["problems"][0]


async def test_a_budget_that_lets_nobody_answer_says_so() -> None:
    specs = [llm("m", Price(input=1.0, output=1.0))]
    state = await run(StaticRouter(["m"]), specs, Limits(max_cost_usd=0.0), client=FakeClient())
    assert state["failure"]["kind"] == "budget"


async def test_the_router_is_told_what_is_left() -> None:
    left = []

    class Asking(StaticRouter):
        def route(self, *given: Any, budget_left_usd: float | None = None, **named: Any) -> RoutingDecision:
            left.append(budget_left_usd)
            return super().route(*given, **named)

    await run(Asking(["paris"]), [function("paris", price=Price(call=0.25))], Limits(max_cost_usd=1.0))
    assert left == [1.0, 0.75]


# ---------------------------------------------------------------------------- refining


@pytest.mark.fault("F21", "the best answer as it stands; `not refined`", "all answers")
async def test_a_refiner_that_fails_in_any_way_leaves_the_heaviest_answer() -> None:
    class Broken:
        async def refine(self, *given: Any) -> Any:
            raise ValueError("no")

    class Silent:
        async def refine(self, *given: Any) -> Any:
            await asyncio.sleep(60)

    specs = [function("paris"), function("rome")]
    router = {"paris": 0.4, "rome": 0.6}
    for refiner, why in ((Broken(), "ValueError: no"), (Silent(), "the run's time was up")):
        state = await run(StaticRouter(router), specs, Limits(deadline_s=0.5), refiner=refiner)
        assert (state["answer"], state["status"]) == ("Rome", "degraded")
        assert state["problems"] == [f"not refined: {why}"]


def judging(confidence: float, assured: bool | None = None, **weights: float) -> Router:
    """Sends those named at once; then stops, with these weights and a chance that the best is right."""
    last = replace(select(**weights), stop=True, confidence=confidence, assured=assured, reason="judged")
    return deciding(select(**weights), last)


@pytest.mark.parametrize(
    ("reply", "answer", "confidence"),
    [
        ("Paris.", "Paris.", 0.8),
        ("Rome", "Rome", 0.8 * 0.4 / 0.6),
        ("Either Rome or Paris.", "Either Rome or Paris.", None),
        (ClientError("server", "500"), "Paris", 0.8),
    ],
)
async def test_the_chance_of_a_judged_answer_is_kept_by_whoever_says_the_same(
    reply: Any, answer: str, confidence: float | None
) -> None:
    spec = RefinerSpec(kind="llm", model="openai/r", price=Price(input=1.0, output=1.0))
    keys: Any = {"client": FakeClient([reply]), "refiner": LLMRefiner(spec)}
    specs = [function("paris"), function("rome"), function("paris_too")]
    state = await run(judging(0.8, paris=0.35, rome=0.4, paris_too=0.25), specs, **keys)
    assert (state["answer"], state["confidence"]) == (answer, pytest.approx(confidence))
    keys["client"] = FakeClient([reply])
    router = judging(0.8, True, paris=0.35, rome=0.4, paris_too=0.25)
    state = await run(router, specs, target_coverage=0.75, **keys)
    kept = confidence == 0.8
    assert [line.startswith("not assured: ") for line in state["problems"]].count(True) == (not kept)
    assert kept == (state["status"] == "complete") or isinstance(reply, ClientError)


async def test_a_promise_is_not_kept_by_a_run_that_ends_before_its_answers_are_judged() -> None:
    specs = [function("paris"), function("hangs")]
    router = deciding(select(paris=0.5, hangs=0.5))
    state = await run(router, specs, Limits(deadline_s=0.3), target_coverage=0.9)
    assert (state["answer"], state["status"]) == ("Paris", "degraded")
    assert state["problems"][-1] == "not assured: the run ended before its answers were judged"


async def test_the_refiner_is_on_the_run_s_bill() -> None:
    spec = RefinerSpec(kind="llm", model="openai/r", price=Price(input=1.0, output=1.0))
    client = FakeClient(["merged"])
    specs = [function("paris"), function("rome")]
    free = await run(StaticRouter(["paris", "rome"]), specs, client=client, refiner=LLMRefiner(spec))
    assert free["answer"] == "merged"
    capped = await run(
        StaticRouter(["paris", "rome"]),
        specs,
        Limits(max_cost_usd=0.0),
        client=client,
        refiner=LLMRefiner(spec),
    )
    assert capped["answer"] == "Paris" and capped["problems"][0].startswith(
        "not refined: ClientError: budget"
    )
    assert len(client.requests) == 1


# ---------------------------------------------------------------------------- as a part of other graphs


async def test_messages_go_in_and_an_answer_is_added() -> None:
    graph = build(StaticRouter(["wants-query"]), [function("wants_query")]).compile()
    talk = [HumanMessage("hi"), AIMessage("hello"), HumanMessage([{"type": "text", "text": "why?"}])]
    state = await graph.ainvoke({"messages": talk})
    assert [m.content for m in state["messages"][:2]] == ["hi", "hello"]
    assert isinstance(state["messages"][-1], AIMessage) and state["messages"][-1].content == "None/0"
    state = await build(StaticRouter(), [function("paris")]).compile().ainvoke({"messages": talk})
    assert state["messages"][-1].content == "No answer: no agent was asked: no agent fits"


@pytest.mark.parametrize("given", [{}, {"question": " "}, {"question": 5}, {"messages": [AIMessage("hi")]}])
async def test_what_is_no_question_is_refused(given: dict[str, Any]) -> None:
    graph = build(StaticRouter(["paris"]), [function("paris")]).compile()
    with pytest.raises(QueryError):
        await graph.ainvoke({"question": None, **given})


async def test_a_conversation_on_one_thread_starts_each_run_afresh() -> None:
    graph = build(StaticRouter(["good"]), [function("good")]).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    await graph.ainvoke({"question": "one"}, config)
    state = await graph.ainvoke({"messages": [HumanMessage("two")]}, config, output_keys=ALL)
    assert state["answer"] == "good: two" and len(state["answers"]) == 1 and len(state["decisions"]) == 2


async def test_a_run_without_an_answer_does_not_keep_the_confidence_of_the_one_before() -> None:
    router = deciding(select(good=1.0), select(), select(raises=1.0), select())
    graph = build(router, [function("good"), function("raises")]).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    first = await graph.ainvoke({"question": "one"}, config)
    second = await graph.ainvoke({"question": "two"}, config)
    assert (first["status"], first["confidence"]) == ("complete", 1.0)
    assert (second["status"], second["confidence"], second["answer"]) == ("failed", None, "")


async def test_it_nests_in_a_graph_with_a_context_of_its_own() -> None:
    class Outer(MessagesState):
        answer: str

    flow: Any = StateGraph(Outer, context_schema=dict)
    flow.add_node("team", build(StaticRouter(["good"]), [function("good")]).compile())
    flow.add_edge(START, "team")
    flow.add_edge("team", END)
    state = await flow.compile().ainvoke({"messages": [HumanMessage("why?")]}, context={"user": "x"})
    assert state["answer"] == state["messages"][-1].content == "good: why?"


@pytest.mark.fault("T15", "each run's own answer", "each run's own state")
async def test_runs_at_the_same_time_do_not_mix() -> None:
    graph = build(StaticRouter(["good-async"]), [function("good_async")]).compile()
    states = await asyncio.gather(*(graph.ainvoke({"question": f"q{i}"}) for i in range(60)))
    assert [state["answer"] for state in states] == [f"async: q{i}" for i in range(60)]


async def test_a_server_can_describe_it() -> None:
    graph = build(StaticRouter(["good"]), [function("good")]).compile()
    assert graph.get_context_jsonschema() == {}
    assert set(graph.get_input_jsonschema()["properties"]) == {"question", "messages"}
    assert "answer" in graph.get_output_jsonschema()["properties"]
    drawn = graph.get_graph()
    assert {(edge.source, edge.target) for edge in drawn.edges} == {
        ("__start__", "begin"),
        ("begin", "route"),
        ("route", "ask"),
        ("route", "refine"),
        ("ask", "route"),
        ("refine", "__end__"),
    }


async def test_a_context_may_bring_its_own_client_and_name() -> None:
    mine = FakeClient(["mine"])
    graph = build(StaticRouter(["m"]), [llm("m")], client=FakeClient(["theirs"])).compile()
    state = await graph.ainvoke(
        {"question": "q"}, context=RunContext(run_id="r1", client=mine), output_keys=ALL
    )
    assert (state["answer"], state["run_id"], len(mine.requests)) == ("mine", "r1", 1)


async def test_without_a_client_a_model_agent_fails_with_the_remedy() -> None:
    state = await run(StaticRouter(["m"]), [llm("m")])
    assert "pass client=" in state["failure"]["problems"][0]


async def test_caveats_are_on_every_result() -> None:
    state = await run(StaticRouter(["paris"]), [function("paris")], caveats=["not sure"])
    assert (state["status"], state["problems"]) == ("degraded", ["not sure"])
    state = await run(StaticRouter(["raises"]), [function("raises")], caveats=["not sure"])
    assert state["failure"]["problems"][0] == "not sure"


# ---------------------------------------------------------------------------- kept by a checkpointer


async def test_a_run_that_broke_off_goes_on_with_only_the_unfinished_agents() -> None:
    specs = [function("good"), function("behind_gate")]
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "t"}}
    crew.CALLS.update(good=0, behind_gate=0)
    crew.GATE["open"] = False
    first: Any = build(StaticRouter(["good", "behind-gate"]), specs).compile(checkpointer=saver)
    task = asyncio.create_task(first.ainvoke({"question": "why?"}, config))
    while not (crew.CALLS["good"] and crew.CALLS["behind_gate"]):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    crew.GATE["open"] = True
    # A new workflow knows nothing of the run but what the checkpointer kept, as another process would.
    second: Any = build(StaticRouter(["good", "behind-gate"]), specs).compile(checkpointer=saver)
    state = await second.ainvoke(None, config, output_keys=ALL)
    assert (crew.CALLS["good"], crew.CALLS["behind_gate"]) == (1, 2)
    assert sorted(statuses(state).items()) == [("behind-gate", "ok"), ("good", "ok")]
    assert state["status"] == "complete" and len(state["decisions"]) == 2


@pytest.mark.parametrize("gone", ["behind-gate", "good"])
async def test_an_agent_that_left_the_team_during_a_run_is_skipped_and_named(gone: str) -> None:
    specs = [function("good"), function("behind_gate")]
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "t"}}
    first: Any = build(StaticRouter(["good", "behind-gate"]), specs).compile(
        checkpointer=saver, interrupt_before=["ask"]
    )
    await first.ainvoke({"question": "why?"}, config)
    left = [spec for spec in specs if spec.id != gone]
    second: Any = build(StaticRouter(["good", "behind-gate"]), left).compile(checkpointer=saver)
    state = await second.ainvoke(None, config, output_keys=ALL)
    assert statuses(state) == {spec.id: "skipped" if spec.id == gone else "ok" for spec in specs}
    assert (state["status"], state["sources"]) == ("degraded", [left[0].id])
    assert state["problems"] == [f"{gone}: skipped (left the team during the run)"]


async def test_a_run_that_broke_off_at_the_default_agent_asks_it_again() -> None:
    saver, config = InMemorySaver(), {"configurable": {"thread_id": "t"}}
    specs = [function("good"), function("paris")]
    first: Any = build(deciding(NOBODY), specs, default_agent="good").compile(
        checkpointer=saver, interrupt_before=["ask"]
    )
    await first.ainvoke({"question": "why?"}, config)
    second: Any = build(deciding(), specs, default_agent="good").compile(checkpointer=saver)
    state = await second.ainvoke(None, config, output_keys=ALL)
    assert (state["answer"], state["status"]) == ("good: why?", "complete")
    assert state["problems"] == [INSTEAD]


async def test_a_run_that_goes_on_has_only_what_is_left_of_its_budget() -> None:
    specs = [
        function("good", price=Price(call=0.6)),
        function("behind_gate"),
        function("rome", price=Price(call=0.6)),
    ]
    router, config = StaticRouter(["good", "behind-gate"], ["rome"]), {"configurable": {"thread_id": "t"}}
    saver, limits = InMemorySaver(), Limits(max_cost_usd=1.0)
    crew.CALLS.update(good=0, behind_gate=0)
    crew.GATE["open"] = False
    first: Any = build(router, specs, limits).compile(checkpointer=saver)
    task = asyncio.create_task(first.ainvoke({"question": "why?"}, config))
    while not (crew.CALLS["good"] and crew.CALLS["behind_gate"]):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.wait({task})
    crew.GATE["open"] = True
    second: Any = build(router, specs, limits).compile(checkpointer=saver)
    state = await second.ainvoke(None, config, output_keys=ALL)
    assert statuses(state)["rome"] == "skipped"


def strict_run(*arguments: str) -> list[str]:
    script = Path(__file__).with_name("strict_run.py")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        env={**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.fault("T12", "nothing: a state of plain data needs no code to be read", "the state")
def test_state_is_plain_data_under_strict_msgpack() -> None:
    assert strict_run() == ["good:", "why?", "degraded"]


# A server of Postgres is a download, and adds a user to the machine where root starts it: `make postgres`.
CHECKPOINTERS = ["sqlite", *(["postgres"] if os.environ.get("AGENTROUTE_POSTGRES") else [])]


@pytest.mark.parametrize("name", CHECKPOINTERS)
def test_a_checkpointer_and_the_journal_keep_the_same_run_side_by_side(name: str, tmp_path: Path) -> None:
    assert strict_run(name, str(tmp_path)) == ["good:", "why?", "complete", "1", "2", "complete", "2"]


@pytest.mark.fault("F54", "an answer", "the question, stored once")
async def test_the_question_is_not_stored_again_for_each_agent() -> None:
    copies = []
    for count in (1, 20):
        specs = [function("good", id=f"g{i}") for i in range(count)]
        saver = InMemorySaver()
        graph = build(StaticRouter([s.id for s in specs]), specs).compile(checkpointer=saver)
        question = {"text": "why?", "context": [{"title": "", "text": "needle"}]}
        await graph.ainvoke({"question": question}, {"configurable": {"thread_id": "t"}})
        blobs = sum(value[1].count(b"needle") for value in saver.blobs.values())
        writes = sum(row[2][1].count(b"needle") for rows in saver.writes.values() for row in rows.values())
        copies.append(blobs + writes)
    assert 0 < copies[0] == copies[1]
