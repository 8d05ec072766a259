"""Faults of agents, router and refiner in whole runs: each ends in time, and says what was wrong.

Against the wall, through the real litellm and LangGraph. Each has its control: with the protection off, or
without the fault, the run ends otherwise.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import crew
import pytest
from teams import function, llm, team

from agentroute.errors import AllAgentsFailedError, DeadlineError, InputError, RunError
from agentroute.registry import AgentRegistry
from agentroute.running.calling.client import LiteLLMClient
from agentroute.running.keeping.journal import Journal
from agentroute.testing import FakeClient, LoopbackServer, StaticRouter
from agentroute.types import AgentSpec, ChatReply, Limits, Price, RefinerSpec, RunResult, Usage

pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*' on TypedDict class:UserWarning")

SLACK_S = 2.0  # the contract says 1 s; a busy machine adds to it
FREE = Price(input=0.0, output=0.0)


@pytest.fixture(scope="module")
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(replies={"why?": "Paris"}) as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[LiteLLMClient]:
    async with LiteLLMClient(backoff_s=0.01) as opened:
        await opened.open()
        yield opened


def model(server: LoopbackServer, name: str, **keys: Any) -> AgentSpec:
    keys = {"timeout_s": 5.0, "price": FREE, **keys}
    return llm("m", model=f"openai/{name}", api_base=server.url, **keys)


async def beside(client: LiteLLMClient, spec: AgentSpec, **keys: Any) -> RunResult:
    """Ask a model, and beside it two functions that say Paris."""
    specs = [spec, function("paris"), function("paris_too")]
    group = team([s.id for s in specs], specs=specs, client=client, **keys)
    return await group.arun("why?")


# ---------------------------------------------------------------------------- one agent's fault is its own

FAULTS = [
    ("F01", "500", r"m: failed \(500: the wall says 500, after 3 attempts\)", "server"),
    ("F02", "hang", r"m: timed out \(", "timeout"),
    ("F03", "drip", r"m: timed out \(", "timeout"),
    ("F05", "429-after:3600", r"m: failed \(429: rate limited, retry in 3600 s", "rate_limited"),
    ("F07", "503", r"m: failed \(503: the wall says 503, after 3 attempts\)", "server"),
    ("F08", "400", r"m: failed \(400: the wall says 400\)", "refused"),
    ("F08", "401", r"m: failed \(401: the key was refused", "refused"),
    ("F09", "html", r"m: failed \(unreadable answer: not JSON .*text/html", "unreadable"),
    ("F10", "filtered", r"m: failed \(empty answer \(content_filter\)\)", "empty"),
    ("F11", "huge", r"m: failed \(answer larger than 2,000,000 bytes", "too_large"),
    ("F12", "gzipbomb", r"m: failed \(answer larger than 2,000,000 bytes", "too_large"),
    ("F13", "nonutf8", r"m: failed \(unreadable answer: not UTF-8, after 2 attempts\)", "unreadable"),
    ("F15", "wrongtype", r"m: failed \(unreadable answer: not the shape", "unreadable"),
    ("F17", "reset", r"m: failed \(connection broke off, after 3 attempts\)", "server"),
    ("F17", "truncated", r"m: failed \(connection broke off, after 3 attempts\)", "server"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wall", "line", "fault"),
    [
        pytest.param(
            wall,
            line,
            fault,
            marks=pytest.mark.fault(cell, "`degraded`, with a line for the agent", "the others' answers"),
            id=f"{cell}-{wall}",
        )
        for cell, wall, line, fault in FAULTS
    ],
)
async def test_a_model_s_fault_is_a_line_and_costs_no_other_answer(
    client: LiteLLMClient, server: LoopbackServer, wall: str, line: str, fault: str
) -> None:
    slow = wall in ("hang", "drip")
    began = time.monotonic()
    result = await beside(client, model(server, wall, timeout_s=1.0 if slow else 30.0))
    took = time.monotonic() - began
    assert (result.answer, result.status) == ("Paris", "degraded")
    (problem,) = result.problems
    assert re.match(line, problem), problem
    first = result.answers[0]
    assert (first.agent, first.fault, first.text) == ("m", fault, "")
    assert [a.status for a in result.answers[1:]] == ["ok", "ok"]
    if slow:
        assert 0.9 <= took < 1.0 + 1.0 + SLACK_S
    assert result.coverage == pytest.approx(2 / 3)


async def test_the_control_without_a_fault_there_is_no_line(
    client: LiteLLMClient, server: LoopbackServer
) -> None:
    result = await beside(client, model(server, "ok"))
    assert (result.status, result.problems, result.coverage) == ("complete", (), 1.0)


@pytest.mark.fault(
    "F06", "`complete`; both requests are on the bill", "the answer, the cost of both attempts"
)
@pytest.mark.control("F06", "`degraded`: without a second request the answer is lost")
async def test_a_fault_that_passes_is_no_problem(client: LiteLLMClient, server: LoopbackServer) -> None:
    result = await beside(client, model(server, "flaky:run"))
    assert (result.status, result.problems, result.answers[0].usage.requests) == ("complete", (), 2)
    async with LiteLLMClient(max_retries=0) as once:  # the control
        result = await beside(once, model(server, "flaky:control"))
    assert result.status == "degraded" and "500" in result.problems[0]


@pytest.mark.fault("F18", "`degraded: cut at max_tokens`", "what arrived")
async def test_half_an_answer_is_never_shown_as_a_whole_one(
    client: LiteLLMClient, server: LoopbackServer
) -> None:
    specs = [model(server, "length")]
    result = await team(["m"], specs=specs, client=client).arun("why?")
    assert (result.answer, result.status) == ("Half an ans", "degraded")
    assert result.problems == ("m: cut at max_tokens",) and result.answers[0].notes == ("cut at max_tokens",)
    specs = [model(server, "ok")]
    assert (await team(["m"], specs=specs, client=client).arun("why?")).status == "complete"


@pytest.mark.fault("F16", "`complete`, with `m: usage not believed`; charged at the reserve", "the ledger")
@pytest.mark.parametrize("wall", ["negusage", "hugeusage"])
async def test_usage_that_cannot_be_true_is_charged_at_the_reserve_and_noted(
    client: LiteLLMClient, server: LoopbackServer, wall: str
) -> None:
    spec = model(server, wall, price=Price(input=1.0, output=10.0))
    result = await beside(client, spec, limits=Limits(max_cost_usd=1.0))
    assert (result.status, result.problems) == ("complete", ("m: usage not believed",))
    assert result.usage.cost_usd is None, "unknown, neither negative nor 750 million dollars"


@pytest.mark.fault("F50", "`m: effort low was asked for, and not applied`", "the answer")
async def test_effort_that_was_not_applied_is_noted(client: LiteLLMClient, server: LoopbackServer) -> None:
    from agentroute.types import EffortRange

    spec = model(server, "noeffort", effort=EffortRange(levels=("low",), default="low"))
    result = await beside(client, spec)
    assert result.status == "complete"
    assert result.problems == ("m: effort low was asked for, and not applied",)
    assert result.answers[0].notes == ("effort 'low' is not available for openai/noeffort; sent without it",)


# ---------------------------------------------------------------------------- agents that hold on

DEADLINE_S = 0.6


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        pytest.param(
            name,
            line,
            marks=pytest.mark.fault(cell, sees, "the others' answers"),
            id=f"{cell}-{name}",
        )
        for cell, name, line, sees in (
            ("F02", "hangs", "timed out", "`timed out`, within the deadline + 1 s"),
            ("F23", "hangs_in_thread", "timed out", "the result at the deadline; a late answer is not used"),
            ("F24", "stubborn", "timed out", "`timed out`, though it swallows its cancellation"),
            (
                "F04",
                "blocks",
                "it held the event loop",
                "`timed out (it held the event loop ...)`, never `ok`",
            ),
        )
    ],
)
async def test_no_agent_holds_a_run_past_its_deadline(agent: str, line: str) -> None:
    specs = [function(agent, timeout_s=0.2 if agent == "blocks" else 30.0), function("paris")]
    began = time.monotonic()
    result = await team([s.id for s in specs], specs=specs, limits=Limits(deadline_s=DEADLINE_S)).arun("why?")
    took = time.monotonic() - began
    assert took < DEADLINE_S + 1.0 + SLACK_S
    assert (result.answer, result.status) == ("Paris", "degraded")
    assert line in result.problems[0] and result.answers[0].text == ""
    if agent != "blocks":
        assert took >= DEADLINE_S - 0.1, "it had its time"


@pytest.mark.fault(
    "F21", "`not refined: the run's time was up`, and the answer of most weight", "all answers"
)
async def test_a_refiner_that_holds_on_does_not_hold_the_run() -> None:
    class Stubborn:
        async def refine(self, *given: Any) -> Any:
            until = time.monotonic() + 2.5
            while time.monotonic() < until:
                try:
                    await asyncio.sleep(0.1)
                except asyncio.CancelledError:
                    continue

    group = team({"paris": 0.6, "rome": 0.4}, limits=Limits(deadline_s=DEADLINE_S))
    group._parts.refiner = lambda *given: Stubborn()  # type: ignore[method-assign,assignment,return-value]
    began = time.monotonic()
    result = await group.arun("why?")
    assert time.monotonic() - began < DEADLINE_S + 1.0 + SLACK_S
    assert (result.answer, result.status) == ("Paris", "degraded")
    assert result.problems == ("not refined: the run's time was up",)


@pytest.mark.fault("F21", "`not refined: ...`, and the answer of most weight, word for word", "all answers")
@pytest.mark.parametrize("wall", ["500", "hang", "filtered"])
async def test_a_refiner_that_fails_leaves_the_answer_of_most_weight(
    client: LiteLLMClient, server: LoopbackServer, wall: str
) -> None:
    specs = [function("paris"), function("rome")]
    refiner = RefinerSpec(kind="llm", model=f"openai/{wall}", api_base=server.url, price=FREE, timeout_s=0.5)
    registry = AgentRegistry.from_specs(specs, refiner=refiner)
    group = type(team(specs=specs))(
        registry, StaticRouter({"paris": 0.4, "rome": 0.6}), allow=["crew"], client=client
    )
    result = await group.arun("why?")
    assert (result.answer, result.status) == ("Rome", "degraded")
    assert result.problems[0].startswith("not refined: ")


# ---------------------------------------------------------------------------- nobody answers


@pytest.mark.fault(
    "F19", "exit 20: one line for each agent, the cost, the run's name, how to go on", "their records"
)
async def test_when_all_fail_the_error_says_what_was_tried_what_it_cost_and_how_to_go_on(
    client: LiteLLMClient, server: LoopbackServer, tmp_path: Path
) -> None:
    specs = [model(server, "500"), function("raises")]
    group = team([s.id for s in specs], specs=specs, client=client, journal=tmp_path / "runs.db")
    with pytest.raises(AllAgentsFailedError) as caught:
        await group.arun("why?", run_id="mine")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("none of 2 agents answered")
    assert lines[1].startswith("  m: failed (500") and lines[2].startswith("  raises: failed (ValueError")
    assert lines[3] == "  run mine cost $0"
    assert lines[4].startswith("  to go on with it: agentroute runs resume mine --journal")
    assert caught.value.exit_code == 20
    # Without a record there is nothing to go on with, and nothing is promised.
    with pytest.raises(AllAgentsFailedError) as forgotten:
        await team([s.id for s in specs], specs=specs, client=client).arun("why?")
    assert forgotten.value.resume is None and "to go on" not in str(forgotten.value)
    Journal(tmp_path / "runs.db").close()


@pytest.mark.fault("F19", "exit 22, at the deadline", "their records")
async def test_when_nobody_answers_in_time_the_deadline_is_named() -> None:
    began = time.monotonic()
    with pytest.raises(DeadlineError, match="timed out"):
        await team(["hangs"], limits=Limits(deadline_s=DEADLINE_S)).arun("why?")
    assert time.monotonic() - began < DEADLINE_S + 1.0 + SLACK_S


@pytest.mark.fault("F20", "exit 20 `no agent was asked: no agent fits`, or the default agent's answer", "-")
async def test_a_router_that_selects_nobody_is_never_silence() -> None:
    with pytest.raises(AllAgentsFailedError, match="no agent was asked: no agent fits"):
        await team(specs=[function("paris")]).arun("why?")
    registry = AgentRegistry.from_specs([function("paris")], default_agent="paris")
    group = type(team(specs=[function("paris")]))(registry, StaticRouter(), allow=["crew"])
    result = await group.arun("why?")
    assert result.answer == "Paris" and "the default agent paris was asked" in result.problems[0]


# ---------------------------------------------------------------------------- many, and one


@pytest.mark.fault("F57", "`the cap is 16: the heaviest were asked`", "their answers")
async def test_a_selection_of_hundreds_is_cut_to_the_cap() -> None:
    specs = [function("good", id=f"g{i}") for i in range(300)]
    weights = {spec.id: 1.0 + i for i, spec in enumerate(specs)}
    crew.CALLS.clear()
    result = await team(weights, specs=specs, limits=Limits(max_rounds=1)).arun("why?")
    assert crew.CALLS["good"] == len(result.answers) == 16
    assert "selected 300 agents, the cap is 16: the heaviest were asked" in result.problems[0]
    assert {a.agent for a in result.answers} == {f"g{i}" for i in range(284, 300)}


@pytest.mark.fault("F58", "the one agent's answer; a team of nobody is exit 2", "-")
async def test_a_team_of_one_needs_no_vote_and_a_team_of_none_is_refused() -> None:
    result = await team(["paris"]).arun("why?")
    assert (result.answer, result.status, result.confidence) == ("Paris", "complete", 1.0)
    with pytest.raises(InputError):
        AgentRegistry.from_specs([])


@pytest.mark.fault("F60", "no traceback when whoever reads leaves early", "every acknowledged answer")
def test_a_reader_that_leaves_early_is_no_traceback(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from teams import team\n"
        "group = team(['paris'], journal=sys.argv[1])\n"
        "print(group.run('why?', run_id='r').answer)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    here = str(Path(__file__).parent)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "runs.db"), here],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "Paris\n", "")
    group = team(["paris"], journal=tmp_path / "runs.db")
    assert group.resume("r").answer == "Paris", "flushed at the process's end"
    Journal(tmp_path / "runs.db").close()


# ---------------------------------------------------------------------------- a hundred at once


@pytest.mark.fault("F48", "each run has an answer, though 5% of the requests go wrong", "the ledger")
async def test_forty_runs_at_once_are_answered_though_one_request_in_twenty_goes_wrong() -> None:
    with LoopbackServer(replies={"why?": "Paris"}, seed=3) as mixed:
        specs = [
            llm(
                f"m{i}",
                FREE,
                model="openai/mix:5:500,reset,html,empty,badjson",
                api_base=mixed.url,
                timeout_s=60.0,
            )
            for i in range(3)
        ]
        async with LiteLLMClient(backoff_s=0.01) as client:
            group = team([s.id for s in specs], specs=specs, client=client)
            results = await asyncio.gather(*(group.arun("why?") for _ in range(40)), return_exceptions=True)
    failed = [r for r in results if isinstance(r, BaseException)]
    assert all(isinstance(error, RunError) for error in failed) and len(failed) == 0
    answered = [r for r in results if isinstance(r, RunResult)]
    assert {r.answer for r in answered} == {"Paris"}
    assert any(seen.played != "ok" for seen in mixed.requests), "something did go wrong"


async def test_each_run_keeps_its_own_words() -> None:
    client = FakeClient(
        lambda asked: ChatReply(text=str(asked.messages[-1]["content"]), usage=Usage(requests=1))
    )
    group = team(["m"], specs=[llm("m")], client=client)
    texts = [f"marker {i}" for i in range(200)]
    results = await asyncio.gather(*(group.arun(text) for text in texts))
    assert [result.answer for result in results] == texts
    assert len({result.run_id for result in results}) == 200
