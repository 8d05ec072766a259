"""Training queries as they look when some of the agents have not joined yet.

An agent that joins later is known by its card alone, and none of the recorded queries is one of its own.
Hiding what the record says of an agent does not show that: its queries are still there, among the neighbours
and in what the words of the others were learned from. So some agents are left out whole, with their queries,
and the network learns to find them by their cards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.graph import Indices, KnowledgeGraph
from agentroute.outcomes import OutcomeTable
from agentroute.routing.regress import Examples, fit_regression

GROUPS = 4
"""Each agent is left out once, together with so many-th of the others."""

ROWS = 512
"""Queries that are looked at for each group, at most: half of them are of those left out."""


def left_out(
    builder: GraphBuilder,
    table: OutcomeTable,
    examples: Examples,
    seed: int,
    ridge: float,
    build: Callable[[GraphBuilder, OutcomeTable], list[KnowledgeGraph]],
) -> tuple[list[KnowledgeGraph], Indices]:
    """Build graphs of some queries without the agents that fit them, and all that is known by these.

    Args:
        builder: Builds graphs, with the record of all queries.
        table: The labels of those queries, in the record's order.
        examples: What words are learned from.
        seed: Of the draws.
        ridge: Strength of the pull of the regression on words.
        build: Makes graphs with a builder.

    Returns:
        The graphs, and which query each is of. Shapes: ``(graphs,)``.
    """
    record = builder.record
    assert record is not None
    draw = np.random.default_rng([seed, 7])
    fits = np.asarray(np.nan_to_num(table.score) > 0.5)
    agents = fits.shape[1]
    graphs: list[KnowledgeGraph] = []
    rows: list[Indices] = []
    for group in np.array_split(draw.permutation(agents), min(GROUPS, agents // 2)):
        staying = np.setdiff1d(np.arange(agents), group)
        theirs = np.asarray(fits[:, group].any(axis=1))
        mine, others = (draw.permutation(np.flatnonzero(some)) for some in (theirs, ~theirs))
        # Of the others most must stay in the record.
        taken = np.sort(np.concatenate([mine[: ROWS // 2], others[: min(ROWS // 2, len(others) // 5)]]))
        rest = np.setdiff1d(np.flatnonzero(~theirs), taken)
        if not len(rest) or not fits[rest][:, staying].any():
            continue
        kept = record.take(rest)
        kept = replace(
            kept,
            agents=tuple(record.agents[column] for column in staying.tolist()),
            score=np.ascontiguousarray(kept.score[:, staying]),
            cost_usd=kept.cost_usd[staying],
            latency_s=kept.latency_s[staying],
            length=kept.length[:, staying],
            voice=kept.voice[staying],
        )
        known = examples.take(rest)
        known = replace(known, score=np.ascontiguousarray(known.score[:, staying]), mean=kept.mean)
        kept = replace(kept, regression=fit_regression(known, ridge))
        graphs += build(replace(builder, record=kept), table.take(taken))
        rows.append(taken)
    return graphs, np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)
