"""Tuning the encoder: companions come nearer, and what joins later keeps its place."""

from __future__ import annotations

import numpy as np
import pytest

from agentroute.errors import InputError
from agentroute.knowledge.minilm import MiniLMEmbedder
from agentroute.knowledge.tuning import tune_encoder
from agentroute.knowledge.tuning.labels import _batches

TEXTS = [
    "pay the bill",
    "charge my card",
    "the invoice is wrong",
    "open the door",
    "close a gate",
    "lock it up",
]
FITS = np.repeat(np.eye(2, dtype=bool), 3, axis=0)
CARDS = ["Settles money matters.", "Looks after the entrance."]


def nearer(embedder: MiniLMEmbedder) -> float:
    """How much nearer companions are than others, cards included."""
    vectors = embedder.embed([*TEXTS, *CARDS])
    mine = np.concatenate([FITS, np.eye(2, dtype=bool)]).argmax(axis=1)
    same = mine[:, None] == mine[None, :]
    cosine = vectors @ vectors.T
    off = ~np.eye(len(same), dtype=bool)
    return float(cosine[same & off].mean() - cosine[~same].mean())


def test_companions_come_nearer_and_the_encoder_is_another(tmp_path) -> None:
    told: list[tuple[int, int]] = []
    made = tune_encoder(
        TEXTS,
        FITS,
        CARDS,
        tmp_path / "tuned",
        epochs=8.0,
        tell=lambda what, done, total: told.append((done, total)),
    )
    raw = MiniLMEmbedder()
    assert nearer(made) > nearer(raw) + 0.1
    assert made.fingerprint != raw.fingerprint and made.dim == raw.dim
    assert told[-1] == (len(told), len(told))
    again = MiniLMEmbedder(tmp_path / "tuned")
    assert np.array_equal(again.embed(TEXTS), made.embed(TEXTS))


def test_with_one_agent_there_is_nothing_to_tell_apart(tmp_path) -> None:
    with pytest.raises(InputError, match="two agents at least"):
        tune_encoder(TEXTS, FITS[:, :1], CARDS[:1], tmp_path / "tuned")


def test_a_batch_says_who_belongs_together_and_a_rare_agent_has_its_turn() -> None:
    fits = np.zeros((400, 40), bool)
    fits[np.arange(361), np.minimum(np.arange(361), 39)] = True  # 39 agents have one text, one has hundreds
    seen = np.zeros(40, int)
    for rows, same in _batches(fits, 2.0, np.random.default_rng(0)):
        assert same.shape == (len(rows), len(rows)) and (same == same.T).all() and not same.diagonal().any()
        cards = rows[rows >= len(fits)] - len(fits)
        seen[cards] += 1
        labels = np.concatenate([fits, np.eye(40, dtype=bool)])[rows]
        np.fill_diagonal(same, True)
        alike = labels.astype(int) @ labels.T.astype(int) > 0
        np.fill_diagonal(alike, True)
        assert (same == alike).all()
    assert seen.max() <= 2 * seen.min()  # however many texts it has
