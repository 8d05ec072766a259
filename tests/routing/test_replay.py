"""Whole tables at once give what each row gives by itself, voted as a live run votes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from routing.folders import table_of

from agentroute import answers
from agentroute.errors import InputError
from agentroute.routing.policy import Nucleus, PriceAware, TopK
from agentroute.routing.replay import answer_groups, replay, vote
from agentroute.routing.rounds import Cascade, Growing

MANY = settings(max_examples=60, deadline=None)
POLICIES = [
    TopK(),
    TopK(k=2, temperature=0.5),
    TopK(k=9, temperature=1e4),
    Nucleus(p=0.7, temperature=2.0),
    PriceAware(price_weight=0.1),
]
SAID = st.sampled_from(["Paris", "paris.", "Rome", "yes", "Yes!", "no", "42", "", None])


@st.composite
def outcomes(draw):
    """A table, log-odds and prices; some agents did not run, some gave nothing, some times are unknown."""
    shape = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    said = [[draw(SAID) for _ in range(shape[1])] for _ in range(shape[0])]
    grades = st.sampled_from([0.0, 0.25, 1.0, float("nan")])
    known = st.sampled_from([0.5, 2.0, 3.0, float("nan")])
    table = table_of(
        draw(npst.arrays(np.float32, shape, elements=grades)),
        said,
        cost_usd=draw(npst.arrays(np.float64, shape, elements=known)),
        latency_s=draw(npst.arrays(np.float64, shape, elements=known)),
    )
    logits = draw(npst.arrays(np.float32, shape, elements=st.integers(-3, 3)))
    return table, logits, draw(npst.arrays(np.float64, shape[1], elements=known))


def row_by_row(policy, logits, cost, table, max_rounds):
    """One query as a live run does it: ask, ask others while nobody answered, then vote."""
    texts = [text or "" for text in table.answers[0]] if table.has_answers else list("abcdefghij")
    spoke = [i for i, text in enumerate(texts[: len(cost)]) if text and not np.isnan(table.score[0, i])]
    asked, seconds = [], 0.0
    for _ in range(max_rounds):
        free = np.array([i not in asked for i in range(len(cost))])
        if not free.any() or set(asked) & set(spoke):
            break
        wave = np.flatnonzero(policy.select(logits, cost, free[None])[0]).tolist()
        seconds += max(table.latency_s[0, wave]) if not np.isnan(table.latency_s[0, wave]).any() else np.nan
        asked += wave
    heard = sorted(set(asked) & set(spoke))
    members = np.array([[i in heard for i in range(len(cost))]])
    weights = policy.weights(logits, members)[0]
    ballot = answers.vote([texts[i] for i in heard], [float(weights[i]) for i in heard])
    leader = heard[ballot.leader] if ballot else -1
    score = table.score[0, leader] if ballot else 0.0
    return set(asked), leader, ballot.share if ballot else 0.0, score, table.cost_usd[0, asked].sum(), seconds


@MANY
@given(outcomes(), st.sampled_from(POLICIES), st.integers(1, 4))
def test_replay_equals_a_live_run_of_each_row(case, policy, max_rounds):
    table, logits, cost = case
    found = replay(policy, logits, cost, table, max_rounds=max_rounds)
    for i in range(len(table)):
        one = row_by_row(policy, logits[i : i + 1], cost, table.take([i]), max_rounds)
        if table.has_answers and not table.take([i]).has_answers:
            continue  # a row alone cannot know that texts are kept elsewhere
        asked, leader, share, score, dollars, seconds = one
        assert set(np.flatnonzero(found.asked[i])) == asked
        assert found.calls[i] == len(asked)
        assert found.leader[i] == leader
        assert found.share[i] == pytest.approx(share, abs=1e-9)
        assert found.score[i] == score
        np.testing.assert_allclose(found.cost_usd[i], dollars)
        np.testing.assert_allclose(found.latency_s[i], seconds)


@st.composite
def ballots(draw):
    shape = draw(st.integers(1, 4)), draw(st.integers(1, 7))
    said = [[draw(SAID) or "" for _ in range(shape[1])] for _ in range(shape[0])]
    eighths = st.integers(0, 16).map(lambda n: n / 8)
    return said, draw(npst.arrays(np.float64, shape, elements=eighths))


@MANY
@given(ballots(), st.sampled_from([1.0, 1e-12, 1e12]))
def test_a_vote_over_a_table_is_the_vote_of_each_row(case, scale):
    said, weights = case
    groups = np.array([answers.group_equal(row) for row in said])
    leader, share = vote(groups, weights * scale)
    for i, row in enumerate(said):
        voters = [j for j, text in enumerate(row) if text and weights[i, j] > 0]
        ballot = answers.vote([row[j] for j in voters], [weights[i, j] for j in voters])
        assert leader[i] == (voters[ballot.leader] if ballot else -1)
        assert share[i] == pytest.approx(ballot.share if ballot else 0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("said", "weights", "leader"),
    [
        (["a1", "b1", "b1", "a1"], [1, 2, 1, 2], 3),  # as much, as heavy: the group that spoke first
        (["a1", "b1", "b1"], [2, 1, 1], 0),  # as much: the heavier single answer
        (["a1", "b1", "b1"], [1, 2, 1], 1),
        (["", "b1", "c1"], [9, 1, 1], 1),
        (["", ""], [1, 1], -1),
        (["x1", "y1", "x1", "y1"], [0.1, 0.15, 0.2, 0.15], 2),  # 0.1 + 0.2 is not 0.3 in binary
    ],
)
def test_ties_are_settled_as_in_a_live_run(said, weights, leader):
    found, _ = vote(np.array([answers.group_equal(said)]), np.array([weights], dtype=np.float64))
    ballot = answers.vote(said, weights)
    assert found[0] == leader == (ballot.leader if ballot else -1)


def test_when_the_chosen_one_gave_nothing_others_are_asked():
    table = table_of(
        np.array([[np.nan, 0.0, 1.0], [0.0, 0.0, 1.0], [np.nan, np.nan, np.nan]]),
        [[None, "no", "yes"], ["", "", "yes"], [None, None, None]],
        cost_usd=np.array([[0.0, 1.0, 2.0]] * 3),
        latency_s=np.array([[1.0, 2.0, 4.0]] * 3),
    )
    logits = np.array([[3.0, 2.0, 1.0]] * 3)
    found = replay(TopK(), logits, np.ones(3), table)
    assert found.calls.tolist() == [2, 3, 3]
    assert found.leader.tolist() == [1, 2, -1]
    assert found.score.tolist() == [0.0, 1.0, 0.0]
    assert found.cost_usd.tolist() == [1.0, 3.0, 3.0]
    assert found.latency_s.tolist() == [3.0, 7.0, 7.0]
    one = replay(TopK(), logits, np.ones(3), table, max_rounds=1)
    assert one.calls.tolist() == [1, 1, 1]
    assert one.leader.tolist() == [-1, -1, -1]


def test_a_policy_that_looks_at_answers_needs_a_judge():
    table = table_of(np.ones((2, 2)), [["a", "b"]] * 2)
    for policy in (Cascade(), Growing(), TopK(judged=True)):
        with pytest.raises(InputError, match=f"the policy {policy.name} looks at answers; give it a judge"):
            replay(policy, np.zeros((2, 2)), np.ones(2), table)


def test_an_unknown_cost_makes_only_its_own_sum_unknown():
    cost = np.array([[np.nan, 1.0], [2.0, np.nan]])
    table = table_of(np.ones((2, 2)), [["a", "b"]] * 2, cost_usd=cost)
    found = replay(TopK(), np.array([[1.0, 0.0]] * 2), np.ones(2), table)
    assert np.isnan(found.cost_usd[0])
    assert found.cost_usd[1] == 2.0


def test_groups_are_of_equal_answers_and_nobody_who_did_not_run_is_in_one():
    table = table_of(np.array([[1.0, 1.0, np.nan, 0.0, 0.0]]), [["3.0", "3", "3", "", "four"]])
    assert answer_groups(table).tolist() == [[0, 0, -1, -1, 1]]
    silent = table_of(np.array([[1.0, np.nan, 0.0]]), [[None, None, None]])
    assert answer_groups(silent).tolist() == [[0, -1, 2]]


def test_single_precision_weights_where_nobody_voted_are_no_weights():
    groups, weights = np.array([[-1], [0]]), np.full((2, 1), 0.05, np.float32)
    leader, share = vote(groups, weights)
    assert leader.tolist() == [-1, 0] and share.tolist() == [0.0, 1.0]
