from __future__ import annotations

import numpy as np
import pytest

from agentroute.evaluation.bootstrap import calibration_error, interval, reliability, resampled_means


def test_the_interval_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    values = np.random.default_rng(3).normal(0.4, 1.0, (400, 1))
    low, high = interval(resampled_means(values, seed=0)[:, 0])
    error = values.std() / 20
    assert low < values.mean() < high
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.15)


def test_columns_are_resampled_together() -> None:
    values = np.random.default_rng(0).random((50, 1))
    means = resampled_means(np.hstack([values, values + 0.25]), seed=1)
    assert np.allclose(means[:, 1] - means[:, 0], 0.25)
    assert means[:, 0].std() > 0.01


def test_queries_of_one_cluster_count_as_one() -> None:
    values = np.random.default_rng(0).random((60, 1))
    often = np.repeat(values, 7, axis=0)
    clusters = np.repeat(np.arange(60), 7)
    together = resampled_means(often, seed=2, clusters=clusters)
    assert together == pytest.approx(resampled_means(values, seed=2))
    assert together.std() > 2 * resampled_means(often, seed=2).std()


def test_clusters_of_other_sizes_keep_the_mean() -> None:
    values = np.arange(40.0)[:, None]
    clusters = np.sort(np.random.default_rng(1).integers(0, 6, 40))
    means = resampled_means(np.hstack([values, np.ones_like(values)]), seed=0, clusters=clusters)
    assert np.allclose(means[:, 1], 1.0)
    assert means[:, 0].min() >= 0 and means[:, 0].max() <= 39


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    values = np.random.default_rng(0).random((30, 2))
    assert np.array_equal(resampled_means(values, 5), resampled_means(values, 5))
    assert not np.array_equal(resampled_means(values, 5), resampled_means(values, 6))


def test_memory_is_bounded_without_changing_what_a_mean_is() -> None:
    means = resampled_means(np.ones((300_000, 1)), seed=0, resamples=30)
    assert np.array_equal(means, np.ones((30, 1)))


def test_calibration_error_is_the_mean_gap_within_bins() -> None:
    chance = np.array([0.05, 0.05, 0.85, 0.85, 1.0])
    assert calibration_error(chance, np.array([0.05, 0.05, 0.85, 0.85, 1.0])) == pytest.approx(0.0)
    assert calibration_error(chance, np.array([0.0, 0.1, 0.8, 0.9, 1.0])) == pytest.approx(0.0)
    assert [count for _, _, count in reliability(chance, chance)] == [2, 2, 1]
    assert calibration_error(chance, 1.0 - chance) == pytest.approx((2 * 0.9 + 2 * 0.7 + 1.0) / 5)
