"""A trained router: its scores and its decisions keep the laws."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from routing.folders import EMBEDDER, TOPICS, question, spec, team, trained

from agentroute.errors import InputError, QueryError
from agentroute.knowledge.build import SUITS_DIM
from agentroute.knowledge.record import ESTIMATES_DIM, NEAR, TrackRecord, logit
from agentroute.routing.calibration import VIEWS, Calibration
from agentroute.routing.policy import Nucleus, PriceAware, TopK
from agentroute.routing.router import GraphRouter
from agentroute.routing.views import views_of
from agentroute.types import Answer, Limits, Message, Passage, Query, from_plain, to_plain
from agentroute.types import RoutingDecision as Decision

TEAM = team()
QUERIES = [question(np.random.default_rng(i), list(TOPICS)[i % 4], 1000 + i) for i in range(24)]
STRANGE = [
    Query(text="?"),
    Query(text="\0"),
    Query(text="\ud800"),
    Query(text="river " * 50_000),
    Query(text="三"),
]


@pytest.fixture(scope="module")
def router() -> GraphRouter:
    return trained()


def with_policy(router: GraphRouter, policy: object, trust: int = VIEWS - 1) -> GraphRouter:
    calibration = replace(router.setting.calibration, trust=trust)
    return router.using(replace(router.setting, policy=policy, calibration=calibration, rounds=3))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def learned(router) -> GraphRouter:
    """With the network trusted in full, so that the laws are the network's as well."""
    return with_policy(router, TopK(k=2))


# ---------------------------------------------------------------------------- scores


@pytest.mark.parametrize("seed", range(4))
def test_permuting_agents_permutes_scores_and_decisions(learned, seed):
    agents = (*TEAM, spec("new", description="A newcomer who reads about pistons and rhymes."))
    order = np.random.default_rng(seed).permutation(len(agents))
    moved = tuple(agents[i] for i in order)
    scores = learned.score(QUERIES, agents)
    assert np.ptp(scores, axis=1).max() > 0.5
    np.testing.assert_allclose(learned.score(QUERIES, moved), scores[:, order], atol=1e-5)
    for query in QUERIES[:6]:
        one, two = learned.route(query, agents), learned.route(query, moved)
        assert [r.agent for r in one.ranking] == [r.agent for r in two.ranking]
        assert one.weights == pytest.approx(two.weights, abs=1e-5)
        assert one.registry_hash == two.registry_hash


def test_a_batch_equals_its_singles(learned):
    queries = [*QUERIES, *STRANGE, *(replace(q, task="rivers") for q in QUERIES[:3])]
    batch = learned.score(queries, TEAM)
    for query, row in zip(queries, batch, strict=True):
        np.testing.assert_allclose(learned.score([query], TEAM)[0], row, atol=1e-5)
    assert learned.score([], TEAM).shape == (0, 4)


def test_more_queries_than_one_pass_takes_are_scored_alike(learned):
    many = QUERIES * 12
    np.testing.assert_allclose(
        learned.score(many, TEAM), np.tile(learned.score(QUERIES, TEAM), (12, 1)), atol=1e-5
    )


def test_removing_an_agent_keeps_the_order_of_the_others(learned):
    scores = learned.score(QUERIES, TEAM)
    for gone in range(4):
        left = [i for i in range(4) if i != gone]
        fewer = learned.score(QUERIES, [TEAM[i] for i in left])
        for row, rest in zip(scores[:, left], fewer, strict=True):
            gaps = np.subtract.outer(row, row)
            clear = np.abs(gaps) > 0.5  # agents within half a point of log-odds may be told apart either way
            assert (np.sign(gaps) == np.sign(np.subtract.outer(rest, rest)))[clear].all()


def test_a_changed_card_changes_the_score(learned):
    before = learned.score(QUERIES, TEAM)
    for changes in (
        {"description": "Knows about pistons and valves."},
        {"examples": ("Which turbine is this?",)},
        {"tags": ("stanza",)},
    ):
        after = learned.score(QUERIES, (replace(TEAM[0], **changes), *TEAM[1:]))
        assert np.abs(after - before)[:, 0].min() > 1e-4


def test_a_new_agent_is_scored_from_its_card_alone(learned):
    """Trained without the agent of engines, the card tells who knows engines."""
    newcomers = [
        spec("turbines", description="Knows about engine, piston, valve, turbine."),
        spec("cooking", description="Knows about soup, bread, cheese, salad."),
    ]
    scores = learned.score(QUERIES, (*TEAM, *newcomers))
    assert np.isfinite(scores).all()
    on_engines = scores[3::4]
    assert on_engines[:, 4].mean() > on_engines[:, 5].mean()
    chances = 1 / (1 + np.exp(-scores[:, 4:]))
    known = 1 / (1 + np.exp(-scores[:, :4]))
    assert known.min() - 0.2 < chances.min() <= chances.max() < known.max() + 0.2


def test_what_comes_along_with_a_query_is_read(learned):
    plain = Query(text="And that one?")
    history = replace(plain, history=(Message(role="user", text="Which river has a delta?"),))
    context = replace(
        plain, context=(Passage(title="Thames Estuary", text="The Thames meets the North Sea."),)
    )
    scores = learned.score([plain, history, context], TEAM)
    assert np.abs(scores[0] - scores[1]).max() > 1e-3
    assert np.abs(scores[0] - scores[2]).max() > 1e-6


# ---------------------------------------------------------------------------- views

NEWCOMER = spec("new", description="A newcomer who reads about pistons and rhymes.")


def with_record(router: GraphRouter, record: TrackRecord) -> GraphRouter:
    return GraphRouter(
        embedder=router.embedder,
        extractor=router.extractor,
        record=record,
        weights=router.weights,
        tried=router.tried,
        setting=router.setting,
        baseline=router.baseline,
        manifest=router.manifest,
    )


def views(router: GraphRouter, agents) -> np.ndarray:
    return router.views(router.builder(agents).build(QUERIES))


def test_views_go_from_the_means_by_the_words_to_the_network(router):
    found = views(router, TEAM)
    assert found.shape == (VIEWS + 1, len(QUERIES), len(TEAM))
    texts, record = [query.text for query in QUERIES], router.record
    vectors, task = EMBEDDER.embed(texts), np.full(len(texts), -1)
    np.testing.assert_allclose(found[0], np.tile(logit(record.mean), (len(texts), 1)), atol=1e-4)
    np.testing.assert_allclose(
        found[1], logit(record.mean + record.regression(texts, vectors, task)), atol=1e-4
    )
    np.testing.assert_allclose(found[2], (found[1] + found[3]) / 2, atol=1e-5)
    for one in range(VIEWS):
        for other in range(one):
            assert np.abs(found[one] - found[other]).max() > 0.05


def test_the_means_know_no_words_and_all_that_comes_after_them_does(router):
    learned = router.record.regression
    contrary = replace(learned, by_term=-learned.by_term)
    one, two = (
        views(made, TEAM)
        for made in (router, with_record(router, replace(router.record, regression=contrary)))
    )
    assert np.array_equal(one[0], two[0])
    for view in range(1, VIEWS):
        assert np.abs(one[view] - two[view]).max() > 0.1
    # Without any words learned, what they say is what the means say.
    without = views(with_record(router, replace(router.record, regression=None)), TEAM)
    assert np.array_equal(without[0], one[0])
    assert np.array_equal(without[1], one[0])


def test_of_a_newcomer_the_network_alone_speaks_on_one_scale_with_the_others(router):
    team = (TEAM[0], NEWCOMER, *TEAM[1:])
    found = views(router, team)
    network = found[VIEWS - 1, :, 1]
    assert np.isnan(np.delete(found[:, :, 1], VIEWS - 1, axis=0)).all() and np.ptp(network) > 0.1
    assert not np.isnan(found[:, :, [0, 2]]).any()
    assert np.ptp(found[:, :, 0], axis=0).min() > 0.0
    graphs = router.builder(team).build(QUERIES)
    for trust in range(VIEWS):
        calibration = Calibration(trust, 0.5, -1.0, network=(2.0, 0.25))
        said = router.using(replace(router.setting, calibration=calibration)).logits(graphs)
        of_network = 2.0 * network + 0.25
        np.testing.assert_allclose(
            said[:, 1], of_network if trust < VIEWS - 1 else 0.5 * network - 1.0, atol=1e-5
        )
        np.testing.assert_allclose(said[:, 0], 0.5 * found[trust, :, 0] - 1.0, atol=1e-5)


def test_what_training_makes_has_newcomers_calibrated_as_the_network_is(router):
    last = [s.calibration for s in router.tried if s.calibration.trust == VIEWS - 1]
    for calibration in last:
        assert calibration.network == (calibration.scale, calibration.shift)
    assert len({setting.calibration.network for setting in router.tried}) == 1
    assert router.setting.calibration.network != (1.0, 0.0)


@pytest.mark.parametrize("seed", range(4))
def test_views_of_one_query_are_those_of_a_batch(seed):
    rng = np.random.default_rng(seed)
    suits = rng.normal(size=(6, 5, SUITS_DIM)).astype(np.float32)
    suits[..., ESTIMATES_DIM - 1] = rng.random((6, 5)) < 0.6
    network = rng.normal(size=(6, 5)).astype(np.float32)
    batch = views_of(suits, network)
    assert batch.shape == (VIEWS + 1, 6, 5)
    for row in range(6):
        assert np.array_equal(views_of(suits[row], network[row]), batch[:, row], equal_nan=True)
    new = suits[..., ESTIMATES_DIM - 1] == 0
    assert new.any() and not new.all()
    assert (batch[VIEWS - 1, new] == network[new]).all()
    assert np.isnan(np.delete(batch, VIEWS - 1, axis=0)[:, new]).all()
    nobody = np.zeros((2, 3, SUITS_DIM), np.float32)  # before any training everybody is new
    assert (Calibration(0)(views_of(nobody, network[:2, :3])) == network[:2, :3]).all()


def test_what_is_unlike_the_record_takes_the_same_off_all_who_have_one_and_nothing_off_newcomers(router):
    team = (TEAM[0], NEWCOMER, *TEAM[1:])
    found, known = views(router, team), np.arange(len(team)) != 1
    near = found[VIEWS][:, known]
    assert (near == near[:, :1]).all() and np.ptp(near[:, 0]) > 0.1
    assert near[:, 0] == pytest.approx([float(g.suits[0, NEAR]) for g in router.builder(team).build(QUERIES)])
    plain = Calibration(trust=1, scale=0.5, shift=-1.0)
    least, most = float(np.median(near[:, 0])), 0.3
    off = plain(found) - replace(plain, nearness=(4.0, least, most))(found)
    assert (off[:, 1] == 0.0).all()
    np.testing.assert_allclose(off[:, known], np.clip(4.0 * (least - near), 0.0, most), atol=1e-5)
    assert (off[:, 0] == 0).any() and (np.abs(off[:, 0] - most) < 1e-5).any()


def test_a_router_of_outcomes_does_not_ask_how_near_a_query_is(router):
    # Its answers are judged when they come; only where nobody answers must it be known beforehand.
    assert {setting.calibration.nearness for setting in router.tried} == {(0.0, 0.0, 0.0)}


@pytest.mark.parametrize("trust", range(VIEWS))
def test_a_setting_scores_and_decides_by_the_view_that_it_trusts(router, trust):
    trusting = with_policy(router, TopK(k=2), trust)
    calibration = trusting.setting.calibration
    expected = calibration.scale * views(router, TEAM)[trust] + calibration.shift
    np.testing.assert_allclose(trusting.score(QUERIES, TEAM), expected, atol=1e-5)
    chance = 1 / (1 + np.exp(-expected))
    for query, row in zip(QUERIES[:6], chance, strict=False):
        found = {ranked.agent: ranked.score for ranked in trusting.route(query, TEAM).ranking}
        assert [found[agent.id] for agent in TEAM] == pytest.approx(row.tolist(), abs=1e-4)


# ---------------------------------------------------------------------------- decisions


@pytest.mark.parametrize("policy", [TopK(), TopK(k=3), Nucleus(p=0.9), PriceAware(price_weight=0.1)])
@pytest.mark.parametrize("agents", [TEAM, TEAM[:1]], ids=["four", "one"])
def test_every_decision_is_whole_and_plain(router, policy, agents):
    router = with_policy(router, policy, 2)
    for query in (*QUERIES[:4], *STRANGE):
        decision = router.route(query, agents)
        assert sorted(r.agent for r in decision.ranking) == sorted(a.id for a in agents)
        assert [r.score for r in decision.ranking] == sorted(
            (r.score for r in decision.ranking), reverse=True
        )
        assert decision.selected and not decision.abstained and not decision.stop
        assert sum(weight for _, weight in decision.selected) == pytest.approx(1.0, abs=1e-9)
        for _, weight in decision.selected:
            assert type(weight) is float and weight > 0
        for value in (decision.expected_score, decision.expected_cost_usd, decision.coverage):
            assert type(value) is float
        assert all(type(r.score) is float and 0 < r.score < 1 for r in decision.ranking)
        chosen = [r.agent for r in decision.ranking if r.reason == "selected"]
        assert chosen == [agent for agent, _ in decision.selected]
        assert from_plain(Decision, json.loads(json.dumps(to_plain(decision)))) == decision


def test_the_same_question_is_decided_the_same_way(learned):
    assert learned.route(QUERIES[0], TEAM) == learned.route(QUERIES[0], TEAM)


@pytest.mark.parametrize("text", ["", "  \n\t "])
def test_an_empty_query_is_refused(router, text):
    with pytest.raises(QueryError, match="the query is empty"):
        router.route(Query(text=text), TEAM)


def test_no_agents_are_refused(router):
    with pytest.raises(InputError, match="there are no agents"):
        router.route(QUERIES[0], ())


def test_an_answer_is_enough_to_stop_and_those_who_answered_vote(learned):
    answers = [
        Answer(agent="poems", text="x"),
        Answer(agent="rivers", status="failed", error="broke"),
        Answer(agent="primes", text="y"),
    ]
    decision = learned.route(QUERIES[0], TEAM, answers=answers, round=2)
    assert decision.stop and not decision.abstained
    assert set(decision.weights) == {"poems", "primes"}
    assert sum(decision.weights.values()) == pytest.approx(1.0)
    assert 0 < decision.coverage < 1
    assert decision.round == 2
    everyone = [Answer(agent=agent.id, text="x") for agent in TEAM]
    assert learned.route(QUERIES[0], TEAM, answers=everyone).coverage == pytest.approx(1.0)


def test_while_nobody_answered_others_are_asked(learned):
    seen: list[Answer] = []
    for number in (1, 2):
        decision = learned.route(QUERIES[0], TEAM, answers=seen, round=number)
        assert not decision.stop and len(decision.selected) == 2
        assert not set(decision.weights) & {answer.agent for answer in seen}
        statuses = ["failed", "timed_out"] if number == 1 else ["skipped", "failed"]
        seen += [
            Answer(agent=agent, status=status)  # type: ignore[arg-type]
            for (agent, _), status in zip(decision.selected, statuses, strict=True)
        ]
    over = learned.route(QUERIES[0], TEAM, answers=seen, round=3)
    assert over.abstained and not over.selected and not over.stop
    assert over.reason == "everybody was asked"
    assert over.coverage == 0.0
    assert over.expected_score is None


def test_a_setting_of_one_round_asks_once(router):
    once = router.using(replace(router.setting, policy=TopK(), rounds=1))
    decision = once.route(QUERIES[0], TEAM, answers=[Answer(agent="rivers", status="failed")], round=2)
    assert decision.abstained
    assert "rounds are over" in decision.reason


def test_answers_of_strangers_are_ignored(learned):
    plain = learned.route(QUERIES[0], TEAM)
    assert learned.route(QUERIES[0], TEAM, answers=[Answer(agent="stranger", text="I know")]) == plain


def test_who_is_too_dear_is_not_asked(learned):
    # They cost 0.001 to 0.004.
    decision = with_policy(learned, TopK(k=9)).route(QUERIES[0], TEAM, budget_left_usd=0.0025)
    assert set(decision.weights) == {"rivers", "primes"}
    nothing = learned.route(QUERIES[0], TEAM, budget_left_usd=0.0)
    assert nothing.abstained
    assert nothing.reason == "nobody who is left fits the budget"
    unknown = (*TEAM, spec("unpriced"))
    assert set(learned.route(QUERIES[0], unknown, budget_left_usd=0.0).weights) == {"unpriced"}


def test_no_more_than_the_limit_are_asked_and_they_are_the_best(router):
    wide = with_policy(router, TopK(k=4))
    decision = wide.route(QUERIES[0], TEAM, limits=Limits(max_agents=2))
    assert [agent for agent, _ in decision.selected] == [r.agent for r in decision.ranking[:2]]
    assert sum(decision.weights.values()) == pytest.approx(1.0)


def test_costs_come_from_outcomes_then_from_cards_then_are_unknown(router):
    agents = (TEAM[0], spec("carded", price={}), spec("blank"))
    agents = (replace(TEAM[0], price=None), replace(spec("carded"), price=TEAM[1].price), spec("blank"))
    found = router.cost(agents)
    assert found[:2] == pytest.approx([0.001, 0.002])
    assert np.isnan(found[2])
    decision = with_policy(router, TopK(k=3)).route(QUERIES[0], agents)
    assert decision.expected_cost_usd is None
    assert {r.agent: r.cost_usd for r in decision.ranking}["blank"] is None


def test_an_earlier_rounds_work_is_kept_and_changes_nothing(router):
    """What a question came to is remembered between rounds; other questions in between must not matter."""
    growing, answer = router.with_preset("growing"), Answer(agent="rivers", text="gold 3")
    alone = [growing.route(query, TEAM, answers=[answer], round=2) for query in QUERIES[:4]]
    for query, expected in zip(QUERIES[:4], alone, strict=True):
        growing.route(QUERIES[9], TEAM)
        growing.route(query, TEAM)
        growing.route(query, TEAM[:3])
        assert growing.route(query, TEAM, answers=[answer], round=2) == expected
        assert growing.route(replace(query, task="rivers"), TEAM, answers=[answer], round=2) != expected
