"""Routing by cards alone: the likeliest card first, and no claim to have learned."""

from __future__ import annotations

import numpy as np
import pytest
from routing.folders import TOPICS, question, spec, team

from agentroute.knowledge.embed import HashingEmbedder
from agentroute.routing.cards import CardRouter
from agentroute.routing.policy import TopK
from agentroute.types import EFFORTS, EffortRange, Price, Query

ROUTER = CardRouter(HashingEmbedder())


def test_the_matching_card_is_preferred():
    rng, hits = np.random.default_rng(0), 0
    for number in range(80):
        topic = list(TOPICS)[number % 4]
        decision = ROUTER.route(question(rng, topic, number), team())
        hits += decision.ranking[0].agent == topic
    assert hits >= 65  # by chance: 20


def test_an_example_counts_as_much_as_a_description():
    agents = [
        spec("a", description="Nothing much."),
        spec("b", description="Nothing much.", examples=("Why is snow white?",)),
    ]
    assert ROUTER.route(Query(text="Why is snow white?"), agents).ranking[0].agent == "b"


def test_tags_are_read():
    agents = [spec("a", description="Helps."), spec("b", description="Helps.", tags=("astronomy",))]
    assert ROUTER.route(Query(text="an astronomy question"), agents).ranking[0].agent == "b"


def test_it_asks_the_best_three_and_says_it_goes_by_cards():
    decision = ROUTER.route(Query(text="Which river?"), team())
    assert decision.router_version == "cards"
    assert len(decision.selected) == 3
    assert decision.selected[0][0] == "rivers"
    one = CardRouter(HashingEmbedder(), policy=TopK()).route(Query(text="Which river?"), team())
    assert one.selected == (("rivers", 1.0),)


@pytest.mark.parametrize("seed", range(5))
def test_permuting_agents_permutes_scores(seed):
    order = np.random.default_rng(seed).permutation(4)
    query = Query(text="Which old river is a prime poem?")
    scores = ROUTER.score([query], team())[0]
    moved = ROUTER.score([query], [team()[i] for i in order])[0]
    np.testing.assert_allclose(moved, scores[order], atol=1e-6)


def test_removing_an_agent_moves_nobody_elses_score():
    query = Query(text="Which old river is a prime poem?")
    np.testing.assert_allclose(
        ROUTER.score([query], team()[1:])[0], ROUTER.score([query], team())[0][1:], atol=1e-6
    )


def test_a_higher_level_is_expected_to_cost_more_where_only_the_card_tells():
    price = Price(input=1.0, output=10.0)
    rows = [spec("rivers", price=price)]
    rows += [spec("rivers", price=price, effort=EffortRange(levels=(e,), default=e)) for e in EFFORTS]
    plain, *levels = ROUTER.cost(rows).tolist()
    assert plain == levels[0] and levels == sorted(set(levels))
