"""Which queries a new agent is tried on: those that stand for the others."""

from __future__ import annotations

import numpy as np
import pytest

from agentroute.knowledge import probing
from agentroute.knowledge.probing import representative
from agentroute.knowledge.record.neighbours import SHARPNESS
from agentroute.knowledge.vectors import unit


def clouds(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Queries of so many kinds, and the kind of each."""
    rng = np.random.default_rng(seed)
    kind = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    middle = unit(rng.normal(size=(len(sizes), 32)))
    return unit(middle[kind] + rng.normal(scale=0.05, size=(len(kind), 32))), kind


def covered(vectors: np.ndarray, rows: np.ndarray) -> float:
    return float(np.exp(SHARPNESS * (vectors @ vectors[rows].T - 1.0)).max(axis=1).sum())


def test_every_kind_is_tried_and_the_commonest_first() -> None:
    vectors, kind = clouds([40, 20, 10, 5])
    assert kind[representative(vectors, 4)].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("seed", range(4))
def test_the_first_ones_of_more_are_fewer_and_nobody_is_asked_twice(seed: int) -> None:
    vectors = unit(np.random.default_rng(seed).normal(size=(60, 8)))
    many = representative(vectors, 30)
    assert len(set(many.tolist())) == 30
    for count in (1, 7, 29):
        assert np.array_equal(representative(vectors, count), many[:count])
    assert sorted(representative(vectors, 500).tolist()) == list(range(60))


@pytest.mark.parametrize("seed", range(4))
def test_they_tell_more_of_the_others_than_drawn_ones(seed: int) -> None:
    vectors, _ = clouds([30, 10, 10, 5, 3, 2], seed)
    chosen = covered(vectors, representative(vectors, 6))
    drawn = [np.random.default_rng(i).permutation(60)[:6] for i in range(50)]
    assert chosen > max(covered(vectors, rows) for rows in drawn)


def test_a_large_folder_is_stood_for_by_some_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, kind = clouds([60, 30, 30])
    monkeypatch.setattr(probing, "MOST", 40)
    rows = representative(vectors, 3)
    assert sorted(kind[rows].tolist()) == [0, 1, 2]
    assert np.array_equal(rows, representative(vectors, 3))
    everything = representative(vectors, 120)
    assert sorted(everything.tolist()) == list(range(120))


def test_equal_queries_are_taken_in_order() -> None:
    same = np.tile(unit(np.ones((1, 4))), (5, 1))
    assert representative(same, 5).tolist() == [0, 1, 2, 3, 4]
    assert representative(same[:0], 5).tolist() == []
