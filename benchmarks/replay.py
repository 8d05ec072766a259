"""Is the pipeline worth what ``evaluate`` says? Run recorded questions through both and compare.

    python benchmarks/replay.py --data DIR [--router R] [--queries 200] [--seed 0] [--json OUT]

The pipeline is the real one: ``AgentRoute``, LangGraph, the folder's ``recorded`` agents, the vote refiner.
The other side is ``GraphRouter.replay``, what ``evaluate`` reports. Both see the same queries, agents
and setting, so they must quote the same agents; the exit code is 1 where they do not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agentroute.errors import AllAgentsFailedError, InputError
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.pipeline import AgentRoute
from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter
from agentroute.types import RefinerSpec, RunResult


def held_out(router: GraphRouter, folder: OutcomeFolder, most: int) -> OutcomeTable:
    """Return the queries that ``evaluate`` would judge, the first ones of them."""
    table = folder.table(router.record.agents)
    if not table.has_answers:
        raise InputError(
            f"{folder.path} keeps scores but no answers; only answers can go through the pipeline"
        )
    held = set(router.manifest["test_ids"])
    kept = np.array([row.query.id in held for row in table.queries]) & table.ran.all(axis=1)
    if not kept.any():
        raise InputError(f"{folder.path} has no query that the router's training left out")
    return table.take(np.flatnonzero(kept)[:most])


def as_recorded(table: OutcomeTable, folder: OutcomeFolder) -> OutcomeTable:
    """Make every row a ``recorded`` one: the router reads the kind, and both sides must show it the same."""
    home = str(folder.path.resolve())
    specs = [replace(spec, kind="recorded", outcomes=spec.outcomes or home) for spec in table.agents]
    return replace(table, agents=tuple(specs))


async def run_pipeline(
    router: GraphRouter, folder: OutcomeFolder, table: OutcomeTable
) -> tuple[list[RunResult | None], list[float]]:
    """Run the queries one after another; ``None`` where nobody answered."""
    registry = AgentRegistry.from_specs(table.agents, RefinerSpec(kind="vote"), folder=folder.path.resolve())
    team = AgentRoute(registry, router)
    results: list[RunResult | None] = []
    seconds: list[float] = []
    for row in table.queries:
        began = time.perf_counter()
        try:
            results.append(await team.arun(row.query))
        except AllAgentsFailedError:
            results.append(None)
        seconds.append(time.perf_counter() - began)
    return results, seconds


def compare(router: GraphRouter, folder: OutcomeFolder, most: int) -> dict[str, Any]:
    """Run both and put them side by side."""
    table = as_recorded(held_out(router, folder, most), folder)
    said = router.replay(table)
    results, seconds = asyncio.run(run_pipeline(router, folder, table))
    place = {name: column for column, name in enumerate(table.agent_ids)}
    quoted = np.array([place[result.sources[0]] if result else -1 for result in results])
    score = np.where(quoted >= 0, table.score[np.arange(len(quoted)), quoted], 0.0)
    # Who fails raises instead of returning a result, so that their calls are those of the replay or unknown.
    asked = [None if result is None else len(result.answers) for result in results]
    differs = np.flatnonzero((quoted != said.leader) | (score != said.score))
    answered = [row for row, count in enumerate(asked) if count is not None]
    return {
        "data": folder.path.resolve().name,
        "agents": len(table.agents),
        "queries": len(table),
        "setting": router.setting.plain()["policy"] | {"rounds": router.rounds},
        "pipeline_score": float(score.mean()),
        "evaluate_score": float(said.score.mean()),
        "differs": [str(table.queries[row].query.id) for row in differs],
        "asked_differently": [
            str(table.queries[row].query.id)
            for row in answered
            if {answer.agent for answer in results[row].answers}  # type: ignore[union-attr]
            != {table.agent_ids[column] for column in np.flatnonzero(said.asked[row])}
        ],
        "unanswered": len(table) - len(answered),
        "pipeline_calls": statistics.fmean(asked[row] or 0 for row in answered) if answered else None,
        "evaluate_calls": float(said.calls[answered].mean()) if answered else None,
        "seconds_p50": float(np.percentile(seconds, 50)),
        "seconds_p95": float(np.percentile(seconds, 95)),
        "first_run_seconds": seconds[0],
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="an outcome folder")
    parser.add_argument("--router", type=Path, help="a router trained on it; trained here when not given")
    parser.add_argument("--queries", type=int, default=200, help="how many, at most")
    parser.add_argument("--seed", type=int, default=0, help="for training")
    parser.add_argument("--embedder", default="minilm", help="for training: minilm or hashing")
    parser.add_argument("--epochs", type=int, help="for training: passes, at most")
    parser.add_argument("--json", type=Path, help="write the figures here")
    given = parser.parse_args()
    folder = OutcomeFolder.open(given.data)
    if given.router is not None:
        router = GraphRouter.load(given.router)
    else:
        from agentroute.evaluation.progress import progress_bar
        from agentroute.routing.config import TrainConfig
        from agentroute.routing.train import train

        config = TrainConfig(seed=given.seed)
        config = config if given.epochs is None else replace(config, epochs=given.epochs)
        with progress_bar() as bar:
            router = train(folder, config=config, embedder=given.embedder, progress=bar)
    found = compare(router, folder, given.queries)
    for name, value in found.items():
        print(f"{name:>18}  {value}")
    if given.json is not None:
        given.json.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", "utf-8")
    same = not found["differs"] and not found["asked_differently"]
    print("the pipeline and evaluate agree" if same else "THE PIPELINE AND EVALUATE DISAGREE")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
