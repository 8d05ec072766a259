"""The track record: every estimate against the same sums done slowly, and no query sees its own outcome."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from routing.folders import EMBEDDER, random_record

from agentroute.knowledge.record import ESTIMATES_DIM, TrackRecord, entity_key, logit
from agentroute.knowledge.record.neighbours import NEIGHBOURS, SHARPNESS
from agentroute.knowledge.record.tallies import (
    PRIOR_COUNT_AGENT,
    PRIOR_COUNT_ENTITY,
    PRIOR_COUNT_NEIGHBOURS,
    PRIOR_COUNT_TASK,
)
from agentroute.routing.regress import Examples, fit_regression

AGENTS = ("a", "b", "c")
NONE = np.array([-1])
WORDS = 3
"""Where in the estimates stands what the words say."""

ASKED = ["Which old river is number 3?", "a prime factor", "", "Which missing poem has a rhyme"]


def made(score, tasks=None, entities=None, vectors=None):
    score = np.array(score, dtype=np.float32)
    queries = len(score)
    return TrackRecord.build(
        AGENTS[: score.shape[1]],
        EMBEDDER.embed([f"question {i} about {i % 3}" for i in range(queries)])
        if vectors is None
        else vectors,
        score,
        tasks or [None] * queries,
        entities or [[]] * queries,
        *(np.full(score.shape, np.nan) for _ in ("cost", "latency", "tokens")),
    )


def drop(record: TrackRecord, row: int) -> TrackRecord:
    """The record as it would be had the query never been asked; labels and entities keep their places."""
    keep = np.arange(len(record.vectors)) != row
    pairs = record.entity_of[record.entity_of[:, 0] != row].copy()
    pairs[:, 0] -= pairs[:, 0] > row
    return TrackRecord(
        agents=record.agents,
        vectors=record.vectors[keep],
        score=record.score[keep],
        task=record.task[keep],
        tasks=record.tasks,
        entities=record.entities,
        entity_of=pairs,
        cost_usd=record.cost_usd,
        latency_s=record.latency_s,
        length=record.length,
        voice=record.voice,
    )


def slow_estimates(record: TrackRecord, text: str, vector, task: int):
    """Per agent: the three shrunk means, each a plain loop, and beside them what the words say."""
    ran = [[not math.isnan(s) for s in row] for row in record.score.tolist()]
    score = np.nan_to_num(record.score).tolist()
    rows = range(len(score))
    everything = [score[r][a] for r in rows for a in range(len(record.agents)) if ran[r][a]]
    pool = sum(everything) / len(everything) if everything else 0.5
    cosines = [float(vector @ other) for other in record.vectors]
    near = sorted(rows, key=lambda r: -cosines[r])[:NEIGHBOURS]
    weight = [math.exp(SHARPNESS * (cosines[r] - cosines[near[0]])) for r in near]
    size = sum(weight) / sum(w * w for w in weight)
    words = [0.0] * len(record.agents)
    if record.regression is not None:
        words = record.regression([text], vector[None], np.array([task]))[0].tolist()
    found = []
    for a in range(len(record.agents)):

        def shrunk(pairs, prior, count):
            pairs = list(pairs)
            return (sum(w * s for w, s in pairs) + count * prior) / (sum(w for w, _ in pairs) + count)

        base = shrunk(((1, score[r][a]) for r in rows if ran[r][a]), pool, PRIOR_COUNT_AGENT)
        same = [r for r in rows if ran[r][a] and task >= 0 and record.task[r] == task]
        by_task = shrunk(((1, score[r][a]) for r in same), base, PRIOR_COUNT_TASK)
        pairs = ((size * w, score[r][a]) for r, w in zip(near, weight, strict=True) if ran[r][a])
        by_near = shrunk(pairs, by_task, PRIOR_COUNT_NEIGHBOURS)
        by_words = base + words[a] if record.regression is not None else by_task
        base, by_task, by_near, by_words = (
            float(logit(np.array(p))) for p in (base, by_task, by_near, by_words)
        )
        nearness = sum(cosines[r] for r in near) / len(near)
        found.append([base, by_task - base, by_near - by_task, by_words - by_task, nearness, 1.0])
    return found


@pytest.mark.parametrize("queries", [1, 2, 20, NEIGHBOURS, NEIGHBOURS + 1, 130])
def test_estimates_are_the_means_they_say_they_are(queries):
    record = random_record(np.random.default_rng(queries), AGENTS, queries)
    vectors = EMBEDDER.embed(ASKED[:2])
    tasks = np.array([0, -1])
    found = record.estimates(ASKED[:2], vectors, tasks)
    assert found.shape == (2, len(AGENTS), ESTIMATES_DIM)
    for row in range(2):
        slow = slow_estimates(record, ASKED[row], vectors[row], int(tasks[row]))
        np.testing.assert_allclose(found[row], slow, atol=2e-4)
    without = replace(record, regression=None).estimates(ASKED[:2], vectors, tasks)
    assert (without[..., WORDS] == 0.0).all()
    rest = np.delete(np.arange(ESTIMATES_DIM), WORDS)
    assert np.array_equal(without[..., rest], found[..., rest])


def test_only_what_words_say_depends_on_the_words():
    record = random_record(np.random.default_rng(6), AGENTS)
    vectors, task = record.vectors[[0, 0, 0]], record.task[[0, 0, 0]]
    river, poem, unheard = record.estimates(["river delta", "poem sonnet", "xyzzy"], vectors, task)
    rest = np.delete(np.arange(ESTIMATES_DIM), WORDS)
    assert np.array_equal(river[:, rest], poem[:, rest])
    assert np.abs(river - poem)[:, WORDS].max() > 0.05
    empty = record.estimates([""], vectors[:1], task[:1])[0]
    np.testing.assert_allclose(unheard, empty, atol=1e-5)


def test_words_lead_where_they_led_before():
    """Agent a is right about rivers and agent b about poems: no task says so, and all vectors are alike."""
    asked = [f"which {'river' if i % 2 else 'poem'} is number {i}" for i in range(80)]
    same = np.tile(EMBEDDER.embed(["x"]), (80, 1))
    record = made([[i % 2, 1 - i % 2] for i in range(80)], vectors=same)
    examples = Examples(asked, same, record.task, 0, record.score, record.mean)
    record = replace(record, regression=fit_regression(examples, 4.0))
    river, poem = record.estimates(["a river", "a poem"], same[:2], np.array([-1, -1]))
    assert river[0, WORDS] > 0.5 > -0.5 > river[1, WORDS]
    assert poem[1, WORDS] > 0.5 > -0.5 > poem[0, WORDS]
    assert np.abs(river[:, :3] - poem[:, :3]).max() < 1e-5


@pytest.mark.parametrize("queries", [2, 20, NEIGHBOURS, NEIGHBOURS + 1, 130])
def test_a_record_without_a_query_is_the_record_had_it_never_been_asked(queries):
    record = random_record(np.random.default_rng(queries + 7), AGENTS, queries)
    for row in range(min(queries, 12)):
        smaller = record.take(np.delete(np.arange(queries), row))
        scratch = drop(record, row)
        one = ASKED[:1], record.vectors[[row]], record.task[[row]]
        np.testing.assert_allclose(smaller.estimates(*one), scratch.estimates(*one), atol=1e-5)
        np.testing.assert_allclose(
            smaller.estimates(*one)[0], slow_estimates(smaller, *(part[0] for part in one)), atol=2e-4
        )
        for taken, expected in zip(
            smaller.entity_ties(record.entities), scratch.entity_ties(record.entities), strict=True
        ):
            np.testing.assert_allclose(taken, expected, atol=1e-6)
        assert smaller.pool_mean == pytest.approx(scratch.pool_mean)


def test_taking_rows_takes_them_in_the_order_given():
    record = random_record(np.random.default_rng(1), AGENTS, 40)
    rows = np.array([7, 3, 30, 11])
    some = record.take(rows)
    assert np.array_equal(some.vectors, record.vectors[rows])
    assert np.array_equal(some.score, record.score[rows], equal_nan=True)
    for place, row in enumerate(rows):
        named = {int(e) for q, e in some.entity_of if q == place}
        assert named == {int(e) for q, e in record.entity_of if q == row}
    again = record.take(np.arange(40))
    one = ASKED[:3], record.vectors[:3], record.task[:3]
    assert np.array_equal(again.estimates(*one), replace(record, regression=None).estimates(*one))
    nothing = record.take(np.array([], dtype=np.int64))
    assert nothing.pool_mean == 0.5
    assert nothing.entity_ties(record.entities)[1].size == 0


def test_what_was_learned_from_all_queries_is_forgotten_with_any_of_them():
    record = random_record(np.random.default_rng(1), AGENTS, 40)
    assert record.regression is not None
    for rows in (np.arange(40), np.arange(39), np.array([5])):
        assert record.take(rows).regression is None


def test_a_query_left_out_says_nothing_about_itself():
    rng = np.random.default_rng(5)
    score = rng.random((40, 2)).astype(np.float32)
    other = score.copy()
    other[11] = 1.0 - other[11]
    tasks = ["t" if i % 2 else "u" for i in range(40)]
    names = [["alpha"], ["beta"]] * 20
    one, two = made(score, tasks, names), made(other, tasks, names)
    me = ["question 11 about 2"], one.vectors[[11]], one.task[[11]]
    assert np.abs(one.estimates(*me) - two.estimates(*me)).max() > 0.01
    rest = np.delete(np.arange(40), 11)
    assert np.array_equal(one.take(rest).estimates(*me), two.take(rest).estimates(*me))
    assert np.array_equal(one.take(rest).entity_ties(["beta"])[1], two.take(rest).entity_ties(["beta"])[1])


def test_ties_say_where_an_agent_does_better_than_usual():
    # Agent a is right exactly where alpha is named, agent b exactly elsewhere, agent c always.
    score = [[1, 0, 1] if i < 10 else [0, 1, 1] for i in range(40)]
    record = made(score, entities=[["Alpha  One"] if i < 10 else ["beta"] for i in range(40)])
    (agents, keys), weight = record.entity_ties(["zeta", "alpha one", "beta"])
    ties = {(int(a), int(k)): float(w) for a, k, w in zip(agents, keys, weight, strict=True)}
    mean = record.mean
    assert set(keys.tolist()) == {1, 2}
    assert ties[0, 1] == pytest.approx((10 - 10 * mean[0]) / (10 + PRIOR_COUNT_ENTITY), abs=1e-5)
    assert ties[1, 1] < -0.5 < 0 < ties[1, 2]
    assert ties[0, 2] < 0


def test_only_entities_that_two_queries_name_are_kept():
    record = made([[1.0]] * 3, entities=[["Once", "Twice"], ["twice "], ["TWICE", "twice"]])
    assert record.entities == ("twice",)
    assert record.entity_of.tolist() == [[0, 0], [1, 0], [2, 0]]
    assert entity_key("  The   River\tRHINE ") == "the river rhine"


def test_thin_evidence_stays_near_the_wider_mean_and_thick_evidence_leaves_it():
    rng = np.random.default_rng(0)
    pool = (rng.random((400, 3)) < [0.9, 0.5, 0.1]).astype(np.float32)
    thick = made(pool)
    assert np.abs(thick.mean - pool.mean(0)).max() < 0.02
    pool[1:, 2] = np.nan
    pool[0, 2] = 0.0
    thin = made(pool)
    assert thin.mean[2] == pytest.approx(
        thin.pool_mean * PRIOR_COUNT_AGENT / (PRIOR_COUNT_AGENT + 1), abs=1e-4
    )


def test_an_agent_that_never_ran_is_expected_to_do_as_the_pool():
    score = np.random.default_rng(1).random((60, 3)).astype(np.float32)
    score[:, 1] = np.nan
    record = made(score, tasks=["t"] * 60)
    assert record.mean[1] == pytest.approx(record.pool_mean, abs=1e-6)
    question = ["question 1 about 2"]
    found = record.estimates(question, EMBEDDER.embed(question), np.array([0]))
    assert found[0, 1, :3] == pytest.approx([float(logit(np.array(record.pool_mean))), 0, 0], abs=1e-5)


def test_one_query_and_no_tasks_will_do():
    record = made([[1.0, 0.0]])
    found = record.estimates(ASKED[:1], record.vectors, NONE)
    assert np.isfinite(found).all()
    assert found[0, 0, 0] > found[0, 1, 0]
    assert (found[..., 1] == 0).all()


def test_no_outcome_at_all_is_an_even_chance():
    record = made(np.full((5, 2), np.nan))
    assert record.pool_mean == 0.5
    assert record.estimates(ASKED[:1], record.vectors[:1], NONE)[0, :, :4].tolist() == [[0, 0, 0, 0]] * 2
    assert np.isnan(record.cost_usd).all()


def test_an_unknown_task_is_no_task():
    record = made(np.random.default_rng(2).random((30, 2)), tasks=[None, "t", "u"] * 10)
    assert record.tasks == ("t", "u")
    assert record.task[:3].tolist() == [-1, 0, 1]
    found = record.estimates(ASKED[:1], record.vectors[:1], NONE)
    assert (found[..., 1] == 0).all()
    assert (record.estimates(ASKED[:1], record.vectors[:1], np.array([0]))[..., 1] != 0).all()


def test_a_batch_of_queries_equals_its_singles():
    record = random_record(np.random.default_rng(9), AGENTS, 120)
    rows = np.arange(40)
    texts = [ASKED[row % len(ASKED)] for row in rows]
    batch = record.estimates(texts, record.vectors[rows], record.task[rows])
    for row in rows:
        one = record.estimates([texts[row]], record.vectors[[row]], record.task[[row]])
        np.testing.assert_allclose(batch[row], one[0], atol=1e-5)


def test_costs_are_means_of_what_is_known():
    cost = np.array([[1.0, np.nan], [3.0, np.nan]])
    record = TrackRecord.build(
        AGENTS[:2], EMBEDDER.embed(["x", "y"]), np.ones((2, 2)), [None] * 2, [[]] * 2, cost, cost, cost
    )
    assert record.cost_usd[0] == 2.0
    assert np.isnan(record.cost_usd[1])
    assert record.latency_s[0] == 2.0


def test_lengths_are_those_of_what_was_written():
    tokens = np.array([[9.0, np.nan, 0.0], [99.0, np.nan, 7.0], [np.nan, np.nan, 7.0]])
    nothing = np.full((3, 3), np.nan)
    record = TrackRecord.build(
        AGENTS,
        EMBEDDER.embed(["x", "y", "z"]),
        np.ones((3, 3)),
        [None] * 3,
        [[]] * 3,
        nothing,
        nothing,
        tokens,
    )
    # Code that runs here writes no tokens: a 0 is no length.
    assert record.length[0, [0, 2]] == pytest.approx([(np.log(10) + np.log(100)) / 2, np.log(8)], abs=1e-5)
    assert record.length[1, [0, 2]] == pytest.approx([np.log(10) / 2, 0.0], abs=1e-5)
    assert np.isnan(record.length[:, 1]).all()
    assert record.voice.tolist() == [0.0, 0.0, 0.0]


def test_a_record_survives_its_file():
    record = random_record(np.random.default_rng(3), AGENTS, 40)
    record = replace(record, voice=np.array([0.5, -1.0, 2.0], np.float32))
    arrays = record.arrays()
    again = TrackRecord.restore(record.names(), arrays)
    assert {"score", "voice", "by_term"} < set(arrays)
    assert again.arrays().keys() == arrays.keys()
    for name, value in again.arrays().items():
        # What is learned from words has names of its own: no part hides another.
        owner = record if hasattr(record, name) else record.regression
        assert np.array_equal(value, getattr(owner, name), equal_nan=value.dtype == np.float32), name
    one = ASKED, EMBEDDER.embed(ASKED), np.array([0, -1, 1, -1])
    assert np.array_equal(again.estimates(*one), record.estimates(*one))
    assert (again.agents, again.tasks, again.entities) == (record.agents, record.tasks, record.entities)
    for lost in ("voice", "by_term"):
        with pytest.raises(KeyError, match=lost):
            TrackRecord.restore(record.names(), {k: v for k, v in arrays.items() if k != lost})
    alone = replace(record, regression=None)
    assert TrackRecord.restore(alone.names(), alone.arrays()).regression is None


def test_log_odds_stay_finite_at_both_ends():
    assert logit(np.array([0.0, 0.5, 1.0])).tolist() == pytest.approx([-4.59512, 0.0, 4.59512], abs=1e-5)
