"""What validation chooses: chances that hold, trust that was earned, and settings within bounds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from routing.folders import table_of

from agentroute.routing.choose import TRUST, Calibration, Setting, best, calibrate, candidates
from agentroute.routing.choose import settings as judge
from agentroute.routing.policy import PriceAware, TopK
from agentroute.routing.replay import answer_groups


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.asarray(x, dtype=np.float64)))


def drawn(rng, logits):
    return (rng.random(logits.shape) < sigmoid(logits)).astype(np.float32)


@pytest.mark.parametrize(("too_sure", "off"), [(1.0, 0.0), (0.5, 0.0), (3.0, 0.5), (10.0, 1.5), (1.0, -3.0)])
def test_log_odds_that_are_too_sure_or_off_are_set_right(too_sure, off):
    rng = np.random.default_rng(0)
    true = rng.normal(size=(3_000, 4)).astype(np.float32)
    said = (too_sure * (true - off)).astype(np.float32)
    found = calibrate(true * 0, said, drawn(rng, true), 1.0)
    assert found.scale == pytest.approx(1 / too_sure, rel=0.1)
    assert found.shift == pytest.approx(off, abs=0.15)
    chances = sigmoid(found(true * 0, said))
    assert np.abs(chances - sigmoid(true)).max() < 0.05


def test_calibrated_chances_average_to_the_scores():
    rng = np.random.default_rng(1)
    network = rng.normal(size=(400, 3)).astype(np.float32)
    score = rng.random((400, 3)).astype(np.float32)  # nothing to do with the network
    score[rng.random(score.shape) < 0.3] = np.nan
    found = calibrate(network * 0, network, score, 1.0)
    ran = ~np.isnan(score)
    assert sigmoid(found(network * 0, network))[ran].mean() == pytest.approx(score[ran].mean(), abs=0.01)
    assert found.scale < 0.2


def test_trust_goes_from_the_record_to_the_network():
    prior, network = np.array([[0.0, 2.0]], np.float32), np.array([[4.0, -2.0]], np.float32)
    assert Calibration(trust=0.0)(prior, network).tolist() == prior.tolist()
    assert Calibration(trust=1.0)(prior, network).tolist() == network.tolist()
    assert Calibration(trust=0.5, scale=2.0, shift=1.0)(prior, network).tolist() == [[5.0, 1.0]]


@pytest.mark.parametrize(
    "score",
    [np.ones((5, 2)), np.zeros((5, 2)), np.full((5, 2), np.nan), np.array([[1.0, np.nan]])],
    ids=["all right", "all wrong", "nobody ran", "one outcome"],
)
@pytest.mark.parametrize("size", [0.0, 1.0, 60.0])
def test_thin_or_one_sided_outcomes_do_not_run_away(score, size):
    network = size * np.random.default_rng(0).normal(size=score.shape).astype(np.float32)
    found = calibrate(np.zeros_like(network), network, score.astype(np.float32), 1.0)
    assert 0.05 <= found.scale <= 5.0
    assert -5.0 <= found.shift <= 5.0


def test_separable_outcomes_do_not_run_away():
    network = np.linspace(-50, 50, 400, dtype=np.float32).reshape(200, 2)
    found = calibrate(network * 0, network, (network > 0).astype(np.float32), 1.0)
    assert 0.05 <= found.scale <= 5.0


def outcomes(rng, queries, agents=4, cost=1.0):
    said = [[f"{i} {j}" for j in range(agents)] for i in range(queries)]
    price = np.broadcast_to(cost * np.arange(1.0, agents + 1), (queries, agents)).copy()
    return table_of(rng.random((queries, agents)), said, cost_usd=price)


def judged(prior, network, table):
    return judge(prior, network, table.cost_usd[0], table, answer_groups(table))


def test_noise_earns_no_trust_and_knowledge_does():
    rng = np.random.default_rng(2)
    table = outcomes(rng, 300)
    prior = np.broadcast_to(np.array([0.3, 0.2, 0.1, 0.0], np.float32), (300, 4))
    knowing = (4.0 * table.score - 2.0).astype(np.float32)
    assert judged(prior, knowing, table)[0].calibration.trust > 0
    assert judged(prior, prior.copy(), table)[0].calibration.trust == 0
    earned = [
        judged(prior, rng.normal(size=(300, 4)).astype(np.float32), table)[0].calibration.trust
        for _ in range(10)
    ]
    assert earned.count(0.0) >= 5


def test_a_setting_says_what_its_policy_would_have_scored():
    rng = np.random.default_rng(3)
    table = outcomes(rng, 100)
    prior = np.broadcast_to(np.array([0.3, 0.2, 0.1, 0.0], np.float32), (100, 4))
    found = judged(prior, prior, table)
    first = found[0]
    assert first.policy == TopK(k=1)
    assert first.score == pytest.approx(float(table.score[:, 0].mean()), abs=1e-6)
    assert (first.calls, first.cost_usd) == (1.0, 1.0)
    assert {s.calibration.trust for s in found} <= set(TRUST)
    everyone = next(s for s in found if s.policy == TopK(k=4, temperature=1.0))
    assert everyone.calls == 4.0
    assert everyone.cost_usd == pytest.approx(10.0)


def test_unknown_costs_stay_unknown():
    rng = np.random.default_rng(4)
    table = outcomes(rng, 40, cost=np.nan)
    prior = np.zeros((40, 4), np.float32)
    assert all(setting.cost_usd is None for setting in judged(prior, prior, table))


@pytest.mark.parametrize("priced", [True, False])
@pytest.mark.parametrize("agents", [1, 2, 6, 12])
def test_candidates_fit_the_team(agents, priced):
    found = candidates(agents, priced)
    policies = [policy for policy, _ in found]
    assert found[0] == (TopK(k=1), 1)
    assert all(policy.k <= agents for policy in policies if isinstance(policy, TopK))
    assert any(isinstance(policy, PriceAware) for policy in policies) == priced
    assert len(set(found)) == len(found)


def setting(score, calls, cost, doubt=0.0):
    return Setting(
        policy=TopK(),
        calibration=Calibration(),
        score=score,
        calls=calls,
        cost_usd=cost,
        doubt=doubt,
        price=calls,
    )


def test_a_gain_that_may_be_luck_is_not_worth_its_price():
    tried = [setting(0.60, 1, 1.0), setting(0.63, 3, 3.0, doubt=0.08)]
    assert best(tried, 0.0).score == 0.60
    assert best([tried[0], setting(0.65, 3, 3.0, doubt=0.08)], 0.0).score == 0.65


def test_the_best_is_the_one_whose_calls_pay():
    tried = [setting(0.60, 1, 1.0), setting(0.65, 3, 3.0), setting(0.66, 9, None)]
    assert best(tried, 0.0).score == 0.66
    assert best(tried, 0.005).score == 0.65
    assert best(tried, 0.1).score == 0.60
    assert best(tried, 0.0, max_calls=2).score == 0.60
    assert best(tried, 0.0, max_cost_usd=100.0).score == 0.65  # an unknown cost keeps to no bound
    assert best(tried, 0.0, max_cost_usd=0.5) is None
    assert (
        best([setting(0.6, 1, 1.0), setting(0.6, 1, 0.1)], 0.0).cost_usd == 1.0
    )  # the simpler one comes first


@pytest.mark.parametrize("policy", [TopK(k=3, temperature=0.5), PriceAware(price_weight=0.1, cap_usd=2.0)])
def test_a_setting_survives_its_file(policy):
    one = Setting(
        policy=policy, rounds=2, calibration=Calibration(0.5, 1.2, -0.3), score=0.5, calls=2.5, cost_usd=None
    )
    assert Setting.from_plain(json.loads(json.dumps(one.plain()))) == one
