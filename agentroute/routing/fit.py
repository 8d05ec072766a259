"""Fitting: graphs and scores to a network's weights, the same ones every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from agentroute.knowledge.graph import KNOWS, Floats, KnowledgeGraph, reverse
from agentroute.knowledge.hetero import to_hetero
from agentroute.knowledge.record import ESTIMATES_DIM
from agentroute.routing.gnn import GNNConfig, RouterGNN

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.

    Args:
        seed: Decides the split and every random choice; the same seed gives the same weights, bit for bit.
        epochs: Passes over the training part, at most; validation decides which one is kept.
        patience: Steps without a better validation loss before training ends; whole passes are run.
        batch_size: Queries in one step.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        hide_record: Share of agents shown as newcomers in each step, so that the network learns to score
            them.
        listwise: Weight of the ranking loss beside the loss of each single score.
        call_price: Score (0 to 1) that asking one more agent must bring before validation prefers it.
        sparse_share: Agents that ran on a smaller share of the queries are left out.
    """

    seed: int = 0
    epochs: int = 200
    patience: int = 240
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    hide_record: float = 0.1
    listwise: float = 0.3
    call_price: float = 0.001
    sparse_share: float = 0.5


def fit(
    graphs: Sequence[KnowledgeGraph],
    score: Floats,
    validation_graphs: Sequence[KnowledgeGraph],
    validation_score: Floats,
    gnn_config: GNNConfig,
    config: TrainConfig,
    tell: Progress,
) -> tuple[dict[str, Floats], list[dict[str, float]]]:
    """Learn a network's weights.

    Args:
        graphs: Training graphs of one team.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(graphs, agents)``.
        validation_graphs: Graphs that decide which pass is kept.
        validation_score: Their scores.
        gnn_config: The network's shape.
        config: How to train.
        tell: Called after every pass.

    Returns:
        The weights of the best pass by name, and the losses of each pass.
    """
    with _reproducible(config.seed):
        order = np.random.default_rng(config.seed)
        model = RouterGNN(gnn_config)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        held = [
            (to_hetero(validation_graphs[i : i + 256]), torch.from_numpy(validation_score[i : i + 256]))
            for i in range(0, len(validation_graphs), 256)
        ]
        best, best_weights, history = float("inf"), model.state_dict(), []
        since = 0
        for epoch in range(config.epochs):
            model.train()
            total, shuffled = 0.0, order.permutation(len(graphs))
            for start in range(0, len(graphs), config.batch_size):
                rows = shuffled[start : start + config.batch_size]
                data = _hide(to_hetero([graphs[i] for i in rows]), len(rows), config.hide_record)
                gain, _ = model(data)
                loss = _loss(gain.view(len(rows), -1), torch.from_numpy(score[rows]), config.listwise)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                total += loss.item() * len(rows)
            model.eval()
            with torch.no_grad():
                losses = [
                    float(_loss(model(data)[0].view(len(aim), -1), aim, config.listwise)) * len(aim)
                    for data, aim in held
                ]
            validation = sum(losses) / max(len(validation_graphs), 1)
            history.append({"train": round(total / len(graphs), 5), "validation": round(validation, 5)})
            tell("training", epoch + 1, config.epochs)
            since += -(-len(graphs) // config.batch_size)
            if validation < best - 1e-5:
                best, since = validation, 0
                best_weights = {name: value.clone() for name, value in model.state_dict().items()}
            if since >= config.patience:
                break
    tell("training", config.epochs, config.epochs)  # it may have ended early
    return {name: value.numpy() for name, value in best_weights.items()}, history


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
    with _reproducible(config.seed):
        order = np.random.default_rng(config.seed)
        dim, agents = vectors.shape[1], score.shape[1]
        model = nn.Sequential(nn.Linear(dim, 96), nn.ReLU(), nn.Dropout(0.3), nn.Linear(96, agents))
        optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.02)
        x, y = torch.from_numpy(vectors), torch.from_numpy(score)
        held_x, held_y = torch.from_numpy(held_vectors), torch.from_numpy(held_score)
        best_loss, kept, since = float("inf"), model.state_dict(), 0
        for _ in range(config.epochs):
            model.train()
            shuffled = torch.from_numpy(order.permutation(len(vectors)))
            for rows in torch.split(shuffled, config.batch_size):
                loss = _loss(model(x[rows]), y[rows], 0.0)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            model.eval()
            with torch.no_grad():
                held = float(_loss(model(held_x), held_y, 0.0))
            since += -(-len(vectors) // config.batch_size)
            if held < best_loss - 1e-5:
                best_loss, since = held, 0
                kept = {name: value.clone() for name, value in model.state_dict().items()}
            if since >= config.patience:
                break
    return {name: value.numpy() for name, value in kept.items()}


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Seed torch, and put back what was there afterwards.

    One thread: the steps are too small to share, and threads that wait for each other on a busy machine take
    ten times as long.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _loss(gain: Tensor, score: Tensor, listwise: float) -> Tensor:
    """Return the loss of every score that was recorded, and of the order among them.

    The second part is the KL divergence of AgentRouter (arXiv 2510.05445): the target is a softmax of the
    scores over 0.25.
    """
    ran = ~torch.isnan(score)
    target = torch.where(ran, score, torch.zeros_like(score))
    each = F.binary_cross_entropy_with_logits(gain, target, reduction="none")
    loss = (each * ran).sum() / ran.sum().clamp(min=1)
    if listwise:
        aim = torch.softmax((target / 0.25).masked_fill(~ran, -1e9), dim=1)
        said = torch.log_softmax(gain.masked_fill(~ran, -1e9), dim=1)
        loss = loss + listwise * F.kl_div(said, aim, reduction="batchmean")
    return loss


def _hide(data: HeteroData, graphs: int, share: float) -> HeteroData:
    """Show some agents as newcomers: with the pool's estimates, and without ties from their outcomes."""
    suits = data["agent"].suits
    hidden = torch.rand(len(suits)) < share
    pool = suits.view(graphs, -1, suits.shape[1])[..., :ESTIMATES_DIM].mean(dim=1)
    pool[:, -1] = 0.0
    suits = suits.clone()
    suits[hidden, :ESTIMATES_DIM] = pool[data["agent"].batch[hidden]]
    data["agent"].suits = suits
    for edge_type, row in ((KNOWS, 0), (reverse(KNOWS), 1)):
        store = data[edge_type]
        # What a card says stays: such a tie weighs 1, and one from outcomes always less.
        recorded = store.edge_weight != 1.0
        store.edge_weight = store.edge_weight * ~(recorded & hidden[store.edge_index[row]])
    return data
