"""Fitting: graphs and scores to a network's weights, the same ones every time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch_geometric.data import HeteroData

from agentroute.knowledge.build import VOICE
from agentroute.knowledge.graph import KNOWS, Floats, Indices, reverse
from agentroute.knowledge.hetero import PackedGraphs, to_hetero
from agentroute.knowledge.record import ESTIMATES_DIM
from agentroute.routing import dropout, gnn, partial
from agentroute.routing import losses as told
from agentroute.routing.committee import stack
from agentroute.routing.config import TrainConfig
from agentroute.routing.gnn import GNNConfig, RouterGNN
from agentroute.routing.losses import loss_of
from agentroute.routing.partial import partial_round
from agentroute.routing.seeding import reproducible
from agentroute.routing.unfinished import NOTHING_KEPT, Unfinished, pack, unpack

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


class Fitted(NamedTuple):
    """What training came to.

    Args:
        weights: The network's parameters of the pass that was kept.
        losses: Loss on the training part, and on what was held out, of each pass.
        passes: How many passes the weights that were kept took.
    """

    weights: dict[str, Floats]
    losses: list[dict[str, float]]
    passes: int


def fit(
    graphs: PackedGraphs,
    score: Floats,
    rows: Indices,
    held_out: Indices,
    gnn_config: GNNConfig,
    config: TrainConfig,
    tell: Progress,
    unfinished: Unfinished = NOTHING_KEPT,
) -> Fitted:
    """Learn a network's weights, on graphs as they stand when a random part of the agents has answered.

    Args:
        graphs: Graphs of one team, fully grown.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(graphs, agents)``.
        rows: The graphs to learn from.
        held_out: The graphs that decide which pass is kept; without any, the last one is.
        gnn_config: The network's shape.
        config: How to train.
        tell: Called after every pass.
        unfinished: Where an earlier training that was interrupted left its state, to go on from there.

    Returns:
        The weights of the best pass, and the losses of each.
    """
    code = (gnn, dropout, told, partial, sys.modules[__name__])
    checkpoint = unfinished.checkpoint(graphs, score, rows, held_out, gnn_config, config, *code)
    with reproducible(config.seed):
        order = np.random.default_rng(config.seed)
        model = RouterGNN(gnn_config)
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        # Where nobody answers, all rounds look alike.
        rounds = VALIDATION_ROUNDS if graphs.has_answers else 1

        def batch(rows: Indices) -> HeteroData:
            answered = partial_round(score[rows], order.random) if graphs.has_answers else None
            return to_hetero(graphs.batch(rows, answered))

        held = [
            (batch(part), torch.from_numpy(score[part]))
            for part in (held_out[i : i + 256] for i in range(0, len(held_out), 256))
            for _ in range(rounds)
        ]
        best, best_weights, passes = float("inf"), model.state_dict(), 0
        history: list[dict[str, float]] = []
        since = 0
        if (left := checkpoint.read()) is not None:
            facts, tensors = left
            best_weights = unpack(tensors, model, optimizer)
            best, passes, since, history = (facts[name] for name in ("best", "passes", "since", "history"))
            order.bit_generator.state = facts["order"]

        def ended() -> bool:
            return len(history) >= config.epochs or bool(held and history and since >= config.patience)

        while not ended():
            epoch = len(history)
            model.train()
            total, shuffled = 0.0, order.permutation(rows)[: config.pass_rows]
            for start in range(0, len(shuffled), config.batch_size):
                taken = shuffled[start : start + config.batch_size]
                data = _hide(batch(taken), len(taken), config.hide_record)
                loss = loss_of(model(data), data, torch.from_numpy(score[taken]), config)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                total += loss.item() * len(taken)
            tell("training", epoch + 1, config.epochs)
            history.append({"train": round(total / len(shuffled), 5)})
            if held:
                model.eval()
                with torch.no_grad():
                    losses = [float(loss_of(model(data), data, aim, config)) * len(aim) for data, aim in held]
                validation = sum(losses) / sum(len(aim) for _, aim in held)
                history[-1]["validation"] = round(validation, 5)
                since += -(-len(shuffled) // config.batch_size)
                if validation < best - 1e-5:
                    best, since, passes = validation, 0, epoch + 1
                    best_weights = {name: value.clone() for name, value in model.state_dict().items()}
            if ended() or checkpoint.due:
                facts = {"best": best, "passes": passes, "since": since, "history": history}
                facts["order"] = order.bit_generator.state
                checkpoint.write(facts, pack(model, optimizer, best_weights))
        if not held:
            best_weights, passes = model.state_dict(), config.epochs
    tell("training", config.epochs, config.epochs)  # it may have ended early
    return Fitted({name: value.numpy() for name, value in best_weights.items()}, history, passes)


def fit_committee(
    graphs: PackedGraphs,
    score: Floats,
    rows: Indices,
    held_out: Indices,
    gnn_config: GNNConfig,
    config: TrainConfig,
    tell: Progress,
    unfinished: Unfinished = NOTHING_KEPT,
) -> Fitted:
    """Learn several networks from the same graphs, each from a start and an order of its own.

    Args:
        graphs: As for ``fit``, and so are the others.
        score: See ``fit``.
        rows: See ``fit``.
        held_out: See ``fit``.
        gnn_config: See ``fit``.
        config: See ``fit``; its ``committee`` says how many.
        tell: See ``fit``.
        unfinished: See ``fit``; each member has a checkpoint of its own.

    Returns:
        The weights of all, stacked as ``runtime.stack`` does; the losses of each, and the passes of the one
        in the middle.
    """
    seeds = [config.seed + APART * member for member in range(config.committee)]
    found = [
        fit(graphs, score, rows, held_out, gnn_config, replace(config, seed=seed), tell, unfinished)
        for seed in seeds
    ]
    return Fitted(
        stack([one.weights for one in found]),
        [loss for one in found for loss in one.losses],
        round(float(np.median([one.passes for one in found]))),
    )


APART = 1_000
"""From the seed of one member of a committee to that of the next."""

VALIDATION_ROUNDS = 3
"""Random partial rounds in which each validation query is seen."""


def _hide(data: HeteroData, graphs: int, share: float) -> HeteroData:
    """Show some agents as newcomers: with the pool's estimates, and without ties from their outcomes."""
    suits = data["agent"].suits
    hidden = torch.rand(len(suits)) < share
    pool = suits.view(graphs, -1, suits.shape[1])[..., : VOICE + 1].mean(dim=1)
    pool[:, ESTIMATES_DIM - 1] = 0.0
    suits = suits.clone()
    suits[hidden, : VOICE + 1] = pool[data["agent"].batch[hidden]]
    data["agent"].suits = suits
    for edge_type, row in ((KNOWS, 0), (reverse(KNOWS), 1)):
        store = data[edge_type]
        # What a card says stays: such a tie weighs 1, and one from outcomes always less.
        recorded = store.edge_weight != 1.0
        store.edge_weight = store.edge_weight * ~(recorded & hidden[store.edge_index[row]])
    return data
