"""What is foreseen of a question: how it joins the words, and that no encoder has seen what it foresees."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from agentroute.knowledge.foresight import SHARE, Foreseen, TunedForesight, joined
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.tuning import foresee, scores
from agentroute.knowledge.tuning.body import fresh_body, tokens_of, tools

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
def found(few_steps) -> tuple[TunedForesight, np.ndarray]:
    return foresee(TEXTS, RIGHT, PARTS, seed=1)


def test_what_was_not_seen_is_foreseen_better_than_by_the_mean(found) -> None:
    foresight, foreseen = found
    assert np.square(RIGHT - foreseen).mean() < 0.7 * np.square(RIGHT - RIGHT.mean(0)).mean()
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
    mine = found[1]
    foresight, foreseen = foresee(TEXTS, other, PARTS, seed=1)
    assert np.array_equal(foreseen[PARTS[0]], mine[PARTS[0]])
    assert np.abs(foreseen[PARTS[1]] - mine[PARTS[1]]).max() > 0.01
    assert not np.array_equal(foresight.weight, found[0].weight)


def test_what_did_not_run_is_nothing_to_learn_from(few_steps) -> None:
    some = RIGHT.copy()
    some[:, 2] = np.nan
    some[::2, 1] = np.nan
    foresight, foreseen = foresee(TEXTS, some, [PARTS[0]], seed=1)
    zero = some.copy()
    zero[::2, 1] = 0.0
    assert np.isfinite(foreseen).all() and np.isfinite(foresight.weight).all()
    # Had it counted as wrong, less would be expected of the second agent.
    wrong = foresee(TEXTS, zero, [PARTS[0]], seed=1)[1]
    assert foreseen[PARTS[0], 1].mean() > wrong[PARTS[0], 1].mean() + 0.02
    # Of one that never ran, what is usual is expected.
    assert foresight(TEXTS)[:, 2].mean() == pytest.approx(np.nanmean(some), abs=0.05)


def test_a_long_question_is_foreseen_as_the_saved_encoder_reads_it() -> None:
    """With no step taken, the body that foresees parts and the saved one are the same."""
    torch, stop = tools(), Event()
    texts = [f"{'and so on and on ' * size} by the river?" for size in (1, 10, 25, 50, 200)]
    weight = torch.from_numpy(np.random.default_rng(0).normal(size=(384, 3)).astype(np.float32))
    learned = scores._Learned(fresh_body(attention="eager"), weight, torch.zeros(3))
    said = scores._said(torch, learned, tokens_of(texts, scores.READ), stop)
    saved = TunedForesight(MiniLMEmbedder(), weight.numpy(), np.zeros(3, np.float32))
    np.testing.assert_allclose(saved(texts), said, atol=1e-4)


def test_what_stands_late_in_a_long_question_counts_in_what_was_foreseen(few_steps) -> None:
    """A step reads its beginning alone; what foresees reads on, as it will when it is used."""
    long = [f"{'and so on and on ' * 20} by the {kind}" for kind in KINDS]
    texts, right = [*TEXTS[:30], *long], np.concatenate([RIGHT[:30], RIGHT[:3]])
    foreseen = foresee(texts, right, [np.array([30, 31, 32])], seed=1)[1][30:]
    assert np.abs(foreseen[0] - foreseen[1]).max() > 1e-4 and np.abs(foreseen[1] - foreseen[2]).max() > 1e-4


def test_with_nothing_left_to_learn_from_the_usual_is_foreseen(few_steps) -> None:
    everyone = np.arange(len(TEXTS))
    foreseen = foresee(TEXTS, RIGHT, [everyone, np.zeros(0, np.int64)], seed=1)[1]
    assert foreseen == pytest.approx(np.full_like(foreseen, 0.5))  # nobody is known to be better


def test_of_equal_questions_in_one_part_the_same_was_foreseen() -> None:
    said = Foreseen(["a", "b", "a"], np.array([[0.1], [0.2], [0.1]], np.float32))
    np.testing.assert_array_equal(said(["b", "a", "a"]), np.array([[0.2], [0.1], [0.1]], np.float32))
    with pytest.raises(KeyError):
        said(["c"])  # it was never foreseen: no guess


def test_it_stops_at_once_when_it_is_interrupted(monkeypatch) -> None:
    monkeypatch.setattr(scores, "STEPS", 10**9)

    def tell(what: str, done: int, total: int) -> None:
        assert (what, done, total) == ("tuning the encoder", 0, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        foresee(TEXTS, RIGHT, PARTS, tell=tell)
