"""The client against the wall, through the real litellm: no fault hangs, leaks, lies or costs too much."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.running.calling.client import ClientError, LiteLLMClient
from agentroute.running.calling.faults import MESSAGE_CHARS, one_line
from agentroute.running.calling.reply import believable_cost, cost_of
from agentroute.running.cleaning import clean
from agentroute.testing import LoopbackServer
from agentroute.types import ChatReply, ChatRequest, Price, Usage

# pydantic says this whenever litellm builds the schema of one more provider's messages
pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*' on TypedDict class:UserWarning")

KEY = "sk-canary-0123456789"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(replies={"2+2?": "4"}) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[LiteLLMClient]:
    async with LiteLLMClient(backoff_s=0.01) as opened:
        await opened.open()
        yield opened


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_API_KEY", KEY)


def request(server: LoopbackServer, model: str, **more: Any) -> ChatRequest:
    usual = {
        "messages": ({"role": "user", "content": "2+2?"},),
        "api_base": server.url,
        "api_key_env": "CANARY_API_KEY",
        "timeout_s": 10.0,
    }
    return ChatRequest(model=model if "/" in model else f"openai/{model}", **{**usual, **more})


async def fails(client: LiteLLMClient, asked: ChatRequest) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await client.chat(asked)
    return caught.value


# -------------------------------------------------------------------------------- good answers


async def test_an_answer_comes_back_with_its_usage(client: LiteLLMClient, server: LoopbackServer) -> None:
    reply = await client.chat(request(server, "ok", price=Price(input=1.0, output=2.0, call=0.5)))
    assert (reply.text, reply.finish_reason, reply.attempts, reply.notes) == ("4", "stop", 1, ())
    told, said = reply.usage.input_tokens, reply.usage.output_tokens
    assert told and said
    assert reply.usage.cost_usd == pytest.approx(0.5 + (told + 2 * said) / 1e6)
    [seen] = server.requests
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("provider", ["openai", "mistral"])
async def test_keys_do_not_mix_at_one_address_and_a_new_one_counts_at_once(
    client: LiteLLMClient, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    sent = []
    for number in range(3):
        for name in ("FIRST_API_KEY", "SECOND_API_KEY"):
            sent.append(f"canary-{name}-{number}")
            monkeypatch.setenv(name, sent[-1])
            await client.chat(request(server, f"{provider}/ok", api_key_env=name))
    assert [seen.headers["authorization"] for seen in server.requests] == [f"Bearer {key}" for key in sent]


async def test_a_tool_goes_there_and_back(client: LiteLLMClient, server: LoopbackServer) -> None:
    tool = {
        "type": "function",
        "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
    }
    asked = request(server, 'tool:add:{"a": 1}', tools=(tool,))
    reply = await client.chat(asked)
    [call] = reply.tool_calls
    assert (call.name, call.arguments, reply.text) == ("add", '{"a": 1}', "")
    turn = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call.id, "type": "function", "function": {"name": "add", "arguments": "{}"}}],
    }
    result = {"role": "tool", "tool_call_id": call.id, "content": "three"}
    told = await client.chat(
        request(server, asked.model, tools=(tool,), messages=(*asked.messages, turn, result))
    )
    assert told.text == "three"
    assert server.requests[0].json["tools"] == [tool]


async def test_settings_are_sent_only_when_given(client: LiteLLMClient, server: LoopbackServer) -> None:
    await client.chat(request(server, "ok"))
    await client.chat(request(server, "ok", temperature=0.25, max_tokens=7))
    plain, full = (seen.json for seen in server.requests)
    assert not plain.keys() & {"temperature", "max_tokens", "tools", "reasoning_effort"}
    assert (full["temperature"], full["max_tokens"]) == (0.25, 7)


async def test_calls_at_once_keep_their_own_fates(client: LiteLLMClient, server: LoopbackServer) -> None:
    names = [f"say:{i}" if i % 3 else ("400", "html", "huge")[i // 3 % 3] for i in range(30)]
    results = await asyncio.gather(*(client.chat(request(server, n)) for n in names), return_exceptions=True)
    kinds = {"400": "refused", "html": "unreadable", "huge": "too_large"}
    for name, result in zip(names, results, strict=True):
        if isinstance(result, ChatReply):
            assert f"say:{result.text}" == name
            assert result.usage.requests == 1
        else:
            assert isinstance(result, ClientError)
            assert result.kind == kinds[name]


# -------------------------------------------------------------------------------- bad answers

FAULTS = [
    ("400", "refused", 1, "^400: the wall says 400$"),
    ("401", "refused", 1, "401: the key in CANARY_API_KEY was refused"),
    ("403", "refused", 1, "403: the key in CANARY_API_KEY was refused"),
    ("404", "refused", 1, "404"),
    ("413", "refused", 1, "413"),
    ("422", "refused", 1, "422"),
    ("408", "server", 3, "408"),
    ("500", "server", 3, "^500: the wall says 500$"),
    ("503", "server", 3, "503"),
    ("429", "rate_limited", 3, "429: rate limited"),
    ("reset", "server", 3, "connection broke off"),
    ("truncated", "server", 3, "connection broke off"),
    ("html", "unreadable", 2, "not JSON .got 41 bytes of text/html"),
    ("badjson", "unreadable", 2, "not JSON"),
    ("nobody", "unreadable", 2, "got 0 bytes"),
    ("nonutf8", "unreadable", 2, "not UTF-8"),
    ("err200", "unreadable", 2, "an error in it: out of capacity"),
    ("wrongtype", "unreadable", 2, "not the shape of a chat answer"),
    ("nochoices", "empty", 1, "no choices"),
    ("null", "empty", 1, "empty answer .stop"),
    ("empty", "empty", 1, "empty answer .stop"),
    ("blank", "empty", 1, "empty answer .stop"),
    ("filtered", "empty", 1, "empty answer .content_filter"),
    ("nolength", "cut", 1, "raise max_tokens"),
    ("huge", "too_large", 1, "larger than 2,000,000 bytes"),
    ("gzipbomb", "too_large", 1, "larger than 2,000,000 bytes"),
    ("redirect", "refused", 1, "307: a redirect"),
]


@pytest.mark.fault("F07", "`500`, after 3 attempts", "what each attempt cost")
@pytest.mark.fault("F08", "one attempt; `the key in NAME was refused`", "the key, unseen")
@pytest.mark.fault(
    "F09",
    "`unreadable answer: not JSON (got text/html)`, after one more try",
    "nothing that could be believed",
)
@pytest.mark.fault("F10", "`empty answer (content_filter)`", "what it cost")
@pytest.mark.fault("F12", "`answer larger than 2,000,000 bytes; not read any further`", "memory")
@pytest.mark.fault("F13", "`unreadable answer: not UTF-8`", "the other answers")
@pytest.mark.fault("F15", "`unreadable answer: not the shape of a chat answer`", "the other answers")
@pytest.mark.fault("F17", "`connection broke off`, after 3 attempts", "the other answers")
@pytest.mark.fault("T08", "`a redirect, which is not followed`", "headers and keys")
@pytest.mark.parametrize(("model", "kind", "requests", "message"), FAULTS, ids=[row[0] for row in FAULTS])
async def test_a_fault_has_a_kind_a_line_and_a_count(
    client: LiteLLMClient, server: LoopbackServer, model: str, kind: str, requests: int, message: str
) -> None:
    error = await fails(client, request(server, model, price=Price(input=1.0, output=1.0)))
    assert error.kind == kind
    assert len(server.requests) == error.attempts == error.usage.requests == requests
    assert re.search(message, str(error)), str(error)
    assert len(str(error)) <= MESSAGE_CHARS
    assert str(error).isprintable()
    if kind in ("refused", "rate_limited"):
        assert error.usage.cost_usd == 0.0, "a refusal is not billed"
    elif kind in ("unreadable", "too_large"):
        assert error.usage.cost_usd is None, "unknown is not free"
    elif kind in ("empty", "cut"):
        assert error.usage.cost_usd, "an empty answer is billed all the same"


async def test_nothing_listens(client: LiteLLMClient) -> None:
    with LoopbackServer() as gone:
        asked = request(gone, "ok")
    error = await fails(client, asked)
    assert (error.kind, error.usage.cost_usd, error.attempts) == ("server", 0.0, 3)
    assert "could not connect to 127.0.0.1" in str(error)


async def test_an_unknown_provider_is_refused_before_any_request(client: LiteLLMClient) -> None:
    error = await fails(client, ChatRequest(model="nobody/knows", messages=(), api_base="http://127.0.0.1:9"))
    assert (error.kind, error.usage) == ("refused", Usage())
    assert "nobody/knows" in str(error)


@pytest.mark.fault("F14", "the answer, with the note `cleaned`", "the words")
@pytest.mark.parametrize(
    ("model", "text", "note"),
    [("length", "Half an ans", "cut at max_tokens"), ("control", "now red over end", "cleaned")],
)
async def test_a_usable_answer_says_what_is_odd_about_it(
    client: LiteLLMClient, server: LoopbackServer, model: str, text: str, note: str
) -> None:
    reply = await client.chat(request(server, model))
    assert (reply.text, reply.notes) == (text, (note,))


# ------------------------------------------------------------------------- retries and deadlines


@pytest.mark.fault("F06", "an answer, with two attempts", "the cost of both")
async def test_a_passing_fault_is_retried_and_both_requests_counted(
    client: LiteLLMClient, server: LoopbackServer
) -> None:
    reply = await client.chat(request(server, "flaky", price=Price(input=1.0, output=1.0)))
    assert (reply.text, reply.attempts, reply.usage.requests) == ("4", 2, 2)
    assert reply.usage.cost_usd


@pytest.mark.control("F06", "one request, and the fault is final")
async def test_without_retries_the_passing_fault_is_final(server: LoopbackServer) -> None:
    async with LiteLLMClient(max_retries=0) as client:
        error = await fails(client, request(server, "flaky"))
    assert (error.kind, len(server.requests)) == ("server", 1)


@pytest.mark.fault("F05", "an answer, after the wait that was asked for", "what each attempt cost")
async def test_retry_after_is_waited_for_when_it_fits(client: LiteLLMClient, server: LoopbackServer) -> None:
    begun = time.monotonic()
    error = await fails(client, request(server, "429-after:0.3"))
    assert (error.attempts, error.retry_after_s) == (3, 0.3)
    assert time.monotonic() - begun >= 0.6


@pytest.mark.fault("F05", "`429: rate limited, retry in 3600 s`, at once", "the time that is left")
async def test_retry_after_is_not_waited_for_when_it_does_not_fit(
    client: LiteLLMClient, server: LoopbackServer
) -> None:
    begun = time.monotonic()
    error = await fails(client, request(server, "429-after:3600"))
    assert (error.kind, error.attempts, error.retry_after_s) == ("rate_limited", 1, 3600.0)
    assert "retry in 3600 s" in str(error)
    assert time.monotonic() - begun < 5


@pytest.mark.fault("F02", "`timed out after 30 s`", "the other answers")
@pytest.mark.fault("F03", "`timed out after 30 s`", "the other answers")
@pytest.mark.parametrize("model", ["hang", "drip"])
async def test_silence_and_dripping_end_at_the_deadline(
    client: LiteLLMClient, server: LoopbackServer, model: str
) -> None:
    begun = time.monotonic()
    error = await fails(client, request(server, model, timeout_s=0.5))
    assert 0.5 <= time.monotonic() - begun < 1.5
    assert (error.kind, error.attempts) == ("timeout", 1)
    assert error.usage.cost_usd is None
    assert "0.5 s" in str(error)


@pytest.mark.control("F03", "litellm's own timeout of 0.3 s does not end it: it is per read")
async def test_litellms_own_timeout_does_not_stop_a_drip(
    server: LoopbackServer, client: LiteLLMClient
) -> None:
    import litellm

    call = litellm.acompletion(
        model="openai/drip",
        messages=[{"role": "user", "content": "?"}],
        api_base=server.url,
        api_key=KEY,
        timeout=0.3,
        max_retries=0,
        client=client._litellm._client("openai/drip", KEY, server.url),
    )
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(call, 1.0)


async def test_retries_end_with_the_deadline(server: LoopbackServer) -> None:
    async with LiteLLMClient(max_retries=50, backoff_s=0.2) as client:
        await client.open()
        begun = time.monotonic()
        error = await fails(client, request(server, "500", timeout_s=1.0))
        assert time.monotonic() - begun < 2.0
    assert error.kind == "server"
    assert 2 <= error.attempts == len(server.requests) < 10


async def test_cancelling_stops_at_once(client: LiteLLMClient, server: LoopbackServer) -> None:
    task = asyncio.create_task(client.chat(request(server, "hang")))
    while not server.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 2.0)
    await asyncio.sleep(0.1)
    assert len(server.requests) == 1


# ------------------------------------------------------------------------------------ the wire

FAMILIES = [
    "openai",
    "custom_openai",
    "anthropic",
    "gemini",
    "mistral",
    "groq",
    "deepseek",
    "xai",
    "openrouter",
    "together_ai",
    "perplexity",
    "deepinfra",
    "ollama",
    "ollama_chat",
    "hosted_vllm",
    "lm_studio",
    "huggingface",
    "databricks",
    "azure",
]


@pytest.mark.fault("F11", "`answer larger than 2,000,000 bytes; not read any further`", "memory")
@pytest.mark.fault("T11", "`answer larger than 2,000,000 bytes`", "memory")
@pytest.mark.parametrize("provider", FAMILIES)
async def test_the_cap_holds_for_every_family_of_providers(
    client: LiteLLMClient, server: LoopbackServer, provider: str
) -> None:
    error = await fails(client, request(server, f"{provider}/huge"))
    assert (error.kind, error.attempts, len(server.requests)) == ("too_large", 1, 1)


@pytest.mark.control("F11", "with the cap lifted, 12 MB are read and passed on")
@pytest.mark.control("T11", "with the cap lifted, 12 MB are read and passed on")
async def test_without_the_cap_the_whole_answer_comes(server: LoopbackServer) -> None:
    async with LiteLLMClient(max_answer_bytes=100_000_000) as client:
        reply = await client.chat(request(server, "huge"))
    assert len(reply.text) > 10_000_000


async def test_the_cap_is_exact(server: LoopbackServer) -> None:
    asked = request(server, "say:" + "x" * 500)
    body = {"model": asked.model.removeprefix("openai/"), "messages": list(asked.messages)}
    size = len(httpx.post(f"{server.url}/chat/completions", json=body).content)
    async with LiteLLMClient(max_answer_bytes=size) as enough:
        assert len((await enough.chat(asked)).text) == 500
    async with LiteLLMClient(max_answer_bytes=size - 1) as short:
        assert (await fails(short, asked)).kind == "too_large"


async def test_honest_compression_is_read(client: LiteLLMClient, server: LoopbackServer) -> None:
    assert (await client.chat(request(server, "zipped"))).text == "small"


@pytest.mark.control("T08", "a plain client goes wherever it is sent")
async def test_redirects_are_not_followed(client: LiteLLMClient, server: LoopbackServer) -> None:
    for provider in ("openai", "anthropic", "groq"):
        assert (await fails(client, request(server, f"{provider}/redirect"))).kind == "refused"
    assert not [seen for seen in server.requests if "elsewhere" in seen.path]
    httpx.post(f"{server.url}/chat/completions", json={"model": "redirect"}, follow_redirects=True)
    assert server.requests[-1].path == "/v1/elsewhere", "another client does go there"


# -------------------------------------------------------------------------------------- effort


async def test_effort_is_sent_and_what_was_sent_is_told(
    client: LiteLLMClient, server: LoopbackServer
) -> None:
    reply = await client.chat(request(server, "ok", effort="high"))
    assert server.requests[-1].json["reasoning_effort"] == reply.applied_effort == "high"
    assert reply.usage.reasoning_tokens
    assert (await client.chat(request(server, "ok"))).applied_effort is None


@pytest.mark.fault(
    "F50",
    "an answer, with the note `effort is not available; sent without it`",
    "the level that was really sent",
)
@pytest.mark.parametrize("model", ["openai/noeffort", "openai/gpt-4o"], ids=["by the endpoint", "by litellm"])
async def test_refused_effort_is_left_out_and_remembered(
    client: LiteLLMClient, server: LoopbackServer, model: str
) -> None:
    for _ in range(2):
        reply = await client.chat(request(server, model, effort="low"))
        assert (reply.text, reply.applied_effort) == ("4", None)
        assert "effort 'low' is not available" in reply.notes[0]
    with_effort = [seen for seen in server.requests if "reasoning_effort" in seen.json]
    assert len(with_effort) == (model == "openai/noeffort")


async def test_tools_and_effort_stay_on_the_protocol_of_a_given_address(
    client: LiteLLMClient, server: LoopbackServer
) -> None:
    tool = {
        "type": "function",
        "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
    }
    reply = await client.chat(request(server, "gpt-5.4", effort="low", tools=(tool,)))
    [seen] = server.requests
    assert (reply.text, reply.applied_effort, seen.path) == ("4", "low", "/v1/chat/completions")


# ---------------------------------------------------------------------------------------- keys


async def test_a_missing_key_is_named_before_any_request(
    client: LiteLLMClient, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CANARY_API_KEY")
    error = await fails(client, request(server, "ok"))
    assert (error.kind, error.attempts, error.usage) == ("no_key", 0, Usage())
    assert "variable CANARY_API_KEY is not set" in str(error)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    error = await fails(client, ChatRequest(model="openai/gpt-5-mini", messages=()))
    assert error.kind == "no_key"
    assert "variable OPENAI_API_KEY is not set" in str(error)
    assert server.requests == []


async def test_a_key_from_the_environment_is_not_sent_to_another_address(
    client: LiteLLMClient, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GROQ_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    assert (await client.chat(request(server, "ok", api_key_env=None))).text == "4"
    for provider in ("anthropic", "groq", "gemini"):
        await fails(client, request(server, f"{provider}/400", api_key_env=None))
    assert len(server.requests) == 4
    assert not [seen for seen in server.requests if KEY in str(seen)]


async def test_an_echoed_key_is_not_shown(client: LiteLLMClient, server: LoopbackServer) -> None:
    error = await fails(client, request(server, "echokey401"))
    assert "bad key: Bearer [redacted]" in str(error)
    assert KEY not in repr(error) + repr(vars(error))
    assert error.__suppress_context__


@given(st.text(), st.text(), st.text(min_size=8).map(str.strip).filter(lambda text: len(text) >= 8))
def test_an_error_line_is_short_printable_and_without_the_key(before: str, after: str, key: str) -> None:
    line = one_line(before + key + after, key)
    assert key not in line
    assert len(line) <= MESSAGE_CHARS
    assert "\n" not in line


# ----------------------------------------------------------------------------- usage and prices


@pytest.mark.fault("F16", "an answer; what it cost is unknown, never 0", "the bill, as unknown")
async def test_a_missing_usage_is_unknown(client: LiteLLMClient, server: LoopbackServer) -> None:
    reply = await client.chat(request(server, "nousage", price=Price(input=1.0, output=1.0)))
    assert reply.text == "ok"
    spent = reply.usage
    assert (spent.input_tokens, spent.output_tokens, spent.cost_usd, reply.notes) == (None, None, None, ())


@pytest.mark.fault("F16", "an answer, with the note `usage not believed`", "the bill, as unknown")
@pytest.mark.parametrize("model", ["negusage", "hugeusage"])
async def test_an_absurd_usage_is_not_believed(
    client: LiteLLMClient, server: LoopbackServer, model: str
) -> None:
    reply = await client.chat(request(server, model, price=Price(input=1.0, output=1.0)))
    spent = reply.usage
    assert (spent.input_tokens, spent.output_tokens, spent.cost_usd) == (None, None, None)
    assert reply.notes == ("usage not believed",)


async def test_prices_come_from_the_request_then_from_the_map(
    client: LiteLLMClient, server: LoopbackServer
) -> None:
    known = await client.price_of("openai/gpt-4o-mini")
    assert known is not None
    assert known.input
    reply = await client.chat(request(server, "gpt-4o-mini"))
    told, said = reply.usage.input_tokens, reply.usage.output_tokens
    assert reply.usage.cost_usd == pytest.approx(cost_of(known, told, said))
    ours = await client.chat(request(server, "gpt-4o-mini", price=Price(call=3.0)))
    assert ours.usage.cost_usd == 3.0
    assert (await client.chat(request(server, "ok"))).usage.cost_usd is None
    for model in ("openai/ok", "hosted_vllm/gpt-4o-mini", "dashscope/qwen-flash", "nonsense"):
        assert await client.price_of(model) is None, "unknown, or zero for want of a figure, is not free"


rates = st.none() | st.floats(min_value=0, max_value=100)
counts = st.none() | st.integers(0, 10**7)


@given(rates, rates, rates, counts, counts)
def test_a_cost_is_whole_or_unknown(
    given_in: float | None, given_out: float | None, call: float | None, told: int | None, said: int | None
) -> None:
    cost = cost_of(Price(input=given_in, output=given_out, call=call), told, said)
    if given_in is None and given_out is None:
        assert cost == call
    elif None in (given_in, given_out, told, said):
        assert cost is None
    else:
        assert cost is not None
        assert cost >= (call or 0.0)


@given(st.none() | st.floats(), st.floats(min_value=0, max_value=1e6))
def test_an_endpoint_moves_its_cost_only_so_far(claimed: float | None, plain: float) -> None:
    cost = believable_cost(claimed, plain)
    assert cost is not None
    assert 0 <= cost <= 4 * plain


# ---------------------------------------------------------------------------------- embeddings


async def test_embeddings_come_in_order(client: LiteLLMClient, server: LoopbackServer) -> None:
    ask = {"api_base": server.url, "api_key_env": "CANARY_API_KEY"}
    vectors = await client.embed("openai/ok", ["a", "bcd", "ef"], **ask)
    assert [vector[0] for vector in vectors] == [1.0, 3.0, 2.0]
    assert server.requests[-1].path == "/v1/embeddings"
    for model, kind in (
        ("401", "refused"),
        ("huge", "too_large"),
        ("html", "unreadable"),
        ("nonutf8", "unreadable"),
    ):
        with pytest.raises(ClientError) as caught:
            await client.embed(f"openai/{model}", ["a"], **ask)
        assert caught.value.kind == kind


# --------------------------------------------------------------------------------------- text

words = st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs", "Cf")))


@given(words)
def test_ordinary_text_is_left_alone(text: str) -> None:
    for kept in (text, f"{text}\n\t{text}", "👩\u200d🔬 שלום नमस्ते ไทย"):
        assert clean(kept) == kept


@given(st.text(alphabet=st.characters()))
def test_cleaning_twice_is_cleaning_once_and_the_result_can_be_stored(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert "\x00" not in once
    assert "\x1b" not in once
    once.encode()


# ------------------------------------------------------------------------------------- loading


def test_one_client_serves_one_event_loop_after_another(server: LoopbackServer) -> None:
    client = LiteLLMClient()

    async def once() -> str:
        async with client:
            return (await client.chat(request(server, "ok"))).text

    assert [asyncio.run(once()) for _ in range(2)] == ["4", "4"]


def test_nothing_heavy_is_imported_before_the_first_call() -> None:
    code = (
        "import sys, agentroute.running.calling.client, agentroute.running.spending.budget;"
        "print({'litellm', 'openai', 'httpx', 'torch', 'langgraph'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
