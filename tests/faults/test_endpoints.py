"""One team, an endpoint for every fault: the run ends in time, with an answer and a line for each of them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from agentroute import AgentRoute
from agentroute.errors import AllAgentsFailedError
from agentroute.registry import AgentRegistry
from agentroute.running.calling.client import LiteLLMClient
from agentroute.testing import LoopbackServer, StaticRouter
from agentroute.types import AgentSpec, ChatRequest, Limits, Price, RunResult

# litellm's own models say so of counts that are no numbers
pytestmark = pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")

TIME_S = 6.0  # most of it is for a busy machine: only those that hang take it

# What the endpoint does, and what is said of the agent; an empty line: it answers all the same.
FAULTS = {
    "500": r"500: the wall says 500, after 2 attempts",
    "503": r"503",
    "429": r"429: rate limited",
    "400": r"400",
    "401": r"401: the key was refused",
    "404": r"404",
    "422": r"422",
    "hang": r"timed out",
    "drip": r"timed out",
    "stall": r"timed out",
    "reset": r"connection broke off",
    "truncated": r"connection broke off",
    "resetstream": r"connection broke off",
    "cutstream": r"unreadable answer: not JSON",
    "endless": r"larger than 2,000,000 bytes",
    "huge:100": r"larger than 2,000,000 bytes",
    "gzipbomb:100": r"larger than 2,000,000 bytes",
    "html": r"not JSON .got 41 bytes of text/html",
    "badjson": r"not JSON",
    "deepjson": r"nested too deeply",
    "nobody": r"got 0 bytes",
    "nonutf8": r"not UTF-8",
    "err200": r"with an error in it: out of capacity",
    "list": r"not a JSON object",
    "text": r"not a JSON object",
    "nochoices": r"no choices",
    "nullchoices": r"unreadable|no choices",
    "nomessage": r"unreadable|empty",
    "parts": r"not the shape of an answer",
    "textusage": r"not the shape of an answer",
    "nanusage": r"not the shape of an answer",
    "wrongtype": r"not the shape of a chat answer",
    "null": r"empty answer",
    "empty": r"empty answer",
    "blank": r"empty answer",
    "filtered": r"empty answer .content_filter",
    "nolength": r"raise max_tokens",
    "redirect": r"a redirect, which is not followed",
    "redirect:http://127.0.0.1:9/": r"a redirect, which is not followed",
    "tool:steal:{}": r"empty|tool",
    "flaky": "",
    "slow:0.1": "",
    "zipped": "",
    "control": "",
    "nousage": "",
    "nullusage": "",
    "negusage": "",
    "hugeusage": "",
}


def row(number: int, model: str, base: str) -> AgentSpec:
    return AgentSpec(
        id=f"agent-{number}",
        kind="llm",
        description=model,
        model=f"openai/{model}",
        api_base=base,
        timeout_s=TIME_S,
        price=Price(input=1.0, output=1.0),
    )


def asked(*models: str) -> tuple[RunResult, LoopbackServer, float]:
    """Ask a team of such endpoints, and say how long it took."""

    async def ask(server: LoopbackServer) -> tuple[RunResult, float]:
        team = AgentRegistry.from_specs([row(n, model, server.url) for n, model in enumerate(models)])
        async with LiteLLMClient(max_retries=1, backoff_s=0.05) as client:
            first = ChatRequest(model="openai/ok", messages=(), api_base=server.url, timeout_s=30.0)
            await client.chat(first)  # litellm imports a lot at its first call
            limits = Limits(max_agents=100, concurrency=100, deadline_s=30.0)
            crew = AgentRoute(team, StaticRouter(team.ids), client=client, limits=limits)
            began = time.monotonic()
            return await crew.arun("Where is it?"), time.monotonic() - began

    with LoopbackServer() as server:
        result, seconds = asyncio.run(ask(server))
    return result, server, seconds


@pytest.fixture(scope="module")
def everything() -> tuple[RunResult, LoopbackServer, float]:
    return asked("say:Paris", *FAULTS)


@pytest.mark.fault("F07", "`500`, after 2 attempts", "the other answers")
@pytest.mark.fault("F11", "`answer larger than 2,000,000 bytes`, of 100 MB", "the other answers; memory")
@pytest.mark.fault("F12", "`answer larger than 2,000,000 bytes`, of 100 MB", "the other answers; memory")
@pytest.mark.fault("F18", "`connection broke off`, `not JSON`, `timed out`", "the other answers")
@pytest.mark.parametrize("model", FAULTS)
def test_every_fault_of_an_endpoint_is_one_line_or_none(
    everything: tuple[RunResult, LoopbackServer, float], model: str
) -> None:
    result, server, _ = everything
    answer = result.answers[[*FAULTS].index(model) + 1]
    lines = [line for line in result.problems if line.startswith(f"{answer.agent}: ")]
    lines = [line for line in lines if not line.endswith((": cleaned", ": usage not believed"))]
    if FAULTS[model]:
        assert answer.status in ("failed", "timed_out") and not answer.text
        assert len(lines) == 1 and re.search(FAULTS[model], lines[0]), lines
        assert lines[0].isprintable() and len(lines[0]) < 400
    else:
        assert answer.status == "ok" and answer.text and not lines
    assert sum(request.json["model"] == model for request in server.requests) in (1, 2)
    assert answer.usage.cost_usd is None or answer.usage.cost_usd >= 0


def test_the_run_ends_in_time_with_an_answer(everything: tuple[RunResult, LoopbackServer, float]) -> None:
    result, _, seconds = everything
    assert result.status == "degraded" and result.answer
    assert TIME_S <= seconds < 30.0 + 1.0
    bad = [model for model, line in FAULTS.items() if line]
    assert sum(answer.status != "ok" for answer in result.answers) == len(bad)


@pytest.mark.fault("F05", "`429: rate limited, retry in 3600 s`, at once", "the time that is left")
@pytest.mark.parametrize("model", ["429-after:3600", "429-date:3600"])
def test_an_endpoint_that_asks_for_an_hour_is_not_waited_for(model: str) -> None:
    with pytest.raises(AllAgentsFailedError, match=r"429: rate limited, retry in 3(600|599\S*) s"):
        asked(model)


@pytest.mark.fault("F19", "exit 20, one line for each agent", "every failure")
def test_when_all_fail_each_is_named() -> None:
    with pytest.raises(AllAgentsFailedError) as caught:
        asked("500", "html", "empty", "401")
    for number in range(4):
        assert f"agent-{number}: failed" in str(caught.value)
    assert caught.value.exit_code == 20


# --------------------------------------------------------------------- without the protection

CONTROLS: dict[str, Callable[[Any], bool]] = {
    "empty": lambda r: r.choices[0].message.content == "",
    "null": lambda r: r.choices[0].message.content is None,
    "filtered": lambda r: r.choices[0].message.content is None,
    "nolength": lambda r: r.choices[0].message.content == "",
    "control": lambda r: "\x1b" in r.choices[0].message.content,
    "negusage": lambda r: r.usage.prompt_tokens < 0,
    "hugeusage": lambda r: r.usage.prompt_tokens == 10**15,
    "huge:3": lambda r: len(r.choices[0].message.content) > 2_000_000,
}


@pytest.mark.parametrize("model", CONTROLS)
@pytest.mark.control("F10", "litellm hands on no text as an answer")
@pytest.mark.control("F11", "litellm reads all of it and hands it on")
@pytest.mark.control("F14", "litellm hands on the escape sequence")
@pytest.mark.control("F16", "litellm hands on minus five tokens, and 10 to the 15th")
def test_the_library_below_takes_it_for_an_answer(model: str) -> None:
    """The negative control: the same endpoint through litellm alone."""
    import litellm

    with LoopbackServer() as server:
        reply = litellm.completion(
            model=f"openai/{model}",
            messages=[{"role": "user", "content": "?"}],
            api_base=server.url,
            api_key="none",
            max_retries=0,
        )
    assert CONTROLS[model](reply)


@pytest.mark.control("F18", "a plain client takes half a body for a whole one: status 200, no error")
@pytest.mark.control("T08", "a plain client goes wherever it is sent")
def test_a_plain_client_takes_half_a_body_for_a_whole_one_and_follows_redirects() -> None:
    """The negative control for what is cut or sent elsewhere."""
    with LoopbackServer() as server:
        ask = {"url": f"{server.url}/chat/completions", "follow_redirects": True}
        cut = httpx.post(json={"model": "cutstream"}, **ask)  # type: ignore[arg-type]
        assert (cut.status_code, cut.text[-3:]) == (200, "hal")
        httpx.post(json={"model": "redirect"}, **ask)  # type: ignore[arg-type]
        assert server.requests[-1].path == "/v1/elsewhere"


# --------------------------------------------------------------------- no network

OFFLINE = """
import asyncio, socket, sys
tried = []
resolve, connect = socket.getaddrinfo, socket.socket.connect
def nobody(host, *rest, **more):
    if host not in ("127.0.0.1", "localhost"):
        tried.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "there is no network")
    return resolve(host, *rest, **more)
def nowhere(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] != "127.0.0.1":
        tried.append(address[0])
        raise OSError("there is no network")
    return connect(self, address)
socket.getaddrinfo, socket.socket.connect = nobody, nowhere
if sys.argv[1] == "alone":
    import litellm
else:
    from agentroute import AgentRoute
    from agentroute.running.calling.client import LiteLLMClient
    from agentroute.testing import LoopbackServer
    with LoopbackServer() as server:
        open("team.yaml", "w").write(f'''
version: 1
agents:
  - {{id: local, kind: function, description: Turns, function: "agentroute.workbench.reverse:answer"}}
  - {{id: model, kind: llm, description: Answers., model: openai/ok, api_base: "{server.url}"}}
''')
        result = AgentRoute.from_yaml("team.yaml").run("Reverse the word: stressed")
        assert result.answer, result
print(sorted(set(tried)))
"""


@pytest.mark.fault("F59", "the answer; nothing tries to reach the network but the agents", "everything")
@pytest.mark.parametrize(("who", "tried"), [("ours", False), ("alone", True)])
@pytest.mark.control("F59", "imported alone, litellm looks for its price list on the network")
def test_nothing_needs_the_network(tmp_path: Any, who: str, tried: bool) -> None:
    """And the control: imported alone, litellm looks for its price list."""
    without = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM")}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", OFFLINE, who],
        cwd=tmp_path,
        env=without,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout.splitlines()[-1] != "[]") is tried, done.stdout
