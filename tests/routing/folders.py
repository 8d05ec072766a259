"""Outcome folders made up for tests: the right agent depends on the words of the question."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agentroute.outcomes import Outcome, OutcomeWriter, QueryRecord, create_folder
from agentroute.registry import AgentRegistry
from agentroute.types import AgentSpec, Price, Query

TOPICS = {
    "rivers": ("river", "delta", "estuary", "bank"),
    "primes": ("prime", "divisor", "factor", "integer"),
    "poems": ("poem", "stanza", "sonnet", "rhyme"),
    "engines": ("engine", "piston", "valve", "turbine"),
}
FILLERS = ("old", "small", "famous", "longest", "second", "missing", "northern", "simple", "strange", "plain")


def spec(name: str, **changes: object) -> AgentSpec:
    """One row of a registry."""
    about = ", ".join(TOPICS.get(name, (name,)))
    given = {"kind": "function", "description": f"Knows about {about}.", "function": "crew:good"} | changes
    return AgentSpec(id=name, **given)  # type: ignore[arg-type]


def team(*more: AgentSpec) -> tuple[AgentSpec, ...]:
    """The agents of the folder: one per topic, the dearest last."""
    priced = [spec(name, price=Price(call=0.001 * (i + 1))) for i, name in enumerate(TOPICS)]
    return (*priced, *more)


def question(rng: np.random.Generator, topic: str, number: int) -> Query:
    """A question whose words give its topic away."""
    words = [str(rng.choice(TOPICS[topic])), *rng.choice(FILLERS, 3, replace=False)]
    return Query(text=f"Which {' '.join(rng.permutation(words))} is number {number}?", id=f"q{number}")


def make_folder(path: Path, queries: int = 240, seed: int = 0, noise: float = 0.1) -> Path:
    """Write a folder where the agent of the topic is right nine times in ten, and the others one in ten."""
    rng = np.random.default_rng(seed)
    agents, records, outcomes = team(), [], []
    for number in range(queries):
        topic = str(rng.choice(list(TOPICS)))
        query = question(rng, topic, number)
        records.append(QueryRecord(query=query, gold=(f"gold {number}",)))
        for agent in agents:
            right = (agent.id == topic) != (rng.random() < noise)
            said = f"gold {number}" if right else f"{agent.id} thinks so"
            outcomes.append(
                Outcome(
                    query=f"q{number}",
                    agent=agent.id,
                    score=float(right),
                    answer=said,
                    cost_usd=agent.price.call if agent.price else None,
                    latency_s=0.5,
                )
            )
    create_folder(path, AgentRegistry.from_specs(agents), records)
    with OutcomeWriter(path) as writer:
        writer.append(*outcomes)
    return path
