"""Forests and words: numpy walks where scikit-learn walks, and nobody is judged by what he told."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor  # type: ignore[import-untyped]

from agentroute.effort.forest import Forest, grow
from agentroute.effort.words import _solve

RNG = np.random.default_rng(0)
SIGNS = RNG.normal(size=(80, 6)).astype(np.float32)
AIMS = np.stack([(SIGNS[:, 0] > 0).astype(float), RNG.random(80)], axis=1)


def test_the_trees_say_what_scikit_learn_says() -> None:
    grown = grow(SIGNS, AIMS, seed=3, trees=15, leaf=4)
    model = ExtraTreesRegressor(15, min_samples_leaf=4, max_features=0.5, bootstrap=True, random_state=3)
    new = RNG.normal(size=(40, 6)).astype(np.float32)
    said = grown.table(AIMS)[grown.forest(new)].mean(axis=1)
    np.testing.assert_allclose(said, model.fit(SIGNS, AIMS).predict(new), atol=1e-5)


def test_a_batch_equals_its_singles_and_files_keep_trees() -> None:
    grown = grow(SIGNS, AIMS, seed=0, trees=5, leaf=4)
    kept = Forest.restore(grown.forest.arrays())
    singles = np.concatenate([kept(SIGNS[row : row + 1]) for row in range(len(SIGNS))])
    np.testing.assert_array_equal(singles, grown.forest(SIGNS))
    np.testing.assert_array_equal(singles, grown.leaf)


def test_what_is_said_of_a_case_left_out_does_not_depend_on_it() -> None:
    grown = grow(SIGNS, AIMS, seed=0, trees=30, leaf=4)
    other = AIMS.copy()
    other[7] = 100.0
    before, after = (grown.left_out(grown.table(aims)) for aims in (AIMS, other))
    np.testing.assert_allclose(before[7], after[7])
    assert not np.allclose(before, after)


def test_the_same_seed_grows_the_same_trees() -> None:
    one, two, other = (grow(SIGNS, AIMS, seed=seed, trees=5, leaf=4).forest for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.limit, two.limit)
    assert one.limit.shape != other.limit.shape or not np.array_equal(one.limit, other.limit)


@pytest.mark.parametrize("row", [0, 11])
def test_words_say_of_a_case_what_the_others_say(row: int) -> None:
    points = RNG.normal(size=(30, 4))
    kernel, aim = points @ points.T, (points[:, :1] > 0) - 0.5
    dual, left_out = _solve(kernel, aim)
    rest = np.delete(np.arange(30), row)
    for ridge in (2.0, 4.0, 8.0, 16.0):
        if np.allclose(np.linalg.solve(kernel + ridge * np.eye(30), aim), dual):
            alone = np.linalg.solve(kernel[np.ix_(rest, rest)] + ridge * np.eye(29), aim[rest])
            np.testing.assert_allclose(left_out[row], kernel[row, rest] @ alone, atol=1e-8)
            return
    raise AssertionError("none of the ridges was used")
