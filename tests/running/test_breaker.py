"""Who fails again and again is left alone for a while; who fails at a question is not."""

from __future__ import annotations

from typing import Any

import crew
import pytest
from teams import function, llm, team

from agentroute.errors import AllAgentsFailedError, InputError
from agentroute.running.breaker import Breaker
from agentroute.running.calling.client import ClientError
from agentroute.testing import FakeClient, StaticRouter
from agentroute.types import Answer, ChatRequest, RoutingDecision


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


SICK = Answer(agent="a", status="failed", fault="server")
WELL = Answer(agent="a", text="x")


def ask(breaker: Breaker, answer: Answer | None) -> None:
    breaker.enter("a")
    breaker.leave(answer, "a")


def test_it_opens_after_failures_in_a_row_tries_once_and_closes_when_that_goes_well() -> None:
    clock = Clock()
    breaker = Breaker(3, 10.0, clock)
    for answer in (SICK, SICK, WELL, SICK, SICK):
        ask(breaker, answer)
        assert breaker.left_out("a") is None
    ask(breaker, SICK)
    assert breaker.left_out("a") == "left out: it failed 3 times in a row; tried again in 10 s"
    assert breaker.left_out("b") is None
    clock.now = 10.0
    assert breaker.left_out("a") is None
    breaker.enter("a")  # one run tries it; the others go on without it
    assert breaker.left_out("a") == "left out: it failed 3 times in a row; being tried by another run"
    breaker.leave(SICK, "a")
    clock.now = 19.0
    assert breaker.left_out("a") == "left out: it failed 4 times in a row; tried again in 1 s"
    clock.now = 20.0
    ask(breaker, WELL)
    assert breaker.left_out("a") is None
    ask(breaker, SICK)
    assert breaker.left_out("a") is None, "all was forgotten"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Answer(agent="a", status="skipped", error="declined"),
        Answer(agent="a", status="skipped", error="budget: ...", fault="budget"),
        Answer(agent="a", status="timed_out", fault="deadline"),
        Answer(agent="a", status="failed", error="ValueError: no such word"),
        Answer(agent="a", status="failed", fault="refused"),
    ],
)
def test_what_says_nothing_of_an_agent_s_health_never_opens_it(answer: Answer | None) -> None:
    breaker = Breaker(1, 10.0)
    for _ in range(5):
        ask(breaker, answer)
    assert breaker.left_out("a") is None


def test_a_probe_that_was_cancelled_lets_another_run_try() -> None:
    clock = Clock()
    breaker = Breaker(1, 10.0, clock)
    ask(breaker, SICK)
    clock.now = 10.0
    ask(breaker, None)
    assert breaker.left_out("a") is None


def test_numbers_that_make_no_sense_are_refused() -> None:
    for numbers in ((0, 1.0), (1, 0.0), (1, float("nan"))):
        with pytest.raises(InputError, match="failures is 1 or more"):
            Breaker(*numbers)


# ---------------------------------------------------------------------------- in runs


class Everybody(StaticRouter):
    """Sends whoever it is told of, and remembers who that was."""

    def __init__(self) -> None:
        super().__init__()
        self.saw: list[list[str]] = []

    def route(self, query: Any, agents: Any, **given: Any) -> RoutingDecision:
        if given["round"] == 1:
            self.saw.append([spec.id for spec in agents])
        return StaticRouter([spec.id for spec in agents]).route(query, agents, **given)


@pytest.mark.fault(
    "F07", "`m: left out: it failed 2 times in a row`, and the router does not see it", "the others"
)
@pytest.mark.control("F07", "without a breaker it is asked, and waited for, in every run")
async def test_the_router_does_not_see_who_is_left_out_and_the_result_says_so() -> None:
    down = True

    def reply(request: ChatRequest) -> Any:
        return ClientError("server", "503") if down else "up again"

    client, clock, router = FakeClient(reply), Clock(), Everybody()
    specs = [llm("m"), function("paris")]
    group = team(specs=specs, router=router, client=client, breaker=Breaker(2, 10.0, clock))
    for _ in range(2):
        assert (await group.arun("why?")).problems == ("m: failed (503)",)
    result = await group.arun("why?")
    assert result.problems == ("m: left out: it failed 2 times in a row; tried again in 10 s",)
    assert (result.answer, result.status) == ("Paris", "degraded")
    assert router.saw == [["m", "paris"]] * 2 + [["paris"]] and len(client.requests) == 2
    clock.now, down = 10.0, False
    assert [a.status for a in (await group.arun("why?")).answers] == ["ok", "ok"]
    assert (await group.arun("why?")).problems == ()
    # The control: without a breaker a broken agent is asked, and waited for, every time.
    down = True
    group = team(specs=specs, router=Everybody(), client=client, breaker=None)
    asked = len(client.requests)
    for _ in range(4):
        await group.arun("why?")
    assert len(client.requests) == asked + 4


async def test_where_nobody_else_is_there_even_the_broken_are_asked() -> None:
    client = FakeClient([ClientError("server", "503")])
    group = team(specs=[llm("m")], router=Everybody(), client=client, breaker=Breaker(1, 10.0))
    for _ in range(3):
        with pytest.raises(AllAgentsFailedError, match="503"):
            await group.arun("why?")
    assert len(client.requests) == 3


async def test_functions_that_raise_are_asked_again_and_those_that_hang_are_not() -> None:
    specs = [function("raises"), function("hangs", timeout_s=0.05), function("paris")]
    router = Everybody()
    group = team(specs=specs, router=router, breaker=Breaker(2, 60.0))
    crew.CALLS.clear()
    for _ in range(3):
        await group.arun("why?")
    assert router.saw[-1] == ["raises", "paris"]
