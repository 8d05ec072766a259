"""The wall misbehaves as its table says, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import threading
import time

import httpx
import pytest

from agentroute.testing import LoopbackServer, wall


def ask(server: LoopbackServer, model: str, text: str = "2+2?", **more: object) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
    return httpx.post(
        f"{server.url}/chat/completions", json=body, headers={"authorization": "Bearer k"}, timeout=0.4
    )


def said(response: httpx.Response) -> object:
    return response.json()["choices"][0]["message"]["content"]


def test_well_behaved_models_answer() -> None:
    with LoopbackServer(replies={"2+2?": "4"}) as server:
        assert said(ask(server, "ok")) == "4"
        assert said(ask(server, "gpt-anything")) == "4"
        assert said(ask(server, "ok", "unheard of")) == "ok"
        assert said(ask(server, "echo", "héllo")) == "héllo"
        assert said(ask(server, "say:a:b")) == "a:b"
    with LoopbackServer(replies=str.upper) as server:
        assert said(ask(server, "ok", "loud")) == "LOUD"


def test_requests_are_recorded_as_they_came() -> None:
    with LoopbackServer() as server:
        ask(server, "ok", reasoning_effort="low")
        [request] = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer k"
    assert request.json["reasoning_effort"] == "low"


def test_a_tool_is_called_once_and_its_result_quoted() -> None:
    with LoopbackServer() as server:
        model = 'tool:add:{"a": 1}'
        first = ask(server, model).json()["choices"][0]
        call = first["message"]["tool_calls"][0]["function"]
        assert (first["finish_reason"], call) == ("tool_calls", {"name": "add", "arguments": '{"a": 1}'})
        turn = {"role": "tool", "tool_call_id": "call_1", "content": "three"}
        body = {"model": model, "messages": [{"role": "user", "content": "?"}, turn]}
        assert said(httpx.post(f"{server.url}/chat/completions", json=body)) == "three"


def test_more_effort_thinks_longer() -> None:
    with LoopbackServer() as server:
        usages = [
            ask(server, "ok", reasoning_effort=level).json()["usage"] for level in ("low", "medium", "high")
        ]
    thought = [usage["completion_tokens_details"]["reasoning_tokens"] for usage in usages]
    assert thought == sorted(set(thought))
    assert all(usage["completion_tokens"] > tokens for usage, tokens in zip(usages, thought, strict=True))


def test_flaky_fails_once_per_name() -> None:
    with LoopbackServer() as server:
        names = ["flaky", "flaky", "flaky:b", "flaky", "flaky:b"]
        assert [ask(server, name).status_code for name in names] == [500, 200, 500, 200, 200]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 422, 429, 500, 503])
def test_a_number_is_that_status(status: int) -> None:
    with LoopbackServer() as server:
        response = ask(server, str(status))
        assert response.status_code == status
        assert str(status) in response.json()["error"]["message"]
        assert ask(server, f"{status}-after:7").headers["retry-after"] == "7"


def test_faulty_bodies() -> None:
    with LoopbackServer() as server:
        assert ask(server, "html").headers["content-type"] == "text/html"
        with pytest.raises(json.JSONDecodeError):
            ask(server, "badjson").json()
        assert ask(server, "nobody").content == b""
        with pytest.raises(UnicodeDecodeError):
            ask(server, "nonutf8").content.decode()
        assert "Bearer k" in ask(server, "echokey401").text
        assert ask(server, "redirect").headers["location"] == "/v1/elsewhere"
        assert len(ask(server, "huge").content) > 10_000_000
        assert len(ask(server, "gzipbomb").content) > 10_000_000
        assert ask(server, "noeffort", reasoning_effort="low").status_code == 400
        assert ask(server, "noeffort").status_code == 200


def test_faulty_shapes() -> None:
    with LoopbackServer() as server:
        assert ask(server, "nochoices").json()["choices"] == []
        shapes = {"null": None, "wrongtype": 42, "empty": "", "filtered": None, "nolength": ""}
        assert {name: said(ask(server, name)) for name in shapes} == shapes
        assert "usage" not in ask(server, "nousage").json()
        assert ask(server, "negusage").json()["usage"]["prompt_tokens"] < 0
        assert ask(server, "hugeusage").json()["usage"]["prompt_tokens"] == 10**15
        assert ask(server, "err200").json()["error"]


@pytest.mark.parametrize("model", ["reset", "truncated"])
def test_broken_connections(model: str) -> None:
    with LoopbackServer() as server, pytest.raises(httpx.TransportError):
        ask(server, model)


def test_silence_and_dripping_end_with_the_server_and_no_thread_stays() -> None:
    before = set(threading.enumerate())
    with LoopbackServer() as server:
        with pytest.raises(httpx.ReadTimeout):
            ask(server, "hang")
        with httpx.stream("POST", f"{server.url}/chat/completions", json={"model": "drip"}) as response:
            assert next(response.iter_raw()) == b" "
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert set(threading.enumerate()) == before


def test_embeddings_have_one_vector_per_text() -> None:
    with LoopbackServer() as server:
        rows = httpx.post(f"{server.url}/embeddings", json={"model": "e", "input": ["a", "bc"]}).json()[
            "data"
        ]
    assert [row["index"] for row in rows] == [0, 1]
    assert rows[0]["embedding"] != rows[1]["embedding"]


def test_the_address_exists_only_while_it_runs() -> None:
    server = LoopbackServer()
    with pytest.raises(RuntimeError, match="'with' block"):
        _ = server.url
    with server:
        url = server.url
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{url}/chat/completions", json={"model": "ok"})


def test_every_behaviour_is_in_the_table() -> None:
    named = set(re.findall(r"``([a-z]+\d*)", wall.__doc__ or ""))
    assert named >= {*wall._FAULTS, *wall._SHAPES, "flaky", "noeffort", "say", "tool", "echo", "ok"}
