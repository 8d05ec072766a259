"""A promise is kept on queries that were never seen, whatever the confidence is worth."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.routing.assurance import RISK, TARGETS, p_value, threshold, thresholds

REPETITIONS = 200


def right_at(chance, rng):
    """Answers that are right with these chances."""
    return (rng.random(chance.shape) < chance).astype(np.float64)


@pytest.mark.parametrize("queries", [100, 600])
@pytest.mark.parametrize("target", [0.6, 0.8, 0.9])
def test_promises_are_kept_where_confidence_is_the_chance_of_being_right(queries, target):
    rng, broken, made = np.random.default_rng(1), 0, 0
    for _ in range(REPETITIONS):
        chance = rng.random(queries)
        found = threshold(thresholds(chance, right_at(chance, rng)), target)
        if found is not None:
            made += 1
            fresh = rng.random(4000)
            sure = fresh >= found
            broken += right_at(fresh, rng)[sure].mean() < target - 0.01  # the fresh mean is a sample as well
    assert broken <= RISK * REPETITIONS
    # Little can be shown with few queries; what is easy is promised.
    assert made > 0.6 * REPETITIONS or (queries, target) not in {(100, 0.6), (600, 0.6), (600, 0.8)}


@pytest.mark.parametrize("truth", [0.55, 0.75, 0.9])
def test_promises_are_kept_where_confidence_says_nothing(truth):
    """Whoever is called sure, the share that is right is the same: above it nothing can be promised."""
    rng = np.random.default_rng(2)
    tables = []
    for _ in range(REPETITIONS):
        confidence = rng.random(400) ** 2
        tables.append(thresholds(confidence, right_at(np.full(400, truth), rng)))
    made = {target: sum(threshold(table, target) is not None for table in tables) for target in TARGETS}
    assert all(count <= RISK * REPETITIONS for target, count in made.items() if target > truth)
    assert made[0.6] > 0.9 * REPETITIONS or truth < 0.9


def test_partly_right_answers_count_in_part():
    """A share of 0.9 right answers is a mean score of 0.9."""
    rng = np.random.default_rng(3)
    confidence = rng.random(2000)
    found = thresholds(confidence, np.where(confidence > 0.5, 0.9, 0.2))
    # From 0.4 up the mean is 0.78.
    assert 0.4 < threshold(found, 0.77) < 0.47
    assert threshold(found, 0.91) is None
    assert threshold(found, 0.5) < 0.02


def test_what_cannot_be_shown_is_not_promised():
    rng = np.random.default_rng(4)
    confidence = rng.random(500)
    assert thresholds(confidence, np.zeros(500)) == (None,) * len(TARGETS)
    assert thresholds(np.zeros(0), np.zeros(0)) == (None,) * len(TARGETS)
    few = thresholds(confidence[:12], np.ones(12))
    assert threshold(few, 0.5) is not None
    assert threshold(few, 0.9) is None
    always = thresholds(confidence, np.ones(500))
    assert threshold(always, 0.9) == confidence.min()


def test_the_next_stricter_promise_is_taken():
    found = tuple(float(target) for target in TARGETS)
    assert threshold(found, 0.9) == 0.9
    assert threshold(found, 0.901) == 0.91
    assert threshold(found, 0.1) == 0.5
    assert threshold(found, 0.995) is None
    assert threshold((), 0.9) is None


COUNTS, SHARES = st.integers(1, 2000), st.floats(0.01, 0.99)


@given(COUNTS, SHARES, SHARES, SHARES)
def test_more_right_answers_are_less_likely_to_be_luck(count, one, other, target):
    assert p_value(max(one, other), count, target) <= p_value(min(one, other), count, target)


@given(COUNTS, COUNTS, SHARES, SHARES)
def test_the_same_share_of_more_answers_is_less_likely_to_be_luck(one, other, mean, target):
    assert p_value(mean, max(one, other), target) <= p_value(mean, min(one, other), target)


@given(COUNTS, SHARES, SHARES, SHARES)
def test_a_stricter_promise_is_harder_to_show(count, mean, one, other):
    assert p_value(mean, count, min(one, other)) <= p_value(mean, count, max(one, other)) + 1e-12


@given(st.integers(1, 60), st.data(), SHARES)
def test_the_chance_of_luck_is_never_understated(count, data, target):
    """Against the exact tail of the binomial distribution."""
    right = data.draw(st.integers(0, count))
    tail = sum(comb(count, k) * target**k * (1 - target) ** (count - k) for k in range(right, count + 1))
    assert p_value(right / count, count, target) >= tail - 1e-9
