"""Judged by what has not seen it: records and networks of the other parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentroute.knowledge.build import GraphBuilder, query_text
from agentroute.knowledge.foresight import Foreseen
from agentroute.knowledge.graph import Floats, Indices, KnowledgeGraph
from agentroute.knowledge.hetero import PackedGraphs
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.terms import Counted
from agentroute.outcomes import OutcomeTable, QueryRecord
from agentroute.outcomes.split import folds
from agentroute.routing.config import TrainConfig
from agentroute.routing.fit import Fitted, Progress, fit_committee
from agentroute.routing.gnn import GNNConfig
from agentroute.routing.growth import Growth
from agentroute.routing.regress import Examples, fit_regression
from agentroute.routing.runtime import NumpyGNN
from agentroute.routing.unfinished import Unfinished
from agentroute.types import Embedder, Extractor

PARTS = 3
"""Parts of a small folder, each judged by a network that was trained on the others."""

WORTH_SEVERAL = 500
"""Queries from which on several networks are worth their time; of fewer, the means say most of it."""

PART_PATIENCE = 8
"""Passes without a better loss after which the training for one part ends."""

FOLDS = 8
"""Parts that take turns in being left out of the record: more parts, a record more like the final one."""

FOLDS_OF_MANY = 4
"""The same where there are so many queries that a smaller part of them makes as good a record."""

MANY = 10_000
"""Queries from which on that is so."""


def remember(
    table: OutcomeTable,
    embedder: Embedder,
    extractor: Extractor,
    graphs: Sequence[KnowledgeGraph] | None = None,
) -> TrackRecord:
    """Return the record of some outcomes, with nothing learned from it yet.

    Args:
        table: The outcomes.
        embedder: Makes the queries' vectors.
        extractor: Finds their entities.
        graphs: Their graphs, where they are at hand: vectors and entities are taken from these.

    Returns:
        The record.
    """
    queries = [record.query for record in table.queries]
    if graphs is None:
        vectors = embedder.embed([query_text(query) for query in queries])
        entities = [
            [*([query.task] if query.task else []), *(e.name for e in extractor.extract(query).entities)]
            for query in queries
        ]
    else:
        vectors = np.concatenate([graph.x["query"][:, : embedder.dim] for graph in graphs])
        entities = [[*graph.names["entity"]] for graph in graphs]
    return TrackRecord.build(
        table.agent_ids,
        vectors,
        table.score,
        [query.task for query in queries],
        entities,
        table.cost_usd,
        table.latency_s,
        table.output_tokens,
    )


def completed(
    record: TrackRecord,
    table: OutcomeTable,
    graphs: Sequence[KnowledgeGraph],
    builder: GraphBuilder,
    ridge: float,
) -> TrackRecord:
    """Return a record that also holds the queries that settings were chosen on, once they are chosen.

    Args:
        record: Of the training queries.
        table: Those, and the queries that settings were chosen on.
        graphs: The graphs of all.
        builder: What made them.
        ridge: Strength of the pull of the regression on words.

    Returns:
        The record of all.
    """
    whole = remember(table, builder.embedder, builder.extractor, graphs)
    return replace(whole, voice=record.voice, regression=fit_regression(examples_of(whole, table), ridge))


def examples_of(record: TrackRecord, table: OutcomeTable) -> Examples:
    """Return what words are learned from: the queries that the record holds."""
    texts = Counted.of([query_text(row.query) for row in table.queries])
    return Examples(texts, record.vectors, record.task, len(record.tasks), record.score, record.mean)


def parts_of(queries: Sequence[QueryRecord], seed: int) -> list[Indices]:
    """Deal queries into parts, each of which is left out once.

    Args:
        queries: The queries; those that belong together go to one part.
        seed: Deals them.

    Returns:
        Their positions, part by part.
    """
    return folds(queries, seed, FOLDS if len(queries) < MANY else FOLDS_OF_MANY)


def cross_fitted(
    builder: GraphBuilder,
    table: OutcomeTable,
    examples: Examples,
    seed: int,
    ridge: float,
    foreseen: Floats | None = None,
) -> list[KnowledgeGraph]:
    """Build each training query's graph from the record of the other parts, where its own outcome is not.

    Args:
        builder: What builds the graphs.
        table: The outcomes of the training queries.
        examples: What words are learned from.
        seed: Deals the parts.
        ridge: Strength of the pull of the regression on words.
        foreseen: What was foreseen of each query without its part, if anything was. Shapes: ``(queries,
            agents)``.

    Returns:
        The graphs, in the order of the queries.
    """
    record = builder.record
    assert record is not None
    graphs: dict[int, KnowledgeGraph] = {}
    everyone = np.arange(len(table.queries))
    for part in parts_of(table.queries, seed):
        rest = np.setdiff1d(everyone, part)
        others = record.take(rest)
        known = replace(examples.take(rest), mean=others.mean)
        others = replace(others, regression=fit_regression(known, ridge))
        mine = table.take(part)
        if foreseen is not None:
            texts = [query_text(row.query) for row in mine.queries]
            builder = replace(builder, foresight=Foreseen(texts, foreseen[part]))
        made = build_all(replace(builder, record=others), mine)
        graphs |= dict(zip(part.tolist(), made, strict=True))
    return [graphs[row] for row in everyone.tolist()]


def build_all(builder: GraphBuilder, table: OutcomeTable) -> list[KnowledgeGraph]:
    """Build the graphs of all queries of a table, a few hundred at a time."""
    queries = [row.query for row in table.queries]
    starts = range(0, len(queries), 512)
    return [graph for start in starts for graph in builder.build(queries[start : start + 512])]


def fit_in_parts(
    graphs: PackedGraphs,
    table: OutcomeTable,
    gnn_config: GNNConfig,
    config: TrainConfig,
    tell: Progress,
    unfinished: Unfinished,
) -> tuple[Fitted, Growth]:
    """Train a committee for each part left out, to judge that part; then one on everything, to be used."""
    part = np.zeros(len(table), np.int64)
    dealt = [rows for rows in folds(table.queries, config.seed + 1, PARTS) if len(rows)]
    for i, rows in enumerate(dealt):
        part[rows] = i
    everyone, nobody = np.arange(len(table)), np.zeros(0, np.int64)
    if len(dealt) < 2:  # all questions are alike: there is nobody who has not seen them
        fitted = fit_committee(graphs, table.score, everyone, dealt[0], gnn_config, config, tell, unfinished)
        return fitted, Growth(NumpyGNN(fitted.weights), graphs)
    if len(table) < WORTH_SEVERAL:
        config = replace(config, committee=1)
    steps = -(-len(table) // config.batch_size)
    hasty = replace(config, patience=min(config.patience, PART_PATIENCE * steps))
    tried = [
        fit_committee(
            graphs, table.score, np.flatnonzero(part != i), rows, gnn_config, hasty, tell, unfinished
        )
        for i, rows in enumerate(dealt)
    ]
    passes = round(float(np.median([one.passes for one in tried])))
    last = replace(config, epochs=max(passes, 1))
    fitted = fit_committee(graphs, table.score, everyone, nobody, gnn_config, last, tell, unfinished)
    losses = [loss for one in (*tried, fitted) for loss in one.losses]
    networks = [NumpyGNN(one.weights) for one in tried]
    return fitted._replace(losses=losses), Growth(networks, graphs, part)
