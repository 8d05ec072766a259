"""A folder where one word of each question decides who is right, and a router that learned it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from routing.folders import EMBEDDER, spec

from agentroute.outcomes import Outcome, OutcomeWriter, QueryRecord, create_folder
from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter
from agentroute.types import Price, Query

DECIDES = {"left": "harbour", "right": "meadow", "middle": "furnace"}
"""The word by which each agent is right."""
OTHERS = (
    "old small famous longest second missing northern simple strange plain quiet narrow distant wooden "
    "copper yellow rainy ancient heavy gentle"
).split()

AGENTS = tuple(
    spec(name, description=f"Answers questions, number {i}.", price=Price(call=0.001 * (i + 1)))
    for i, name in enumerate(DECIDES)
)


def telling(seed: int) -> tuple[Query, str]:
    """A question of seven words, and who is right by one of them."""
    rng = np.random.default_rng(seed)
    right = str(rng.choice(list(DECIDES)))
    words = rng.permutation([DECIDES[right], *rng.choice(OTHERS, 6, replace=False)])
    return Query(text=f"{' '.join(words)}?", id=f"q{seed}"), right


def make_telltale(path: Path, questions: int = 160) -> Path:
    """Write the folder: without texts of answers that tell anything."""
    records, outcomes = [], []
    for seed in range(questions):
        query, right = telling(seed)
        records.append(QueryRecord(query=query, gold=("x",)))
        outcomes += [
            Outcome(query=f"q{seed}", agent=name, score=float(name == right), answer=name) for name in DECIDES
        ]
    create_folder(path, AgentRegistry.from_specs(AGENTS), records)
    with OutcomeWriter(path) as writer:
        writer.append(*outcomes)
    return path


@cache
def telltale_router() -> GraphRouter:
    """Trained once per process; asks one agent."""
    import torch

    from agentroute.routing.config import TrainConfig
    from agentroute.routing.policy import TopK
    from agentroute.routing.train import train

    torch.set_num_threads(1)
    with TemporaryDirectory() as home:
        config = TrainConfig(epochs=4, batch_size=64, learning_rate=5e-3)
        router = train(make_telltale(Path(home) / "telltale"), config=config, embedder=EMBEDDER)
    return router.using(next(setting for setting in router.tried if setting.policy == TopK(k=1)))
