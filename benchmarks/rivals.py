"""Two known routers, small and in earnest, trained on the same queries and judged as one agent a query.

Each tries a few settings; validation alone ends their training and chooses among them, as it does for the
query-only network. Neither sees an answer: they choose once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.nn import GeneralConv

from agentroute.knowledge.build import query_text
from agentroute.outcomes import OutcomeFolder, OutcomeTable
from agentroute.outcomes.split import Split, split_queries
from agentroute.routing.config import TrainConfig
from agentroute.routing.policy import TopK
from agentroute.routing.replay import replay
from agentroute.types import Embedder

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
Tell = Callable[[str, int, int], None]

EPOCHS, PATIENCE, BATCH = 150, 12, 128
"""Passes at most; passes without a better validation loss; queries in one step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a rival is given.

    Args:
        table: All outcomes; only those of the training and validation part may be looked at.
        split: The parts, those of ``train`` with the same seed.
        vectors: Query vectors. Shapes: ``(queries, dim)``.
        cards: Agents' card vectors. Shapes: ``(agents, dim)``.
        label: The task of each query, by its place in ``labels``. Shapes: ``(queries,)``.
        labels: Vectors of the task labels; one row where there are none. Shapes: ``(tasks, dim)``.
        seed: Same seed, same weights.
        epochs: Passes at most.
    """

    table: OutcomeTable
    split: Split
    vectors: Floats
    cards: Floats
    label: Indices
    labels: Floats
    seed: int
    epochs: int

    @classmethod
    def of(
        cls, folder: OutcomeFolder, without: Sequence[str], config: TrainConfig, embedder: Embedder
    ) -> Task:
        """Prepare a folder as ``train`` does."""
        table = folder.table().without(without)
        table = table.without(table.sparse_agents(config.sparse_share))
        names = sorted({row.query.task or "" for row in table.queries})
        return cls(
            table=table,
            split=split_queries(table.queries, config.seed),
            vectors=embedder.embed([query_text(row.query) for row in table.queries]),
            # Two agents may have the same card; their ids tell them apart.
            cards=embedder.embed([f"{spec.id}: {spec.card}" for spec in table.agents]),
            label=np.array([names.index(row.query.task or "") for row in table.queries], np.int64),
            labels=embedder.embed([name or "any question" for name in names]),
            seed=config.seed,
            epochs=min(EPOCHS, config.epochs),
        )


Fit = Callable[[Task, Tell], Floats]
"""Learns from the training part, chooses on validation, scores the test part. Shapes: ``(test, agents)``."""


def judge(fit: Fit, task: Task, tell: Tell) -> float:
    """Return the mean score of the agent that a rival puts first, on the queries that ``evaluate`` judges.

    Args:
        fit: The rival.
        task: What it is given.
        tell: Called as the work goes on.

    Returns:
        0 to 1.
    """
    table = task.table.take(task.split.test)
    whole = table.ran.all(axis=1)
    logits = fit(task, tell)[whole]
    # As for the baselines of ``evaluate``: an agent that says nothing is followed by the next.
    unpriced = np.full(len(table.agents), np.nan)
    return float(replay(TopK(k=1), logits, unpriced, table.take(whole)).score.mean())


@contextmanager
def reproducible(seed: int) -> Iterator[None]:
    """Seed torch and keep it to one thread, then put back what was there."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def entropy(logits: Tensor, score: Tensor) -> Tensor:
    """Return the mean binary cross-entropy where an agent ran; a score between 0 and 1 is a soft label."""
    ran = ~torch.isnan(score)
    return F.binary_cross_entropy_with_logits(logits[ran], score[ran])


def top1(logits: Tensor, score: Tensor) -> float:
    """Return the mean score of the agents put first, where they ran."""
    chosen = score.gather(1, logits.masked_fill(torch.isnan(score), -torch.inf).argmax(1, keepdim=True))
    return float(torch.nanmean(chosen))


Run = tuple[nn.Module, Callable[[Indices], Tensor], Callable[[Indices], Tensor]]
"""A network, its loss on some training queries, and its log-odds for any queries."""


def best_of(
    task: Task, runs: Sequence[tuple[float, float, Callable[[], Run]]], what: str, tell: Tell
) -> Floats:
    """Train every setting and return the test scores of the one whose first choices did best on validation.

    Args:
        task: What the rival is given.
        runs: Learning rate, weight decay, and what makes the network anew.
        what: Its name, for progress.
        tell: Called after every setting.

    Returns:
        Shapes: ``(test, agents)``.
    """
    aim = torch.from_numpy(task.table.score[task.split.validation])
    best: tuple[float, float] | None = None
    found = np.zeros((len(task.split.test), len(task.table.agents)), np.float32)
    for number, (rate, decay, make) in enumerate(runs):
        tell(what, number, len(runs))
        with reproducible(task.seed):
            model, loss_of, score = make()
            order = np.random.default_rng(task.seed)
            optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
            lowest, since = float("inf"), 0
            kept = {name: value.clone() for name, value in model.state_dict().items()}
            for _ in range(task.epochs):
                model.train()
                shuffled = order.permutation(task.split.train)
                for start in range(0, len(shuffled), BATCH):
                    loss = loss_of(shuffled[start : start + BATCH])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                model.eval()
                with torch.no_grad():
                    held, since = float(entropy(score(task.split.validation), aim)), since + 1
                if held < lowest - 1e-5:
                    lowest, since = held, 0
                    kept = {name: value.clone() for name, value in model.state_dict().items()}
                if since >= PATIENCE:
                    break
            model.load_state_dict(kept)
            model.eval()
            with torch.no_grad():
                merit = (round(top1(score(task.split.validation), aim), 6), -lowest)
                if best is None or merit > best:
                    best, found = merit, score(task.split.test).numpy()
    tell(what, len(runs), len(runs))
    return found


class Factors(nn.Module):
    """A query's projection times an agent's embedding, weighed into one number, plus the agent's level."""

    def __init__(self, start: Tensor, dim: int, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(dim, width, bias=False)
        self.agent = nn.Embedding(len(start), width)
        self.weight = nn.Parameter(torch.zeros(width))
        self.level = nn.Parameter(start.clone())

    def forward(self, vectors: Tensor) -> Tensor:
        """Return log-odds. Shapes: ``(queries, dim)`` to ``(queries, agents)``."""
        agents = F.normalize(self.agent.weight, dim=1)
        return (self.query(vectors) * self.weight) @ agents.T + self.level


def matrix_factorisation(task: Task, tell: Tell) -> Floats:
    """Route as RouteLLM's matrix factorisation does (arXiv 2406.18665), for any number of agents.

    Theirs learns which of two models a person prefers; with scores for every agent, the same bilinear form
    predicts each score. The level begins at the agent's mean, so that it begins as the best single agent.
    """
    vectors, score = torch.from_numpy(task.vectors), torch.from_numpy(task.table.score)
    start = torch.logit(torch.nanmean(score[task.split.train], dim=0).nan_to_num(0.5).clamp(0.01, 0.99))

    def make(width: int) -> Run:
        model = Factors(start, vectors.shape[1], width)
        return (
            model,
            lambda rows: entropy(model(vectors[rows]), score[rows]),
            lambda rows: model(vectors[rows]),
        )

    grid = product((1e-3, 5e-3), (0.01, 1.0), (32, 128))
    runs = [(rate, decay, lambda width=width: make(width)) for rate, decay, width in grid]
    return best_of(task, runs, "matrix factorisation", tell)


SUPPORT, SUPPORT_JUDGING = 512, 2048
"""Training queries whose outcomes are edges: in one step of training, and in judging."""


class Bipartite(nn.Module):
    """Two rounds of message passing over tasks, queries and agents, then an edge score per query and agent.

    Edges between a query and an agent carry what came of it and what it cost; those between a query and its
    task carry nothing.
    """

    def __init__(self, dim: int, start: Tensor, hidden: int, dropout: float) -> None:
        super().__init__()
        self.align = nn.ModuleDict({kind: nn.Linear(dim, hidden) for kind in ("task", "agent", "query")})
        self.conv = nn.ModuleList(
            GeneralConv(hidden, hidden, in_edge_channels=3, aggr="mean") for _ in range(2)
        )
        self.norm = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.zeros(hidden))
        self.level = nn.Parameter(start.clone())

    def forward(
        self, tasks: Tensor, agents: Tensor, queries: Tensor, edges: Tensor, attr: Tensor, wanted: int
    ) -> Tensor:
        """Score the last ``wanted`` queries. Shapes: ``(wanted, agents)``."""
        parts = [("task", tasks), ("agent", agents), ("query", queries)]
        h = self.dropout(torch.relu(torch.cat([self.align[kind](x) for kind, x in parts])))
        for conv, norm in zip(self.conv, self.norm, strict=True):
            h = norm(F.leaky_relu(conv(h, edges, attr)))
        agent = h[len(tasks) : len(tasks) + len(agents)]
        return (h[-wanted:] * self.weight) @ agent.T + self.level


def graph_router(task: Task, tell: Tell) -> Floats:
    """Route as GraphRouter does (arXiv 2410.03834): an inductive graph of tasks, queries and agents.

    Observed outcomes are edges, and what is learned is to predict edges that are hidden. Theirs hides 30%
    of the edges; here all edges of the queries of a step are hidden, since a new query has none. LayerNorm
    stands where its code has BatchNorm, and the level begins at the agent's mean: both only help it.
    """
    vectors, score = torch.from_numpy(task.vectors), torch.from_numpy(task.table.score)
    tasks, cards, label = map(torch.from_numpy, (task.labels, task.cards, task.label))
    learned = task.split.train
    start = torch.logit(torch.nanmean(score[learned], dim=0).nan_to_num(0.5).clamp(0.01, 0.99))
    price = task.table.cost_usd[learned]
    usual = float(np.nanmean(price)) if not np.isnan(price).all() else 0.0
    paid = np.nan_to_num(task.table.cost_usd / usual) if usual > 0 else np.zeros(task.table.score.shape)
    cost = torch.from_numpy(np.log1p(paid).astype(np.float32))
    draw = np.random.default_rng(task.seed)
    judging = np.sort(draw.permutation(learned)[:SUPPORT_JUDGING])

    def graph(support: Indices, wanted: Indices) -> tuple[Tensor, Tensor]:
        """Tie queries to their tasks, and those of the support to the agents that ran on them."""
        place = len(tasks) + len(cards)
        of_task = label[np.concatenate([support, wanted])]
        queries = torch.arange(len(of_task)) + place
        row, agent = (~torch.isnan(score[support])).nonzero(as_tuple=True)
        came = torch.stack(
            [score[support][row, agent], cost[support][row, agent], torch.ones(len(row))], dim=1
        )
        one = torch.cat(
            [torch.stack([queries, of_task]), torch.stack([row + place, agent + len(tasks)])], dim=1
        )
        attr = torch.cat([torch.zeros(len(of_task), 3), came])
        return torch.cat([one, one.flip(0)], dim=1), torch.cat([attr, attr])

    def make(decay: float, dropout: float) -> Run:
        model = Bipartite(vectors.shape[1], start, 64, dropout)
        steps = np.random.default_rng(task.seed)

        def predict(support: Indices, wanted: Indices) -> Tensor:
            queries = vectors[np.concatenate([support, wanted])]
            return model(tasks, cards, queries, *graph(support, wanted), len(wanted))

        def loss_of(rows: Indices) -> Tensor:
            others = np.setdiff1d(learned, rows)
            others = others if len(others) else rows[:0]
            return entropy(predict(steps.permutation(others)[:SUPPORT], rows), score[rows])

        return model, loss_of, lambda rows: predict(judging, rows)

    grid = product((1e-3, 3e-3), (1e-2, 1.0), (0.1,))
    runs = [(rate, decay, lambda d=decay, p=drop: make(d, p)) for rate, decay, drop in grid]
    return best_of(task, runs, "graph router", tell)
