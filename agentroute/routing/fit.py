"""Fitting: graphs and scores to a network's weights, the same ones every time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.data import HeteroData

from agentroute.knowledge.build import VOICE
from agentroute.knowledge.graph import KNOWS, Floats, Indices, reverse
from agentroute.knowledge.hetero import Mask, PackedGraphs, to_hetero
from agentroute.knowledge.record import ESTIMATES_DIM, logit
from agentroute.routing import gnn
from agentroute.routing.gnn import EMPTY, GNNConfig, RouterGNN, Scores
from agentroute.routing.policy import Table
from agentroute.routing.runtime import stack
from agentroute.routing.unfinished import NOTHING_KEPT, Unfinished, pack, unpack

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.

    Args:
        seed: Decides the split and every random choice; the same seed gives the same weights, bit for bit.
        epochs: Passes over the training part, at most; validation decides which one is kept.
        patience: Steps without a better validation loss before training ends; whole passes are run.
        pass_rows: Queries in one pass, at most; of more, every pass draws others.
        batch_size: Queries in one step.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        hide_record: Share of agents shown as newcomers in each step, so that the network learns to score
            them.
        listwise: Weight of the ranking loss beside the loss of each single score.
        labels: Whether scores are labels: 1 for an agent that fits, 0 for one that does not. Then the ranking
            loss asks for the right ones alone, and says nothing where none fits.
        call_price: Score (0 to 1) that asking one more agent must bring before validation prefers it.
        sparse_share: Agents that ran on a smaller share of the queries are left out.
        answer_vectors: Whether answers get text vectors. They cost a call of the embedder each, and helped on
            no set that was measured.
        committee: Networks that are trained beside each other where there are few queries; the mean of what
            they say decides. Many queries need only one.
        network: Settings of ``GNNConfig`` that differ from its defaults, as pairs of name and number.
    """

    seed: int = 0
    epochs: int = 200
    patience: int = 240
    pass_rows: int = 1_000_000
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    hide_record: float = 0.1
    listwise: float = 0.3
    labels: bool = False
    call_price: float = 0.001
    sparse_share: float = 0.5
    answer_vectors: bool = False
    committee: int = 3
    network: tuple[tuple[str, Any], ...] = ()


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
    code = (gnn, sys.modules[__name__])
    checkpoint = unfinished.checkpoint(graphs, score, rows, held_out, gnn_config, config, *code)
    with _reproducible(config.seed):
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
                loss = _loss(model(data), data, torch.from_numpy(score[taken]), config)
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
                    losses = [float(_loss(model(data), data, aim, config)) * len(aim) for data, aim in held]
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

FULL_SHARE = 0.2
"""Share of training rounds in which everybody has answered."""


def partial_round(score: Floats, chance: Callable[[tuple[int, int]], Table]) -> Mask:
    """Draw who has answered so far: one agent at least, seldom many, now and then all.

    Args:
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(batch, agents)``.
        chance: Draws numbers from 0 to 1, of a given shape.

    Returns:
        Agents whose answers are in the graph; none that did not run. Shapes: ``(batch, agents)``.
    """
    rows = len(score)
    share = chance((rows, 1)) ** 1.5
    answered = chance(score.shape) < np.where(chance((rows, 1)) < FULL_SHARE, 1.0, share)
    ran = ~np.isnan(score)
    # Good agents are asked first, so they are there more often.
    merit = np.where(ran, score, 0.0).sum(axis=0) / np.maximum(ran.sum(axis=0), 1) + 0.05
    draw = np.log(merit**3) - np.log(-np.log(chance(score.shape)))
    answered[np.arange(rows), np.where(ran, draw, -np.inf).argmax(axis=1)] = True
    return np.asarray(answered & ran)


def fit_voices(groups: Indices, score: Floats, config: TrainConfig) -> Floats:
    """Weigh the agents' words, so that the answer with the largest sum of weights is most often right.

    This is a conditional logit over the different answers of a query (McFadden 1974), fitted to random
    partial rounds. Agents that err together share their weight, since only their joint sum is fitted.

    Args:
        groups: Number of the answer per agent, -1 for none. Shapes: ``(queries, agents)``.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(queries, agents)``.
        config: How to train.

    Returns:
        One weight per agent, as log-odds. Shapes: ``(agents,)``.
    """
    draw = np.random.default_rng(config.seed)
    rows = draw.permutation(len(score))[:VOICE_ROWS]
    score, groups = score[rows], groups[rows]
    with _reproducible(config.seed):
        mean = np.nan_to_num(np.nanmean(np.vstack([score, np.full((1, score.shape[1]), 0.5)]), axis=0))
        start = torch.from_numpy(0.3 * logit(mean))
        voice = start.clone().requires_grad_(True)
        same = torch.from_numpy(
            (groups[:, :, None] == groups[:, None, :]) & (groups >= 0)[:, :, None]
        ).float()
        aim = torch.from_numpy(np.nan_to_num(score))
        optimizer = torch.optim.Adam([voice], lr=0.03)
        for _ in range(VOICE_STEPS):
            there = torch.from_numpy(partial_round(score, draw.random) & (groups >= 0)).float()
            behind = torch.einsum("qab,qb->qa", same, there * voice)
            heads = torch.einsum("qab,qb->qa", same, there).clamp(min=1.0)
            absent = there == 0
            # Every answer of a group stands for its share of the group, so that groups are the choices.
            choice = torch.log_softmax((behind - heads.log()).masked_fill(absent, -1e9), dim=1) + heads.log()
            goal = aim * there
            some = goal.sum(1) > 0
            goal = goal[some] / goal[some].sum(1, keepdim=True)
            loss = -(goal * choice[some]).masked_fill(absent[some], 0.0).sum(1).mean()
            loss = loss + VOICE_PULL * ((voice - start) ** 2).sum() / max(len(score), 1)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        found: Floats = voice.detach().numpy()
    return found if np.isfinite(found).all() else np.zeros(score.shape[1], np.float32)


VOICE_ROWS = 4096
VOICE_STEPS = 200
VOICE_PULL = 4.0
"""Strength of the pull toward a third of the log-odds of an agent's mean score."""


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
                loss = _single_loss(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            model.eval()
            with torch.no_grad():
                held = float(_single_loss(model(held_x), held_y))
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


def _loss(scores: Scores, data: HeteroData, score: Tensor, config: TrainConfig) -> Tensor:
    """Return the loss of every score that was recorded: of agents unasked, of answers, of what is gained."""
    expected, gain = (part.view(score.shape) for part in (scores.expected, scores.gain))
    order = _label_loss(expected, score) if config.labels else _order_loss(expected, score, 0.25)
    loss = _single_loss(expected, score) + config.listwise * order
    if not len(scores.right):
        return loss
    giver = data["answer"].gave
    right = torch.full_like(expected, -1e9).view(-1).scatter(0, giver, scores.right).view(score.shape)
    there = torch.zeros(expected.numel(), dtype=torch.bool).scatter(0, giver, True).view(score.shape)
    seen = torch.where(there, score, torch.nan)
    loss = loss + _single_loss(right, seen) + ORDER * _order_loss(right, seen, 0.1)
    # What an agent adds is how far it is above the answer that looks best.
    empty = data["answer"].x[:, EMPTY] > 0
    looks = right.detach().view(-1).scatter(0, giver[empty], -1e9).view(score.shape)
    spoke = looks.max(dim=1, keepdim=True)
    held = score.gather(1, spoke.indices).nan_to_num(0.0).masked_fill(spoke.values <= -1e8, 0.0)
    added = torch.where(there, torch.nan, (score - held).clamp(min=0.0))
    return loss + 0.5 * _single_loss(gain, added)


ORDER = 0.5
"""Weight of the order among answers beside the loss of each."""


def _single_loss(logits: Tensor, score: Tensor) -> Tensor:
    ran = ~torch.isnan(score)
    target = torch.where(ran, score, torch.zeros_like(score))
    each = F.binary_cross_entropy_with_logits(logits.clamp(-50.0, 50.0), target, reduction="none")
    return (each * ran).sum() / ran.sum().clamp(min=1)


def _order_loss(logits: Tensor, score: Tensor, temperature: float) -> Tensor:
    """Return the KL divergence of AgentRouter (arXiv 2510.05445): the target is a softmax of scores."""
    ran = ~torch.isnan(score)
    aim = torch.softmax((score / temperature).masked_fill(~ran, -1e9), dim=1)
    said = torch.log_softmax(logits.masked_fill(~ran, -1e9), dim=1)
    several = (ran.sum(1) > 1).to(aim.dtype)  # a lone answer has no order
    return (F.kl_div(said, aim, reduction="none").sum(1) * several).mean()


def _label_loss(logits: Tensor, score: Tensor) -> Tensor:
    """Return the cross-entropy of the agents that fit, shared evenly; a query that none fits has none."""
    some = torch.nan_to_num(score).sum(1) > 0
    aim = torch.nan_to_num(score[some])
    said = torch.log_softmax(logits[some].masked_fill(torch.isnan(score[some]), -1e9), dim=1)
    return -(aim / aim.sum(1, keepdim=True) * said).sum() / max(len(score), 1)


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
