"""Whatever is asked at once, and however calls end: spent plus reserved stays within the caps."""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.running.calling.client import ClientError
from agentroute.running.spending.budget import ASSUMED_OUTPUT_TOKENS, Ledger, MeteredClient, estimate
from agentroute.types import EFFORTS, ChatReply, ChatRequest, Limits, Price, Usage

PRICE = Price(input=1.0, output=10.0)
DUST = 1e-9


def request(text: str = "2+2?", **more: object) -> ChatRequest:
    usual = {
        "model": "m",
        "messages": ({"role": "user", "content": text},),
        "price": PRICE,
        "max_tokens": 100,
    }
    return ChatRequest(**{**usual, **more})  # type: ignore[arg-type]


@dataclass
class Scripted:
    """A chat client whose calls end as they are told to; it sees what the ledger says meanwhile."""

    endings: list[Usage | Exception]
    calls: int = 0
    busy: int = 0
    most_busy: int = 0
    hang: bool = False
    seen: list[float] = field(default_factory=list)

    async def chat(self, request: ChatRequest) -> ChatReply:
        ending = self.endings[self.calls % len(self.endings)]
        self.calls += 1
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await (asyncio.Event().wait() if self.hang else asyncio.sleep(0))
        finally:
            self.busy -= 1
        if isinstance(ending, Exception):
            raise ending
        return ChatReply(text="4", usage=ending)


def cost(usd: float | None, tokens: int = 10) -> Usage:
    return Usage(requests=1, input_tokens=tokens, output_tokens=tokens, cost_usd=usd)


# ------------------------------------------------------------------------------ the ledger

amounts = st.floats(min_value=0.0, max_value=1.0)


@given(
    cap=st.floats(min_value=0.0, max_value=5.0),
    calls=st.lists(st.tuples(amounts, st.floats(min_value=0.0, max_value=1.0), st.booleans()), max_size=40),
)
def test_spent_plus_reserved_never_passes_the_cap(cap: float, calls: list[tuple[float, float, bool]]) -> None:
    ledger = Ledger(max_cost_usd=cap)
    charged: list[float] = []
    open_ = []
    for reserve, share, late in calls:
        try:
            held = ledger.reserve(cost(reserve))
        except ClientError as error:
            assert error.kind == "budget"
            taken = math.fsum(charged) + math.fsum(amount for _, amount, _ in open_)
            assert taken + reserve > cap, "refused although there was room"
            continue
        open_.append((held, reserve, reserve * share))
        assert math.fsum(charged) + math.fsum(amount for _, amount, _ in open_) <= cap + 2 * DUST
        if not late:
            held, _, real = open_.pop()
            ledger.settle(held, cost(real))
            charged.append(real)
    for held, _, real in open_:
        ledger.settle(held, cost(real))
        charged.append(real)
    assert ledger.spent.cost_usd == pytest.approx(math.fsum(charged))
    assert ledger.spent.requests == len(charged)
    assert ledger.left_usd == pytest.approx(max(0.0, cap - math.fsum(charged)), abs=1e-6)


@given(st.integers(0, 60), st.integers(0, 300), st.lists(st.integers(0, 40), max_size=30))
def test_requests_and_tokens_are_capped_exactly(requests: int, tokens: int, sizes: list[int]) -> None:
    ledger = Ledger(max_requests=requests, max_tokens=tokens)
    for size in sizes:
        before = ledger.spent
        fits = (
            before.requests + 1 <= requests
            and before.input_tokens + before.output_tokens + 2 * size <= tokens
        )  # type: ignore[operator]
        try:
            ledger.settle(ledger.reserve(cost(None, size)), cost(None, size))
        except ClientError:
            assert not fits
        else:
            assert fits


def test_threads_share_one_ledger() -> None:
    ledger = Ledger(max_cost_usd=1.0)

    def spend(_: int) -> bool:
        try:
            held = ledger.reserve(cost(0.01))
        except ClientError:
            return False
        ledger.settle(held, cost(0.01))
        return True

    with ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(spend, range(400)))
    assert passed == 100
    assert ledger.spent.cost_usd == pytest.approx(1.0)


def test_unknown_usage_is_charged_at_the_reserve() -> None:
    ledger = Ledger(max_cost_usd=1.0)
    unknown = Usage(requests=1, input_tokens=None, output_tokens=None, reasoning_tokens=None, cost_usd=None)
    ledger.settle(ledger.reserve(cost(0.4)), unknown)
    assert ledger.spent.cost_usd == pytest.approx(0.4)
    assert (ledger.spent.input_tokens, ledger.spent.reasoning_tokens) == (10, None)


def test_nobody_is_paid_for_a_call() -> None:
    ledger = Ledger(max_cost_usd=1.0)
    ledger.settle(ledger.reserve(cost(0.4)), cost(-5.0))
    assert ledger.spent.cost_usd == 0.0


def test_an_unknown_price_is_refused_under_a_cap_in_dollars_only() -> None:
    with pytest.raises(ClientError, match=r"price of m is unknown.*cap of \$1.*registry") as caught:
        Ledger(max_cost_usd=1.0).reserve(cost(None), "m")
    assert (caught.value.kind, caught.value.attempts) == ("budget", 0)
    for ledger in (Ledger(max_requests=5), Ledger(max_cost_usd=1.0, unpriced="allow")):
        ledger.settle(ledger.reserve(cost(None)), cost(None))
        assert ledger.spent.cost_usd is None, "unknown stays visible"


def test_a_reservation_is_settled_once() -> None:
    ledger = Ledger()
    held = ledger.reserve(cost(0.1))
    ledger.settle(held, cost(0.1))
    with pytest.raises(ValueError, match="once"):
        ledger.settle(held, cost(0.1))
    assert ledger.left_usd is None


# ------------------------------------------------------------------------- the metered client


@settings(max_examples=40, deadline=None)
@given(
    cap=st.floats(min_value=0.0, max_value=0.06),
    endings=st.lists(
        st.one_of(
            st.floats(min_value=0.0, max_value=0.001).map(cost),
            st.just(cost(None)),
            st.just(ClientError("server", "500", usage=Usage(requests=3))),
            st.just(RuntimeError("a bug")),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_fifty_tasks_at_once_stay_within_the_cap(cap: float, endings: list[Usage | Exception]) -> None:
    async def run() -> None:
        client = Scripted(endings)
        metered = MeteredClient(client, Limits(max_cost_usd=cap))
        results = await asyncio.gather(*(metered.chat(request()) for _ in range(50)), return_exceptions=True)
        one = estimate(request(), PRICE).cost_usd
        assert one is not None
        spent = metered.ledger.spent.cost_usd
        assert spent is not None
        assert spent <= cap + DUST
        assert client.most_busy * one <= cap + DUST
        refused = [r for r in results if isinstance(r, ClientError) and r.kind == "budget"]
        assert client.calls + len(refused) == 50
        replies = [r.usage for r in results if isinstance(r, ChatReply)]
        if len(replies) == client.calls:
            assert metered.usage == sum(replies, Usage())
        assert metered.left_usd == pytest.approx(max(0.0, cap - spent), abs=1e-8)

    asyncio.run(run())


async def test_without_a_ledger_fifty_tasks_do_pass_the_cap() -> None:
    client = Scripted([cost(0.001)])
    replies = await asyncio.gather(*(client.chat(request()) for _ in range(50)))
    assert sum(reply.usage.cost_usd or 0 for reply in replies) > 0.01
    metered = MeteredClient(Scripted([cost(0.001)]), Limits(max_cost_usd=0.01))
    await asyncio.gather(*(metered.chat(request()) for _ in range(50)), return_exceptions=True)
    assert 0 < (metered.usage.cost_usd or 0) <= 0.01


async def test_a_cancelled_call_is_charged_its_reserve() -> None:
    metered = MeteredClient(Scripted([cost(0.0)], hang=True), Limits(max_cost_usd=1.0))
    task = asyncio.create_task(metered.chat(request()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert metered.ledger.spent.cost_usd == estimate(request(), PRICE).cost_usd
    assert (metered.usage.requests, metered.usage.cost_usd) == (1, None)


async def test_a_refused_call_never_leaves() -> None:
    client = Scripted([cost(0.1)])
    metered = MeteredClient(client, Limits(max_requests=1))
    await metered.chat(request())
    with pytest.raises(ClientError, match=r"budget of 1 requests reached.*m may take 1, 0 left"):
        await metered.chat(request())
    assert client.calls == 1


async def test_a_failure_that_cost_nothing_gives_its_reserve_back() -> None:
    metered = MeteredClient(
        Scripted([ClientError("refused", "400", usage=Usage(requests=1))]), Limits(max_cost_usd=1)
    )
    with pytest.raises(ClientError, match="400"):
        await metered.chat(request())
    assert metered.left_usd == 1.0
    assert metered.usage == Usage(requests=1)


async def test_the_price_comes_from_the_request_then_from_the_client() -> None:
    class Priced(Scripted):
        async def price_of(self, model: str) -> Price | None:
            return {"known": Price(input=1.0, output=1.0)}.get(model)

    metered = MeteredClient(Priced([cost(0.0)]), Limits(max_cost_usd=1.0))
    await metered.chat(request(model="known", price=None))
    with pytest.raises(ClientError, match="price of a call of unheard-of is unknown"):
        await metered.chat(request(model="unheard-of", price=None))
    await metered.chat(request(model="unheard-of"))


async def test_two_clients_on_one_ledger_share_its_cap() -> None:
    ledger = Ledger(max_requests=3)
    one, two = (MeteredClient(Scripted([cost(0.1)]), ledger) for _ in range(2))
    await one.chat(request())
    await two.chat(request())
    await two.chat(request())
    with pytest.raises(ClientError, match="budget"):
        await one.chat(request())
    assert (one.usage.requests, two.usage.requests, ledger.spent.requests) == (1, 2, 3)


async def test_embeddings_are_charged_at_their_estimate() -> None:
    class Embeds(Scripted):
        async def price_of(self, model: str) -> Price | None:
            return Price(input=2.0)

        async def embed(self, model: str, texts: list[str], **options: object) -> list[list[float]]:
            return [[float(len(text))] for text in texts]

    metered = MeteredClient(Embeds([]), Limits(max_cost_usd=0.001))
    assert await metered.embed("e", ["a" * 400, "b"]) == [[400.0], [1.0]]
    assert metered.ledger.spent.cost_usd == pytest.approx(2.0 * 101 / 1e6)
    with pytest.raises(ClientError, match="budget"):
        await metered.embed("e", ["a" * 4_000])


# -------------------------------------------------------------------------------- estimates


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_longer_prompt_is_never_cheaper(text: str, more: str) -> None:
    short, long = estimate(request(text), PRICE), estimate(request(text + more), PRICE)
    assert short.input_tokens <= long.input_tokens  # type: ignore[operator]
    assert short.cost_usd <= long.cost_usd  # type: ignore[operator]


def test_a_higher_level_needs_more_room_unless_max_tokens_bound_it() -> None:
    plain = estimate(request(max_tokens=None), PRICE)
    rooms = [estimate(request(max_tokens=None, effort=level), PRICE) for level in EFFORTS]
    for less, more in pairwise([plain, *rooms[1:]]):
        assert less.output_tokens < more.output_tokens  # type: ignore[operator]
        assert less.cost_usd < more.cost_usd  # type: ignore[operator]
    assert rooms[0] == plain, "no thinking, no room for it"
    assert {estimate(request(effort=level), PRICE).output_tokens for level in EFFORTS} == {100}


def test_tools_and_the_assumed_answer_count() -> None:
    tool = {"type": "function", "function": {"name": "add", "description": "Adds." * 50}}
    plain, tooled = estimate(request(), PRICE), estimate(request(tools=(tool,)), PRICE)
    assert tooled.input_tokens > plain.input_tokens + 50  # type: ignore[operator]
    assert estimate(request(max_tokens=None), PRICE).output_tokens == ASSUMED_OUTPUT_TOKENS
    assert estimate(request(), None).cost_usd is None
    assert estimate(request(), Price(call=0.5)).cost_usd == 0.5
    assert estimate(request(), Price(input=1.0)).cost_usd is None, "half a price is no price"
