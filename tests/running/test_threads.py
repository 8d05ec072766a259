"""Threads for ordinary functions: kept between calls, and never waited for by others."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agentroute.running.threads import in_thread


async def test_calls_one_after_the_other_share_a_thread() -> None:
    seen = []
    for _ in range(20):
        seen.append(await in_thread(threading.get_ident))
        await asyncio.sleep(0.005)  # the thread joins the idle just after its answer has left
    assert threading.get_ident() not in seen
    assert len(set(seen)) < 10


async def test_a_call_that_hangs_holds_no_other_up_and_takes_its_own_thread_along() -> None:
    gate = threading.Event()
    hung = [
        asyncio.ensure_future(in_thread(lambda: gate.wait(60) and threading.get_ident())) for _ in range(50)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        others = {await in_thread(threading.get_ident) for _ in range(20)}
    assert not any(call.done() for call in hung)
    gate.set()
    theirs = await asyncio.gather(*hung)
    assert len(set(theirs)) == 50 and not others & set(theirs)


async def test_a_call_that_fails_leaves_its_thread_fit_for_the_next() -> None:
    def fails() -> None:
        raise SystemExit("out of here")

    for _ in range(5):
        with pytest.raises(RuntimeError, match="out of here"):
            await in_thread(fails)
        assert await in_thread(lambda: 1) == 1
