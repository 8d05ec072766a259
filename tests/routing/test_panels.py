"""Panels: who is worth asking together, and nobody who is not."""

from __future__ import annotations

import numpy as np
import pytest

from agentroute.routing.panels import CLASS_MOST, MOST, find_panels, price_classes

NAMES = tuple("abcdefghij")


def crowd(seed, skill, queries=1500):
    """Agents that err on their own, with three wrong answers to choose from."""
    rng = np.random.default_rng(seed)
    right = rng.random((queries, len(skill))) < skill
    groups = np.where(right, 0, 1 + rng.integers(3, size=right.shape))
    return groups.astype(np.int64), right.astype(np.float32)


def found(groups, score, cost=None, voice=None, seed=0):
    agents = score.shape[1]
    voice = np.nan_to_num(score).mean(axis=0) if voice is None else voice
    cost = np.ones(agents) if cost is None else np.array(cost, dtype=np.float64)
    return find_panels(groups, score, voice.astype(np.float32), cost, NAMES[:agents], seed)


@pytest.mark.parametrize("seed", range(4))
def test_panels_are_different_lists_of_different_agents(seed):
    panels = found(*crowd(seed, np.linspace(0.3, 0.8, 10)))
    assert panels
    assert len(set(panels)) == len(panels)
    for panel in panels:
        assert 2 <= len(panel) <= MOST
        assert len(set(panel)) == len(panel)
        assert set(panel) <= set(NAMES)
    assert len(set(map(len, panels))) > 1  # where money weighs more, lists are shorter


@pytest.mark.parametrize("seed", range(4))
def test_who_never_helps_is_in_no_panel(seed):
    """Neither one who is always wrong, nor one who says what another said, nor one who says nothing."""
    groups, score = crowd(seed, [0.7, 0.65, 0.65, 0.6, 0.0, 0.7, 0.0])
    groups[:, 4] = 9
    groups[:, 5], score[:, 5] = groups[:, 0], score[:, 0]
    groups[:, 6] = -1
    panels = found(groups, score, voice=np.array([1.0, 0.9, 0.9, 0.8, 0.1, 0.0, 0.5]))
    assert panels
    for panel in panels:
        assert not {"e", "g"} & set(panel)
        assert not {"a", "f"} <= set(panel)


@pytest.mark.parametrize("seed", range(3))
def test_a_dearer_agent_sits_in_fewer_panels(seed):
    groups, score = crowd(seed, [0.75, 0.6, 0.6, 0.6, 0.68])
    cheap = found(groups, score, [1, 1, 1, 1, 1])
    dear = found(groups, score, [1, 1, 1, 1, 60])
    assert all("e" in panel for panel in cheap)
    assert not all("e" in panel for panel in dear)


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_worth_any_price(seed):
    """One who costs a thousand times as much is only where money is no matter, however much it adds."""
    groups, score = crowd(seed, [0.76, 0.65, 0.65, 0.65, 0.74])
    assert all("e" in panel for panel in found(groups, score, [0, 0, 0, 0, 0]))
    panels = found(groups, score, [1, 1, 1, 1, 1000])
    assert ["e" in panel for panel in panels].count(True) == 1 < len(panels)


def test_the_first_of_a_panel_is_the_best_for_its_price():
    groups, score = crowd(0, [0.6, 0.8, 0.7, 0.5])
    assert all(panel[0] == "b" for panel in found(groups, score))
    free = found(groups, score, [0, 1, 0, 0])
    assert {panel[0] for panel in free} == {"b", "c"} or {panel[0] for panel in free} == {"b"}


def test_permuting_agents_permutes_the_panels():
    groups, score = crowd(5, [0.75, 0.7, 0.66, 0.61, 0.5])
    voice = np.array([0.9, 0.8, 0.7, 0.6, 0.3], np.float32)
    order = np.array([3, 0, 4, 1, 2])
    moved = find_panels(
        groups[:, order], score[:, order], voice[order], np.ones(5), tuple(NAMES[i] for i in order), 0
    )
    assert set(moved) == set(find_panels(groups, score, voice, np.ones(5), NAMES[:5], 0))


def test_two_agents_are_no_choice_of_panels():
    groups, score = crowd(0, [0.7, 0.6])
    assert found(groups, score) == ()
    assert found(groups[:, :1], score[:, :1]) == ()


def test_prices_that_are_unknown_and_agents_that_did_not_run_will_do():
    groups, score = crowd(1, [0.7, 0.65, 0.6, 0.6])
    score[::3, 1] = np.nan
    groups[::3, 1] = -1
    for cost in ([np.nan] * 4, [1, np.nan, 2, 3], [0, 0, 0, 0]):
        assert found(groups, score, cost)
    assert found(groups[:5], np.full((5, 4), np.nan, np.float32), voice=np.zeros(4)) is not None


CLASSES = {"mean": [0.8, 0.7, 0.6, 0.5, 0.4], "cost": [1.0, 0.05, 1.0, 0.09, 40.0]}


def classes(mean, cost):
    return price_classes(np.array(mean, np.float32), np.array(cost, np.float64), NAMES[: len(mean)])


def test_price_classes_list_the_best_of_those_that_cost_no_more():
    found = classes(**CLASSES)
    assert ("b", "d") in found  # those of a tenth of the best one's price
    assert ("a", "b", "c", "d") in found
    assert ("b", "d", "a", "c") in found  # the same, cheapest first
    assert not any("e" in members for members in found)
    assert len(set(found)) == len(found)
    assert all(2 <= len(members) <= CLASS_MOST for members in found)


def test_price_classes_do_not_depend_on_the_currency():
    dearer = [1e-6 * price for price in CLASSES["cost"]]
    assert classes(CLASSES["mean"], dearer) == classes(**CLASSES)


@pytest.mark.parametrize("cost", [[0.0] * 3, [2.0] * 3, [np.nan] * 3])
def test_where_all_cost_the_same_there_are_no_classes(cost):
    assert classes([0.5, 0.6, 0.7], cost) == ()
