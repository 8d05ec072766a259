"""What is foreseen of a question: how it joins the words, and that no encoder has seen what it foresees."""

from __future__ import annotations

import numpy as np
import pytest

from agentroute.knowledge.foresight import SHARE, Foreseen, TunedForesight, joined
from agentroute.knowledge.tuning import foresee, scores

KINDS = ("river", "prime", "poem")
RNG = np.random.default_rng(0)
TEXTS = [
    f"What does the {RNG.choice(['old', 'small', 'famous'])} {k} number {i} say?"
    for i in range(20)
    for k in KINDS
]
RIGHT = np.eye(3, dtype=np.float32)[[i % 3 for i in range(len(TEXTS))]]
PARTS = [np.arange(0, 30), np.arange(30, 60)]


def test_half_of_what_is_said_is_foresight_and_of_later_agents_nothing_is_foreseen() -> None:
    words = np.array([[0.2, -0.1, 0.3]], np.float32)
    mean = np.array([0.5, 0.4, 0.6], np.float32)
    said = joined(words, np.array([[0.9, 0.4]], np.float32), mean)
    np.testing.assert_allclose(said, [[0.1 + 0.2, -0.05, 0.3]], atol=1e-6)
    assert (words == np.array([[0.2, -0.1, 0.3]], np.float32)).all()  # left as they were
    np.testing.assert_allclose(
        joined(None, np.array([[0.9, 0.4, 0.6]]), mean), [[SHARE * 0.4, 0, 0]], atol=1e-6
    )


@pytest.fixture(scope="module")
def few_steps():
    """Enough to learn three plain kinds of questions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "STEPS", 16)
        yield


@pytest.fixture(scope="module")
def found(few_steps) -> tuple[TunedForesight, Foreseen]:
    return foresee(TEXTS, RIGHT, PARTS, seed=1)


def test_what_was_not_seen_is_foreseen_better_than_by_the_mean(found) -> None:
    foresight, foreseen = found
    assert np.square(RIGHT - foreseen(TEXTS)).mean() < 0.7 * np.square(RIGHT - RIGHT.mean(0)).mean()
    new = ["Is the long river older?", "Which prime is famous?", "Who wrote the small poem?"]
    assert foresight(new).argmax(axis=1).tolist() == [0, 1, 2]


def test_a_batch_equals_its_singles_whatever_the_text(found) -> None:
    strange = ["", "\0", "\ud800", "river " * 5000, "三", TEXTS[0]]
    many = found[0](strange)
    assert many.shape == (6, 3) and ((many > 0) & (many < 1)).all()
    for text, row in zip(strange, many, strict=True):
        np.testing.assert_allclose(found[0]([text])[0], row, atol=1e-5)
    assert found[0]([]).shape == (0, 3)


def test_a_part_is_foreseen_without_its_own_scores_and_always_the_same(found, few_steps) -> None:
    other = RIGHT.copy()
    other[PARTS[0]] = 1.0 - other[PARTS[0]]
    mine = found[1].scores
    foresight, foreseen = foresee(TEXTS, other, PARTS, seed=1)
    assert np.array_equal(foreseen.scores[PARTS[0]], mine[PARTS[0]])
    assert np.abs(foreseen.scores[PARTS[1]] - mine[PARTS[1]]).max() > 0.01
    assert not np.array_equal(foresight.weight, found[0].weight)


def test_what_did_not_run_is_nothing_to_learn_from(few_steps) -> None:
    some = RIGHT.copy()
    some[:, 2] = np.nan
    some[::2, 1] = np.nan
    foresight, foreseen = foresee(TEXTS, some, [PARTS[0]], seed=1)
    zero = some.copy()
    zero[::2, 1] = 0.0
    assert np.isfinite(foreseen.scores).all() and np.isfinite(foresight.weight).all()
    # Had it counted as wrong, less would be expected of the second agent.
    wrong = foresee(TEXTS, zero, [PARTS[0]], seed=1)[1].scores
    assert foreseen.scores[PARTS[0], 1].mean() > wrong[PARTS[0], 1].mean() + 0.02


def test_it_stops_at_once_when_it_is_interrupted(few_steps) -> None:
    def tell(what: str, done: int, total: int) -> None:
        assert (what, total) == ("tuning the encoder", 3)
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        foresee(TEXTS, RIGHT, PARTS, tell=tell)
