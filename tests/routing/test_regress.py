"""Learning from words: the ridge solution itself, agent by agent, pulled as is best for other questions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from routing.folders import EMBEDDER, TOPICS, question

from agentroute.knowledge.regression import CONSTANT, TASK, VECTOR, Regression
from agentroute.knowledge.terms import Vocabulary
from agentroute.routing import regress
from agentroute.routing.regress import RIDGES, Examples, choose_ridge, fit_regression

AGENTS, RIDGE = 4, 4.0


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def asked(rng, queries):
    topics = [str(rng.choice(list(TOPICS))) for _ in range(queries)]
    return topics, [question(rng, topic, i).text for i, topic in enumerate(topics)]


def drawn(seed, queries=60, tasks=3, ran=0.7) -> Examples:
    """Questions and random scores; the last agent never ran, and some questions have no task."""
    rng = np.random.default_rng(seed)
    texts = asked(rng, queries)[1]
    score = rng.random((queries, AGENTS)).astype(np.float32)
    score[rng.random(score.shape) > ran] = np.nan
    score[:, -1] = np.nan
    mean = rng.random(AGENTS).astype(np.float32)
    return Examples(texts, EMBEDDER.embed(texts), rng.integers(-1, tasks, queries), tasks, score, mean)


def plain(texts, score, mean=0.5, vectors=None) -> Examples:
    """Questions without tasks, whose vectors say nothing unless they are given."""
    vectors = np.zeros((len(texts), 3), np.float32) if vectors is None else vectors
    score = np.asarray(score, np.float32)
    means = np.full(score.shape[1], mean, np.float32)
    return Examples(texts, vectors, np.full(len(texts), -1), 0, score, means)


def said(learned: Regression, examples: Examples):
    return learned(examples.texts, examples.vectors, examples.task)


def features(examples: Examples):
    """Row by row what the regression sees, written out."""
    vocabulary = Vocabulary.of(examples.texts)
    rows, count = vocabulary(examples.texts), len(examples.texts)
    matrix = np.zeros((count, len(vocabulary.terms)))
    for row, (start, end) in enumerate(pairwise(rows.starts.tolist())):
        matrix[row, rows.columns[start:end]] = rows.values[start:end]
    labels = np.zeros((count, examples.tasks))
    for row, label in enumerate(examples.task.tolist()):
        if label >= 0:
            labels[row, label] = TASK
    return np.concatenate([matrix, VECTOR * examples.vectors, labels, np.full((count, 1), CONSTANT)], axis=1)


def closed_form(examples: Examples, pull):
    """What each agent's normal equations say, of the queries it ran on; and their right sides' lengths."""
    matrix = features(examples)
    weights, aims = np.zeros((2, matrix.shape[1], examples.score.shape[1]))
    for agent, column in enumerate(examples.score.T):
        ran = ~np.isnan(column)
        mine = matrix[ran]
        aims[:, agent] = mine.T @ (column[ran] - examples.mean[agent]).astype(np.float64)
        weights[:, agent] = np.linalg.solve(mine.T @ mine + pull * np.eye(matrix.shape[1]), aims[:, agent])
    return matrix @ weights, np.linalg.norm(aims, axis=0)


def same_bits(one: Regression, two: Regression) -> bool:
    return all(np.array_equal(value, two.arrays()[name]) for name, value in one.arrays().items())


# ---------------------------------------------------------------------------- the solution


@pytest.mark.parametrize(
    "case",
    [
        {"queries": 1},
        {"queries": 2, "tasks": 1},
        {"queries": 60},
        {"queries": 60, "tasks": 0},
        {"queries": 60, "ran": 0.1},
        {"queries": 300, "ran": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("pull", RIDGES)
def test_it_is_the_ridge_solution_of_what_ran(case, pull, monkeypatch):
    examples = drawn(3, **case)
    expected, aim = closed_form(examples, pull)
    monkeypatch.setattr(regress, "STEPS", 400)  # to the end: training stops when it is close enough
    monkeypatch.setattr(regress, "CLOSE", 1e-3)
    found = said(fit_regression(examples, pull), examples)
    # The residual is at most CLOSE of the right side's length, the smallest eigenvalue at least the pull, and
    # no row is longer than its parts together.
    longest = np.sqrt(1.0 + VECTOR**2 + TASK**2 + CONSTANT**2)
    assert (np.abs(found - expected) <= longest * regress.CLOSE * aim / pull + 1e-5).all()
    np.testing.assert_allclose(found, expected, atol=1e-2)
    if case["queries"] > 2:
        assert np.abs(expected[:, :-1]).max() > 0.05  # the law would hold for nothing as well


def test_a_task_adds_its_own_to_the_constant_and_no_task_adds_nothing():
    """Questions without a word in common, and vectors of nothing: task and constant are all there is."""
    task = np.array([0] * 6 + [1] * 6 + [-1] * 6)
    texts = [chr(ord("a") + i) for i in range(18)]
    score = np.repeat([[1.0], [0.0], [0.9]], 6, axis=0)
    examples = replace(plain(texts, score), task=task, tasks=2)
    learned = fit_regression(examples, RIDGE)
    assert len(learned.terms) == 0
    assert learned.by_task.shape == (3, 1)
    high, low, none = learned.by_task[:, 0].tolist()
    np.testing.assert_allclose([high, low, none], closed_form(examples, RIDGE)[0][[0, 6, 12], 0], atol=1e-3)
    assert high > none > low
    assert fit_regression(plain(texts, score), RIDGE).by_task.shape == (1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_queries_does_not_matter(seed):
    examples = drawn(seed)
    order = np.random.default_rng(seed).permutation(len(examples.texts))
    one, two = fit_regression(examples, RIDGE), fit_regression(examples.take(order), RIDGE)
    for name, value in one.arrays().items():
        np.testing.assert_allclose(two.arrays()[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("seed", range(3))
def test_each_agent_is_learned_as_if_it_were_alone(seed):
    examples = drawn(seed)
    examples.score[3:, 2] = np.nan  # soon solved, beside others that are not
    together = fit_regression(examples, RIDGE)
    for agent in range(AGENTS):
        one = replace(examples, score=examples.score[:, [agent]], mean=examples.mean[[agent]])
        alone = fit_regression(one, RIDGE)
        for name in ("by_term", "by_vector", "by_task"):
            np.testing.assert_allclose(
                getattr(together, name)[:, [agent]], getattr(alone, name), atol=1e-5, err_msg=name
            )


def test_only_the_distance_from_the_mean_counts():
    examples = drawn(4)
    moved = replace(examples, score=examples.score + 0.25, mean=examples.mean + np.float32(0.25))
    one, two = fit_regression(examples, RIDGE), fit_regression(moved, RIDGE)
    np.testing.assert_allclose(said(two, examples), said(one, examples), atol=1e-5)


@pytest.mark.parametrize("ran", [True, False])
def test_where_there_is_nothing_to_learn_it_says_nothing(ran):
    """An agent that always scores its mean is nowhere above it, and neither is one that never ran."""
    examples = drawn(5)
    examples.score[:] = examples.mean if ran else np.nan
    assert not said(fit_regression(examples, RIDGE), examples).any()


def test_what_did_not_run_is_not_wrong():
    examples = drawn(6, ran=0.5)
    unknown = fit_regression(examples, RIDGE)
    wrong = fit_regression(replace(examples, score=np.nan_to_num(examples.score)), RIDGE)
    assert not unknown.by_term[:, -1].any()
    assert np.abs(said(unknown, examples) - said(wrong, examples)).max() > 0.1


@pytest.mark.parametrize("texts", [[""] * 8, ["all of this one stands alone"], ["\ud800", "\0"]], ids=len)
def test_texts_without_a_shared_word_leave_vector_and_constant(texts):
    score = np.random.default_rng(0).random((len(texts), 2))
    examples = plain(texts, score, vectors=EMBEDDER.embed(texts))
    learned = fit_regression(examples, RIDGE)
    assert learned.by_term.shape == (0, 2)
    assert said(learned, examples).any()
    np.testing.assert_allclose(said(learned, examples), closed_form(examples, RIDGE)[0], atol=4e-3)


def test_strange_texts_are_learned_from():
    texts = ["which river \ud800", "x" * 1_000_000, "which river " * 90_000, "\0", ""] * 2
    score = np.random.default_rng(0).random((10, 2))
    learned = fit_regression(plain(texts, score, vectors=EMBEDDER.embed(texts)), RIDGE)
    assert learned.by_term.any()
    assert all(np.isfinite(value).all() for value in learned.arrays().values())


def test_the_same_queries_give_the_same_regression_bit_for_bit():
    examples = drawn(8, queries=200)
    assert same_bits(fit_regression(examples, RIDGE), fit_regression(examples, RIDGE))
    other = replace(examples, score=1.0 - examples.score)
    assert not same_bits(fit_regression(examples, RIDGE), fit_regression(other, RIDGE))


def test_what_was_learned_is_what_is_remembered():
    """The vocabulary is that of the questions, and a file gives all of it back."""
    examples = drawn(9)
    learned, vocabulary = fit_regression(examples, RIDGE), Vocabulary.of(examples.texts)
    assert np.array_equal(learned.terms, vocabulary.terms)
    assert np.array_equal(learned.rarity, vocabulary.rarity)
    again = Regression.restore(learned.arrays())
    assert again is not None and same_bits(again, learned)
    assert [value.dtype for value in learned.arrays().values()] == [np.uint32, *[np.float32] * 4]


# ---------------------------------------------------------------------------- what it is for


def test_the_words_of_new_questions_tell_whom_to_ask():
    """Each agent knows one topic; neither task nor vector says which."""
    rng = np.random.default_rng(7)
    topics, texts = asked(rng, 240)
    new_topics, new = asked(rng, 60)
    place = np.array([list(TOPICS).index(topic) for topic in topics])
    score = (np.eye(4)[place] != (rng.random((240, 4)) < 0.1)).astype(np.float32)

    def hits(score):
        found = said(fit_regression(plain(texts, score, 0.3), RIDGE), plain(new, np.zeros((60, 4))))
        chosen = [list(TOPICS)[column] for column in found.argmax(axis=1)]
        return np.mean([one == two for one, two in zip(chosen, new_topics, strict=True)])

    assert hits(score) > 0.95
    assert hits(rng.permutation(score)) < 0.6  # learned from the labels of other questions


def test_the_more_often_it_was_seen_the_further_it_goes_but_never_past_what_was_seen():
    """An agent half a point above its mean wherever a word stands."""
    found = []
    for times in (2, 5, 20, 100):
        examples = plain(["river"] * times, np.ones((times, 1)))
        found.append(float(said(fit_regression(examples, RIDGE), examples)[0, 0]))
    assert found == sorted(found)
    assert found[0] < 0.25 < 0.45 < found[-1] < 0.5


def test_the_stronger_the_pull_the_nearer_the_mean():
    examples = drawn(10)
    far = [np.linalg.norm(said(fit_regression(examples, pull), examples)) for pull in RIDGES]
    assert far == sorted(far, reverse=True)
    assert far[0] > 1.2 * far[-1]


# ---------------------------------------------------------------------------- how strong a pull


def halves(queries=160):
    return np.arange(queries // 2, queries)


def said_of_others(known: Examples, others: Examples, pull):
    return said(fit_regression(known, pull), others)


def test_the_pull_is_the_one_that_did_best_on_what_was_left_out():
    chosen = set()
    for seed, noise in enumerate((0.0, 0.1, 0.25, 0.4, 0.5)):
        rng = np.random.default_rng(seed)
        topics, texts = asked(rng, 160)
        place = np.array([list(TOPICS).index(topic) for topic in topics])
        score = (np.eye(4)[place] != (rng.random((160, 4)) < noise)).astype(np.float32)
        score[rng.random(score.shape) < 0.2] = np.nan
        examples = plain(texts, score, 0.3)
        pull = choose_ridge(examples, halves())
        known, other = examples.take(np.arange(80)), examples.take(halves())
        error = {
            one: np.nanmean((said_of_others(known, other, one) - (other.score - other.mean)) ** 2)
            for one in RIDGES
        }
        assert error[pull] <= min(error.values()) * (1 + 1e-3)
        chosen.add(pull)
    assert len(chosen) > 1


def test_noise_is_pulled_hardest_and_what_words_tell_least():
    rng = np.random.default_rng(11)
    topics, texts = asked(rng, 160)
    place = np.array([list(TOPICS).index(topic) for topic in topics])
    assert choose_ridge(plain(texts, np.eye(4)[place], 0.25), halves()) == RIDGES[0]
    assert choose_ridge(plain(texts, rng.random((160, 4))), halves()) == RIDGES[-1]


@pytest.mark.parametrize("held", [np.arange(0), np.arange(30)], ids=["nothing", "everything"])
def test_without_questions_to_choose_by_the_pull_is_strong(held):
    assert choose_ridge(drawn(12, queries=30), held) == RIDGES[-1]


def test_taking_some_questions_takes_all_that_is_theirs():
    examples = drawn(13, queries=20)
    rows = np.array([7, 3, 11])
    some = examples.take(rows)
    assert [*some.texts] == [examples.texts[row] for row in rows]
    for name in ("vectors", "task", "score"):
        assert np.array_equal(getattr(some, name), getattr(examples, name)[rows], equal_nan=name == "score")
    assert (some.tasks, some.mean.tolist()) == (examples.tasks, examples.mean.tolist())
