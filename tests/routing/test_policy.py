"""Laws of whom to ask in one round: for any scores, any prices and anyone left to ask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from agentroute.errors import InputError
from agentroute.routing.policy import POLICIES, Nucleus, PriceAware, TopK, known_cost, make_policy

MANY = settings(max_examples=60, deadline=None)


@st.composite
def tables(draw, most=7, unknown=True):
    """Log-odds, prices and who is free, for a few queries."""
    shape = draw(st.integers(1, 4)), draw(st.integers(1, most))
    logits = draw(npst.arrays(np.float32, shape, elements=st.floats(-8, 8, width=32)))
    price = st.floats(0, 10) | st.just(float("nan")) if unknown else st.floats(0, 10)
    cost = draw(npst.arrays(np.float64, shape[1], elements=price))
    free = draw(npst.arrays(np.bool_, shape))
    return logits, cost, free


@st.composite
def policies(draw):
    temperature = draw(st.sampled_from([1e-6, 0.25, 1.0, 4.0, 1e6]))
    kind = draw(st.sampled_from(["top_k", "nucleus", "price_aware"]))
    if kind == "top_k":
        return TopK(k=draw(st.integers(1, 12)), temperature=temperature)
    if kind == "nucleus":
        return Nucleus(p=draw(st.floats(0.01, 1)), most=draw(st.integers(1, 9)), temperature=temperature)
    return PriceAware(
        price_weight=draw(st.floats(0, 2)),
        novelty=draw(st.floats(0, 1)),
        cap_usd=draw(st.none() | st.floats(0, 20)),
        most=draw(st.integers(1, 9)),
        temperature=temperature,
    )


@MANY
@given(policies(), tables())
def test_a_subset_of_the_free_and_never_empty_when_someone_is_free(policy, table):
    logits, cost, free = table
    chosen = policy.select(logits, cost, free)
    assert chosen.shape == free.shape
    assert chosen.dtype == bool
    assert not (chosen & ~free).any()
    assert (chosen.any(axis=1) == free.any(axis=1)).all()


@MANY
@given(policies(), tables())
def test_weights_sum_to_one_over_the_members_and_are_zero_elsewhere(policy, table):
    logits, _, members = table
    weights = policy.weights(logits, members)
    assert (weights >= 0).all()
    assert not weights[~members].any()
    np.testing.assert_allclose(weights.sum(axis=1), members.any(axis=1).astype(float), atol=1e-9)


@MANY
@given(policies(), tables())
def test_a_higher_score_never_weighs_less(policy, table):
    logits, _, members = table
    for scores, weights, here in zip(logits, policy.weights(logits, members), members, strict=True):
        order = np.argsort(scores[here], kind="stable")
        assert (np.diff(weights[here][order]) >= -1e-12).all()


@MANY
@given(policies(), tables())
def test_every_row_is_decided_by_itself(policy, table):
    logits, cost, free = table
    together = policy.select(logits, cost, free)
    for i in range(len(logits)):
        assert np.array_equal(together[i : i + 1], policy.select(logits[i : i + 1], cost, free[i : i + 1]))


@MANY
@given(policies(), st.integers(0, 10_000))
def test_permuting_agents_permutes_the_selection(policy, seed):
    # Numbers that all differ: a tie is settled by place.
    rng = np.random.default_rng(seed)
    agents = int(rng.integers(3, 8))
    logits, cost, free = rng.normal(size=(4, agents)), rng.random(agents), rng.random((4, agents)) < 0.8
    order = rng.permutation(agents)
    chosen = policy.select(logits, cost, free)
    assert np.array_equal(policy.select(logits[:, order], cost[order], free[:, order]), chosen[:, order])


@MANY
@given(tables())
def test_top_k_takes_the_best_and_grows_with_k(table):
    logits, cost, free = table
    before = np.zeros_like(free)
    for k in range(1, logits.shape[1] + 3):
        chosen = TopK(k=k).select(logits, cost, free)
        assert (chosen.sum(axis=1) == np.minimum(free.sum(axis=1), k)).all()
        assert (before <= chosen).all()
        for scores, mine, may in zip(logits, chosen, free, strict=True):
            if (may & ~mine).any() and mine.any():
                assert scores[mine].min() >= scores[may & ~mine].max()
        before = chosen


@MANY
@given(tables(), st.floats(0.01, 1), st.sampled_from([0.25, 1.0, 3.0]))
def test_nucleus_is_the_smallest_best_first_set_that_reaches_p(table, p, temperature):
    logits, cost, free = table
    policy = Nucleus(p=p, most=99, temperature=temperature)
    chosen, weights = policy.select(logits, cost, free), policy.weights(logits, free)
    for scores, weight, mine, may in zip(logits, weights, chosen, free, strict=True):
        if not may.any():
            continue
        best = np.sort(weight[may])[::-1]
        size = int(mine.sum())
        assert best[:size].sum() >= p - 1e-8
        assert size == 1 or best[: size - 1].sum() < p
        assert not (may & ~mine).any() or scores[mine].min() >= scores[may & ~mine].max()


@MANY
@given(tables(), st.integers(1, 4))
def test_nucleus_grows_with_p_up_to_its_most(table, most):
    logits, cost, free = table
    before = np.zeros_like(free)
    for p in (0.1, 0.5, 0.8, 0.99, 1.0):
        chosen = Nucleus(p=p, most=most).select(logits, cost, free)
        assert (before <= chosen).all()
        assert chosen.sum(axis=1).max() <= most
        before = chosen


@MANY
@given(tables(unknown=False))
def test_one_agent_costs_no_more_when_money_weighs_more(table):
    logits, cost, free = table
    free[:, 0] = True
    spent = [
        (PriceAware(price_weight=weight, most=1).select(logits, cost, free) * cost).sum(axis=1)
        for weight in (0.0, 0.01, 0.1, 0.5, 2.0, 100.0)
    ]
    assert (np.diff(spent, axis=0) <= 1e-12).all()
    cheapest = np.where(free, cost, np.inf).min(axis=1)
    if cost.max() > 0.01:
        np.testing.assert_allclose(spent[-1], cheapest, atol=cost.mean() / 50)


def test_sets_cost_less_on_the_whole_when_money_weighs_more():
    rng = np.random.default_rng(0)
    logits, cost = rng.normal(size=(2_000, 6)), rng.random(6)
    free = np.ones(logits.shape, dtype=bool)
    spent = [
        (PriceAware(price_weight=weight).select(logits, cost, free) * cost).sum(axis=1).mean()
        for weight in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
    ]
    assert (np.diff(spent) < 0).all()


@MANY
@given(tables(), st.floats(0, 20), st.floats(0, 0.5), st.integers(1, 6))
def test_the_cap_holds_unless_even_the_cheapest_breaks_it(table, cap, weight, most):
    logits, cost, free = table
    chosen = PriceAware(cap_usd=cap, price_weight=weight, most=most).select(logits, cost, free)
    dollars = known_cost(cost)
    for mine, may in zip(chosen, free, strict=True):
        if may.any() and dollars[may].min() <= cap:
            assert dollars[mine].sum() <= cap + 1e-9
        elif may.any():
            assert dollars[mine][0] == dollars[may].min()
            assert mine.sum() == 1 or dollars[mine].sum() <= dollars[may].min()


def test_free_agents_are_asked_for_what_they_add():
    logits, free = np.array([[2.0, 1.0, 0.0]]), np.ones((1, 3), dtype=bool)
    nothing = np.zeros(3)
    assert PriceAware().select(logits, nothing, free).tolist() == [[True, True, True]]
    assert PriceAware(novelty=0.0).select(logits, nothing, free).tolist() == [[True, False, False]]
    assert PriceAware(most=2).select(logits, nothing, free).tolist() == [[True, True, False]]


def test_an_unknown_price_is_the_highest_known_one():
    assert known_cost(np.array([0.1, np.nan, 0.3])).tolist() == [0.1, 0.3, 0.3]
    assert known_cost(np.array([np.nan, np.nan])).tolist() == [1.0, 1.0]
    logits, free = np.array([[1.0, 1.2]]), np.ones((1, 2), dtype=bool)
    policy = PriceAware(price_weight=0.5, most=1)
    assert policy.select(logits, np.array([0.1, np.nan]), free).tolist() == [[False, True]]
    three = np.array([[1.0, 1.2, -5.0]])
    assert policy.select(three, np.array([0.1, np.nan, 0.3]), np.ones((1, 3), dtype=bool)).argmax() == 0


@pytest.mark.parametrize("temperature", [1e-300, 1e-12, 1e-3])
def test_a_low_temperature_trusts_the_best_alone(temperature):
    logits = np.array([[-3.0, -2.0, -4.0], [3.0, 3.0, 1.0]])
    weights = TopK(k=3, temperature=temperature).weights(logits, np.ones((2, 3), dtype=bool))
    np.testing.assert_allclose(weights, [[0, 1, 0], [0.5, 0.5, 0]], atol=1e-9)


@pytest.mark.parametrize("temperature", [1e9, float("inf")])
def test_a_high_temperature_counts_heads(temperature):
    weights = TopK(k=3, temperature=temperature).weights(
        np.array([[-3.0, 8.0, 0.0]]), np.array([[True, True, False]])
    )
    np.testing.assert_allclose(weights, [[0.5, 0.5, 0]], atol=1e-6)


def test_at_temperature_one_weights_are_odds():
    odds = np.array([1.0, 3.0, 9.0])
    weights = TopK().weights(np.log(odds)[None], np.ones((1, 3), dtype=bool))
    np.testing.assert_allclose(weights[0], odds / 13, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (TopK, {"k": 0}),
        (TopK, {"k": -3}),
        (TopK, {"temperature": 0.0}),
        (TopK, {"temperature": -1.0}),
        (TopK, {"temperature": float("nan")}),
        (Nucleus, {"p": 0.0}),
        (Nucleus, {"p": 1.01}),
        (Nucleus, {"p": float("nan")}),
        (Nucleus, {"most": 0}),
        (PriceAware, {"most": 0}),
        (PriceAware, {"price_weight": -0.1}),
        (PriceAware, {"price_weight": float("nan")}),
        (PriceAware, {"novelty": -0.1}),
        (PriceAware, {"novelty": 1.5}),
        (PriceAware, {"cap_usd": -1.0}),
        (PriceAware, {"cap_usd": float("nan")}),
    ],
)
def test_bad_settings_are_refused_with_their_value(kind, bad):
    with pytest.raises(InputError) as caught:
        kind(**bad)
    assert str(*bad.values()) in str(caught.value)
    assert next(iter(bad)) in str(caught.value)


@MANY
@given(policies())
def test_plain_data_makes_the_same_policy_again(policy):
    assert make_policy(policy.plain()) == policy
    assert POLICIES[policy.plain()["name"]] is type(policy)


@pytest.mark.parametrize(
    "data", [{}, {"name": "best"}, {"name": "top_k", "q": 1}, {"name": "top_k", "k": "3"}]
)
def test_plain_data_that_fits_no_policy_is_refused(data):
    with pytest.raises(InputError, match="top_k, nucleus, price_aware"):
        make_policy(data)
