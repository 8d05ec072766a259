"""The faults of agents and runs without the protection: through bare LangGraph and bare asyncio."""

from __future__ import annotations

import asyncio
import operator
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypedDict

import crew
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

QUESTION = "why? " * 20


class State(TypedDict, total=False):
    answers: Annotated[list[str], operator.add]
    final: str


def fan_out(
    agents: list[Callable[[str], Any]], to: str = "agent", refine: Callable[[State], Any] | None = None
) -> Any:
    """The same shape as our workflow, written as LangGraph's documentation shows it."""

    async def agent(given: dict[str, Any]) -> dict[str, Any]:
        said = agents[given["number"]](given["question"])
        return {"answers": [await said if asyncio.iscoroutine(said) else said]}

    def first(state: State) -> State:
        return {"final": state["answers"][0]}

    graph: Any = StateGraph(State)
    graph.add_node("agent", agent)
    graph.add_node("refine", refine or first)
    send = [Send(to, {"number": number, "question": QUESTION}) for number in range(len(agents))]
    graph.add_conditional_edges(START, lambda state: send, ["agent"])
    graph.add_edge("agent", "refine")
    graph.add_edge("refine", END)
    return graph


# ---------------------------------------------------------------------------- bare LangGraph


@pytest.mark.control("F01", "one agent that raises ends the run: two answers are lost")
@pytest.mark.control("F19", "of all the errors one is raised, and the others are not named")
async def test_one_agent_that_raises_costs_all_answers() -> None:
    whole = await fan_out([crew.paris, crew.rome]).compile().ainvoke({})
    assert whole == {"answers": ["Paris", "Rome"], "final": "Paris"}
    with pytest.raises(RuntimeError, match="at once"):
        await fan_out([crew.paris, crew.raises_at_once, crew.rome]).compile().ainvoke({})
    with pytest.raises((RuntimeError, ValueError)) as caught:
        await fan_out([crew.raises_at_once, crew.raises]).compile().ainvoke({})
    assert ("at once" in str(caught.value)) != ("first line" in str(caught.value))


@pytest.mark.control("F20", "a run that asks nobody ends without an answer, and without a word")
@pytest.mark.control("F58", "a team of nobody loads, and its run ends without a word")
async def test_a_run_that_asks_nobody_is_silence() -> None:
    assert await fan_out([]).compile().ainvoke({}) in (None, {"answers": []})
    gone = await fan_out([crew.paris], to="ghost").compile().ainvoke({})
    assert gone in (None, {"answers": []})


@pytest.mark.control("F21", "a refiner that raises ends the run: the answers are lost")
async def test_a_refiner_that_fails_costs_all_answers() -> None:
    def broken(state: State) -> State:
        assert len(state["answers"]) == 2
        raise RuntimeError("the refiner's model says 500")

    with pytest.raises(RuntimeError, match="says 500"):
        await fan_out([crew.paris, crew.rome], refine=broken).compile().ainvoke({})


@pytest.mark.control("F54", "each of 20 agents stores a copy of the question")
@pytest.mark.control("F57", "whoever is selected is asked, 300 at once")
async def test_every_agent_is_asked_at_once_with_a_copy_of_the_question() -> None:
    together = asyncio.Barrier(300)

    async def works(text: str) -> str:
        await together.wait()  # until all of them are at work
        return "x"

    async with asyncio.timeout(60.0):
        asked = await fan_out([works] * 300).compile().ainvoke({})
    assert len(asked["answers"]) == 300
    saver = InMemorySaver()
    graph = fan_out([crew.paris] * 20).compile(checkpointer=saver)
    await graph.ainvoke({}, {"configurable": {"thread_id": "t"}})
    writes = [row[2][1] for rows in saver.writes.values() for row in rows.values()]
    blobs = [value[1] for value in saver.blobs.values()]
    assert sum(data.count(QUESTION.encode()) for data in [*writes, *blobs]) >= 20


# ---------------------------------------------------------------------------- bare asyncio


@pytest.mark.control("F02", "who waits for all waits for who hangs, and has no answer meanwhile")
async def test_one_agent_that_hangs_holds_all_answers_back() -> None:
    everybody = asyncio.gather(crew.rome("?"), crew.hangs("?"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(everybody, 0.3)
    with pytest.raises(asyncio.CancelledError):
        everybody.result()  # the answer of the other went with it


@pytest.mark.control("F04", "a deadline of 0.1 s does not come: the answer counts, and all others wait")
async def test_a_deadline_does_not_come_while_the_loop_is_held() -> None:
    began = time.monotonic()
    async with asyncio.timeout(0.1):
        napped = asyncio.create_task(crew.naps("?"))
        said = await crew.blocks("?")
    assert said == "too late" and time.monotonic() - began >= 0.35
    assert not napped.done(), "it needs 0.05 s, and has not begun"
    await napped


@pytest.mark.control("F23", "a thread cannot be stopped: a step of 0.1 s ends when the agent does")
def test_a_thread_is_waited_for_whatever_the_deadline() -> None:
    graph: Any = StateGraph(State)
    graph.add_node("agent", lambda state: {"answers": [crew.slow_in_thread("?")]})
    graph.add_edge(START, "agent")
    compiled = graph.compile()
    compiled.step_timeout = 0.1
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        compiled.invoke({})
    assert time.monotonic() - began >= 0.55


@pytest.mark.control("F24", "`wait_for` waits for as long as the agent swallows its cancellation")
async def test_a_cancellation_that_is_swallowed_is_waited_for() -> None:
    async def stubborn() -> str:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:
                continue
        return "too late"

    began = time.monotonic()
    try:
        await asyncio.wait_for(stubborn(), 0.1)
    except TimeoutError:
        pass  # or the late answer: Python's versions differ
    assert time.monotonic() - began >= 0.45


# ---------------------------------------------------------------------------- a plain program

PLAIN = """
import asyncio
async def agent(seconds):
    await asyncio.sleep(seconds)
    print("answered", flush=True)
    return "Paris"
async def everybody():
    return await asyncio.gather(agent(0), agent(10))
print(asyncio.run(everybody()))
"""


@pytest.mark.control("F45", "a traceback; the answer that was there is lost, and nothing says how to go on")
def test_a_plain_program_that_is_interrupted_loses_what_it_had(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PLAIN],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdout is not None and program.stdout.readline() == "answered\n"
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=60)
    assert program.returncode != 0 and "Traceback" in err and "KeyboardInterrupt" in err
    assert "Paris" not in out + err and not list(tmp_path.iterdir())


@pytest.mark.control("F60", "a plain program whose reader leaves ends with a traceback")
def test_a_plain_program_whose_reader_leaves_ends_with_a_traceback() -> None:
    endless = [sys.executable, "-c", "for _ in range(10**6): print('answer ' * 100)"]
    with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None and program.stderr is not None
        program.stdout.readline()
        program.stdout.close()
        err = program.stderr.read()
    assert program.returncode != 0 and "Traceback" in err and "BrokenPipeError" in err
