"""Budgets that runs share: whatever runs at once, in however many processes, the cap holds."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from teams import function, llm, team

from agentroute.errors import BudgetError, InputError
from agentroute.running.calling.client import ClientError
from agentroute.running.keeping.store import Store
from agentroute.running.spending.budget import Ledger, MeteredClient, estimate
from agentroute.running.spending.ledger import Amount, Caps, refusal
from agentroute.running.spending.shared import Budget
from agentroute.testing import FakeClient
from agentroute.types import ChatReply, ChatRequest, Limits, Price, Usage

HERE = Path(__file__).parent
DUST = 1e-9


def cost(usd: float | None, tokens: int = 0) -> Usage:
    return Usage(requests=1, input_tokens=tokens, output_tokens=0, cost_usd=usd)


def budget(place: Path | None, **caps: Any) -> Budget:
    return Budget("b", store=place, **caps)


@pytest.fixture(params=["in this process", "in a store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return None if request.param == "in this process" else tmp_path / "runs.db"


# ---------------------------------------------------------------------------- at once


@pytest.mark.fault(
    "F48", "`skipped (budget: shared budget b of $0.5 reached)`", "spent plus reserved within the cap"
)
@pytest.mark.control("F48", "with a cap for each run alone, fifty runs spend $3 of $0.5")
async def test_fifty_runs_at_once_never_spend_more_than_their_budget(place: Path | None) -> None:
    specs = [function(name, 0.01, id=f"{name}-{i}") for name in ("paris", "rome") for i in range(3)]
    ids = [spec.id for spec in specs]
    shared = budget(place, max_cost_usd=0.5)
    group = team(ids, specs=specs, budget=shared)
    results = await asyncio.gather(*(group.arun("why?") for _ in range(50)), return_exceptions=True)
    paid = sum(a.status == "ok" for r in results if not isinstance(r, BaseException) for a in r.answers)
    assert paid == 50, "all that the cap has room for, and no more"
    assert shared.spent.cost_usd == pytest.approx(0.5)
    refused = [r for r in results if isinstance(r, BaseException)]
    assert refused and all(isinstance(r, BudgetError) for r in refused)
    assert "shared budget" in str(refused[0])
    # The control: with caps of their own alone, fifty runs spend fifty times as much.
    alone = team(ids, specs=specs, limits=Limits(max_cost_usd=0.5))
    results = await asyncio.gather(*(alone.arun("why?") for _ in range(50)))
    assert sum(r.usage.cost_usd or 0.0 for r in results) == pytest.approx(3.0)


async def test_models_that_cost_more_than_was_reserved_end_the_spending(place: Path | None) -> None:
    shared = budget(place, max_cost_usd=0.02, max_requests=40)
    specs = [llm(f"m{i}", Price(input=1.0, output=10.0)) for i in range(4)]
    client = FakeClient(lambda request: ChatReply(text="x", usage=cost(0.0012)))
    group = team([s.id for s in specs], specs=specs, client=client, budget=shared)
    await asyncio.gather(*(group.arun("why?") for _ in range(20)), return_exceptions=True)
    reserve = estimate(client.requests[0], client.requests[0].price).cost_usd
    assert reserve is not None and reserve < 0.0012 and shared.spent.cost_usd is not None
    # Each was let in while there was room for its reserve; what a call costs beyond that is all that is over.
    assert shared.spent.cost_usd <= 0.02 + len(client.requests) * (0.0012 - reserve) + DUST
    assert len(client.requests) == shared.spent.requests <= 20


@pytest.mark.fault("F48", "the same, in four processes", "spent plus reserved within the cap")
def test_four_processes_never_spend_more_than_their_budget(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.db")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    command = [sys.executable, str(HERE / "spender.py"), path, "0.6", "3"]
    processes = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    paid = [int(out.split()[0]) for out, _ in told]
    assert sum(paid) == 60, "all that the cap has room for, and no more"
    left = Budget("all", max_cost_usd=0.6, store=path)
    assert left.spent.cost_usd == pytest.approx(0.6) and left.unknown == 0
    assert asyncio.run(left.left_usd()) == pytest.approx(0.0)


HOLDER = """
import asyncio, sys
from agentroute.running.spending.shared import Budget
from agentroute.types import Usage
budget = Budget("b", max_cost_usd=1.0, store=sys.argv[1])
async def main():
    for _ in range(3):
        await budget.hold(Usage(requests=1, cost_usd=0.2), "a call", 1.0)
    print("held", flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


@pytest.mark.fault(
    "F47", "what was reserved when a process was killed counts as spent, and as unknown", "the ledger"
)
async def test_what_a_dead_process_had_reserved_is_charged(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdin is not None
    assert other.stdout.readline() == "held\n"
    mine = budget(path, max_cost_usd=1.0)
    assert (mine.spent.cost_usd, mine.unknown) == (0.0, 0), "its calls are under way"
    with pytest.raises(ClientError, match=r"shared budget b of \$1 reached.*\$0\.400000 is left"):
        await mine.hold(cost(0.5), "a call", 1.0)
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert (mine.spent.cost_usd, mine.unknown) == (pytest.approx(0.6), 3)
    assert await mine.left_usd() == pytest.approx(0.4)


async def test_a_call_that_is_cancelled_while_it_is_reserved_holds_nothing(tmp_path: Path) -> None:
    mine = budget(tmp_path / "runs.db", max_cost_usd=1.0)
    for _ in range(20):
        task = asyncio.create_task(mine.hold(cost(0.1), "a call", 1.0))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.1)
    assert await mine.left_usd() == 1.0


# ---------------------------------------------------------------------------- what is capped


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.floats(0, 5), st.booleans()), max_size=25),
    st.floats(0, 5),
    st.integers(0, 30),
    st.floats(0, 20),
)
def test_no_cap_is_passed_whatever_is_held_and_settled(
    calls: list[tuple[float, int, float, bool]], usd: float, tokens: int, seconds: float
) -> None:
    async def run() -> None:
        shared = Budget(max_cost_usd=usd, max_tokens=tokens, max_seconds=seconds, max_requests=20)
        ledger = Ledger(shared=shared)
        taken, open_ = Amount(), []
        for price, size, took, late in calls:
            asked = Amount(usd=price, requests=1, tokens=size, seconds=took)
            why = refusal(shared.caps, taken, asked, "it")
            try:
                held = await ledger.hold(cost(price, size), "it", took)
            except ClientError:
                assert why is not None
                continue
            assert why is None
            taken += asked
            open_.append((held, asked))
            if not late:
                held, asked = open_.pop()
                ledger.settle(held, cost(asked.usd / 2, asked.tokens), asked.seconds / 2)
                taken -= Amount(usd=asked.usd / 2, seconds=asked.seconds / 2)
        assert taken.usd <= usd + 1e-6 and taken.tokens <= tokens and taken.seconds <= seconds + 1e-6

    asyncio.run(run())


async def test_each_cap_says_what_was_reached(place: Path | None) -> None:
    for caps, more, text in (
        ({"max_requests": 1}, cost(0.0), "of 1 requests reached: it may take 1, 0 left"),
        ({"max_tokens": 10}, cost(0.0, 6), "of 10 tokens reached: it may take 6, 4 left"),
        ({"max_seconds": 4.0}, cost(0.0), r"of 4\.0 seconds reached: it may take 3\.0, 1\.0 left"),
        (
            {"max_cost_usd": 0.5},
            cost(0.3),
            r"of \$0\.5 reached: it may cost \$0\.300000, \$0\.200000 is left",
        ),
    ):
        name = next(iter(caps))
        shared = Budget(name, store=place, **caps)  # type: ignore[arg-type]
        await shared.hold(more, "it", 3.0)
        with pytest.raises(ClientError, match=f"shared budget.*{text}"):
            await shared.hold(more, "it", 3.0)


async def test_the_router_sees_what_all_have_left(place: Path | None) -> None:
    shared = budget(place, max_cost_usd=1.0)
    await shared.hold(cost(0.7), "another run's call", 1.0)
    seen = []

    class Asking:
        version = "asking"

        def route(self, *given: Any, budget_left_usd: float | None = None, **named: Any) -> Any:
            from agentroute.testing import StaticRouter

            seen.append(budget_left_usd)
            return StaticRouter(["good"]).route(*given, budget_left_usd=budget_left_usd, **named)

    specs = [function("good", 0.1)]
    await team(specs=specs, router=Asking(), budget=shared, limits=Limits(max_cost_usd=5.0)).arun("why?")
    assert seen == [pytest.approx(0.3), pytest.approx(0.2)]


def test_a_budget_is_shared_by_copies_and_through_its_store_by_processes(tmp_path: Path) -> None:
    here = Budget(max_cost_usd=1.0)
    assert copy.deepcopy(here) is here and copy.copy(here) is here
    with pytest.raises(TypeError, match="give it store=PATH"):
        pickle.dumps(here)
    stored = budget(tmp_path / "runs.db", max_cost_usd=1.0, max_requests=3)
    asyncio.run(stored.hold(cost(0.25), "it", 1.0))
    twin = pickle.loads(pickle.dumps(stored))
    assert (twin.name, twin.caps) == ("b", Caps(usd=1.0, requests=3))
    assert asyncio.run(twin.left_usd()) == 0.75
    Store.at(tmp_path / "runs.db").close()


def test_what_is_no_cap_is_refused() -> None:
    for caps in (
        {"max_cost_usd": -1},
        {"max_requests": float("nan")},
        {"max_seconds": "1"},
        {"max_tokens": True},
    ):
        with pytest.raises(InputError, match=next(iter(caps))):
            Budget(**caps)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has to have a name"):
        Budget(max_cost_usd=1, store="x.db")


# ---------------------------------------------------------------------------- unknown prices


def request(**keys: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=({"role": "user", "content": "?"},), max_tokens=10, **keys)


@pytest.mark.fault(
    "F49", "`the price of a call of m is unknown and there is a cap`, or as `unpriced` says", "the ledger"
)
@pytest.mark.control("F49", "without a cap the call is made, and what it cost is unknown")
async def test_a_call_without_a_price_is_treated_as_the_limits_say(place: Path | None) -> None:
    reply = ChatReply(text="x", usage=Usage(requests=1, input_tokens=5, output_tokens=5, cost_usd=None))
    shared = budget(place, max_cost_usd=1.0)

    async def ask(**limits: Any) -> ClientError | None:
        client = MeteredClient(FakeClient([reply]), Ledger.of(Limits(**limits), shared))
        try:
            await client.chat(request())
        except ClientError as error:
            return error
        return None

    refused = await ask()
    assert refused is not None and "price of a call of m is unknown" in refused.message
    assert shared.spent.requests == 0
    assert await ask(unpriced="allow") is None
    assert shared.spent.cost_usd in (0.0, None)
    assert await ask(unpriced="treat_as", unpriced_cost_usd=0.6) is None
    third = await ask(unpriced="treat_as", unpriced_cost_usd=0.6)
    assert third is not None and "$0.400000 is left" in third.message
    # The control: without a cap nobody minds.
    assert await MeteredClient(FakeClient([reply]), Limits()).chat(request()) is reply


def test_limits_that_do_not_fit_together_are_refused() -> None:
    for keys in ({"unpriced": "treat_as"}, {"unpriced_cost_usd": 0.1}, {"unpriced": "free"}):
        with pytest.raises(InputError, match="unpriced"):
            Limits(**keys)  # type: ignore[arg-type]


@pytest.mark.fault("F16", "`usage not believed`, and the call is charged its reserve", "the ledger")
async def test_usage_that_is_unknown_is_charged_for_each_request_that_was_made() -> None:
    ledger = Ledger(max_cost_usd=1.0)
    held = ledger.reserve(cost(0.1))
    ledger.settle(held, Usage(requests=3, input_tokens=None, output_tokens=None, cost_usd=None))
    assert ledger.spent.cost_usd == pytest.approx(0.3)
