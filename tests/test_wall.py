"""The wall misbehaves as its table says, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import threading
import time
from typing import Any

import httpx
import pytest

from agentroute.testing import LoopbackServer, completions, misbehaving, wall


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


def test_models_of_ones_own_say_what_they_are_told() -> None:
    models: dict[str, Any] = {"500": "fine", "a/b": lambda body: body["messages"][0]["content"] * 2}
    with LoopbackServer(models=models) as server:
        assert said(ask(server, "500")) == "fine"
        assert said(ask(server, "a/b", "ha")) == "haha"
        models["a/b"] = lambda body: {"role": "assistant", "content": None, "refusal": "no"}
        assert ask(server, "a/b").json()["choices"][0]["message"]["refusal"] == "no"
        models["a/b"] = lambda body: b"any bytes"
        assert ask(server, "a/b").content == b"any bytes"
        assert "fine" in "".join(
            json.loads(line)["choices"][0]["delta"].get("content", "")
            for line in streamed(server, "500")
            if line != "[DONE]"
        )


def test_too_long_a_context_is_refused() -> None:
    with LoopbackServer() as server:
        assert ask(server, "context:100").status_code == 200
        response = ask(server, "context:100", "x" * 100)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")


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
    assert set(threading.enumerate()) <= before  # another test's may have ended meanwhile


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
    table = "\n".join(line[:21] for line in (wall.__doc__ or "").splitlines() if line.startswith("``"))
    named = set(re.findall(r"``([a-z]+\d*)", table))
    known = {*misbehaving.FAULTS, *completions.SHAPES}
    assert named == known | {"ok", "echo", "say", "tool", "noeffort", "context", "mix", "flaky"}
    assert {*misbehaving.MIXED} <= {*known, "429", "500", "503"}


# ------------------------------------------------------------------------------------ at random


def test_a_mix_goes_wrong_as_often_as_it_says_and_the_same_way_again() -> None:
    def played(seed: int, model: str, count: int = 300) -> list[str]:
        with LoopbackServer(seed=seed) as server, httpx.Client() as client:
            for _ in range(count):
                try:
                    client.post(f"{server.url}/chat/completions", json={"model": model})
                except httpx.TransportError:
                    continue
            return [request.played for request in server.requests]

    first = played(0, "mix:20:500,reset,429-after:1")
    assert first == played(0, "mix:20:500,reset,429-after:1") != played(1, "mix:20:500,reset,429-after:1")
    assert set(first) == {"ok", "500", "reset", "429-after:1"}
    assert 30 <= sum(name != "ok" for name in first) <= 90
    assert set(played(0, "mix:0", 50)) == {"ok"}
    assert "ok" not in played(0, "mix:100:500,html", 20)


# --------------------------------------------------------------------------------------- streams


def streamed(server: LoopbackServer, model: str, **more: object) -> list[str]:
    body = {"model": model, "messages": [{"role": "user", "content": "2+2?"}], "stream": True, **more}
    with httpx.stream("POST", f"{server.url}/chat/completions", json=body, timeout=0.4) as response:
        assert response.headers["content-type"] == "text/event-stream"
        return [line.removeprefix("data: ") for line in response.iter_lines() if line]


def test_an_honest_stream_is_the_answer_in_pieces() -> None:
    with LoopbackServer(replies={"2+2?": "four, I think"}) as server:
        *lines, last = streamed(server, "ok", stream_options={"include_usage": True})
        *chunks, usage = map(json.loads, lines)
        whole = ask(server, "ok").json()
    texts = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert ("".join(texts), last) == ("four, I think", "[DONE]") and len(texts) > 4
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (usage["choices"], usage["usage"]) == ([], whole["usage"])
    with LoopbackServer() as server:
        called = json.loads(streamed(server, 'tool:add:{"a": 1}')[1])["choices"][0]["delta"]["tool_calls"][0]
        assert (called["index"], called["function"]["name"]) == (0, "add")


def finish_reasons(lines: list[str]) -> set[str | None]:
    choices = [choice for line in lines if line != "[DONE]" for choice in json.loads(line).get("choices", ())]
    return {choice["finish_reason"] for choice in choices}


def test_faulty_streams() -> None:
    with LoopbackServer() as server:
        cut = streamed(server, "cutstream")
        assert "[DONE]" not in cut and finish_reasons(cut) == {None}
        assert finish_reasons(streamed(server, "nodone")) == {None, "stop"}
        assert "[DONE]" not in streamed(server, "nodone")
        assert "out of capacity" in streamed(server, "errstream")[-1]
        with pytest.raises(json.JSONDecodeError):
            json.loads(streamed(server, "badstream")[-1])
        with pytest.raises(httpx.TransportError):
            streamed(server, "resetstream")
        with pytest.raises(httpx.ReadTimeout):
            streamed(server, "stall")
        assert finish_reasons(streamed(server, "filtered")[:-1]) == {None, "content_filter"}
        body = {"model": "endless", "stream": True}
        with httpx.stream("POST", f"{server.url}/chat/completions", json=body) as response:
            words = [line for line, _ in zip(response.iter_lines(), range(4000), strict=False) if line]
        assert len(set(words)) == len(words) == 2000


@pytest.mark.parametrize("model", ["cutstream", "badstream"])
def test_without_a_stream_half_a_body_comes_as_if_it_were_whole(model: str) -> None:
    with LoopbackServer() as server, pytest.raises(json.JSONDecodeError):
        ask(server, model).json()


def test_without_a_stream_the_rest_has_the_same_fate() -> None:
    with LoopbackServer() as server:
        assert said(ask(server, "nodone")) == "ok"
        assert ask(server, "errstream").json()["error"]
        with pytest.raises(httpx.TransportError):
            ask(server, "resetstream")
        with pytest.raises(httpx.ReadTimeout):
            ask(server, "stall")
        with httpx.stream("POST", f"{server.url}/chat/completions", json={"model": "endless"}) as response:
            got = 0
            for chunk in response.iter_raw():
                got += len(chunk)
                if got > 1_000_000:
                    break


# ------------------------------------------------------------------------------------ bodies


def test_sizes_and_times_can_be_named() -> None:
    with LoopbackServer() as server:
        assert len(ask(server, "huge:1").content) < 2_000_000 < len(ask(server, "huge:3").content)
        assert len(ask(server, "gzipbomb:3").content) == 3_000_000
        assert len(ask(server, "deepjson").content) == 200_000
        begun = time.monotonic()
        assert said(ask(server, "slow:0.2")) == "ok"
        assert time.monotonic() - begun >= 0.2
        assert ask(server, "429-date:60").headers["retry-after"].endswith("GMT")
        assert ask(server, "redirect:http://127.0.0.1:9/x").headers["location"] == "http://127.0.0.1:9/x"


def test_faulty_shapes_and_counts() -> None:
    with LoopbackServer() as server:
        assert ask(server, "nullchoices").json()["choices"] is None
        assert "message" not in ask(server, "nomessage").json()["choices"][0]
        assert [part["text"] for part in said(ask(server, "parts"))] == ["in ", "parts"]  # type: ignore[attr-defined]
        assert isinstance(ask(server, "list").json(), list)
        assert ask(server, "text").json() == "ok"
        assert ask(server, "nullusage").json()["usage"] is None
        assert ask(server, "textusage").json()["usage"]["prompt_tokens"] == "many"
        assert "NaN" in ask(server, "nanusage").text
        assert httpx.post(f"{server.url}/chat/completions", content=b"[1").status_code == 400
        assert ask(server, "ok").status_code == 200


def test_a_silent_handler_ends_when_its_client_goes() -> None:
    before = threading.active_count()
    with LoopbackServer() as server:
        for model in ("hang", "stall"):
            with pytest.raises(httpx.TimeoutException):
                ask(server, model)
        deadline = time.monotonic() + 5
        while threading.active_count() > before + 1 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert threading.active_count() == before + 1
