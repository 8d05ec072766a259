"""Ending a wave early, quorums, coverage, and who is dropped when money is short."""

from __future__ import annotations

import itertools
import time

import crew
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teams import function, llm, team

from agentroute.errors import BudgetError, QuorumError
from agentroute.knowledge.embed import HashingEmbedder
from agentroute.routing.cards import CardRouter
from agentroute.running.race import decided
from agentroute.running.refine import count
from agentroute.testing import FakeClient, StaticRouter
from agentroute.types import Answer, Limits, Price

SAYS = ("red", "blue", "green", None)


def vote(agent: str, says: str | None) -> Answer:
    if says is None:
        return Answer(agent=agent, status="failed", error="broken")
    return Answer(agent=agent, text=says)


# ---------------------------------------------------------------------------- the rule


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(SAYS), st.integers(0, 5)), min_size=1, max_size=4),
    st.lists(st.integers(0, 5), min_size=1, max_size=3),
)
def test_what_is_decided_stays_decided_whatever_the_others_say(
    came: list[tuple[str | None, int]], missing: list[int]
) -> None:
    names = [f"a{i}" for i in range(len(came) + len(missing))]
    weights = dict(zip(names, [float(w) for _, w in came] + [float(w) for w in missing], strict=True))
    given_ = [vote(name, says) for name, (says, _) in zip(names, came, strict=False)]
    waiting = names[len(came) :]
    ends = set()
    for rest in itertools.product(SAYS, repeat=len(waiting)):
        votes = [*given_, *(vote(n, s) for n, s in zip(waiting, rest, strict=True))]
        ok = [v for v in votes if v.status == "ok"]
        ends.add(count(ok, weights).text if ok else None)
    if decided(weights, given_, waiting):
        (winner,) = ends
        assert winner == count([v for v in given_ if v.status == "ok"], weights).text
    elif len(ends) == 1:
        # It may wait for more than it has to where only a tie could have changed it, and never otherwise.
        behind: dict[str, float] = {}
        for answer in given_:
            if answer.status == "ok":
                behind[answer.text] = behind.get(answer.text, 0.0) + weights[answer.agent]
        first, second = sorted((*behind.values(), 0.0, 0.0), reverse=True)[:2]
        assert first - second <= sum(weights[n] for n in waiting)


# ---------------------------------------------------------------------------- in a run


@pytest.mark.fault(
    "F02", "the answer as soon as it is certain, with `stop_early`", "who was cut short, on record"
)
@pytest.mark.control("F02", "without `stop_early` the decided run waits for who hangs")
async def test_a_wave_ends_when_those_at_work_cannot_change_the_winner() -> None:
    weights = {"paris": 0.4, "paris-too": 0.3, "hangs": 0.2, "rome": 0.1}
    specs = [function("paris"), function("paris_too"), function("hangs", timeout_s=30.0), function("rome")]
    began = time.monotonic()
    result = await team(weights, specs=specs, limits=Limits(stop_early=True)).arun("why?")
    assert time.monotonic() - began < 15.0
    assert (result.answer, result.status) == ("Paris", "complete")
    (cut,) = [answer for answer in result.answers if answer.agent == "hangs"]
    assert (cut.status, cut.error) == ("skipped", "not waited for: the others had decided")
    assert 0.7 <= result.coverage <= 0.8
    # The control: without it, the run waits for everybody.
    specs[2] = function("hangs", timeout_s=0.3)
    result = await team(weights, specs=specs).arun("why?")
    assert (result.status, result.problems) == ("degraded", ("hangs: timed out (no answer within 0.3 s)",))


@pytest.mark.parametrize(
    "why", ["it could change the winner", "the quorum", "another wave", "a model refines"]
)
async def test_a_wave_is_waited_for_where_it_matters(why: str) -> None:
    weights = {"paris": 0.6, "naps": 0.4 if why != "it could change the winner" else 0.7}
    limits = Limits(stop_early=True, min_answers=2 if why == "the quorum" else 1)
    specs = [function("paris"), function("naps"), function("rome")]
    waves = (weights, {"rome": 1.0}) if why == "another wave" else (weights,)
    group = team(*waves, specs=specs, limits=limits)
    if why == "a model refines":
        from agentroute.registry import AgentRegistry
        from agentroute.types import RefinerSpec

        registry = AgentRegistry.from_specs(specs, refiner=RefinerSpec(kind="llm", model="openai/m"))
        group = type(group)(
            registry, StaticRouter(weights), limits=limits, allow=["crew"], client=FakeClient(["merged"])
        )
    result = await group.arun("why?")
    assert {a.agent: a.status for a in result.answers}["naps"] == "ok"


def test_ranking_by_descriptions_keeps_its_weights() -> None:
    assert CardRouter(HashingEmbedder()).keeps_weights


# ---------------------------------------------------------------------------- quorum and coverage


@pytest.mark.fault(
    "F19", "exit 20, with how many answered and what `min_answers` is", "the answers, in the journal"
)
async def test_fewer_answers_than_the_quorum_are_no_result() -> None:
    weights = {"paris": 0.5, "raises": 0.5}
    with pytest.raises(QuorumError, match="1 of 2 agents answered, and min_answers is 2") as caught:
        await team(weights, limits=Limits(min_answers=2)).arun("why?")
    assert caught.value.problems[0].startswith("raises: failed") and caught.value.exit_code == 20
    result = await team(weights, limits=Limits(min_answers=1)).arun("why?")
    assert (result.answer, result.status, result.coverage) == ("Paris", "degraded", 0.5)


async def test_weights_count_among_those_who_answered_and_coverage_says_how_much_that_is() -> None:
    weights = {"paris": 0.2, "rome": 0.3, "raises": 0.5}
    result = await team(weights).arun("why?")
    assert (result.answer, result.confidence) == ("Rome", pytest.approx(0.6))
    assert result.coverage == pytest.approx(0.5)
    assert (await team({"paris": 1.0}).arun("why?")).coverage == 1.0


# ---------------------------------------------------------------------------- money is short


@pytest.mark.fault(
    "F47", "`skipped (budget: ... is left for it)` for the least valuable", "the others' answers"
)
@pytest.mark.control("F47", "without the cap all three are asked, and $1.20 is spent of $1")
async def test_the_least_valuable_agents_are_dropped_first() -> None:
    specs = [function(name, 0.4) for name in ("paris", "rome", "good")]
    weights = {"paris": 0.2, "rome": 0.5, "good": 0.3}
    result = await team(weights, specs=specs, limits=Limits(max_cost_usd=1.0)).arun("why?")
    assert {a.agent: a.status for a in result.answers} == {"paris": "skipped", "rome": "ok", "good": "ok"}
    assert result.problems == (
        "paris: skipped (budget: asking paris may cost $0.400000, $0.200000 is left for it)",
    )
    assert result.usage.cost_usd == pytest.approx(0.8)
    # The control: without a cap, all are asked.
    free = await team(weights, specs=specs).arun("why?")
    assert all(a.status == "ok" for a in free.answers) and free.usage.cost_usd == pytest.approx(1.2)


async def test_a_cheaper_agent_of_less_weight_is_asked_where_a_dear_one_does_not_fit() -> None:
    specs = [function("paris", 5.0), function("rome", 0.1), function("good", 0.1)]
    result = await team(
        {"paris": 0.8, "rome": 0.1, "good": 0.1}, specs=specs, limits=Limits(max_cost_usd=1)
    ).arun("?")
    assert {a.agent: a.status for a in result.answers} == {"paris": "skipped", "rome": "ok", "good": "ok"}


@pytest.mark.fault("F47", "exit 21, one line per agent, what it cost and the run's name", "nothing was spent")
async def test_a_budget_with_room_for_nobody_fails_before_anybody_is_asked() -> None:
    crew.CALLS.clear()
    with pytest.raises(BudgetError, match=r"run [0-9a-f]{32} cost \$0"):
        await team({"good": 1.0}, specs=[function("good", 2.0)], limits=Limits(max_cost_usd=1)).arun("why?")
    assert crew.CALLS == {}


async def test_a_model_whose_price_is_expected_to_be_too_much_is_left_to_the_bill() -> None:
    # The static router expects no prices of models: what a call may cost is reserved as it is about to leave.
    specs = [llm("m", Price(input=1.0, output=10.0)), function("paris", 0.0)]
    result = await team(
        ["m", "paris"], specs=specs, client=FakeClient(), limits=Limits(max_cost_usd=1e-6)
    ).arun("?")
    assert {a.agent: (a.status, a.fault) for a in result.answers} == {
        "m": ("skipped", "budget"),
        "paris": ("ok", None),
    }
