"""Queries as they look before some of the agents have joined: nothing of theirs is left in what is known."""

from __future__ import annotations

from collections import Counter

import numpy as np
from routing.folders import EMBEDDER
from routing.labelled import make_labelled

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.record import ESTIMATES_DIM
from agentroute.knowledge.team import Team
from agentroute.outcomes import OutcomeFolder
from agentroute.routing.crossfit import build_all, examples_of, remember
from agentroute.routing.newcomers import ROWS, left_out


def test_an_agent_that_has_not_joined_is_known_by_its_card_alone(tmp_path) -> None:
    table = OutcomeFolder.open(make_labelled(tmp_path / "errands")).table()
    record = remember(table, EMBEDDER, RuleExtractor())
    whole = GraphBuilder(Team.build(table.agents, EMBEDDER), EMBEDDER, RuleExtractor(), record)
    seen: list[tuple[GraphBuilder, int]] = []

    def build(builder, some):
        seen.append((builder, len(some)))
        return build_all(builder, some)

    graphs, rows = left_out(whole, table, examples_of(record, table), 0, 1.0, build)
    assert len(graphs) == len(rows) and set(rows.tolist()) <= set(range(len(table)))
    fits, start = table.score > 0.5, 0
    gone: Counter[str] = Counter()
    given: set[int] = set()
    for builder, count in seen:
        known = builder.record
        assert known is not None and known.regression is not None
        missing = [name for name in table.agent_ids if name not in known.agents]
        gone.update(missing)
        columns = [table.agent_ids.index(name) for name in missing]
        # None of the queries that are known is one of theirs, or one of those that are looked at.
        places = {vector.tobytes(): row for row, vector in enumerate(record.vectors)}
        kept = np.array([places[vector.tobytes()] for vector in known.vectors])
        assert not fits[kept][:, columns].any()
        assert known.score.shape == (len(kept), len(table.agents) - len(missing))
        assert np.array_equal(known.score, np.delete(table.score[kept], columns, axis=1))
        taken = list(range(start, start + count))
        assert not set(rows[taken].tolist()) & set(kept.tolist())
        theirs = fits[rows[taken]][:, columns].any(axis=1)
        assert 0 < theirs.sum() <= ROWS // 2 and (~theirs).sum() <= ROWS // 2
        for place in taken:
            flags = graphs[place].suits[:, ESTIMATES_DIM - 1] > 0
            assert [name for name, flag in zip(table.agent_ids, flags, strict=True) if not flag] == missing
        # The cards of those that are missing show queries of their own, none of which is looked at.
        owners = np.array(builder.team.specs, dtype=object)[builder.team.owner]
        for spec, vector in zip(owners, builder.team.examples, strict=True):
            at = places[vector.tobytes()]
            assert spec.id in missing and fits[at, table.agent_ids.index(spec.id)]
            assert at not in rows[taken] and at not in kept
        given.update(len(spec.examples) for spec in builder.team.specs if spec.id in missing)
        start += len(taken)
    assert start == len(rows)
    assert gone == Counter(dict.fromkeys(table.agent_ids, 1))  # each has been new once
    assert 0 in given and 5 in given and max(given) > 5  # and as many as there are
    assert all(graph.x["agent"] is graphs[0].x["agent"] for graph in graphs)  # of one team still


def test_of_a_lone_agent_nobody_is_left_out(tmp_path) -> None:
    table = OutcomeFolder.open(make_labelled(tmp_path / "errands")).table()
    alone = table.without(table.agent_ids[1:])
    record = remember(alone, EMBEDDER, RuleExtractor())
    builder = GraphBuilder(Team.build(alone.agents, EMBEDDER), EMBEDDER, RuleExtractor(), record)
    graphs, rows = left_out(builder, alone, examples_of(record, alone), 0, 1.0, build_all)
    assert graphs == [] and len(rows) == 0
