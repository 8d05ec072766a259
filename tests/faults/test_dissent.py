"""One agent that is right wins against many that agree on something wrong, when the record says so."""

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
from agentroute.routing.fit import TrainConfig
from agentroute.routing.router import GraphRouter
from agentroute.routing.train import train
from agentroute.testing import StaticRouter
from agentroute.types import Query, Router


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
                writer.append(Outcome(query=f"q{number}", agent=agent, score=float(right), answer=said))
    torch.set_num_threads(1)
    config = TrainConfig(epochs=10, batch_size=64, learning_rate=5e-3)
    return folder, train(folder, config=config, embedder=EMBEDDER)


def answers(folder: Path, router: Router, queries: list[Query]) -> list[str]:
    """What the team, with the answers that were recorded, says to each question."""
    opened = OutcomeFolder.open(folder)
    rows = [replace(s, kind="recorded", function=None, outcomes=str(folder)) for s in opened.registry.agents]
    crew = AgentRoute(AgentRegistry.from_specs(rows), router)

    async def everything() -> list[str]:
        results = await asyncio.gather(*(crew.arun(query) for query in queries))
        assert all(len(result.answers) == len(TOPICS) for result in results)
        return [result.answer for result in results]

    return asyncio.run(everything())


@pytest.mark.fault("T01", "the answer of the one who knows, although the others agree", "all answers")
def test_a_lone_right_dissenter_wins_by_its_record(herd: tuple[Path, GraphRouter]) -> None:
    folder, router = herd
    held = [row.query for row in OutcomeFolder.open(folder).queries.values()]
    held = [query for query in held if query.id in router.manifest["test_ids"]]
    assert len(held) >= 20
    learned = answers(folder, router.with_preset("all"), held)
    assert np.mean([said.startswith("the truth") for said in learned]) > 0.8
    # The negative control: where all weigh alike, what most say wins every time.
    assert all(said.startswith("what all say") for said in answers(folder, StaticRouter([*TOPICS]), held))
