"""The network without a graph: the baseline to beat."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from agentroute.knowledge.graph import Floats
from agentroute.routing.config import TrainConfig
from agentroute.routing.dropout import Dropout
from agentroute.routing.losses import single_loss
from agentroute.routing.seeding import reproducible


def fit_query_only(
    vectors: Floats, score: Floats, held_vectors: Floats, held_score: Floats, config: TrainConfig
) -> dict[str, Floats]:
    """Train the network without a graph: query vector to one score per agent. It is the baseline to beat.

    Args:
        vectors: Training query vectors. Shapes: ``(queries, dim)``.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(queries, agents)``.
        held_vectors: Validation query vectors.
        held_score: Their scores.
        config: How to train.

    Returns:
        The weights of the best pass, by name.
    """
    with reproducible(config.seed):
        order = np.random.default_rng(config.seed)
        dim, agents = vectors.shape[1], score.shape[1]
        model = nn.Sequential(nn.Linear(dim, 96), nn.ReLU(), Dropout(0.3), nn.Linear(96, agents))
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=0.02, fused=True
        )
        x, y = torch.from_numpy(vectors), torch.from_numpy(score)
        held_x, held_y = torch.from_numpy(held_vectors), torch.from_numpy(held_score)
        best_loss, kept, since = float("inf"), model.state_dict(), 0
        for _ in range(config.epochs):
            model.train()
            shuffled = torch.from_numpy(order.permutation(len(vectors)))
            for rows in torch.split(shuffled, config.batch_size):
                loss = single_loss(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            model.eval()
            with torch.no_grad():
                held = float(single_loss(model(held_x), held_y))
            since += -(-len(vectors) // config.batch_size)
            if held < best_loss - 1e-5:
                best_loss, since = held, 0
                kept = {name: value.clone() for name, value in model.state_dict().items()}
            if since >= config.patience:
                break
    return {name: value.numpy() for name, value in kept.items()}
