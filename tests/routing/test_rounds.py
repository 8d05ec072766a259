"""Laws of asking again: nobody twice, nobody who is not worth it, and each rule stops as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute.errors import InputError
from agentroute.routing.policy import Nucleus, PriceAware, TopK, View, known_cost, make_policy
from agentroute.routing.rounds import Agreement, Cascade, Growing, Panel

MANY = settings(max_examples=50, deadline=None)
NAMES = tuple("abcdefgh")


def random_view(seed: int, rows: int = 6, agents: int | None = None) -> View:
    """What may be known before a round: numbers that all differ, some prices unknown."""
    rng = np.random.default_rng(seed)
    agents = int(rng.integers(1, 8)) if agents is None else agents
    shape = rows, agents
    cost = rng.random(agents)
    cost[rng.random(agents) < 0.2 * (seed % 2)] = np.nan
    asked = rng.random(shape) < rng.random((rows, 1)) ** 2
    spoke = asked & (rng.random(shape) < 0.8)
    return View(
        agents=NAMES[:agents],
        expected=rng.normal(size=shape),
        cost=cost,
        free=~asked & (rng.random(shape) < 0.9),
        asked=asked,
        spoke=spoke,
        agree=np.where(spoke.any(axis=1), rng.choice([0.5, 1.0], rows), 0.0),
        gain=rng.random(shape),
        right=np.where(spoke, rng.random(shape), -1.0),
    )


def moved(view: View, order: np.ndarray) -> View:
    """The same with the agents in another order."""
    columns = {
        name: getattr(view, name)[:, order]
        for name in ("expected", "free", "asked", "spoke", "gain", "right")
    }
    return replace(view, agents=tuple(view.agents[i] for i in order), cost=view.cost[order], **columns)


def rows_of(view: View, rows: slice | np.ndarray) -> View:
    """Some of its queries."""
    names = ("expected", "free", "asked", "spoke", "agree", "gain", "right")
    return replace(view, **{name: getattr(view, name)[rows] for name in names})


@st.composite
def policies(draw):
    small, chance = st.integers(1, 4), st.floats(0, 1)
    return draw(
        st.builds(TopK, k=small, judged=st.booleans())
        | st.builds(Nucleus, p=st.floats(0.1, 1))
        | st.builds(PriceAware, price_weight=st.floats(0, 1))
        | st.builds(Growing, price_weight=st.floats(0, 1), first=small, most=small, novelty=chance)
        | st.builds(
            Panel, order=st.permutations(NAMES).map(lambda p: p[:4]), first=small, most=small, sure=chance
        )
        | st.builds(Agreement, first=small, most=st.integers(1, 9), share=st.floats(0.1, 1))
        | st.builds(Cascade, sure=chance)
    )


VIEWS = st.integers(0, 10_000).map(random_view)


@MANY
@given(policies(), VIEWS)
def test_nobody_is_asked_who_is_not_free(policy, view):
    wave = policy.wave(view)
    assert wave.shape == view.free.shape
    assert wave.dtype == bool
    assert not (wave & ~view.free).any()


@MANY
@given(policies(), VIEWS)
def test_while_nobody_has_spoken_somebody_is_asked_if_anybody_is_free(policy, view):
    wave = policy.wave(view)
    silent = ~view.spoke.any(axis=1)
    assert (wave[silent].any(axis=1) == view.free[silent].any(axis=1)).all()


@MANY
@given(policies(), VIEWS)
def test_every_query_is_decided_by_itself(policy, view):
    together = policy.wave(view)
    for i in range(len(together)):
        assert np.array_equal(policy.wave(rows_of(view, slice(i, i + 1))), together[i : i + 1])


@MANY
@given(policies(), VIEWS, st.randoms(use_true_random=False))
def test_permuting_agents_permutes_the_wave(policy, view, random):
    view = replace(view, cost=known_cost(view.cost) + np.arange(len(view.cost)) / 1000)
    order = np.array(random.sample(range(len(view.agents)), len(view.agents)))
    assert np.array_equal(policy.wave(moved(view, order)), policy.wave(view)[:, order])


@MANY
@given(policies())
def test_plain_data_makes_the_same_policy_again(policy):
    assert make_policy(policy.plain()) == policy


# ---------------------------------------------------------------------------- growing


def price_of(view: View) -> np.ndarray:
    """Prices in units of their mean."""
    dollars = known_cost(view.cost)
    return dollars / dollars.mean()


@MANY
@given(VIEWS, st.floats(0, 1.5), st.integers(1, 4), st.floats(0, 1))
def test_growing_asks_nobody_whose_gain_is_below_its_price(view, weight, most, novelty):
    wave = Growing(price_weight=weight, most=most, novelty=novelty).wave(view)
    spoke = view.spoke.any(axis=1)
    net = view.gain - weight * price_of(view)
    assert (net[spoke][wave[spoke]] > 0).all()
    assert wave[spoke].sum(axis=1).max(initial=0) <= most
    # And whoever adds most beyond its price is asked, if that is anything.
    worth = spoke & (np.where(view.free, net, -1.0).max(axis=1) > 0)
    assert (wave.any(axis=1) == worth)[spoke].all()
    best = np.where(view.free, net, -np.inf).argmax(axis=1)
    assert wave[np.flatnonzero(worth), best[worth]].all()


def asked_at_prices(view: View, most: int) -> np.ndarray:
    """Size of the wave at rising price weights, where somebody has spoken."""
    spoke = view.spoke.any(axis=1)
    weights = (0.0, 0.02, 0.1, 0.3, 0.6, 1.0, 1000.0)
    waves = [Growing(price_weight=weight, most=most).wave(view)[spoke] for weight in weights]
    return np.array([wave.sum(axis=1) for wave in waves])


@MANY
@given(VIEWS)
def test_growing_asks_fewer_when_money_weighs_more(view):
    assert (np.diff(asked_at_prices(view, most=1), axis=0) <= 0).all()


@pytest.mark.parametrize("most", [1, 2, 4])
def test_waves_are_smaller_on_the_whole_when_money_weighs_more(most):
    mean = asked_at_prices(random_view(2, rows=2000, agents=7), most).mean(axis=1)
    assert (np.diff(mean) < 0).all()
    assert mean[0] > 0.5 * most and mean[-1] < 0.01


@MANY
@given(VIEWS, st.integers(1, 4), st.floats(0, 1))
def test_growing_begins_with_the_best_for_their_price(view, first, weight):
    silent = ~view.spoke.any(axis=1)
    wave = Growing(price_weight=weight, first=first).wave(view)
    value = 1 / (1 + np.exp(-view.expected)) - weight * price_of(view)
    for i in np.flatnonzero(silent):
        best = sorted(np.flatnonzero(view.free[i]), key=lambda a: -value[i, a])[:first]
        assert set(np.flatnonzero(wave[i])) == set(best)


def test_later_agents_of_a_wave_count_less_since_agents_err_together():
    view = random_view(0, rows=1, agents=3)
    view = replace(
        view,
        cost=np.ones(3),
        free=np.array([[True, True, False]]),
        spoke=np.array([[False, False, True]]),
        gain=np.array([[0.3, 0.25, 0.9]]),
    )
    for novelty, expected in ((1.0, [True, True, False]), (0.5, [True, False, False])):
        wave = Growing(price_weight=0.2, most=3, novelty=novelty).wave(view)
        assert wave.tolist() == [expected]


# ---------------------------------------------------------------------------- the known methods


@MANY
@given(VIEWS, st.permutations(NAMES), st.integers(1, 3), st.integers(1, 3), st.floats(0, 1))
def test_a_panel_is_asked_in_its_order_until_an_answer_is_good_enough(view, order, first, most, sure):
    order = order[:5]
    panel = Panel(order=order, first=first, most=most, sure=sure)
    wave = panel.wave(view)
    for i in range(len(wave)):
        chosen = {view.agents[a] for a in np.flatnonzero(wave[i])}
        free = [a for a in order if a in view.agents and view.free[i, view.agents.index(a)]]
        begun = any(a in view.agents and view.asked[i, view.agents.index(a)] for a in order)
        enough = sure < 1 and view.spoke[i].any() and view.right[i].max() >= sure
        expected = [] if enough else free[: most if begun else first]
        if not free and not view.spoke[i].any():  # others follow a panel of which nobody answered
            left = np.flatnonzero(view.free[i])
            expected = [view.agents[a] for a in sorted(left, key=lambda a: -view.expected[i, a])[:1]]
        assert chosen == set(expected)


@MANY
@given(VIEWS, st.integers(1, 4), st.integers(1, 9))
def test_agreement_stops_when_the_first_agree_and_asks_the_others_when_they_do_not(view, first, most):
    wave = Agreement(first=first, most=most).wave(view)
    for i in range(len(wave)):
        spoke, free = int(view.spoke[i].sum()), np.flatnonzero(view.free[i])
        best = sorted(free, key=lambda a: -view.expected[i, a])
        if spoke == 0:
            expected = best[:first]
        elif spoke > 1 and view.agree[i] == 1.0:
            expected = []
        else:
            expected = best[: max(0, most - int(view.asked[i].sum()))]
        assert set(np.flatnonzero(wave[i])) == set(expected)


@MANY
@given(VIEWS, st.floats(0, 1))
def test_a_cascade_goes_from_cheap_to_dear_and_stops_when_it_is_sure(view, sure):
    wave = Cascade(sure=sure).wave(view)
    dollars = known_cost(view.cost)
    for i in range(len(wave)):
        free = np.flatnonzero(view.free[i])
        if not len(free) or (view.spoke[i].any() and view.right[i].max() >= sure):
            assert not wave[i].any()
        else:
            cheapest = min(free, key=lambda a: (dollars[a], -view.expected[i, a]))
            assert np.flatnonzero(wave[i]).tolist() == [cheapest]


@pytest.mark.parametrize("policy", [TopK(k=2), TopK(judged=True), Nucleus(), PriceAware()])
@pytest.mark.parametrize("seed", range(4))
def test_a_policy_of_one_round_has_enough_with_one_answer(policy, seed):
    view = random_view(seed)
    spoke = view.spoke.any(axis=1)
    assert not policy.wave(view)[spoke].any()
    assert np.array_equal(
        policy.wave(view)[~spoke], policy.select(view.expected, view.cost, view.free)[~spoke]
    )


def test_who_looks_at_answers_says_so():
    looking = [Growing(), Panel(), Panel(judged=False, sure=0.9), Cascade(), TopK(judged=True)]
    assert all(policy.looks for policy in looking)
    assert not any(policy.looks for policy in (Agreement(), TopK(), Panel(judged=False)))


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        (Growing, {"price_weight": -0.1}),
        (Growing, {"price_weight": float("nan")}),
        (Growing, {"novelty": 1.1}),
        (Growing, {"first": 0}),
        (Growing, {"most": 0}),
        (Growing, {"temperature": 0.0}),
        (Panel, {"sure": 1.5}),
        (Panel, {"sure": float("nan")}),
        (Panel, {"first": 0}),
        (Panel, {"most": 0}),
        (Agreement, {"first": 0}),
        (Agreement, {"most": 0}),
        (Agreement, {"share": float("nan")}),
        (Agreement, {"share": 1.5}),
        (Cascade, {"sure": -0.1}),
        (Cascade, {"sure": float("nan")}),
    ],
)
def test_bad_settings_are_refused_with_their_value(kind, bad):
    with pytest.raises(InputError) as caught:
        kind(**bad)
    assert str(*bad.values()) in str(caught.value)
    assert next(iter(bad)) in str(caught.value)
