"""Labels of effort, collected from a server whose replies depend on the level it is asked at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentroute import AgentRegistry, AgentSpec, Limits
from agentroute.errors import InputError
from agentroute.evaluation.effort_collect import EffortReport, collect_effort
from agentroute.evaluation.effort_steps import kept_trajectories, steps_of
from agentroute.evaluation.reproduced import reproduces
from agentroute.evaluation.trajectories import KEPT_MESSAGES, Call, calls_of, with_calls
from agentroute.outcomes import Outcome, OutcomeFolder, QueryRecord
from agentroute.running.said import said
from agentroute.testing import LoopbackServer
from agentroute.types import EffortRange, Price, Query, ToolCall, Usage

LEVELS = ("low", "medium", "high")
QUESTIONS = [
    QueryRecord(query=Query(id=f"q{n}", text=f"How many are {n} and {n}?"), gold=(str(2 * n),))
    for n in range(1, 4)
]


def look_up(what: str) -> str:
    """Look something up."""
    return f"{what} is a number."


def thinker(body: dict[str, Any]) -> str | dict[str, Any]:
    """Plan a tool call, then answer: low gets the call right and the sum wrong, medium is of two minds."""
    level, messages = body.get("reasoning_effort"), body["messages"]
    time.sleep(pause_s[0])
    n = int(messages[-1]["content"].split(" ")[-1][:-1]) if messages[-1]["role"] == "user" else 0
    if messages[-1]["role"] == "user":
        arguments = f'{{ "what":"{n}" }}' if level == "low" else json.dumps({"what": str(n)})
        call = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    n = int(messages[-1]["content"].split(" ")[0])
    if n == 3:
        return "I do not know"  # this trajectory is never right
    if level == "medium":
        seen[n] += 1
        return f"The answer is {2 * n}." if seen[n] % 2 else "It could be anything."
    return {"low": "no idea", "high": str(2 * n)}[str(level)]


seen: Counter[int] = Counter()
pause_s = [0.0]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    seen.clear()
    pause_s[0] = 0.0
    with LoopbackServer(replies=lambda question: "2", models={"thinker": thinker}) as running:
        yield running


def agent(server: LoopbackServer, **more: Any) -> AgentSpec:
    usual: dict[str, Any] = {
        "id": "adder",
        "kind": "llm",
        "description": "Adds.",
        "model": "openai/thinker",
        "api_base": server.url,
        "strategy": "react",
        "tools": ("test_effort_collect:look_up",),
        "effort": EffortRange(levels=LEVELS, default="medium"),
        "price": Price(input=1.0, output=10.0),
    }
    return AgentSpec(**{**usual, **more})


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "test_effort_collect", sys.modules[__name__])


def collected(server: LoopbackServer, out: Path, *specs: AgentSpec, **options: Any) -> EffortReport:
    team = AgentRegistry.from_specs(specs or (agent(server),))
    return collect_effort(team, QUESTIONS, out, allow=["test_effort_collect"], concurrency=1, **options)


def shares(folder: Path) -> dict[tuple[str, str], list[float | None]]:
    found: dict[tuple[str, str], list[float | None]] = {}
    for outcome in OutcomeFolder.open(folder).read():
        found.setdefault((outcome.query, outcome.agent.partition("@")[2]), []).append(outcome.score)
    return found


def test_a_level_is_labelled_by_how_often_it_comes_to_the_same(
    server: LoopbackServer, tmp_path: Path
) -> None:
    told: list[str] = []
    report = collected(server, tmp_path, runs=4, tell=told.append)
    assert (report.right, report.steps, report.stopped) == (2, 4, None)
    found = shares(tmp_path)
    assert {key[0] for key in found} == {f"q{n}/adder/{step}" for n in (1, 2) for step in (1, 2)}
    for n in (1, 2):
        for level in LEVELS:
            assert found[f"q{n}/adder/1", level] == [1.0] * 4, "the same call, however it is written"
        assert found[f"q{n}/adder/2", "low"] == [0.0] * 4
        assert found[f"q{n}/adder/2", "high"] == [1.0] * 4
        assert sorted(found[f"q{n}/adder/2", "medium"]) == [0.0, 0.0, 1.0, 1.0], "runs that disagree stay so"  # type: ignore[type-var]
    assert len(told) == 2 and all("$" in line for line in told)
    assert report.after is not None and report.after.calls == 4 * 3 * 4
    spent, foreseen = report.usage.cost_usd, report.after.cost_usd
    assert spent is not None and foreseen is not None and 0 < spent


def test_the_folder_is_a_ladder_whose_queries_are_steps(server: LoopbackServer, tmp_path: Path) -> None:
    collected(server, tmp_path, runs=1)
    folder = OutcomeFolder.open(tmp_path)
    assert folder.problems == ()
    assert [(spec.id, spec.model) for spec in folder.registry] == [
        (f"adder@{level}", "openai/thinker") for level in LEVELS
    ]
    second = folder.queries["q1/adder/2"]
    assert second.query.text == "1 is a number."
    meta = second.meta
    assert (meta["episode"], meta["step"], meta["role"], meta["agent"]) == ("q1/adder", 2, "tool", "adder")
    assert [message["role"] for message in meta["history"]] == ["user", "assistant", "tool"]
    high = next(o for o in folder.read() if (o.query, o.agent) == ("q1/adder/2", "adder@high"))
    assert (high.answer, high.effort) == ("2", "high")
    assert high.output_tokens and high.reasoning_tokens and high.cost_usd
    assert [(step["requested"], step["applied"]) for step in high.steps] == [("high", "high")]


def test_the_steps_are_sent_as_they_were_but_for_the_level(server: LoopbackServer, tmp_path: Path) -> None:
    collected(server, tmp_path, runs=2)
    sent = Counter(
        (json.dumps({k: v for k, v in r.json.items() if k != "reasoning_effort"}), r.json["reasoning_effort"])
        for r in server.requests
    )
    bodies = {body for body, _ in sent}
    assert len(bodies) == 6
    for body in bodies:
        assert (sent[body, "low"], sent[body, "high"]) in ((2, 3), (0, 1))


def test_going_on_pays_nobody_twice(server: LoopbackServer, tmp_path: Path) -> None:
    whole = collected(server, tmp_path / "whole", runs=2)
    paid, calls = whole.usage.cost_usd or 0.0, len(server.requests)
    kept = (tmp_path / "whole" / "outcomes.jsonl").read_bytes()
    assert collected(server, tmp_path / "whole", runs=2).usage.requests == 0
    assert (tmp_path / "whole" / "outcomes.jsonl").read_bytes() == kept

    server.requests.clear()
    spent, stops = 0.0, 0
    while True:
        report = collected(server, tmp_path / "parts", runs=2, limits=Limits(max_requests=7, deadline_s=None))
        spent += report.usage.cost_usd or 0.0
        if report.stopped is None:
            break
        stops += 1
        assert report.stopped.startswith("budget")
    assert stops > 2
    assert spent == pytest.approx(paid)
    assert len(server.requests) == calls
    assert {key: len(runs) for key, runs in shares(tmp_path / "parts").items()} == {
        key: len(runs) for key, runs in shares(tmp_path / "whole").items()
    }


def test_money_is_never_overspent(server: LoopbackServer, tmp_path: Path) -> None:
    cap = 0.07
    report = collected(server, tmp_path, runs=3, limits=Limits(max_cost_usd=cap, deadline_s=None))
    assert report.stopped is not None
    assert 0 < (report.usage.cost_usd or 0.0) <= cap


def test_a_level_that_was_not_applied_teaches_nothing(server: LoopbackServer, tmp_path: Path) -> None:
    deaf = agent(server, model="openai/noeffort", strategy="direct", tools=(), id="deaf")
    team = AgentRegistry.from_specs([deaf])
    report = collect_effort(team, QUESTIONS[:1], tmp_path, runs=1)
    assert report.right == 1
    for outcome in OutcomeFolder.open(tmp_path).read():
        assert (outcome.score, outcome.effort) == (None, None)
        assert "not applied" in str(outcome.error)
        assert [(s["requested"], s["applied"]) for s in outcome.steps] == [
            (outcome.agent.partition("@")[2], None)
        ]
    assert any("not applied" in line for line in report.problems)


def test_usage_that_nobody_told_is_unknown_and_never_nothing(server: LoopbackServer, tmp_path: Path) -> None:
    silent = agent(server, model="openai/nousage", strategy="direct", tools=())
    question = QueryRecord(query=Query(id="q", text="Are you well?"), gold=("ok",))
    report = collect_effort(AgentRegistry.from_specs([silent]), [question], tmp_path, runs=1)
    assert (report.steps, report.usage.cost_usd, report.usage.output_tokens) == (1, None, None)
    for outcome in OutcomeFolder.open(tmp_path).read():
        assert (outcome.score, outcome.input_tokens, outcome.output_tokens, outcome.cost_usd) == (
            1.0,
            None,
            None,
            None,
        )


def test_a_judge_decides_for_texts_and_its_failure_stops_everything(
    server: LoopbackServer, tmp_path: Path
) -> None:
    collected(server, tmp_path / "kind", runs=1, judge=lambda reference, now: True)
    assert all(runs == [1.0] for runs in shares(tmp_path / "kind").values())
    with pytest.raises(InputError, match="the judge returned"):
        collected(server, tmp_path / "odd", runs=1, judge=lambda reference, now: "yes")
    with pytest.raises(InputError, match="the judge failed"):
        collected(server, tmp_path / "broken", runs=1, judge=lambda reference, now: 1 // 0 > 0)


def test_who_has_no_levels_is_left_out_and_said_so(server: LoopbackServer, tmp_path: Path) -> None:
    others = (
        agent(server, id="plain", effort=None),
        agent(server, id="deaf", model="openai/gpt-4o"),
        agent(server, id="single", model="deepseek/deepseek-chat"),
        AgentSpec(id="f", kind="function", description="Adds.", function="test_effort_collect:look_up"),
    )
    report = collected(server, tmp_path / "a", agent(server), *others, runs=1)
    assert [line.partition(":")[0] for line in report.left_out] == ["plain", "deaf", "single", "f"]
    with pytest.raises(InputError, match="no agent has levels"):
        collected(server, tmp_path / "b", *others)


def test_questions_need_right_answers_and_numbers_must_make_sense(
    server: LoopbackServer, tmp_path: Path
) -> None:
    team = AgentRegistry.from_specs([agent(server)])
    with pytest.raises(InputError, match="gold"):
        collect_effort(team, [QueryRecord(query=Query(id="q", text="Why?"))], tmp_path)
    for name in ("runs", "tries", "concurrency"):
        with pytest.raises(InputError, match=name):
            collect_effort(team, QUESTIONS, tmp_path, **{name: 0})
    assert server.requests == []


def test_nothing_right_gives_no_labels_and_no_repeats(server: LoopbackServer, tmp_path: Path) -> None:
    team = AgentRegistry.from_specs([agent(server)])
    report = collect_effort(team, QUESTIONS[2:], tmp_path, allow=["test_effort_collect"])
    assert (report.right, report.steps, report.repeats) == (0, 0, None)
    assert {r.json["reasoning_effort"] for r in server.requests} == {"high"}


SCRIPT = """
import sys
sys.path[:0] = [{here!r}]
from agentroute import AgentRegistry
from agentroute.evaluation.effort_collect import collect_effort
import test_effort_collect as t
class Server: url = {url!r}
team = AgentRegistry.from_specs([t.agent(Server)])
collect_effort(team, t.QUESTIONS, {out!r}, allow=["test_effort_collect"], runs=4, concurrency=1)
print("done")
"""


def test_a_killed_collection_goes_on_where_it_was(server: LoopbackServer, tmp_path: Path) -> None:
    script = SCRIPT.format(here=str(Path(__file__).parent), url=server.url, out=str(tmp_path))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    pause_s[0] = 0.05
    process = subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE)
    file, until = tmp_path / "outcomes.jsonl", time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        if file.exists() and file.read_bytes().count(b"\n") >= 5:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    recorded = file.read_bytes().count(b"\n")
    assert 5 <= recorded < 48, "it was killed on its way"
    pause_s[0] = 0.0
    before = len(server.requests)
    report = collected(server, tmp_path, runs=4)
    assert report.repeats is not None
    assert report.trajectories.recorded == 0
    assert (report.repeats.kept, report.repeats.recorded) == (recorded, 48 - recorded)
    assert len(server.requests) - before == 48 - recorded
    assert all(len(runs) == 4 for runs in shares(tmp_path).values())


# ------------------------------------------------------------------------------------ the parts


def call(*contents: str, **more: Any) -> Call:
    messages = tuple({"role": "user", "content": content} for content in contents)
    return Call(**{"role": "plan", "observation": "", "messages": messages, "text": "fine", **more})


def test_calls_survive_being_written_down(tmp_path: Path) -> None:
    calls = (
        call("a"),
        call(
            "a", "b", tool_calls=(ToolCall(id="1", name="f", arguments="{}"),), usage=Usage(input_tokens=None)
        ),
        call("x"),
        call("x", "y", "z"),
    )
    outcome = Outcome(query="q", agent="a", score=1.0)
    back = Outcome.from_json(json.loads(with_calls(outcome, calls).to_json()))
    assert calls_of(back) == calls
    assert back.extra["calls"][1]["messages"] == [{"role": "user", "content": "b"}]


def test_a_long_history_is_kept_short_in_the_record_and_whole_in_the_trajectory() -> None:
    long = call(*(str(n) for n in range(10_000)))
    kept = long.history()
    assert len(kept) == KEPT_MESSAGES + 1
    assert (kept[0]["content"], kept[-1]["content"]) == ("0", "9999")
    asked = QueryRecord(query=Query(id="q", text="Why?"))
    (step,) = steps_of(asked, "a", 1, with_calls(Outcome(query="q", agent="a@high", score=1.0), [long]))
    assert step.record.meta["messages"] == 10_000
    assert len(step.call.messages) == 10_000
    assert len(step.record.to_json()) < 10_000


def test_a_step_without_text_goes_by_its_question() -> None:
    asked = QueryRecord(query=Query(id="q", text="Why?"))
    trajectory = with_calls(
        Outcome(query="q", agent="a@high"), [call("a", observation=" \n"), call("b", observation="x")]
    )
    first, second = steps_of(asked, "a", 1, trajectory)
    assert (first.record.query.text, second.record.query.text) == ("Why?", "x")


def test_the_shortest_right_trajectory_counts_and_a_pick_stays() -> None:
    def outcome(score: float | None, n: int) -> Outcome:
        return with_calls(Outcome(query="q", agent="a", score=score), [call(str(i)) for i in range(n)])

    tries = [outcome(1.0, 3), outcome(0.0, 1), outcome(None, 1), outcome(1.0, 2), outcome(1.0, 2)]
    assert kept_trajectories(tries, 1.0, {})["q", "a"] == (4, tries[3])
    assert kept_trajectories(tries, 1.0, {("q", "a"): 1})["q", "a"] == (1, tries[0])
    assert kept_trajectories(tries[1:3], 1.0, {}) == {}


@pytest.mark.parametrize(
    ("reference", "now", "same"),
    [
        ("Answer: 1,000", "1000", True),
        ("Step one.\nAnswer: Paris", "paris", True),
        ("Paris", "London", False),
        ("", "", True),
        (said("", [ToolCall(id="1", name="f", arguments='{"a": 1, "b": 2}')]), "f", False),
    ],
)
def test_texts_are_the_same_by_value(reference: str, now: str, same: bool) -> None:
    assert reproduces(reference, now) is same


def test_tool_calls_are_the_same_by_name_and_arguments() -> None:
    one = ToolCall(id="1", name="f", arguments='{"a": 1, "b": [2]}')
    alike = ToolCall(id="9", name="f", arguments='{"b":[2],  "a":1}')
    other = ToolCall(id="1", name="f", arguments='{"a": 1, "b": [3]}')
    broken = ToolCall(id="1", name="f", arguments="{a: 1")
    assert reproduces(said("", [one]), said("let me see", [alike]))
    assert not reproduces(said("", [one]), said("", [other]))
    assert not reproduces(said("", [one]), said("", [one, one]))
    assert reproduces(said("", [one, other]), said("", [other, one]))
    assert reproduces(said("", [broken]), said("", [broken]))
    assert not reproduces(said("", [one]), said("", [broken]))
