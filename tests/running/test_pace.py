"""Rates per provider: so many a second, so many at once, and nobody asks who wants to be left alone."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agentroute.running.calling.client import ClientError, LiteLLMClient
from agentroute.running.calling.pace import Pace
from agentroute.testing import LoopbackServer
from agentroute.types import ChatReply, ChatRequest

pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*' on TypedDict class:UserWarning")

HERE = ("openai", None, None)


async def spans(
    pace: Pace, count: int, account: Any = HERE, hold_s: float = 0.0
) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []

    async def one() -> None:
        async with pace.turn(account, time.monotonic() + 30.0):
            began = time.monotonic()
            await asyncio.sleep(hold_s)
            found.append((began, time.monotonic()))

    await asyncio.gather(*(one() for _ in range(count)))
    return found


async def test_no_more_leave_in_a_second_than_may() -> None:
    began = time.monotonic()
    starts = [start for start, _ in await spans(Pace(per_second=20.0), 11)]
    assert max(starts) - began >= 10 / 20.0
    # The control: without a rate they leave at once.
    began = time.monotonic()
    starts = [start for start, _ in await spans(Pace(), 11)]
    assert max(starts) - began < 10 / 20.0


async def test_no_more_are_under_way_than_may_and_accounts_do_not_wait_for_each_other() -> None:
    pace = Pace(at_once=2)
    here, there = await asyncio.gather(
        spans(pace, 6, hold_s=0.02), spans(pace, 2, ("mistral", None, None), hold_s=0.02)
    )
    for start, _ in here:
        assert sum(a <= start < b for a, b in here) <= 2
    assert min(start for start, _ in there) < sorted(end for _, end in here)[1]
    free = await spans(Pace(), 6, hold_s=0.05)
    assert max(sum(a <= start < b for a, b in free) for start, _ in free) > 2, "the control"


async def test_a_turn_that_does_not_come_in_time_is_refused_at_once() -> None:
    pace = Pace(per_second=0.1)
    await spans(pace, 1)
    began = time.monotonic()
    with pytest.raises(ClientError, match=r"its turn at openai comes in .*after its time is up") as caught:
        async with pace.turn(HERE, time.monotonic() + 1.0):
            raise AssertionError
    assert time.monotonic() - began < 1.0
    assert (caught.value.kind, caught.value.attempts) == ("rate_limited", 0)


# ---------------------------------------------------------------------------- over the wire


def request(server: LoopbackServer, model: str, **keys: Any) -> ChatRequest:
    return ChatRequest(
        model=f"openai/{model}",
        messages=({"role": "user", "content": "?"},),
        api_base=server.url,
        **{"timeout_s": 10.0, **keys},
    )


@pytest.mark.fault(
    "F05", "`not sent: openai asked for a pause of 3600 s`, for all who ask there", "their money"
)
@pytest.mark.control("F05", "a client that was not told asks again within the pause")
async def test_who_was_told_to_wait_tells_all_who_ask_the_same_provider() -> None:
    with LoopbackServer() as server, LoopbackServer() as other:
        async with LiteLLMClient(backoff_s=0.01) as client:
            with pytest.raises(ClientError, match="429: rate limited, retry in 3600 s"):
                await client.chat(request(server, "429-after:3600"))
            began = time.monotonic()
            with pytest.raises(ClientError, match="not sent: openai asked for a pause of 3600 s") as caught:
                await client.chat(request(server, "ok"))
            assert time.monotonic() - began < 1.0 and caught.value.attempts == 0
            assert len(server.requests) == 1, "the second never left"
            assert isinstance(await client.chat(request(other, "ok")), ChatReply), "another address"
        # The control: another client has not been told.
        async with LiteLLMClient() as client:
            assert isinstance(await client.chat(request(server, "ok")), ChatReply)


@pytest.mark.fault("F05", "an answer after the pause, when it fits into the agent's time", "the answer")
async def test_a_pause_that_fits_is_waited_for_by_everybody() -> None:
    with LoopbackServer() as server:
        async with LiteLLMClient(backoff_s=0.01, max_retries=0) as client:
            began = time.monotonic()
            with pytest.raises(ClientError, match="429"):
                await client.chat(request(server, "429-after:0.5"))
            replies = await asyncio.gather(*(client.chat(request(server, "ok")) for _ in range(3)))
            assert [reply.text for reply in replies] == ["ok"] * 3
            assert 0.5 <= time.monotonic() - began < 5.0


async def test_a_team_s_limits_pace_its_own_client() -> None:
    from teams import llm, team

    from agentroute.types import Limits, Price

    with LoopbackServer() as server:
        specs = [
            llm(f"m{i}", Price(input=0.0, output=0.0), model="openai/ok", api_base=server.url)
            for i in range(6)
        ]
        group = team([s.id for s in specs], specs=specs, limits=Limits(requests_per_second=20.0))
        await group.arun("warm up")
        began = time.monotonic()
        result = await group.arun("why?")
        assert time.monotonic() - began >= 5 / 20.0
        assert result.status == "complete"
        await group.aclose()
