"""Runs that break off: who has answered is never asked again, and what was spent stays on the bill."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crew
import pytest
from teams import function, llm, team

from agentroute.errors import AllAgentsFailedError, BudgetError, InputError, StorageError
from agentroute.running.calling.client import ClientError
from agentroute.running.keeping.journal import Journal
from agentroute.running.keeping.past import Past, past_of, result_of
from agentroute.running.spending.shared import Budget
from agentroute.testing import FakeClient, StaticRouter
from agentroute.types import ChatReply, ChatRequest, Limits, Price, RunResult, Usage

HERE = Path(__file__).parent
CHAOS = HERE.parent.parent / "benchmarks" / "chaos.py"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path / "runs.db")
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def fresh_crew() -> Iterator[None]:
    crew.CALLS.clear()
    crew.GATE["open"] = True
    yield
    crew.GATE["open"] = True


async def broken_off(group: Any, run: str, *answered: str) -> None:
    """Begin a run, and cancel it once these have been acknowledged."""
    waiting = set(answered)

    async def work() -> None:
        async for event in group.astream("why?", run_id=run):
            if event.kind == "agent_end":
                waiting.discard(event.data.agent)

    task = asyncio.create_task(work())
    while waiting:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# ---------------------------------------------------------------------------- kill -9


@pytest.mark.fault(
    "F44", "`runs resume RUN` asks only those who had not answered", "every acknowledged answer"
)
@pytest.mark.control("F44", "without a record there is nothing to resume: all are asked and paid again")
def test_after_kill_9_only_the_unfinished_agent_is_asked_and_all_is_on_the_bill(journal: Journal) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_run.py"), str(journal.path)], env=env, timeout=60, check=False
    )
    assert done.returncode == -9
    (row,) = journal.runs()
    assert (row.state, row.answers) == ("unfinished", 2)
    specs = [function("good", 0.25), function("paris", 0.25), function("behind_gate", 0.25)]
    budget = Budget("b", max_cost_usd=10.0, store=journal.path)
    group = team(["good", "paris", "behind-gate"], specs=specs, journal=journal, budget=budget)
    assert budget.unknown == 1, "the call under way when it died"
    result = group.resume("killed")
    assert crew.CALLS == {"behind_gate": 1}, "in this process"
    assert [(a.agent, a.status) for a in result.answers] == [
        ("good", "ok"),
        ("paris", "ok"),
        ("behind-gate", "ok"),
    ]
    assert any(
        "1 call had left when this run broke off, and what that cost is unknown" in p for p in result.problems
    )
    assert result.usage.cost_usd is None, "unknown is not free"
    assert budget.spent.cost_usd == pytest.approx(1.0), "four calls left, four are paid"
    # The control: without a record nothing is known of the run, and all are asked again.
    forgetful = team(["good", "paris", "behind-gate"], specs=specs)
    with pytest.raises(InputError, match="no journal to resume from"):
        forgetful.resume("killed")
    forgetful.run("why?")
    assert crew.CALLS == {"good": 1, "behind_gate": 2}


@pytest.mark.fault(
    "F44", "the same result as without kills, after ten at random", "every acknowledged answer"
)
@pytest.mark.control("F44", "acknowledged answers are lost, and finished agents asked again")
def test_ten_random_kills_lose_nothing_and_ask_nobody_again() -> None:
    run = [sys.executable, str(CHAOS), "--kills", "10", "--agents", "8", "--seed", "7"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "held" in done.stdout
    control = subprocess.run([*run, "--control"], capture_output=True, text=True, timeout=120, check=False)
    assert control.returncode == 1 and "FAILED: lost, again" in control.stdout, control.stdout


# ---------------------------------------------------------------------------- the same process


async def test_a_run_that_was_cancelled_goes_on_where_it_was(journal: Journal) -> None:
    crew.GATE["open"] = False
    group = team(["good", "behind-gate"], ["paris"], journal=journal)
    await broken_off(group, "r", "good")
    assert [row.state for row in journal.runs()] == ["unfinished"]
    crew.GATE["open"] = True
    result = await group.aresume("r")
    assert (crew.CALLS["good"], crew.CALLS["behind_gate"]) == (1, 2)
    assert [a.agent for a in result.answers] == ["good", "behind-gate", "paris"]
    assert (result.status, result.run_id) == ("complete", "r")
    assert [d.round for d in result.decisions] == [1, 2, 3]
    # What it came to is on record too; whoever asks again gets that, and nobody is asked.
    again = await group.aresume("r")
    assert (again.answer, again.answers, again.decisions) == (result.answer, result.answers, result.decisions)
    assert again == result
    assert (crew.CALLS["good"], crew.CALLS["behind_gate"]) == (1, 2)


async def test_a_run_that_ended_is_on_record_as_it_was_given_out(journal: Journal) -> None:
    group = team({"good": 0.6, "raises": 0.4}, journal=journal)
    result = await group.arun("why?", run_id="r")
    assert result_of(journal.story("r")) == result and result.coverage == pytest.approx(0.6)
    assert [row.state for row in journal.runs()] == ["degraded"]
    with pytest.raises(InputError, match="there is a run r already"):
        await group.arun("why?", run_id="r")


async def test_a_run_that_failed_can_be_resumed_and_asks_those_who_failed(journal: Journal) -> None:
    client = FakeClient([ClientError("server", "500: down"), "Paris"])
    specs = [llm("m", Price(input=1.0, output=1.0)), function("raises")]
    group = team(["m", "raises"], specs=specs, client=client, journal=journal, limits=Limits(min_answers=1))
    with pytest.raises(AllAgentsFailedError, match=r"run r cost \$") as caught:
        await group.arun("why?", run_id="r")
    assert caught.value.resume == f"agentroute runs resume r --journal {journal.path} --allow crew" or (
        caught.value.resume == f"agentroute runs resume r --journal {journal.path}"
    )
    assert caught.value.cost_usd is not None
    result = await group.aresume("r")
    assert (result.answer, result.status) == ("Paris", "degraded")
    assert len(client.requests) == 2


async def test_a_budget_counts_what_was_spent_before_the_run_broke_off(journal: Journal) -> None:
    specs = [function("good", 0.4), function("behind_gate", 0.4), function("paris", 0.4)]
    crew.GATE["open"] = False
    keys: dict[str, Any] = {"specs": specs, "journal": journal}
    group = team(["good", "behind-gate"], ["paris"], limits=Limits(max_cost_usd=1.3), **keys)
    await broken_off(group, "r", "good")
    crew.GATE["open"] = True
    result = await group.aresume("r")
    # 0.4 for good, 0.4 for the call that was lost, 0.4 for the same again: nothing is left for paris.
    assert {a.agent: a.status for a in result.answers} == {
        "good": "ok",
        "behind-gate": "ok",
        "paris": "skipped",
    }


async def test_a_model_s_call_that_was_lost_is_unknown_and_charged_its_reserve(journal: Journal) -> None:
    class Hanging(FakeClient):
        async def chat(self, request: ChatRequest) -> ChatReply:
            self.requests.append(request)
            if len(self.requests) == 1:
                await asyncio.Event().wait()
            return ChatReply(text="Paris", usage=Usage(requests=1, cost_usd=0.001))

    client = Hanging()
    specs = [llm("m", Price(input=1.0, output=10.0)), function("good")]
    group = team(["m", "good"], specs=specs, client=client, journal=journal, limits=Limits(max_cost_usd=1.0))
    task = asyncio.create_task(broken_off(group, "r", "good"))
    while not client.requests:
        await asyncio.sleep(0.01)
    await task
    story = journal.story("r")
    assert [entry.kind for entry in story.entries].count("sent") == 1
    result = await group.aresume("r")
    assert result.usage.requests == 2 and result.usage.cost_usd is None
    (note,) = [line for line in result.problems if "had left" in line]
    assert "charged their reserve of $0.001" in note
    past = past_of(journal.story("r"))
    assert isinstance(past, Past) and past.charged.cost_usd == pytest.approx(0.00101, abs=2e-5)


async def test_a_run_that_broke_off_before_it_sent_anybody_begins_anew(journal: Journal) -> None:
    class Slow(StaticRouter):
        def route(self, *given: Any, **named: Any) -> Any:
            time.sleep(0.3)
            return super().route(*given, **named)

    group = team(specs=[function("good")], router=Slow(["good"]), journal=journal)
    task = asyncio.create_task(group.arun("why?", run_id="r"))
    while not journal.runs():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await group.aresume("r")).answer == "good: why?"


async def test_an_agent_that_left_the_team_meanwhile_is_named(journal: Journal) -> None:
    crew.GATE["open"] = False
    await broken_off(team(["good", "behind-gate"], journal=journal), "r", "good")
    result = await team(["good"], journal=journal).aresume("r")
    assert result.problems == ("behind-gate: skipped (left the team during the run)",)


# ---------------------------------------------------------------------------- late answers


@pytest.mark.fault("F23", "the result at the deadline, without the late answer", "the late answer, on record")
def test_a_late_answer_is_on_record_and_not_used(journal: Journal) -> None:
    specs = [function("good"), function("slow_in_thread", timeout_s=0.2), function("stubborn", timeout_s=0.2)]
    group = team(["good", "slow-in-thread", "stubborn"], specs=specs, journal=journal)

    async def work() -> RunResult:
        result = await group.arun("why?", run_id="r")
        await asyncio.sleep(1.7)
        return result

    result = asyncio.run(work())
    assert [a.status for a in result.answers] == ["ok", "timed_out", "timed_out"]
    assert result.answer == "good: why?"
    late = {e.agent: e.data["text"] for e in journal.story("r").entries if e.kind == "late"}
    assert late == {"slow-in-thread": "too late", "stubborn": "too late"}
    assert result_of(journal.story("r")) == result


# ---------------------------------------------------------------------------- a disk that refuses


@pytest.mark.fault("F39", "the answer, `degraded`, `journal: could not record: ... full`", "the answer")
async def test_a_full_disk_costs_the_record_and_never_the_answer(journal: Journal) -> None:
    fill(journal)
    result = await team(["good"], journal=journal).arun("why?")
    assert (result.answer, result.status) == ("good: why?", "degraded")
    (problem,) = result.problems
    assert problem.startswith("journal: could not record: ") and "full" in problem


def fill(journal: Journal) -> None:
    """Let the database grow no further, which SQLite reports as it does a full disk."""

    def work(db: Any) -> None:
        db.execute(f"PRAGMA max_page_count={db.execute('PRAGMA page_count').fetchone()[0]}")

    def hold(db: Any) -> None:
        db.execute(
            "INSERT INTO holds (budget, owner, requests, tokens, usd, seconds) VALUES ('x', 'y', 0, 0, 0, 0)"
        )

    journal.store.submit(work, durable=False).result()
    refused = 0
    while refused < 3:
        refused = 0
        for write in (
            lambda: journal.begin(os.urandom(16).hex(), {"query": {"text": "x" * 99}, "notes": []}),
            lambda: journal.add("x", "answered", {"text": "x" * 99}, "a", durable=False),
            lambda: journal.store.submit(hold, durable=False),
        ):
            try:
                write().result()
            except StorageError:
                refused += 1


async def test_a_budget_that_cannot_be_written_lets_nobody_spend(journal: Journal) -> None:
    fill(journal)
    budget = Budget("b", max_cost_usd=100.0, store=journal.path)
    with pytest.raises(BudgetError, match="shared budget b cannot be kept"):
        await team(["paris"], specs=[function("paris", 0.1)], budget=budget).arun("why?")
