"""A run with a checkpointer, for a process of its own: strict msgpack is switched on at import."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from langgraph.checkpoint.memory import InMemorySaver

from agentroute.effort.router import FixedEffort
from agentroute.running.agents import build_agent
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


async def main() -> None:
    specs = [
        AgentSpec(id=name, kind="function", description="d", function=f"crew:{name}")
        for name in ("good", "raises")
    ]
    team = {spec.id: build_agent(spec, allow=["crew"]) for spec in specs}
    weights: Any = {"good": np.float32(0.6), "raises": np.float64(0.4)}
    flow = build_workflow(StaticRouter(weights), team, specs, VoteRefiner(), FixedEffort())
    graph = flow.compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    result = await graph.ainvoke({"question": "why?"}, config)
    async for snapshot in graph.aget_state_history(config):
        check({key: value for key, value in snapshot.values.items() if key != "messages"})
    print(result["answer"], result["status"])


asyncio.run(main())
