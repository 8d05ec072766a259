"""The growing graph in a live run: real LangGraph, recorded agents, a trained router."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from routing.folders import shared_folder, trained

from agentroute.errors import AllAgentsFailedError
from agentroute.outcomes import OutcomeFolder, OutcomeTable, OutcomeWriter, create_folder
from agentroute.pipeline import AgentRoute
from agentroute.registry import AgentRegistry
from agentroute.routing.assurance import TARGETS
from agentroute.routing.choose import best
from agentroute.routing.presets import PRESETS
from agentroute.routing.replay import Replay
from agentroute.routing.rounds import Growing
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec, Answer, Limits, Query, RoutingDecision, RunResult

NO_LIMITS = Limits()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> OutcomeTable:
    """Held-out outcomes of recorded agents: some right, some wrong, some failed, some declined."""
    source, home = OutcomeFolder.open(shared_folder()), tmp_path_factory.mktemp("gaps") / "folder"
    specs = [
        replace(spec, kind="recorded", function=None, outcomes=str(home)) for spec in source.registry.agents
    ]
    create_folder(home, AgentRegistry.from_specs(specs), source.queries.values())
    draw = np.random.default_rng(3)
    with OutcomeWriter(home) as writer:
        for outcome in source.read():
            fate = draw.random()
            if fate < 0.15:
                outcome = replace(outcome, score=None, answer=None, cost_usd=None, error="broke")
            elif fate < 0.3:
                outcome = replace(outcome, score=0.0, answer="")
            writer.append(outcome)
    held = set(trained().manifest["test_ids"])
    found = OutcomeFolder.open(home).table()
    return found.take([i for i, row in enumerate(found.queries) if row.query.id in held])


@cache
def router(preset: str = "growing") -> GraphRouter:
    return trained().with_preset(preset)


@cache
def one_by_one() -> GraphRouter:
    """The growing router at its best setting that never asks two at once."""
    alone = [
        s for s in trained().tried if isinstance(s.policy, Growing) and s.policy.first == s.policy.most == 1
    ]
    chosen = best(alone, trained().call_price)
    assert chosen is not None
    return trained().using(chosen)


def team(table: OutcomeTable, given: Any = None, **keys: Any) -> AgentRoute:
    return AgentRoute(AgentRegistry.from_specs(table.agents), given or trained(), **keys)


def asked(replayed: Replay, row: int, table: OutcomeTable) -> set[str]:
    return {table.agent_ids[i] for i in np.flatnonzero(replayed.asked[row])}


def several(table: OutcomeTable, growing: GraphRouter | None = None) -> list[int]:
    """The rows on which the growing router asks more than one agent, who all ran, and the first answers."""
    growing = growing or router()
    found = growing.replay(table)
    rows = []
    for row in np.flatnonzero((found.calls > 1) & (table.ran | ~found.asked).all(axis=1)).tolist():
        first = growing.route(table.queries[row].query, table.agents).weights
        if all(table.answers[row][table.agent_ids.index(agent)] for agent in first):
            rows.append(row)
    assert rows
    return rows


def alike(one: RunResult, other: RunResult) -> None:
    """The same run, but for its name and its clock."""

    def plain(answers: Sequence[Answer]) -> list[Answer]:
        return sorted((replace(answer, latency_s=None) for answer in answers), key=lambda a: a.agent)

    assert (one.answer, one.status, one.sources, one.problems, one.usage) == (
        other.answer,
        other.status,
        other.sources,
        other.problems,
        other.usage,
    )
    assert one.confidence == pytest.approx(other.confidence, abs=1e-6)
    assert plain(one.answers) == plain(other.answers)
    assert [d.reason for d in one.decisions] == [d.reason for d in other.decisions]


# ---------------------------------------------------------------------------- the replay's twin


@pytest.mark.parametrize("preset", PRESETS)
async def test_a_live_run_is_what_the_replay_says(table: OutcomeTable, preset: str) -> None:
    found, group = router(preset).replay(table), team(table, preset=preset)
    rounds = set()
    for row, record in enumerate(table.queries[:30]):
        if found.leader[row] < 0:
            with pytest.raises(AllAgentsFailedError):
                await group.arun(record.query)
            continue
        result = await group.arun(record.query)
        assert {answer.agent for answer in result.answers} == asked(found, row, table)
        assert result.sources[0] == table.agent_ids[found.leader[row]]
        assert result.answer == table.answers[row][found.leader[row]]
        assert result.confidence == pytest.approx(found.share[row], abs=1e-5)
        if not np.isnan(found.cost_usd[row]):
            assert result.usage.cost_usd == pytest.approx(found.cost_usd[row])
        assert [decision.round for decision in result.decisions] == [*range(1, len(result.decisions) + 1)]
        assert result.decisions[-1].stop
        assert (result.decisions[-1].confidence is None) == (not router(preset).policy.judged)
        rounds.add(len(result.decisions) - 1)
    assert 1 in rounds and (max(rounds) > 1 or preset not in ("growing", "cascade"))


async def test_a_stream_tells_each_round_and_its_reason(table: OutcomeTable) -> None:
    row = several(table, one_by_one())[0]
    events = [event async for event in team(table, one_by_one()).astream(table.queries[row].query)]
    result = events[-1].data
    assert isinstance(result, RunResult)
    told = [event.data for event in events if event.kind == "route"]
    assert tuple(told) == result.decisions and len(told) > 2
    assert all(isinstance(decision, RoutingDecision) and decision.reason for decision in told)
    assert "asking on is worth its price" in result.decisions[1].reason
    assert result.decisions[-1].confidence == result.confidence
    # Between two rounds stand exactly those whom the first of them sent.
    sent: list[set[str]] = []
    for event in events:
        if event.kind == "route":
            sent.append(set())
        elif event.kind == "agent_start":
            sent[-1].add(str(event.data))
    assert [set(d.weights) for d in result.decisions[:-1]] == sent[:-1] and not sent[-1]


async def test_one_round_is_judged_as_well(table: OutcomeTable) -> None:
    group = team(table, preset="growing", limits=Limits(max_rounds=1))
    for row in several(table)[:5]:
        query = table.queries[row].query
        first, last = (result := await group.arun(query)).decisions
        assert {answer.agent for answer in result.answers} == set(first.weights)
        assert last.stop and "the rounds are over" in last.reason
        assert last.confidence == result.confidence
        # What it says of the answers is what the same router would have said with rounds left.
        free = router().route(query, table.agents, answers=result.answers, round=2)
        assert f"a chance of {last.confidence:.2f}" in free.reason


async def test_who_fails_in_the_first_round_is_followed_by_another(table: OutcomeTable) -> None:
    group, seen, leaders = team(table, one_by_one()), 0, one_by_one().replay(table).leader
    for row, record in enumerate(table.queries):
        agent, *others = group.route(record.query).weights
        if others or leaders[row] < 0 or table.ran[row, table.agent_ids.index(agent)]:
            continue
        seen += 1
        result = await group.arun(record.query)
        assert result.decisions[1].reason == "nobody has answered yet, so others are asked"
        assert agent not in result.decisions[1].weights and agent not in result.sources
        assert (result.answers[0].agent, result.answers[0].status) == (agent, "failed")
        assert result.status == "degraded" and f"{agent}: failed (broke)" in result.problems
    assert seen


# ---------------------------------------------------------------------------- what was paid is kept


class Gate:
    """The growing router, which in its second round waits until it is let go on."""

    version = "gate"

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def route(self, query: Query, agents: Sequence[AgentSpec], **given: Any) -> RoutingDecision:
        if given["round"] == 2:
            self.reached.set()
            assert self.open.wait(30)
        return router().route(query, agents, **given)


async def test_a_run_cancelled_between_rounds_goes_on_with_what_was_paid_for(table: OutcomeTable) -> None:
    query, gate, saver = table.queries[several(table)[0]].query, Gate(), InMemorySaver()
    config: Any = {"configurable": {"thread_id": "t"}}
    whole = await team(table, preset="growing").arun(query)
    first = team(table, gate).workflow().compile(checkpointer=saver)
    question = {"text": query.text, "id": query.id}
    task = asyncio.create_task(first.ainvoke({"question": question}, config))
    while not gate.reached.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()

    kept = (await first.aget_state(config)).values["answers"]
    assert [record["agent"] for record in kept] == list(whole.decisions[0].weights)
    # A new workflow knows nothing of the run but what the checkpointer kept, as another process would.
    second = team(table, preset="growing").workflow().compile(checkpointer=saver)
    started = []
    async for event in second.astream(None, config, stream_mode="custom"):
        if event["kind"] == "agent_start":
            started.append(event["data"])
    assert sorted([*whole.decisions[0].weights, *started]) == sorted(a.agent for a in whole.answers)
    state = (await second.aget_state(config)).values
    assert state["answer"] == whole.answer
    assert state["confidence"] == pytest.approx(whole.confidence, abs=1e-6)
    assert sum(record["usage"]["cost_usd"] for record in state["answers"]) == whole.usage.cost_usd


async def test_runs_side_by_side_do_not_mix_their_graphs(table: OutcomeTable) -> None:
    """The router remembers the last query's first stage; another query may be routed in between."""
    group, rows = team(table, preset="growing"), several(table)[:12]
    queries = [table.queries[row].query for row in rows]
    alone = [await group.arun(query) for query in queries]
    together = await asyncio.gather(*(group.arun(query) for query in queries))
    for one, other in zip(alone, together, strict=True):
        alike(one, other)


# ---------------------------------------------------------------------------- promises


async def test_an_answer_that_does_not_keep_the_promise_says_so(table: OutcomeTable) -> None:
    setting = router().setting
    target = max(t for t, found in zip(TARGETS, setting.sure, strict=True) if found is not None)
    least = router().assuring(target).sure_from
    assert least is not None
    plain, promising = team(table, preset="growing"), team(table, preset="growing", target_coverage=target)
    unsure = 0
    leaders = router().replay(table).leader
    for record in (record for row, record in enumerate(table.queries) if leaders[row] >= 0):
        result, before = await promising.arun(record.query), await plain.arun(record.query)
        assert (result.answer, result.confidence) == (before.answer, pytest.approx(before.confidence))
        assert result.confidence is not None and before.decisions[-1].assured is None
        lines = [line for line in result.problems if line not in before.problems]
        assert result.decisions[-1].assured is (result.confidence >= least)
        if result.confidence >= least:
            assert (lines, result.status) == ([], before.status)
            continue
        unsure += 1
        take = f"is below what {100 * target:g}% right answers take"
        assert lines == [f"not assured: confidence {result.confidence:.2f} {take}"]
        assert result.status == "degraded"
    assert 0 < unsure < len(table)


def test_the_folder_has_every_kind_of_outcome(table: OutcomeTable) -> None:
    said = [text for row in table.answers for text in row]
    assert "" in said and not table.ran.all() and (table.score == 1).any() and (table.score == 0).any()
