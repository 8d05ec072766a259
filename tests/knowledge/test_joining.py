"""Agents that join a record later: what is known of the others stays, to the last bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routing.folders import EMBEDDER, TOPICS, random_record

from agentroute.errors import InputError
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.record import ESTIMATES_DIM, TrackRecord, logit, with_agent
from agentroute.knowledge.record.tallies import PRIOR_COUNT_AGENT, PRIOR_COUNT_TASK
from agentroute.knowledge.regression import CONSTANT, RIDGES, TASK, VECTOR
from agentroute.knowledge.team import Team
from agentroute.knowledge.terms import Vocabulary
from agentroute.types import AgentSpec, Query

AGENTS = ("a", "b", "c")
WORDS = 3
ASKED = ["Which old river is number 3?", "a prime factor", "", "Which missing poem has a rhyme"]


def record_of(seed: int = 0, queries: int = 70) -> TrackRecord:
    rng = np.random.default_rng(seed)
    made = random_record(rng, AGENTS, queries)
    return replace(made, voice=rng.normal(size=3).astype(np.float32))


def asked(record: TrackRecord) -> tuple[list[str], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(len(record.vectors))
    return ASKED, EMBEDDER.embed(ASKED), rng.integers(-1, len(record.tasks), len(ASKED))


def usual_of(record: TrackRecord) -> np.ndarray:
    """What the agents score on each query, the pool's mean where nobody ran."""
    rows = record.score.tolist()
    ran = [[score for score in row if score == score] for row in rows]
    return np.array([sum(row) / len(row) if row else record.pool_mean for row in ran], np.float32)


def chance(log_odds: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-log_odds.astype(np.float64)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    queries=st.integers(3, 90),
    share=st.floats(0.01, 1.0),
    words=st.booleans(),
    twice=st.booleans(),
)
def test_what_is_known_of_the_others_stays_to_the_last_bit(
    seed: int, queries: int, share: float, words: bool, twice: bool
) -> None:
    record = record_of(seed, queries)
    rng = np.random.default_rng(seed)
    made = record
    for name in ("new", "newer")[: 1 + twice]:
        rows = rng.permutation(queries)[: max(1, int(share * queries))]
        texts = [str(rng.choice(ASKED)) for _ in rows] if words else None
        made = with_agent(made, name, rows, rng.random(len(rows)), 0.5, 2.0, texts)
    given_ = asked(record)
    before, after = record.estimates(*given_), made.estimates(*given_)
    np.testing.assert_allclose(before, after[:, :3], atol=1e-6)  # matrix products may round by their shape
    for i in range(len(ASKED)):
        one = [given_[0][i]], given_[1][[i]], given_[2][[i]]
        assert np.array_equal(record.estimates(*one), made.estimates(*one)[:, :3])
    assert np.isfinite(after).all()
    assert np.array_equal(record.mean, made.mean[:3]) and record.pool_mean == made.pool_mean
    keys = [*record.entities, "unheard of"]
    for old, new in zip(record.entity_ties(keys), made.entity_ties(keys), strict=True):
        assert np.array_equal(old, new)
    for name in ("score", "cost_usd", "latency_s", "length", "voice"):
        assert np.array_equal(getattr(record, name), getattr(made, name)[..., :3], equal_nan=True)
    assert (made.settled, made.joined) == (3, len(made.agents) - 3)


def test_a_record_with_a_joined_agent_survives_its_router_file() -> None:
    made = with_agent(record_of(), "new", np.array([3, 5]), np.array([1.0, 0.0]), texts=ASKED[:2])
    again = TrackRecord.restore(made.names(), made.arrays())
    assert (again.agents, again.joined) == (("a", "b", "c", "new"), 1)
    assert np.array_equal(again.estimates(*asked(made)), made.estimates(*asked(made)))
    assert "joined" not in record_of().arrays()


def test_an_agent_that_does_as_the_others_do_is_expected_to_do_as_they_do() -> None:
    """Whichever queries it was tried on: that they are hard is not held against it."""
    record = record_of(4)
    usual = usual_of(record)
    for order in (np.argsort(usual), np.argsort(-usual)):
        rows = order[:20]
        made = with_agent(record, "new", rows, usual[rows])
        assert made.mean[-1] == pytest.approx(record.mean.mean(), abs=1e-6)
        found = made.estimates(*asked(record))
        expected = chance(np.cumsum(found[:, :3, :3], axis=2)).mean(axis=1)  # by mean, by task, by neighbours
        np.testing.assert_allclose(chance(np.cumsum(found[:, 3, :3], axis=1)), expected, atol=1e-5)


def test_its_lead_is_shrunk_toward_none_and_counted_on_the_same_queries() -> None:
    record = record_of(5)
    usual = usual_of(record)
    rows = np.array([1, 8, 22, 40])
    scores = np.clip(usual[rows] + 0.2, 0.0, 1.0).astype(np.float32)
    made = with_agent(record, "new", rows, scores)
    lead = (scores - usual[rows]).sum() / (4 + PRIOR_COUNT_AGENT)
    assert made.mean[-1] == pytest.approx(record.mean.mean() + lead, abs=1e-6)
    task = int(record.task[8])
    same = rows[record.task[rows] == task] if task >= 0 else rows[:0]
    by_task = ((scores - usual[rows])[np.isin(rows, same)].sum() + PRIOR_COUNT_TASK * lead) / (
        len(same) + PRIOR_COUNT_TASK
    )
    found = made.estimates(["?"], EMBEDDER.embed(["?"]), np.array([task]))[0]
    others = chance(found[:3, 0] + found[:3, 1]).mean()
    assert chance(found[3, 0] + found[3, 1]) == pytest.approx(others + by_task, abs=1e-5)
    worse = with_agent(record, "new", rows, np.zeros(4))
    better = with_agent(record, "new", rows, np.ones(4))
    assert worse.mean[-1] < made.mean[-1] < better.mean[-1]


def test_a_score_that_is_not_known_counts_as_if_the_query_had_not_been_asked() -> None:
    record = record_of(6)
    rows, texts = np.array([4, 9, 30]), ASKED[:3]
    some = with_agent(record, "new", rows, np.array([1.0, np.nan, 0.0]), texts=texts)
    fewer = with_agent(record, "new", rows[[0, 2]], np.array([1.0, 0.0]), texts=[texts[0], texts[2]])
    assert np.array_equal(some.estimates(*asked(record)), fewer.estimates(*asked(record)))
    assert np.array_equal(some.score, fewer.score, equal_nan=True)


def test_what_is_unknown_stays_unknown_and_its_word_weighs_as_usual() -> None:
    record = record_of(7)
    made = with_agent(record, "new", np.array([0]), np.array([1.0]))
    assert np.isnan(made.cost_usd[-1]) and np.isnan(made.latency_s[-1]) and np.isnan(made.length[:, -1]).all()
    assert made.voice[-1] == pytest.approx(record.voice.mean(), abs=1e-6)
    known = with_agent(record, "new", np.array([0]), np.array([1.0]), 0.25, 3.0)
    assert (known.cost_usd[-1], known.latency_s[-1]) == (0.25, 3.0)


def test_the_agents_that_were_there_say_what_is_usual_and_not_those_that_joined() -> None:
    record = record_of(8)
    rows = np.array([2, 5])
    one = with_agent(record, "one", rows, np.ones(2))
    alone, after = (with_agent(r, "two", rows, np.zeros(2)) for r in (record, one))
    assert alone.mean[-1] == after.mean[-1]
    first, second = alone.estimates(*asked(record)), after.estimates(*asked(record))
    assert np.array_equal(first[:, -1], second[:, -1])
    # Nor does a newcomer, who has run on nothing, gain by the luck of one that joined.
    specs = tuple(AgentSpec(id=i, kind="recorded", description=i) for i in (*AGENTS, "stranger"))
    suits = []
    for known in (record, one):
        builder = GraphBuilder(Team.build(specs, EMBEDDER), EMBEDDER, RuleExtractor(), known)
        suits.append(builder.build([Query(text="Which old river is number 3?")])[0].suits)
    assert np.array_equal(*suits)


@pytest.mark.parametrize(
    ("name", "rows", "scores", "message"),
    [
        ("a", [0], [1.0], "agent 'a' is in this record already"),
        ("new", [0], [np.nan], "has no score yet"),
        ("new", [], [], "has no score yet"),
        ("new", [0, 1], [1.0], "give one score for each row"),
        ("new", [0, 0], [1.0, 1.0], "each once"),
        ("new", [70], [1.0], "positions among the record's 70 queries"),
        ("new", [-1], [1.0], "positions among the record's 70 queries"),
    ],
)
def test_what_cannot_join_is_refused(name: str, rows: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_agent(record_of(), name, np.array(rows, np.int64), np.array(scores))


# ---------------------------------------------------------------------------- words


def taught(record: TrackRecord, texts: list[str], scores: Any) -> TrackRecord:
    return with_agent(record, "new", np.arange(len(texts)), np.asarray(scores, np.float32), texts=texts)


def test_without_texts_words_say_of_it_what_they_say_of_the_others_in_the_mean() -> None:
    record = record_of(9)
    made = with_agent(record, "new", np.arange(10), np.ones(10))
    assert made.regression is not None
    said = made.regression(*asked(record))
    np.testing.assert_allclose(said[:, 3], said[:, :3].mean(axis=1), atol=1e-6)
    bare = with_agent(replace(record, regression=None), "new", np.arange(10), np.ones(10))
    assert bare.regression is None and (bare.estimates(*asked(record))[..., WORDS] == 0.0).all()


def test_words_lead_where_they_led_before() -> None:
    """It is right about rivers and wrong about poems, on which the others do alike."""
    record = record_of(10, 60)
    texts = [f"which {'river' if i % 2 else 'poem'} is number {i}" for i in range(20)]
    same = EMBEDDER.embed(["x"])
    record = replace(record, vectors=np.tile(same, (60, 1)), score=np.full((60, 3), 0.5, np.float32))
    made = taught(record, texts, [i % 2 for i in range(20)])
    river, poem = made.estimates(["a river", "a poem"], same[[0, 0]], np.array([-1, -1]))
    assert river[3, WORDS] > 0.3 > -0.3 > poem[3, WORDS]
    assert np.array_equal(river[:3], record.estimates(["a river"], same, np.array([-1]))[0])


def test_the_weights_are_those_of_ridge_regression_at_the_best_ridge() -> None:
    """Against the primal form, solved and judged by leaving one out, slowly."""
    record = record_of(11)
    regression = record.regression
    assert regression is not None
    texts = [f"which {w} river" for w in ("old", "small", "plain", "famous")] + ["a poem", "a sonnet, plain"]
    scores = np.array([1.0, 0.9, 1.0, 0.8, 0.0, 0.1], np.float32)
    made = taught(record, texts, scores)
    found = Vocabulary(regression.terms, regression.rarity)(texts)
    labels = np.zeros((6, len(record.tasks)))
    for i, task in enumerate(record.task[:6]):
        if task >= 0:
            labels[i, task] = TASK
    x = np.concatenate(
        [
            found @ np.eye(len(regression.terms), dtype=np.float32),
            VECTOR * record.vectors[:6],
            labels,
            np.full((6, 1), CONSTANT),
        ],
        axis=1,
    )
    y = scores - usual_of(record)[:6]
    y = y - y.sum() / (6 + PRIOR_COUNT_AGENT)

    def solved(rows: np.ndarray, ridge: float) -> np.ndarray:
        a = x[rows]
        return np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ y[rows])

    def left_out(ridge: float) -> float:
        rest = [np.delete(np.arange(6), i) for i in range(6)]
        return sum(float((x[i] @ solved(rows, ridge) - y[i]) ** 2) for i, rows in enumerate(rest))

    best = min(RIDGES, key=left_out)
    assert left_out(best) < y @ y
    weights = solved(np.arange(6), best)
    terms, dim = len(regression.terms), EMBEDDER.dim
    assert made.regression is not None
    lead = made.regression.by_term[:, -1] - regression.by_term.mean(axis=1)
    np.testing.assert_allclose(lead, weights[:terms], atol=1e-5)
    lead = made.regression.by_vector[:, -1] - regression.by_vector.mean(axis=1)
    np.testing.assert_allclose(lead, VECTOR * weights[terms : terms + dim], atol=1e-5)
    lead = made.regression.by_task[:, -1] - regression.by_task.mean(axis=1)
    expected = CONSTANT * weights[-1] + TASK * np.append(weights[terms + dim : -1], 0.0)
    np.testing.assert_allclose(lead, expected, atol=1e-5)


def test_words_that_tell_nothing_say_nothing() -> None:
    """One outcome, or outcomes that contradict their words: nothing foretells one from the others."""
    record = replace(record_of(12), score=np.full((70, 3), 0.5, np.float32))
    record = replace(record, vectors=np.tile(record.vectors[:1], (70, 1)), task=np.full(70, -1))
    for texts, scores in ((["old river"], [1.0]), (["old river"] * 6, [1.0, 0.0] * 3)):
        made = taught(record, texts, scores)
        assert made.regression is not None and record.regression is not None
        said = made.regression.by_term[:, -1]
        np.testing.assert_allclose(said, record.regression.by_term.mean(axis=1), atol=1e-7)


def test_topics_are_words_of_the_record() -> None:
    """The tests above would be empty if the vocabulary did not hold their words."""
    regression = record_of(11).regression
    assert regression is not None
    words = [word for topic in TOPICS.values() for word in topic]
    assert len(Vocabulary(regression.terms, regression.rarity)(words).columns) > len(words) // 2
    assert ESTIMATES_DIM == 6 and logit(np.array([0.5]))[0] == 0.0
