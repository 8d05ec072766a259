"""A replay of recorded outcomes is what a live run of the same router would have come to, round by round."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from routing.folders import held_out, trained
from routing.judged import PANELS, drawn_table, live_answer, random_router, setting

from agentroute.answers import vote
from agentroute.routing.choose import candidates
from agentroute.routing.policy import PriceAware, TopK
from agentroute.routing.presets import PRESETS
from agentroute.routing.rounds import Agreement, Cascade, Growing, Panel
from agentroute.types import Limits

POLICIES = [
    TopK(k=2, judged=True),
    Growing(price_weight=0.02, first=1, most=1),
    Growing(price_weight=0.05, first=2, most=2, novelty=0.9),
    Panel(order=PANELS[0], first=2, most=1, sure=0.7),
    Panel(order=PANELS[0][:2], first=2, most=1),
    Panel(order=PANELS[0], first=1, most=2, sure=0.5, judged=False),
    Agreement(first=2, most=4),
    Agreement(first=3, most=5, share=0.5),
    Cascade(sure=0.7),
    PriceAware(price_weight=0.01),
]


def rounds_of(router, table, row, limits=Limits(), budget=None):
    """Ask as the workflow does: every decision, and the answers that came back."""
    decisions, answers = [], []
    for number in range(1, 20):
        decision = router.route(
            table.queries[row].query,
            table.agents,
            answers=answers,
            limits=limits,
            round=number,
            budget_left_usd=budget,
        )
        decisions.append(decision)
        if decision.stop or decision.abstained:
            return decisions, answers
        assert not {answer.agent for answer in answers} & set(decision.weights)  # nobody is asked twice
        answers += [live_answer(table, row, agent) for agent, _ in decision.selected]
    raise AssertionError("it never stops")


def assert_alike(router, table):
    found = router.replay(table)
    several = 0
    for row in range(len(table)):
        (*_, last), answers = rounds_of(router, table, row)
        asked = {answer.agent for answer in answers}
        assert {table.agent_ids[i] for i in np.flatnonzero(found.asked[row])} == asked
        spoken = [answer for answer in answers if answer.status == "ok"]
        ballot = vote([a.text for a in spoken], [last.weights[a.agent] for a in spoken])
        assert (ballot is None) == last.abstained == (found.leader[row] < 0)
        if ballot:
            assert spoken[ballot.leader].agent == table.agent_ids[found.leader[row]]
            share = last.confidence if router.policy.judged else ballot.share
            assert share == pytest.approx(found.share[row], abs=1e-5)
        several += len(spoken) > 1
    return several


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("preset", PRESETS)
def test_a_replay_is_a_live_run_for_every_preset(preset, seed):
    router = random_router(seed).with_preset(preset)
    several = assert_alike(router, drawn_table(seed + 10))
    assert several == 0 or preset != "top1"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_a_replay_is_a_live_run_for_every_policy(policy, seed):
    router = random_router(seed + 5, policies=[policy])
    assert assert_alike(router, drawn_table(seed + 20, queries=16))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_replay_of_a_trained_router_is_a_live_run(preset):
    router = trained().with_preset(preset)
    assert_alike(router, held_out(router).take(np.arange(12)))


@pytest.mark.parametrize("rounds", [1, 2])
def test_a_setting_with_fewer_rounds_is_replayed_with_as_many(rounds):
    router = random_router(1).using(setting(Growing(price_weight=0.0), rounds=rounds))
    table = drawn_table(2)
    assert_alike(router, table)
    assert router.replay(table).calls.max() == rounds


# ---------------------------------------------------------------------------- what a decision says


@pytest.mark.parametrize("policy", [policy for policy, _ in candidates(5, True, True, PANELS)][::4], ids=repr)
def test_every_round_is_whole(policy):
    router, table = random_router(3, policies=[policy]), drawn_table(4, queries=5)
    for row in range(len(table)):
        decisions, answers = rounds_of(router, table, row)
        for decision in decisions:
            assert sorted(ranked.agent for ranked in decision.ranking) == sorted(table.agent_ids)
            scores = [ranked.score for ranked in decision.ranking]
            assert scores == sorted(scores, reverse=True)
            assert all(type(score) is float and 0 <= score <= 1 for score in scores)
            assert decision.abstained or sum(decision.weights.values()) == pytest.approx(1.0)
            assert (decision.confidence is not None) == (decision.stop and policy.judged)
            assert decision.assured is None  # nothing was promised
        spoken = {answer.agent for answer in answers if answer.status == "ok"}
        assert set(decisions[-1].weights) == spoken
        if decisions[-1].confidence is not None:
            assert decisions[-1].expected_score == decisions[-1].confidence


@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_nobody_dearer_than_what_is_left_is_asked(policy):
    router, table = random_router(6, policies=[policy]), drawn_table(7)
    price = dict(zip(table.agent_ids, router.cost(table.agents).tolist(), strict=True))
    dearest = max(price.values())
    for share in (0.0, 0.3, 0.7, 1.0):
        for row in range(4):
            decisions, answers = rounds_of(router, table, row, budget=share * dearest)
            assert all(price[answer.agent] <= share * dearest for answer in answers)
            assert share or decisions[0].reason == "nobody who is left fits the budget"


def test_who_is_too_dear_to_ask_does_not_count_as_asked():
    """Rules that count how many were asked count those who were."""
    table = drawn_table(8, queries=6)
    table = replace(table, score=np.ones_like(table.score), answers=tuple(tuple("abcde") for _ in range(6)))
    router = random_router(
        8, policies=[Agreement(first=2, most=3), Panel(order=PANELS[0], first=2, sure=1.0)]
    )
    price = router.cost(table.agents)
    budget = float(np.sort(price)[-2])  # all but the dearest can be paid
    order = [name for name in PANELS[0] if price[table.agent_ids.index(name)] <= budget]
    for row in range(len(table)):
        _, answers = rounds_of(router, table, row, budget=budget)
        assert len(answers) == 3  # two who differ, and a third
        panel, _ = rounds_of(router.using(router.tried[1]), table, row, budget=budget)
        assert [set(decision.weights) for decision in panel[:2]] == [set(order[:2]), set(order[2:3])]


def test_limits_bound_rounds_and_waves():
    router, table = random_router(9, policies=[Growing(price_weight=0.0, first=3, most=3)]), drawn_table(10)
    for row in range(len(table)):
        decisions, answers = rounds_of(router, table, row, Limits(max_rounds=2, max_agents=1))
        assert [len(decision.selected) for decision in decisions[:-1]] == [1, 1]
        assert len(answers) == 2


def test_an_agent_that_failed_is_no_empty_answer():
    """That somebody did not run says nothing about the answers that are there."""
    router, table = random_router(11, policies=[TopK(k=2, judged=True)]), drawn_table(12)
    builder, query = router.builder(table.agents), table.queries[0].query
    answers = [live_answer(table, 0, agent) for agent in table.agent_ids]
    ran = [answer for answer in answers if answer.status != "failed"]
    assert 0 < len(ran) < len(answers)
    for one, two in zip(router.look(builder, query, answers), router.look(builder, query, ran), strict=True):
        assert np.array_equal(one, two)
