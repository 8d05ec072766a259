"""Does it hold? Runs are killed at random moments and resumed, until so many kills were survived.

    python benchmarks/chaos.py [--kills 500] [--agents 20] [--seed 0] [--json OUT] [--control]

Each run asks ``--agents`` local agents in two waves and pays for them from a budget that is shared through
the journal's file. A process of its own runs it, and gets ``SIGKILL`` at a random moment; another one resumes
it, and may be killed as well; the last one ends it. Agents and observer write into one append-only file, so
that its order is what happened:

- lost: an answer that was acknowledged, and is not in the result word for word;
- again: an agent that was asked once more after its answer had been acknowledged;
- unpaid: an agent that was asked, and is not on the shared budget's bill;
- damaged: a journal that SQLite does not find sound.

All must be 0. With ``--control`` answers are acknowledged that are on no record, which must show. Children
are forked, since importing LangGraph anew each time would take most of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

from agentroute.errors import InputError
from agentroute.pipeline import AgentRoute
from agentroute.registry import AgentRegistry
from agentroute.running import workflow  # noqa: F401  # imported once, before children are forked
from agentroute.running.keeping import past  # noqa: F401  # the same
from agentroute.running.keeping.journal import Journal
from agentroute.running.keeping.record import Record
from agentroute.running.spending.shared import Budget
from agentroute.testing import StaticRouter
from agentroute.types import AgentSpec, Answer, Limits, Price, Query, Usage

PRICE = 0.01
LONGEST_S = 0.02
LOG = -1


def say(*words: str) -> None:
    os.write(LOG, (" ".join(words) + "\n").encode())


class Agent:
    """An agent that knows its own name."""

    def __init__(self, spec: AgentSpec) -> None:
        self.spec = spec

    async def answer(self, query: Query, *rest: Any) -> Any:
        """Leave a trace, take a moment, answer something that nobody can guess."""
        say("asked", query.text, self.spec.id)
        await asyncio.sleep(random.random() * LONGEST_S)
        return Answer(agent=self.spec.id, text=uuid.uuid4().hex, usage=Usage(cost_usd=PRICE))


async def unwritten(record: Record, plain: dict[str, Any]) -> None:
    """Acknowledge an answer that is on no disk."""


def build(folder: Path, names: list[str]) -> AgentRoute:
    half = len(names) // 2
    specs = [
        AgentSpec(
            id=name,
            kind="function",
            description=name,
            function="agentroute.workbench.arithmetic:answer",
            price=Price(call=PRICE),
        )
        for name in names
    ]
    team = AgentRoute(
        AgentRegistry.from_specs(specs),
        StaticRouter(names[:half], names[half:]),
        limits=Limits(max_agents=len(names), concurrency=5),
        journal=folder / "runs.db",
        budget=Budget("chaos", max_cost_usd=1e6, store=folder / "runs.db"),
    )
    team._roster.crew.team = {spec.id: Agent(spec) for spec in specs}
    return team


async def go_on(team: AgentRoute, run: str) -> None:
    """Begin a run, or resume it if it is on record, and acknowledge aloud what is acknowledged."""
    try:
        events = [event async for event in heard(team.astream_resume(run), run)]
    except InputError as error:
        if "there is no run" not in str(error):
            raise
        events = [event async for event in heard(team.astream(run, run_id=run), run)]
    result = events[-1].data
    say("ended", run, *(f"{a.agent}={a.text}" for a in result.answers))  # type: ignore[union-attr]


async def heard(events: Any, run: str) -> Any:
    async for event in events:
        if event.kind == "agent_end":
            say("acked", run, event.data.agent, event.data.text)
        yield event


def child(folder: Path, names: list[str], run: str, seed: int) -> int:
    """Fork a process that goes on with a run; return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        random.seed(seed)
        team = build(folder, names)
        asyncio.run(go_on(team, run))
        Journal(folder / "runs.db").close()
        code = 0
    except BaseException as error:
        say("broke", run, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    finally:
        os._exit(code)


def wait_a_while(folder: Path, dice: random.Random, seconds: float, lines: int, pid: int) -> None:
    """Wait for a random moment: by the clock, or by how much has happened, which a busy machine delays."""
    if dice.random() < 0.5:
        time.sleep(dice.random() * seconds)
        return
    target, seen = dice.randrange(1, lines), 0
    with (folder / "log").open("rb") as log:
        log.seek(0, os.SEEK_END)
        while seen < target and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            seen += log.read().count(b"\n")
            time.sleep(0.0005)
    time.sleep(dice.random() * 0.004)


def kill_runs(folder: Path, kills: int, agents: int, dice: random.Random) -> int:
    """Kill and resume until so many kills were survived; return how many runs that took."""
    names = [f"a{i:02d}" for i in range(agents)]
    whole = (agents / 5) * LONGEST_S + 0.12
    done = runs = 0
    while done < kills:
        run = f"run{runs:05d}"
        runs += 1
        for attempt in range(6):
            pid = child(folder, names, run, dice.randrange(2**31))
            if attempt < 5 and done < kills:
                wait_a_while(folder, dice, whole, 2 * agents, pid)
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                if os.WIFSIGNALED(status):
                    done += 1
                    continue
            else:
                os.waitpid(pid, 0)
            break
    return runs


def judge(folder: Path) -> dict[str, Any]:
    """Read what happened, in order, and count what must not."""
    acked: dict[tuple[str, str], str] = {}
    asked: Counter[tuple[str, str]] = Counter()
    ended: dict[str, dict[str, str]] = {}
    begun: set[str] = set()
    again = 0
    broke: list[str] = []
    for line in (folder / "log").read_text().splitlines():
        kind, run, *rest = line.split(" ")
        begun.add(run)
        if kind == "asked":
            asked[run, rest[0]] += 1
            again += (run, rest[0]) in acked
        elif kind == "acked":
            acked.setdefault((run, rest[0]), rest[1])
        elif kind == "ended":
            ended[run] = dict(pair.split("=") for pair in rest)
        else:
            broke.append(line)
    lost = sum(ended.get(run, {}).get(agent) != text for (run, agent), text in acked.items())
    with sqlite3.connect(folder / "runs.db") as db:
        sound = db.execute("PRAGMA integrity_check").fetchone()[0]
    budget = Budget("chaos", store=folder / "runs.db")
    charged = round((budget.spent.cost_usd or 0.0) / PRICE)
    return {
        "acknowledged": len(acked),
        "asked": sum(asked.values()),
        "asked_again_unacknowledged": sum(asked.values()) - len(asked),
        "charged": charged,
        "unknown": budget.unknown,
        "lost": lost,
        "again": again,
        "unpaid": max(0, sum(asked.values()) - charged),
        "damaged": int(sound != "ok"),
        "not_ended": len(begun - ended.keys()),
        "broke": broke[:5],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--agents", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--control", action="store_true")
    given = parser.parse_args()
    global LOG
    if given.control:
        Record.answered = unwritten  # type: ignore[method-assign]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        LOG = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        runs = kill_runs(folder, given.kills, given.agents, random.Random(given.seed))
        found = {
            "kills": given.kills,
            "runs": runs,
            "agents": given.agents,
            "seed": given.seed,
            **judge(folder),
        }
    found["seconds"] = round(time.monotonic() - began, 1)
    for key, value in found.items():
        print(f"{key:<28}{value}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    bad = [key for key in ("lost", "again", "unpaid", "damaged", "not_ended") if found[key]] + found["broke"]
    print(f"FAILED: {', '.join(map(str, bad))}" if bad else "held")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
