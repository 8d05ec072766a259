"""The whole trip, without a key: check a team, watch it work, train a router, judge it, ask it.

Run it with ``make demo``. A second run keeps what the first one collected.
"""

from __future__ import annotations

import time
from pathlib import Path

from agentroute import AgentRegistry, AgentRoute, collect, evaluate, train
from agentroute.effort.train import EffortConfig
from agentroute.effort.training import train_effort
from agentroute.evaluation.effort import evaluate_effort
from agentroute.evaluation.progress import progress_bar
from agentroute.outcomes import OutcomeFolder
from agentroute.workbench.ladders import record, shipped_questions, summary
from agentroute.workbench.questions import records

REGISTRY = Path(__file__).parent.parent / "agents" / "workbench.yaml"
LADDER, EFFORT = Path("runs/workbench-effort"), Path("routers/effort")
OUTCOMES, ROUTER, PICTURE = Path("runs/workbench"), Path("routers/workbench"), Path("runs/workbench.png")
QUESTIONS = (
    "How many minutes are there in 3.5 days?",
    "What day of the week was 14 March 1892?",
    "Who founded Halden Ferry?",
)


def main() -> None:
    """Do the main job on the agents and questions that come with the package."""
    registry = AgentRegistry.from_yaml(REGISTRY)
    print(f"1. {REGISTRY.name}: {len(registry)} local agents, {len(registry.check())} warnings")

    with progress_bar() as bar:
        print("2. every agent answers every question")
        report = collect(registry, records(), OUTCOMES, progress=bar)
        print(f"   {report.recorded:,} outcomes recorded, {report.kept:,} were there, {report.failed} failed")
        print("3. a router learns from what they scored")
        router = train(OUTCOMES, ROUTER, progress=bar)
        print("4. is it worth it, on questions of other wordings and facts than it learned from?")
        result = evaluate(router, OUTCOMES, progress=bar)
    print(result)
    print(f"   picture: {result.plot(PICTURE)}")

    print("5. ask the team")
    team = AgentRoute(registry, router)
    for question in QUESTIONS:
        began = time.monotonic()
        run = team.run(question)
        asked = ", ".join(f"{agent} {weight:.2f}" for agent, weight in run.decisions[-1].selected)
        cost = "unknown" if run.usage.cost_usd is None else f"${run.usage.cost_usd:.4f}"
        print(f"   {question}\n      {run.answer}   (confidence {run.confidence:.2f})")
        print(f"      asked: {asked}; {time.monotonic() - began:.2f} s, {cost}")

    print("6. effort: one reader at three levels, which are how many passages it opens and follows")
    record(shipped_questions(), LADDER)
    print(f"   {'level':<10}{'score':>7}{'tokens read':>13}")
    for level, score, tokens in summary(LADDER):
        print(f"   {level:<10}{score:>7.3f}{tokens:>13.0f}")
    print("   hindsight takes the cheapest level that does best: what choosing step by step is worth at most")
    train_effort(OutcomeFolder.open(LADDER), EFFORT, config=EffortConfig(price="all_tokens"))
    print(evaluate_effort(EFFORT, LADDER))


if __name__ == "__main__":
    main()
