"""Training queries as they look when some of the agents have not joined yet.

An agent that joins later is known by its card alone, and none of the recorded queries is one of its own.
Hiding what the record says of an agent does not show that: its queries are still there, among the neighbours
and in what the words of the others were learned from. So some agents are left out whole, with their queries,
and the network learns to find them by their cards. Some of the cards carry examples: a query is much nearer
to the nearest of many examples than to any description, and the network must have seen that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import cycle

import numpy as np

from agentroute.knowledge.build import GraphBuilder, query_text
from agentroute.knowledge.graph import Indices, KnowledgeGraph
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.team import Team
from agentroute.outcomes import OutcomeTable
from agentroute.routing.regress import Examples, fit_regression

GROUPS = 4
"""Each agent is left out once, together with so many-th of the others; of few agents, with half of them."""

ROWS = 512
"""Queries that are looked at for each group, at most: half of them are of those left out."""

EXAMPLES = (0, 0, 0, 5, 20, 100)
"""Queries of its own that an agent left out has on its card, at most: each of these for a part of them. Most
agents come by a description alone, and with more examples in training these are found less often."""


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
    dealt = cycle(draw.permutation(EXAMPLES).tolist())
    graphs: list[KnowledgeGraph] = []
    rows: list[Indices] = []
    for group in np.array_split(draw.permutation(agents), min(GROUPS, max(agents // 2, 1))):
        staying = np.setdiff1d(np.arange(agents), group)
        theirs = np.asarray(fits[:, group].any(axis=1))
        mine, others = (draw.permutation(np.flatnonzero(some)) for some in (theirs, ~theirs))
        # Half of theirs stay for examples; of the others most must stay in the record.
        most = min(ROWS // 2, -(-len(mine) // 2)), min(ROWS // 2, len(others) // 5)
        taken = np.sort(np.concatenate([mine[: most[0]], others[: most[1]]]))
        rest = np.setdiff1d(np.flatnonzero(~theirs), taken)
        if not len(rest) or not fits[rest][:, staying].any():
            continue
        spare = mine[most[0] :]
        shown = {
            agent: draw.permutation(spare[fits[spare, agent]])[: next(dealt)] for agent in group.tolist()
        }
        team = _with_examples(builder, table, shown)
        known = _of_some(record, examples, rest, staying, ridge)
        graphs += build(replace(builder, team=team, record=known), table.take(taken))
        rows.append(taken)
    return graphs, np.concatenate([*rows, np.zeros(0, np.int64)]).astype(np.int64)


def _of_some(
    record: TrackRecord, examples: Examples, rows: Indices, agents: Indices, ridge: float
) -> TrackRecord:
    """Return what is known of some agents from some queries, words included."""
    kept = record.take(rows)
    kept = replace(
        kept,
        agents=tuple(record.agents[column] for column in agents.tolist()),
        score=np.ascontiguousarray(kept.score[:, agents]),
        cost_usd=kept.cost_usd[agents],
        latency_s=kept.latency_s[agents],
        length=kept.length[:, agents],
        voice=kept.voice[agents],
    )
    known = examples.take(rows)
    known = replace(known, score=np.ascontiguousarray(known.score[:, agents]), mean=kept.mean)
    return replace(kept, regression=fit_regression(known, ridge))


def _with_examples(builder: GraphBuilder, table: OutcomeTable, shown: Mapping[int, Indices]) -> Team:
    """Return the team with some queries as examples on the cards of some agents, and no others on these."""
    specs = list(builder.team.specs)
    for agent, rows in shown.items():
        texts = dict.fromkeys(query_text(table.queries[row].query).strip() for row in rows.tolist())
        specs[agent] = replace(specs[agent], examples=tuple(texts))
    team = Team.build(specs, builder.embedder)
    return replace(team, x=builder.team.x)  # says nothing of examples; graphs of one team share it
