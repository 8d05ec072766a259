"""A trained router under pressure: one that is right against many, and questions that want more."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, TOPICS, question, team

from agentroute import AgentRoute
from agentroute.outcomes import Outcome, OutcomeFolder, OutcomeWriter, QueryRecord, create_folder
from agentroute.registry import AgentRegistry
from agentroute.routing.config import TrainConfig
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.testing import StaticRouter
from agentroute.types import Limits, Query, Router


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GraphRouter]:
    """Questions that one agent can answer, while the other three say the same wrong thing; and a router."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("herd") / "folder"
    topics = [str(rng.choice(list(TOPICS))) for _ in range(200)]
    records = [QueryRecord(query=question(rng, topic, n)) for n, topic in enumerate(topics)]
    create_folder(folder, AgentRegistry.from_specs(team()), records)
    with OutcomeWriter(folder) as writer:
        for number, topic in enumerate(topics):
            for agent in TOPICS:
                right = agent == topic
                said = f"the truth {number}" if right else f"what all say {number}"
                cost = 0.001 * (1 + list(TOPICS).index(agent))
                outcome = Outcome(
                    query=f"q{number}", agent=agent, score=float(right), answer=said, cost_usd=cost
                )
                writer.append(outcome)
    torch.set_num_threads(1)
    config = TrainConfig(epochs=10, batch_size=64, learning_rate=5e-3)
    return folder, train(folder, config=config, embedder=EMBEDDER)


def crew_of(folder: Path, router: Router, limits: Limits = Limits()) -> AgentRoute:
    """The team, with the answers that were recorded."""
    opened = OutcomeFolder.open(folder)
    rows = [replace(s, kind="recorded", function=None, outcomes=str(folder)) for s in opened.registry.agents]
    return AgentRoute(AgentRegistry.from_specs(rows), router, limits=limits)


def answers(folder: Path, router: Router, queries: list[Query]) -> list[str]:
    """What the team says to each question."""
    crew = crew_of(folder, router)

    async def everything() -> list[str]:
        results = await asyncio.gather(*(crew.arun(query) for query in queries))
        assert all(len(result.answers) == len(TOPICS) for result in results)
        return [result.answer for result in results]

    return asyncio.run(everything())


@pytest.mark.fault("T01", "the answer of the one who knows, although the others agree", "all answers")
@pytest.mark.control("T01", "where all weigh alike, what most say wins every time")
def test_a_lone_right_dissenter_wins_by_its_record(herd: tuple[Path, GraphRouter]) -> None:
    folder, router = herd
    held = [row.query for row in OutcomeFolder.open(folder).queries.values()]
    held = [query for query in held if query.id in router.manifest["test_ids"]]
    assert len(held) >= 20
    learned = answers(folder, router.with_preset("all"), held)
    assert np.mean([said.startswith("the truth") for said in learned]) > 0.8
    # The negative control: where all weigh alike, what most say wins every time.
    assert all(said.startswith("what all say") for said in answers(folder, StaticRouter([*TOPICS]), held))


@pytest.mark.fault(
    "T03", "`budget`, and whom it left out", "the budget, whatever a question makes of the router"
)
@pytest.mark.control("T03", "without caps the words change whom the router asks")
def test_no_question_moves_a_router_past_its_caps(herd: tuple[Path, GraphRouter]) -> None:
    """Random words before a question, as attacks on routers use them; half of them do change who is asked."""
    folder, router = herd
    rng = np.random.default_rng(1)
    words = [word for topic in TOPICS.values() for word in topic]
    crew = crew_of(folder, router, Limits(max_cost_usd=0.0045, max_agents=2, max_rounds=2))
    queries = [row.query for row in OutcomeFolder.open(folder).queries.values()][:50]
    moved = 0
    for query in queries:
        gadget = " ".join(rng.choice(words, 6))
        attacked = replace(query, text=f"{gadget} {query.text}")
        one, two = router.route(query, crew.agents), router.route(attacked, crew.agents)
        moved += one.selected != two.selected
        result = crew.run(attacked)
        assert result.usage.cost_usd is not None and result.usage.cost_usd <= 0.0045
        assert all(len(decision.selected) <= 2 or decision.stop for decision in result.decisions)
        assert sum(not decision.stop for decision in result.decisions) <= 2
    assert moved > 10, "the control: without caps the words move the router"
