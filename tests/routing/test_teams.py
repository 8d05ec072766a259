"""Agents that come and go: what a router says of one does not depend on who else is in the team."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing.folders import EMBEDDER, FILLERS, TOPICS, question, spec
from routing.judged import random_router, setting

from agentroute.errors import InputError
from agentroute.knowledge.record import TrackRecord, with_agent
from agentroute.routing.calibration import VIEWS
from agentroute.routing.choose import candidates
from agentroute.routing.policy import TopK
from agentroute.routing.router import GraphRouter
from agentroute.types import AgentSpec, Price, Query

ROUNDING = 2e-5
"""Log-odds; matrix products round by their shape."""


def seen_by(router: GraphRouter, view: int) -> GraphRouter:
    calibration = replace(router.setting.calibration, trust=view)
    return router.using(replace(router.setting, policy=TopK(k=1), calibration=calibration))


def with_record(router: GraphRouter, record: TrackRecord) -> GraphRouter:
    return GraphRouter(
        embedder=EMBEDDER,
        extractor=router.extractor,
        record=record,
        weights=router.weights,
        tried=router.tried,
        setting=router.setting,
        baseline={},
        manifest=router.manifest,
    )


def drawn_team(rng: np.random.Generator, size: int) -> tuple[AgentSpec, ...]:
    """Agents of the record and newcomers, with examples, tags and prices now and then."""
    made = []
    for i in rng.permutation(size).tolist():
        topic = str(rng.choice(list(TOPICS)))
        text = (
            f"Knows about {rng.choice(FILLERS)} {topic} and {', '.join(rng.permutation(TOPICS[topic])[:2])}."
        )
        examples = tuple(question(rng, topic, j).text for j in range(rng.integers(3)))
        price = Price(call=float(rng.random())) if rng.random() < 0.5 else None
        made.append(spec(f"agent-{i}", description=text, examples=examples, price=price))
    return tuple(made)


def drawn_queries(rng: np.random.Generator, count: int) -> list[Query]:
    topics = rng.choice(list(TOPICS), count)
    return [replace(question(rng, str(t), i), task=str(t) if i % 2 else None) for i, t in enumerate(topics)]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), known=st.integers(2, 6), new=st.integers(0, 3), data=st.data())
def test_removing_an_agent_never_changes_the_order_of_the_others(
    seed: int, known: int, new: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    router, team, queries = random_router(seed, known), drawn_team(rng, known + new), drawn_queries(rng, 5)
    staying = sorted(
        data.draw(st.sets(st.integers(0, len(team) - 1), min_size=1, max_size=len(team) - 1), label="staying")
    )
    fewer = tuple(team[i] for i in staying)
    for view in range(VIEWS):
        one = seen_by(router, view)
        before, after = one.score(queries, team)[:, staying], one.score(queries, fewer)
        np.testing.assert_allclose(before, after, atol=ROUNDING)
        ids = [member.id for member in fewer]
        for query, row in zip(queries, before, strict=True):
            order = [ranked.agent for ranked in one.route(query, team).ranking if ranked.agent in ids]
            score = dict(zip(ids, row.tolist(), strict=True))
            for first, second in zip(order, one.route(query, fewer).ranking, strict=True):
                assert first == second.agent or abs(score[first] - score[second.agent]) < 2 * ROUNDING


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), known=st.integers(2, 6), probes=st.integers(1, 30))
def test_onboarding_changes_no_score_but_the_newcomers_own(seed: int, known: int, probes: int) -> None:
    rng = np.random.default_rng(seed)
    router, team, queries = random_router(seed, known), drawn_team(rng, known + 2), drawn_queries(rng, 6)
    rows = rng.permutation(len(router.record.vectors))[:probes]
    new = f"agent-{known}"
    record = with_agent(router.record, new, rows, rng.random(len(rows)), texts=["a river"] * len(rows))
    joined = with_record(router, record)
    others = [i for i, member in enumerate(team) if member.id != new]
    own = next(i for i, member in enumerate(team) if member.id == new)
    for view in range(VIEWS):
        one, two = seen_by(router, view), seen_by(joined, view)
        for query in queries:  # alone, as queries come: sums go the same way to the last bit
            before, after = one.score([query], team)[0], two.score([query], team)[0]
            assert np.array_equal(before[others], after[others])
            assert before[own] != after[own]


def test_a_router_keeps_its_presets_when_somebody_joins() -> None:
    router = random_router(3, 5)
    router.tried = tuple(setting(policy, rounds) for policy, rounds in candidates(5, True, True))
    record = with_agent(router.record, "new", np.arange(9), np.full(9, 0.5))
    joined = with_record(router, record)
    for name in ("top1", "growing", "one_round", "cascade"):
        assert joined.with_preset(name).setting == router.with_preset(name).setting
    before, after = router.with_preset("all").policy, joined.with_preset("all").policy
    assert isinstance(before, TopK) and after == replace(before, k=6)
    team = (*(spec(f"agent-{i}") for i in range(5)), spec("new"))
    assert len(joined.with_preset("all").route(Query(text="Which river?"), team).weights) == 6
    with pytest.raises(InputError, match="there is no preset"):
        joined.with_preset("everybody")
