"""What validation chooses: chances that hold, trust that was earned, and settings within bounds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from routing.folders import table_of
from routing.judged import PANELS, drawn_table, random_router

from agentroute.outcomes import QueryRecord
from agentroute.routing.choose import (
    DOUBT_SE,
    ROUNDS,
    TRUST_SE,
    VIEWS,
    Calibration,
    Setting,
    best,
    calibrate,
    calibrate_growth,
    candidates,
    cluster_of,
    standard_error,
)
from agentroute.routing.choose import settings as judge
from agentroute.routing.growth import calibrated
from agentroute.routing.policy import PriceAware, TopK
from agentroute.routing.presets import PRESETS
from agentroute.routing.replay import answer_groups
from agentroute.routing.rounds import Agreement, Cascade, Growing, Panel
from agentroute.routing.smoothing import smoothed
from agentroute.types import Limits, Query


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-np.asarray(x, dtype=np.float64)))


def drawn(rng, logits):
    return (rng.random(logits.shape) < sigmoid(logits)).astype(np.float32)


def views(means, network, words=None):
    """What a router sees of agents that it knows: words say nothing of their own unless they are given."""
    words = means if words is None else words
    return np.stack([means, words, (words + network) / 2, network])


@pytest.mark.parametrize(("too_sure", "off"), [(1.0, 0.0), (0.5, 0.0), (3.0, 0.5), (10.0, 1.5), (1.0, -3.0)])
def test_log_odds_that_are_too_sure_or_off_are_set_right(too_sure, off):
    rng = np.random.default_rng(0)
    true = rng.normal(size=(3_000, 4)).astype(np.float32)
    said = (too_sure * (true - off)).astype(np.float32)
    seen = views(true * 0, said)
    found = calibrate(seen, drawn(rng, true), 3)
    assert found.scale == pytest.approx(1 / too_sure, rel=0.1)
    assert found.shift == pytest.approx(off, abs=0.15)
    chances = sigmoid(found(seen))
    assert np.abs(chances - sigmoid(true)).max() < 0.05


def test_calibrated_chances_average_to_the_scores():
    rng = np.random.default_rng(1)
    network = rng.normal(size=(400, 3)).astype(np.float32)
    score = rng.random((400, 3)).astype(np.float32)  # nothing to do with the network
    score[rng.random(score.shape) < 0.3] = np.nan
    seen = views(network * 0, network)
    found = calibrate(seen, score, 3)
    ran = ~np.isnan(score)
    assert sigmoid(found(seen))[ran].mean() == pytest.approx(score[ran].mean(), abs=0.01)
    assert found.scale < 0.2


def test_trust_takes_a_view_and_nothing_else():
    seen = np.random.default_rng(0).normal(size=(VIEWS, 5, 3)).astype(np.float32)
    assert np.array_equal(Calibration()(seen), seen[-1])  # by default the network's
    for trust in range(VIEWS):
        assert np.array_equal(Calibration(trust=trust)(seen), seen[trust])
        np.testing.assert_allclose(Calibration(trust, 2.0, 1.0)(seen), 2.0 * seen[trust] + 1.0, atol=1e-6)
        assert Calibration(trust)(seen[:, 0]).shape == (3,)  # one query, as a run sees it
        other = seen + 100.0
        other[trust], other[-1] = seen[trust], seen[-1]  # the last one is for newcomers
        score = drawn(np.random.default_rng(trust), seen[trust])
        assert calibrate(other, score, trust) == calibrate(seen, score, trust)
        assert calibrate(seen, score, trust).trust == trust


@pytest.mark.parametrize(
    "score",
    [np.ones((5, 2)), np.zeros((5, 2)), np.full((5, 2), np.nan), np.array([[1.0, np.nan]])],
    ids=["all right", "all wrong", "nobody ran", "one outcome"],
)
@pytest.mark.parametrize("size", [0.0, 1.0, 60.0])
def test_thin_or_one_sided_outcomes_do_not_run_away(score, size):
    network = size * np.random.default_rng(0).normal(size=score.shape).astype(np.float32)
    found = calibrate(views(np.zeros_like(network), network), score.astype(np.float32), 3)
    assert 0.05 <= found.scale <= 5.0
    assert -5.0 <= found.shift <= 5.0


def test_separable_outcomes_do_not_run_away():
    network = np.linspace(-50, 50, 400, dtype=np.float32).reshape(200, 2)
    found = calibrate(views(network * 0, network), (network > 0).astype(np.float32), 3)
    assert 0.05 <= found.scale <= 5.0


def outcomes(rng, queries, agents=4, cost=1.0):
    said = [[f"{i} {j}" for j in range(agents)] for i in range(queries)]
    price = np.broadcast_to(cost * np.arange(1.0, agents + 1), (queries, agents)).copy()
    return table_of(rng.random((queries, agents)), said, cost_usd=price)


def judged(table, means, network, words=None):
    return judge(views(means, network, words), table.cost_usd[0], table, answer_groups(table))


def test_noise_earns_no_trust_and_knowledge_does():
    rng = np.random.default_rng(2)
    table = outcomes(rng, 300)
    means = np.broadcast_to(np.array([0.3, 0.2, 0.1, 0.0], np.float32), (300, 4))
    knowing = (4.0 * table.score - 2.0).astype(np.float32)
    assert judged(table, means, knowing)[0].calibration.trust > 1
    assert judged(table, means, means.copy())[0].calibration.trust == 0
    earned = [
        judged(table, means, rng.normal(size=(300, 4)).astype(np.float32))[0].calibration.trust
        for _ in range(10)
    ]
    assert earned.count(0) >= 5


def test_words_that_know_are_trusted_and_a_network_that_adds_nothing_is_not():
    rng = np.random.default_rng(3)
    table = outcomes(rng, 300)
    means = np.broadcast_to(np.array([0.3, 0.2, 0.1, 0.0], np.float32), (300, 4))
    knowing = (4.0 * table.score - 2.0).astype(np.float32)
    assert judged(table, means, knowing.copy(), knowing)[0].calibration.trust == 1
    assert judged(table, means, means.copy(), knowing)[0].calibration.trust == 1
    # Where the words mislead and the network sees through them, they are passed by.
    misled = judged(table, means, knowing, -knowing)[0]
    assert misled.calibration.trust == 3
    assert misled.score == pytest.approx(float(table.score.max(axis=1).mean()), abs=1e-6)


def test_more_trust_must_win_by_more_than_its_standard_error():
    """The means name one agent and words the other; one of the two is right, a little oftener the other."""
    means = np.broadcast_to(np.array([0.3, 0.0], np.float32), (400, 2))
    other = means[:, ::-1].copy()
    for more, trusted in ((0.02, True), (-0.02, False)):
        wins = round(200 * (1 + TRUST_SE / 20 + more))  # one up or one down 400 times: an error of 1/20
        score = np.where(np.arange(400)[:, None] < wins, [0.0, 1.0], [1.0, 0.0])
        difference = score[:, 1] - score[:, 0]
        error = standard_error(difference, np.arange(400))
        assert difference.mean() > 0
        assert (difference.mean() > TRUST_SE * error) == trusted
        table = table_of(score, [["x", "y"]] * 400, cost_usd=np.ones((400, 2)))
        assert judged(table, means, other, other)[0].calibration.trust == int(trusted)


def test_a_setting_says_what_its_policy_would_have_scored():
    rng = np.random.default_rng(3)
    table = outcomes(rng, 100)
    means = np.broadcast_to(np.array([0.3, 0.2, 0.1, 0.0], np.float32), (100, 4))
    found = judged(table, means, means)
    first = found[0]
    assert first.policy == TopK(k=1)
    assert first.score == pytest.approx(float(table.score[:, 0].mean()), abs=1e-6)
    assert (first.calls, first.cost_usd) == (1.0, 1.0)
    assert {s.calibration.trust for s in found} <= set(range(VIEWS))
    tried = [(s.policy, s.rounds) for s in found]
    steady = smoothed(tried, [s.price for s in found], [s.score for s in found])
    assert [s.steady for s in found] == steady and steady != [s.score for s in found]
    everyone = next(s for s in found if s.policy == TopK(k=4, temperature=1.0))
    assert everyone.calls == 4.0
    assert everyone.cost_usd == pytest.approx(10.0)


def test_a_setting_that_looks_says_what_a_replay_comes_to():
    router, table = random_router(1), drawn_table(2, queries=30)
    groups, growth = answer_groups(table), router.growth(table)
    graphs = router.builder(table.agents).build([row.query for row in table.queries])
    found = judge(router.views(graphs), router.cost(table.agents), table, groups, growth, PANELS)
    for one in found[::7]:
        again = router.using(one).replay(table, groups, growth=growth)
        assert one.score == pytest.approx(float(again.score.mean()), abs=1e-6)
        assert one.calls == pytest.approx(float(again.calls.mean()))
        assert bool(one.sure) == one.policy.judged
    assert {one.right for one in found} == {calibrate_growth(growth, table, groups)[0]}


@pytest.mark.parametrize("seed", range(8))
def test_chances_of_answers_and_gains_hold_on_the_whole(seed):
    router, table = random_router(seed), drawn_table(3, queries=400)
    groups, growth = answer_groups(table), router.growth(table)
    right, gain = calibrate_growth(growth, table, groups)
    asked = (np.random.default_rng(5).random(table.score.shape) < 0.5) & table.ran
    spoke = asked & (groups >= 0)
    says, adds = growth.look(np.arange(len(table)), asked)[::-1]
    chance, score = calibrated(says, *right), np.nan_to_num(table.score)
    assert chance[spoke].mean() == pytest.approx(score[spoke].mean(), abs=0.04)
    held = score[np.arange(len(table)), np.where(spoke, says, -np.inf).argmax(axis=1)]
    left = table.ran & ~asked & spoke.any(axis=1, keepdims=True)
    added = np.maximum(score - held[:, None], 0.0)[left].mean()
    assert calibrated(adds, *gain)[left].mean() == pytest.approx(added, abs=0.04)


def test_a_price_that_is_unknown_in_part_is_counted_in_calls():
    rng = np.random.default_rng(4)
    table = outcomes(rng, 60)
    table.cost_usd[:, 3] = np.nan
    means = np.broadcast_to(np.array([0.3, 0.2, 0.1, 0.0], np.float32), (60, 4))
    found = judged(table, means, means)
    everyone = next(one for one in found if one.policy == TopK(k=4, temperature=1.0))
    assert (found[0].cost_usd, everyone.cost_usd) == (1.0, None)
    assert (found[0].price, everyone.price) == (1.0, 4.0)
    assert all(np.isfinite(one.worth(0.01)) for one in found)


def test_unknown_costs_stay_unknown():
    rng = np.random.default_rng(4)
    table = outcomes(rng, 40, cost=np.nan)
    means = np.zeros((40, 4), np.float32)
    assert all(setting.cost_usd is None for setting in judged(table, means, means))


@pytest.mark.parametrize("priced", [True, False])
@pytest.mark.parametrize("agents", [1, 2, 6, 12])
def test_candidates_fit_the_team(agents, priced):
    found = candidates(agents, priced)
    policies = [policy for policy, _ in found]
    assert found[0] == (TopK(k=1), 1)
    assert not any(policy.looks or isinstance(policy, Agreement) for policy in policies)
    assert all(policy.k <= agents for policy in policies if isinstance(policy, TopK))
    assert any(isinstance(policy, PriceAware) for policy in policies) == priced
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("agents", [1, 2, 6, 12])
def test_where_there_are_answers_every_known_method_is_tried(agents):
    policies = [policy for policy, _ in candidates(agents, True, True, (("a", "b", "c"),))]
    assert set(candidates(agents, True)) < set(candidates(agents, True, True))
    for kind in (Growing, Cascade, Panel):
        assert any(isinstance(policy, kind) for policy in policies)
    fitting = {name: [p for p in policies if fits(p, agents)] for name, fits in PRESETS.items()}
    assert fitting["top1"][0] == TopK(k=1)
    assert not any(policy.looks for name in ("one_round", "all", "top1") for policy in fitting[name])
    assert all(fitting.values()) or agents < 3
    assert {policy.k for policy in fitting["all"]} <= {agents}


def test_validation_takes_as_many_rounds_as_a_run_may():
    assert Limits().max_rounds == ROUNDS == Setting.rounds == max(rounds for _, rounds in candidates(3, True))


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
    luck = DOUBT_SE * 0.08
    for gain, calls in ((luck - 0.001, 1), (luck + 0.001, 3)):
        tried = [setting(0.60, 1, 1.0), setting(0.60 + gain, 3, 3.0, doubt=0.08)]
        assert best(tried, 0.0).calls == calls


def test_a_score_that_its_neighbours_do_not_share_is_not_what_a_setting_is_worth():
    lucky, steady = setting(0.70, 1, 1.0), setting(0.66, 1, 1.0)
    assert best([lucky, steady], 0.0) is lucky
    lucky = replace(lucky, steady=0.64)
    assert best([lucky, replace(steady, steady=0.655)], 0.0).score == 0.66


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


@pytest.mark.parametrize(
    "policy", {type(p): p for p, _ in candidates(5, True, True, (("a", "b"),))}.values(), ids=repr
)
def test_a_setting_survives_its_file(policy):
    one = Setting(
        policy=policy,
        rounds=2,
        calibration=Calibration(2, 1.2, -0.3),
        score=0.5,
        calls=2.5,
        cost_usd=None,
        steady=0.48,
        right=(0.5, 1.0),
        gain=(2.0, -1.0),
        sure=(0.5, None, 0.75),
    )
    assert Setting.from_plain(json.loads(json.dumps(one.plain()))) == one
    older = {name: value for name, value in one.plain().items() if name != "steady"}
    assert Setting.from_plain(older) == replace(one, steady=None)


# ---------------------------------------------------------------------------- queries that go together


@pytest.mark.parametrize("times", [1, 2, 7])
def test_repeating_every_query_does_not_make_a_mean_surer(times):
    values = np.random.default_rng(0).random(50)
    alone = standard_error(values, np.arange(50))
    assert alone == pytest.approx(values.std() / np.sqrt(50))
    repeated, clusters = np.repeat(values, times), np.repeat(np.arange(50), times)
    order = np.random.default_rng(1).permutation(len(repeated))
    assert standard_error(repeated[order], clusters[order]) == pytest.approx(alone)
    assert standard_error(repeated, np.arange(len(repeated))) == pytest.approx(alone / np.sqrt(times))


def test_queries_of_one_template_and_runs_of_one_query_go_together():
    metas = [{"template": "t"}, {}, {"template": "t"}, {"template": "u"}, {}]
    ids = ["a", "b", "c", "d", "b"]
    records = tuple(
        QueryRecord(query=Query(text=f"question {i}", id=name), meta=meta)
        for i, (name, meta) in enumerate(zip(ids, metas, strict=True))
    )
    table = replace(table_of(np.ones((5, 2)), [["x", "y"]] * 5), queries=records)
    one, two, three, four, five = cluster_of(table)
    assert one == three
    assert two == five
    assert len({one, two, four}) == 3
    nameless = tuple(replace(row, query=replace(row.query, id=None)) for row in records[1:2] * 3)
    assert len(set(cluster_of(replace(table, queries=nameless)))) == 3
