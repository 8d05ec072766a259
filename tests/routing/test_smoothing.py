"""Smoothing the scores of settings: curves of one dial, read off lines, and nothing else moved."""

from __future__ import annotations

import numpy as np
import pytest

from agentroute.routing.choose import candidates
from agentroute.routing.policy import POLICIES, TopK
from agentroute.routing.rounds import Cascade, Growing
from agentroute.routing.smoothing import smoothed

CURVE = [Growing(price_weight=0.01 * (i + 1)) for i in range(9)]
PRICES = [3.0 * 0.9**i for i in range(9)]


def smooth(policies, prices, scores):
    return smoothed([(policy, 8) for policy in policies], prices, scores)


def test_what_lies_on_a_line_stays_and_a_peak_of_one_sinks_below_a_plateau():
    line = [0.5 + 0.1 * float(np.log(price)) for price in PRICES]
    assert smooth(CURVE, PRICES, line) == pytest.approx(line, abs=0.006)
    lucky = [0.80, 0.80, 0.80, 0.70, 0.70, 0.81, 0.70, 0.70, 0.70]
    found = smooth(CURVE, PRICES, lucky)
    assert int(np.argmax(lucky)) == 5 and int(np.argmax(found)) in (0, 1, 2)
    assert found[5] < 0.77 and found[1] == pytest.approx(0.8, abs=0.02)


def test_a_lucky_end_sinks_as_well():
    near = [1.0, 1.0, 1.0, 1.0, 1.05]
    assert smooth(CURVE[:5], near, [0.5, 0.5, 0.5, 0.5, 0.6])[4] < 0.54


def test_only_what_differs_in_its_dial_alone_is_smoothed():
    others = [Growing(price_weight=0.01 * (i + 1), first=2) for i in range(9)]
    score = [0.6, 0.8] * 4 + [0.6]
    policies, prices = [*CURVE, *others, Cascade(), TopK()], [*PRICES, *PRICES, 1.0, 1.0]
    found = smooth(policies, prices, [*score, *[0.5] * 9, 0.9, 0.1])
    assert found[:9] == smooth(CURVE, PRICES, score) != score
    assert found[9:] == pytest.approx([*[0.5] * 9, 0.9, 0.1])
    assert smooth(CURVE[:2], PRICES[:2], [0.6, 0.8]) == [0.6, 0.8]  # two are no curve
    apart = [(policy, rounds) for policy, rounds in zip(CURVE, [1, 1, 2, 2, 3, 3, 4, 4, 5], strict=True)]
    assert smoothed(apart, PRICES, score) == pytest.approx(score)  # nor are those of other rounds


def test_settings_of_far_other_prices_do_not_count_and_those_of_one_price_share_a_mean():
    apart = [4.0**i for i in range(9)]
    score = [0.1, 0.9, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6, 0.5]
    assert smooth(CURVE, apart, score) == pytest.approx(score, abs=1e-6)
    assert smooth(CURVE, [1.0] * 9, score) == pytest.approx([0.5] * 9)
    assert np.isfinite(smooth(CURVE, [0.0] * 9, score)).all()  # nothing costs anything


def test_the_order_in_which_they_were_tried_does_not_matter():
    score = np.linspace(0.4, 0.8, 9)[np.random.default_rng(0).permutation(9)].tolist()
    order = np.random.default_rng(1).permutation(9).tolist()
    moved = smooth([CURVE[i] for i in order], [PRICES[i] for i in order], [score[i] for i in order])
    assert moved == pytest.approx([smooth(CURVE, PRICES, score)[i] for i in order])


def test_every_dial_is_a_setting_of_its_policy():
    for policy, _ in candidates(5, priced=True, growing=True, panels=[("a", "b", "c")]):
        assert policy.dial in policy.plain()
    assert {kind.dial for kind in POLICIES.values() if kind.name != "fitting"} >= {
        "k",
        "price_weight",
        "sure",
    }
