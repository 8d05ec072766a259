"""What a user's module with agents looks like: good ones, and every way to be bad."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from agentroute.types import Answer, Query, Usage

CALLS: dict[str, int] = {}
GATE = {"open": True}


def _called(name: str) -> None:
    CALLS[name] = CALLS.get(name, 0) + 1


def good(text: str) -> str:
    _called("good")
    return f"good: {text}"


async def good_async(text: str) -> str:
    await asyncio.sleep(0)
    return f"async: {text}"


def paris(text: str) -> str:
    return "Paris"


def paris_too(text: str) -> str:
    return "paris."


async def rome(text: str) -> str:
    return "Rome"


def wants_query(query: Query) -> str:
    return f"{query.task}/{len(query.context)}"


def whole(query: Query) -> Answer:
    return Answer(agent="somebody-else", text="42", usage=Usage(requests=3, cost_usd=0.5))


def declines(text: str) -> None:
    return None


def blank(text: str) -> str:
    return "  \n"


def raises(text: str) -> str:
    raise ValueError("first line\nsecond line")


async def raises_at_once(text: str) -> str:
    raise RuntimeError("at once")


def exits(text: str) -> str:
    sys.exit("bye")


async def exits_async(text: str) -> str:
    sys.exit("bye")


async def cancels_itself(text: str) -> str:
    raise asyncio.CancelledError


def number(text: str) -> Any:
    return 42


def huge(text: str) -> str:
    return "x" * 2_000_001


def dirty(text: str) -> str:
    return "a\0b\ud800c"


async def hangs(text: str) -> str:
    await asyncio.sleep(60)
    return "too late"


def hangs_in_thread(text: str) -> str:
    time.sleep(20)
    return "too late"


def slow_in_thread(text: str) -> str:
    time.sleep(0.6)
    return "too late"


async def stubborn(text: str) -> str:
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            continue
    return "too late"


async def blocks(text: str) -> str:
    time.sleep(0.4)
    return "too late"


async def blocks_then_waits(text: str) -> str:
    time.sleep(0.4)
    await asyncio.sleep(0)  # ready at once: no timer comes between
    return "too late"


async def naps(text: str) -> str:
    await asyncio.sleep(0.05)
    return "slept well"


async def interrupts(text: str) -> str:
    raise KeyboardInterrupt


def interrupts_in_thread(text: str) -> str:
    raise KeyboardInterrupt


async def behind_gate(text: str) -> str:
    _called("behind_gate")
    while not GATE["open"]:
        await asyncio.sleep(0.01)
    return "through"


not_callable = 5


def no_arguments() -> str:
    return "never"


# Runnables

as_text = RunnableLambda(lambda text: f"ran {text}")
as_message = RunnableLambda(
    lambda text: AIMessage(
        [{"type": "text", "text": "from "}, {"type": "text", "text": "blocks"}],
        usage_metadata={"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
    )
)
as_dict = RunnableLambda(lambda text: {"answer": "from a dict", "other": 1})
as_list = RunnableLambda(lambda text: [1, 2])
sleeps = RunnableLambda(hangs_in_thread)
chain = ChatPromptTemplate.from_template("{context} | {question}") | RunnableLambda(
    lambda prompt: AIMessage(prompt.to_messages()[-1].content)
)


def graph() -> Any:
    """A compiled LangGraph graph that answers with the number of messages it got."""
    from langgraph.graph import END, START, MessagesState, StateGraph

    async def reply(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(str(len(state["messages"])))]}

    flow = StateGraph(MessagesState)
    flow.add_node("reply", reply)
    flow.add_edge(START, "reply")
    flow.add_edge("reply", END)
    return flow.compile()


# Tools


def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    _called("add")
    return a + b


async def look_up(word: str) -> dict[str, str]:
    """Look a word up."""
    return {word: "a word"}


def breaks(text: str) -> str:
    """Always fails."""
    raise OSError("no such thing")


def takes_anything(*parts: str) -> str:
    return "".join(parts)


class Unprintable(Exception):
    """An error that fails again when it is asked what it says."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class UnprintableExit(SystemExit):
    """The same, of the kind that ends a thread."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def unprintable(text: str) -> str:
    raise Unprintable


def unprintable_exit(text: str) -> str:
    raise UnprintableExit
