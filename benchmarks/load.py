"""What it carries, and what the protection costs.

    python benchmarks/load.py [--runs 100] [--agents 5] [--faults 5] [--waves 150] [--minutes 0] [--json OUT]

A server in a process of its own speaks OpenAI's protocol on the loopback address.

- load: so many runs at once, each of so many agents, with a fault for so many percent of the requests
  (errors, hangs, resets, floods, nonsense): how many had an answer, and why the others had none.
- overhead: a wave of agents through ``AgentRoute`` against the same number of bare litellm calls at once to
  the same server, in turns: the client alone, a run with its caps, the same with the journal, and the same
  with a budget that processes share; and what one ``fsync`` takes on this disk, which an acknowledged answer
  has to wait for. What was loaded before is left out of garbage collection, for all alike: one pass over
  litellm's modules takes a fifth of a second and would fall on whoever runs at that moment.
- soak, with ``--minutes``: runs all the time, and how memory and open files grow after the first quarter.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from agentroute.errors import RunError
from agentroute.pipeline import AgentRoute
from agentroute.registry import AgentRegistry
from agentroute.running.calling.client import LiteLLMClient
from agentroute.running.spending.shared import Budget
from agentroute.testing import LoopbackServer, StaticRouter
from agentroute.types import AgentSpec, ChatRequest, Limits, Price, Query

BUDGET_MS = 3.0
PRICE = Price(input=1.0, output=2.0)
QUESTION = "What is the capital of France?"


def serve() -> None:
    """Be the server, until whoever started this closes its input."""
    with LoopbackServer(seed=0) as server:
        print(server.url, flush=True)
        sys.stdin.read()


def build(
    url: str, model: str, agents: int, folder: Path | None, *, shared: bool = True, **keys: Any
) -> AgentRoute:
    specs = [
        AgentSpec(
            id=f"a{i}",
            kind="llm",
            description="d",
            model=f"openai/{model}",
            api_base=url,
            price=PRICE,
            max_tokens=100,
            timeout_s=30.0,
        )
        for i in range(agents)
    ]
    journal = None if folder is None else folder / "runs.db"
    budget = Budget("load", max_cost_usd=1e6, store=journal) if journal is not None and shared else None
    router = StaticRouter([spec.id for spec in specs])
    return AgentRoute(AgentRegistry.from_specs(specs), router, journal=journal, budget=budget, **keys)


# ---------------------------------------------------------------------------- load


async def load(url: str, runs: int, agents: int, faults: float, folder: Path) -> dict[str, Any]:
    # Without the breaker: faults that come by chance would leave agents out, and so spare them.
    limits = Limits(deadline_s=60.0)
    team = build(url, f"mix:{faults:g}", agents, folder, limits=limits, breaker=None)
    await team.arun(QUESTION)  # imports are nobody's load
    statuses: Counter[str] = Counter()
    agent_faults: Counter[str] = Counter()
    broke: list[str] = []

    async def one() -> None:
        try:
            result = await team.arun(QUESTION)
        except RunError as error:
            statuses["failed"] += 1
            broke.append(str(error))
            return
        statuses[result.status] += 1
        agent_faults.update(answer.fault or "" for answer in result.answers if answer.status != "ok")

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(runs)))
    seconds = time.monotonic() - began
    await team.aclose()
    answered = statuses["complete"] + statuses["degraded"]
    return {
        "runs_at_once": runs,
        "agents": agents,
        "faults_percent": faults,
        "answered_percent": round(100 * answered / runs, 2),
        **{f"runs_{name}": statuses[name] for name in ("complete", "degraded", "failed")},
        "agents_without_answer": dict(agent_faults),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "why_failed": broke[:3],
    }


# ---------------------------------------------------------------------------- overhead


async def overhead(url: str, agents: int, waves: int, folder: Path) -> dict[str, Any]:
    client, query = LiteLLMClient(), Query(text=QUESTION)
    await client.open()
    import litellm  # after the client, which tells it not to fetch prices from the network

    plain = build(url, "ok", agents, None, client=client)
    kept = build(url, "ok", agents, folder, shared=False, client=client)
    counted = build(url, "ok", agents, folder, client=client)
    messages: Any = [{"role": "user", "content": QUESTION}]

    async def bare() -> None:
        call = {"model": "openai/ok", "messages": messages, "api_base": url, "api_key": "no-key"}
        await asyncio.gather(
            *(
                litellm.acompletion(**call, max_tokens=100, num_retries=0, max_retries=0)
                for _ in range(agents)
            )
        )

    async def door() -> None:
        request = ChatRequest(
            model="openai/ok", messages=tuple(messages), api_base=url, price=PRICE, max_tokens=100
        )
        await asyncio.gather(*(client.chat(request) for _ in range(agents)))

    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "bare": bare,
        "client": door,
        "run": lambda: plain.arun(query),
        "run_journal": lambda: kept.arun(query),
        "run_journal_shared_budget": lambda: counted.arun(query),
    }
    alone = {name: Taken() for name in ways}
    busy = {name: Taken() for name in ways}
    for way in ways.values():
        await way()
    gc.collect()
    gc.freeze()
    for turn in range(waves + 10):
        for name, way in ways.items():
            with alone[name].one(agents, keep=turn >= 10):
                await way()
    for turn in range(max(5, waves // 15) + 1):
        for name, way in ways.items():
            with busy[name].one(20 * agents, keep=turn > 0):
                await asyncio.gather(*(way() for _ in range(20)))
    gc.unfreeze()
    await client.aclose()
    told = {"one wave": alone, "twenty waves at once": busy}
    rows = {
        f"{what}, {kind} ms a call": {name: taken.ms(kind) for name, taken in by.items()}
        for what, by in told.items()
        for kind in ("wall", "best wall", "cpu")
    }
    return {
        "agents_at_once": agents,
        "waves": waves,
        "fsync_ms": fsync_ms(folder),
        **rows,
        "over_bare": {
            what: {name: round(row[name] - row["bare"], 2) for name in row if name != "bare"}
            for what, row in rows.items()
        },
        "bar_ms": BUDGET_MS,
    }


class Taken:
    """Times of one way, per call: by the clock, and of this process's processors alone."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []

    @contextlib.contextmanager
    def one(self, calls: int, *, keep: bool) -> Iterator[None]:
        """Time a block that makes so many calls."""
        began, busy = time.perf_counter(), time.process_time()
        yield
        if keep:
            self.wall.append((time.perf_counter() - began) / calls)
            self.cpu.append((time.process_time() - busy) / calls)

    def ms(self, kind: str) -> float:
        """Return milliseconds per call."""
        taken = {"wall": np.median(self.wall), "best wall": min(self.wall), "cpu": np.median(self.cpu)}
        return round(1e3 * float(taken[kind]), 2)


def fsync_ms(folder: Path) -> float:
    """Time what the disk alone takes for one small write that must not be lost."""
    taken = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - began)
    return round(1e3 * float(np.median(taken)), 3)


# ---------------------------------------------------------------------------- soak


async def soak(url: str, agents: int, faults: float, minutes: float, folder: Path) -> dict[str, Any]:
    team = build(url, f"mix:{faults:g}", agents, folder, limits=Limits(deadline_s=60.0), breaker=None)
    await team.arun(QUESTION)
    router = team.router
    assert isinstance(router, StaticRouter)
    end = time.monotonic() + 60 * minutes
    done, failed = 0, 0
    samples: list[tuple[float, float, int]] = []

    async def worker() -> None:
        nonlocal done, failed
        while time.monotonic() < end:
            try:
                await team.arun(QUESTION)
            except RunError:
                failed += 1
            done += 1

    async def watch() -> None:
        while time.monotonic() < end:
            router.calls.clear()  # a double remembers what it was asked; what is looked for is what we keep
            samples.append((time.monotonic(), memory_mb(), open_files()))
            await asyncio.sleep(max(0.2, 60 * minutes / 60))

    await asyncio.gather(watch(), *(worker() for _ in range(10)))
    await team.aclose()
    later = samples[len(samples) // 4 :]
    half = len(later) // 2
    first, last = (np.mean([row[1:] for row in part], axis=0) for part in (later[:half], later[half:]))
    return {
        "minutes": minutes,
        "runs": done,
        "failed": failed,
        "memory_mb": [round(float(first[0]), 1), round(float(last[0]), 1)],
        "memory_growth_percent": round(100 * float(last[0] / first[0] - 1), 2),
        "open_files": [round(float(first[1]), 1), round(float(last[1]), 1)],
        "open_files_at_the_end": open_files(),
    }


def memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--agents", type=int, default=5)
    parser.add_argument("--faults", type=float, default=5.0)
    parser.add_argument("--waves", type=int, default=150)
    parser.add_argument("--minutes", type=float, default=0.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return 0
    warnings.simplefilter("ignore")
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin is not None and server.stdout is not None
    try:
        url = server.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            found: dict[str, Any] = {}
            if given.runs:
                found["load"] = asyncio.run(load(url, given.runs, given.agents, given.faults, folder))
            if given.waves:
                found["overhead"] = asyncio.run(overhead(url, given.agents, given.waves, folder))
            if given.minutes:
                found["soak"] = asyncio.run(soak(url, given.agents, given.faults, given.minutes, folder))
    finally:
        server.stdin.close()
        server.wait()
    print(json.dumps(found, indent=2))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    answered = found.get("load", {}).get("answered_percent", 100.0)
    return 0 if answered >= 99.0 else 1


if __name__ == "__main__":
    sys.exit(main())
