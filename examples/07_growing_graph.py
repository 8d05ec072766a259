"""The growing graph, round by round: each answer joins it, then the router asks on or stops.

    python examples/07_growing_graph.py [FOLDER]

What the agents said is made up and recorded in the folder (runs/sums by default), so nobody is called. No
question shows whether the cheap one will know; its answer does. From the record the network learns how far to
trust an answer: who gave it, what it looks like, who agrees with it.
"""

import asyncio
import random
import shutil
import sys
from pathlib import Path

from agentroute import AgentRegistry, AgentRoute, AgentSpec, Query, train
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter, QueryRecord, create_folder
from agentroute.routing.config import TrainConfig
from agentroute.types import Price

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/sums")
outcomes = folder / "outcomes"
TEAM = {  # what it says of itself, US dollars a call, how often it is right
    "glance": ("Adds up at a glance, and knows when it cannot.", 0.001, 0.6),
    "clerk": ("Adds up on paper, with many a slip.", 0.004, 0.6),
    "auditor": ("Adds up twice and checks the sum.", 0.02, 0.9),
}


def record(questions: int) -> None:
    """Write down what everybody said to some questions, and whether it was right."""
    chance = random.Random(7)
    rows, said = [], []
    for number in range(questions):
        parts = [chance.randint(2, 99) for _ in range(5)]
        total = sum(parts)
        query = Query(id=f"s{number}", text=f"What is {' + '.join(map(str, parts))}?")
        rows.append(QueryRecord(query=query, gold=(str(total),)))
        for name, (_, price, share) in TEAM.items():
            right = chance.random() < share
            wrong = "I don't know" if name == "glance" else str(total - chance.randint(1, 9))
            answer = str(total) if right else wrong
            said.append(
                Outcome(query=f"s{number}", agent=name, score=float(right), answer=answer, cost_usd=price)
            )
    team = [
        AgentSpec(id=name, kind="recorded", description=about, price=Price(call=price))
        for name, (about, price, _) in TEAM.items()
    ]
    shutil.rmtree(outcomes, ignore_errors=True)
    create_folder(outcomes, AgentRegistry.from_specs(team), rows)
    with OutcomeWriter(outcomes) as writer:
        writer.append(*said)


async def ask(team: AgentRoute, asked: QueryRecord) -> None:
    """Ask one question, and tell what happens in each round, and why."""
    print(asked.query.text)
    async for event in team.astream(asked.query):
        if event.kind == "route":
            decision = event.data
            whom = "stop" if decision.stop else f"ask {', '.join(decision.weights)}"
            print(f"  round {decision.round}: {whom} ({decision.reason})")
        elif event.kind == "agent_end":
            print(f"    {event.data.agent}: {event.data.text}")
        elif event.kind == "result":
            result = event.data
            sure, cost = f"confidence {result.confidence:.2f}", f"${result.usage.cost_usd:.3f}"
            print(f"  {result.answer}, {sure}, {cost}; right is {asked.gold[0]}")
            for problem in result.problems:
                print("  note:", problem)


# 1. Learn from the record. Every further call of the price of the best agent must bring six points of score.
record(questions=300)
config = TrainConfig(epochs=15, batch_size=32, call_price=0.06)
router = train(outcomes, folder / "router", embedder="hashing", config=config)

# 2. Ask on while it is worth it. Of the answers that are called sure, 80 in 100 are to be right.
team = AgentRoute.from_yaml(outcomes / "agents.yaml", router, preset="growing", target_coverage=0.8)

# 3. Of the questions that training left out: one that takes fewest calls, and one that takes most.
table = OutcomeFolder.open(outcomes).table()
held_out = table.take(
    [i for i, row in enumerate(table.queries) if row.query.id in router.manifest["test_ids"]]
)
calls = router.with_preset("growing").replay(held_out).calls
for place in (calls.argmin(), calls.argmax()):
    asyncio.run(ask(team, held_out.queries[place]))
print(f"{calls.mean():.1f} calls a question on average, of {len(TEAM)} agents")
