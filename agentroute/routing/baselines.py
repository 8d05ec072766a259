"""What a router must beat: the simple ways of choosing, fitted on the same training queries.

All of them need only the router file: the record holds the training part, and the query-only network was
trained beside the router.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.build import query_text
from agentroute.knowledge.graph import Floats, Indices
from agentroute.knowledge.record import TrackRecord, logit
from agentroute.outcomes import OutcomeTable
from agentroute.routing.policy import Mask, Table, TopK, known_cost
from agentroute.routing.replay import Replay, replay, tally
from agentroute.routing.router import GraphRouter
from agentroute.types import Query

KNN = 50
"""Neighbours of the kNN baseline."""

VOTE_TEMPERATURE = 0.25
"""AgentRouter's own (arXiv 2510.05445): its votes weigh a softmax of expected scores over 0.25."""

NAMES = (
    "random",
    "cheapest",
    "best_single",
    "best_per_task",
    "knn",
    "words",
    "query_only",
    "majority",
    "weighted_vote",
    "all_agents",
    "oracle",
)


def run_baselines(
    router: GraphRouter, table: OutcomeTable, groups: Indices, seed: int = 0
) -> dict[str, Replay | None]:
    """Run every baseline on the same queries.

    Args:
        router: Holds the training part and the query-only network.
        table: Recorded outcomes of the test queries; its agents are among the router's.
        groups: ``answer_groups(table)``.
        seed: For the random choice.

    Returns:
        What came of each, by name; ``None`` for one that cannot be computed, such as the cheapest without
        prices.
    """
    record = router.record
    assert record is not None
    columns = [record.agents.index(spec.id) for spec in table.agents]
    mean = _column_mean(record.score[:, columns])
    queries = [row.query for row in table.queries]
    vectors = router.embedder.embed([query_text(query) for query in queries])
    learned = learned_scores(router, queries, vectors, columns)
    shape = table.score.shape
    by_mean = np.broadcast_to(logit(mean), shape)
    cost = router.cost(table.agents)
    none_voted = np.full(shape, 1.0)

    def first(scores: Table | None) -> Replay | None:
        return None if scores is None else replay(TopK(k=1), scores, cost, table, groups)

    def everyone(weights: Table) -> Replay:
        return _ask_all(weights, table, groups)

    results: dict[str, Replay | None] = {
        "random": first(np.random.default_rng(seed).random(shape)),
        "cheapest": None if np.isnan(cost).all() else first(np.broadcast_to(-known_cost(cost), shape)),
        "best_single": first(by_mean),
        "best_per_task": first(_task_means(record, columns, mean, [query.task for query in queries])),
        **{name: first(scores) for name, scores in learned.items()},
        "majority": everyone(none_voted),
        "all_agents": everyone(_temperature_free(by_mean)),
        "oracle": first(np.nan_to_num(table.score, nan=-1.0)),
        "weighted_vote": None,
    }
    if learned["query_only"] is not None:
        chance = 1.0 / (1.0 + np.exp(-learned["query_only"].astype(np.float64)))
        results["weighted_vote"] = everyone(np.exp(chance / VOTE_TEMPERATURE))
    return {name: results[name] for name in NAMES}


def learned_scores(
    router: GraphRouter, queries: Sequence[Query], vectors: Floats, columns: Sequence[int]
) -> dict[str, Table | None]:
    """Score agents by each of the simple ways to learn from the training part.

    Args:
        router: Holds the training part and the query-only network.
        queries: The queries.
        vectors: Their vectors. Shapes: ``(queries, dim)``.
        columns: The agents wanted, as positions in the router's record.

    Returns:
        For ``knn``, ``words`` and ``query_only``: scores to compare agents by, the better the higher, or
        ``None`` when the router lacks what it takes. Shapes: ``(queries, agents)`` each.
    """
    record, wanted = router.record, np.array(columns, np.int64)
    query_only = query_only_scores(router.baseline, vectors)
    found: dict[str, Table | None] = {
        "knn": _knn(record, wanted, vectors),
        "words": None,
        "query_only": None if query_only is None else query_only[:, wanted],
    }
    if record.regression is not None:
        task = np.array([record.task_position.get(query.task or "", -1) for query in queries], np.int64)
        lead = record.regression([query_text(query) for query in queries], vectors, task)
        found["words"] = _column_mean(record.score[:, wanted]) + lead[:, wanted]
    return found


def query_only_scores(weights: Mapping[str, npt.NDArray[np.floating]], vectors: Floats) -> Floats | None:
    """Run the query-only network: two layers from the query vector to one score per agent.

    Args:
        weights: Its parameters, or nothing when the router has none.
        vectors: Query vectors. Shapes: ``(queries, dim)``.

    Returns:
        Log-odds, or ``None`` without parameters. Shapes: ``(queries, agents)``.
    """
    if not weights:
        return None
    hidden = np.maximum(vectors @ weights["0.weight"].T + weights["0.bias"], 0.0)
    return np.asarray(hidden @ weights["3.weight"].T + weights["3.bias"], dtype=np.float32)


def _ask_all(weights: Table, table: OutcomeTable, groups: Indices) -> Replay:
    asked: Mask = np.ones(table.score.shape, dtype=bool)
    slowest = table.latency_s.max(axis=1)
    return tally(asked, np.where(groups >= 0, weights, 0.0), table, groups, slowest)


def _temperature_free(logits: Table) -> Table:
    """Weigh by log-odds, kept above zero: the vote of independent agents of known reliability."""
    return np.asarray(logits - logits.min() + 0.05)


def _column_mean(score: Floats) -> Floats:
    ran = ~np.isnan(score)
    return np.asarray(np.where(ran, score, 0.0).sum(0) / np.maximum(ran.sum(0), 1), dtype=np.float32)


def _task_means(record: TrackRecord, columns: list[int], mean: Floats, tasks: list[str | None]) -> Table:
    means = {
        label: _column_mean(record.score[record.task == i][:, columns])
        for i, label in enumerate(record.tasks)
    }
    return np.stack([mean if task is None else means.get(task, mean) for task in tasks])


def _knn(record: TrackRecord, columns: Indices, vectors: Floats) -> Table:
    similarity = vectors @ record.vectors.T
    nearest = min(KNN, similarity.shape[1])
    ids = np.argpartition(-similarity, nearest - 1, axis=1)[:, :nearest]
    return np.stack([_column_mean(record.score[row][:, columns]) for row in ids])
