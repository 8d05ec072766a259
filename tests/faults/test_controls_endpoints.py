"""The faults of endpoints without the protection: through bare litellm, and a plain http client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from agentroute.running.calling import client as ours
from agentroute.testing import LoopbackServer

# litellm's own models say so of counts that are no numbers
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture(scope="module")
def litellm() -> Any:
    ours._import_door()  # the package itself, but quietly: alone it asks the network for prices
    import litellm

    return litellm


def ask(litellm: Any, server: LoopbackServer, model: str, content: str = "?", **more: Any) -> Any:
    return litellm.completion(
        model=f"openai/{model}",
        messages=[{"role": "user", "content": content}],
        api_base=server.url,
        api_key="none",
        **{"max_retries": 0, **more},
    )


@pytest.mark.control("F08", "litellm with `num_retries=2` sends a key that was refused three times")
@pytest.mark.parametrize("status", ["400", "401"])
def test_what_was_refused_is_sent_again(litellm: Any, server: LoopbackServer, status: str) -> None:
    before = len(server.requests)
    with pytest.raises((litellm.BadRequestError, litellm.AuthenticationError)):
        ask(litellm, server, status, num_retries=2)
    assert len(server.requests) - before == 3


@pytest.mark.control("F09", "litellm calls a web page with status 200 a fault of the server, status 500")
@pytest.mark.control("F13", "litellm calls bytes that are not UTF-8 a fault of the server, status 500")
@pytest.mark.control("F15", "litellm calls it a fault of the server, with a traceback as its message")
@pytest.mark.control("F17", "litellm calls it a fault of the server, status 500")
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("html", "Bad gateway"),
        ("badjson", "Unterminated string"),
        ("nonutf8", "can't decode byte 0xe9"),
        ("wrongtype", "Traceback"),
        ("parts", "Traceback"),
        ("reset", "Connection error"),
        ("truncated", "Connection error"),
    ],
)
def test_all_of_it_is_a_fault_of_the_server(
    litellm: Any, server: LoopbackServer, model: str, words: str
) -> None:
    with pytest.raises(litellm.InternalServerError, match=words) as caught:
        ask(litellm, server, model)
    assert caught.value.status_code == 500


@pytest.mark.control("F13", "a plain client puts U+FFFD in their place, and says nothing")
@pytest.mark.control("F12", "a plain client unpacks 3 MB from a few kB")
def test_a_plain_client_unpacks_and_guesses(server: LoopbackServer) -> None:
    bomb = httpx.post(f"{server.url}/chat/completions", json={"model": "gzipbomb:3"})
    assert int(bomb.headers["content-length"]) < 10_000 and len(bomb.content) == 3_000_000
    odd = httpx.post(f"{server.url}/chat/completions", json={"model": "nonutf8"})
    assert odd.status_code == 200 and "caf\ufffd" in odd.text


@pytest.mark.control("F22", "litellm raises, and no answer is made of those there are")
def test_a_prompt_that_is_too_long_is_an_error(litellm: Any, server: LoopbackServer) -> None:
    assert ask(litellm, server, "context:100").choices[0].message.content == "ok"
    with pytest.raises(litellm.ContextWindowExceededError):
        ask(litellm, server, "context:100", "x" * 200)


@pytest.mark.control("F50", "litellm raises, or leaves the level out and says nothing")
def test_effort_is_refused_or_left_out_in_silence(litellm: Any, server: LoopbackServer) -> None:
    with pytest.raises(litellm.BadRequestError):
        ask(litellm, server, "noeffort", reasoning_effort="low")
    reply = ask(litellm, server, "gpt-4o", reasoning_effort="low", drop_params=True)
    assert "reasoning_effort" not in server.requests[-1].json and "effort" not in repr(reply)


@pytest.mark.control("F53", "litellm sends it: nothing was asked, and it is paid for")
@pytest.mark.parametrize("content", ["", " \t\n"])
def test_an_empty_question_is_asked_and_paid_for(litellm: Any, server: LoopbackServer, content: str) -> None:
    reply = ask(litellm, server, "ok", content)
    assert server.requests[-1].json["messages"][0]["content"] == content
    assert reply.choices[0].message.content == "ok" and reply.usage.total_tokens > 0
