"""Paired bootstrap intervals and a calibration error: how sure a comparison can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]

RESAMPLES = 1_000
LEVEL = 0.95
"""The share of resamples that an interval holds."""

_CELLS = 4_000_000
"""Drawn positions held at once, which bounds the memory."""


def resampled_means(
    values: Floats, seed: int, resamples: int = RESAMPLES, clusters: Indices | None = None
) -> Floats:
    """Return the means of each column over queries drawn with replacement (doi 10.1214/aos/1176344552).

    All columns see the same draws, so that the difference of two columns is a paired one. Queries that stand
    or fall together are drawn together; drawn one by one, they would make a chance result look sure.

    Args:
        values: One row per query. Shapes: ``(queries, columns)``.
        seed: Same seed, same draws.
        resamples: How many.
        clusters: A number per query, the same for those drawn together. Shapes: ``(queries,)``.

    Returns:
        Shapes: ``(resamples, columns)``.
    """
    if clusters is not None:
        names, of = np.unique(clusters, return_inverse=True)
        weight = np.bincount(of).astype(np.float64)
        values = np.stack([np.bincount(of, weights=column, minlength=len(names)) for column in values.T], 1)
    else:
        weight = np.ones(len(values))
    rng, size = np.random.default_rng(seed), len(values)
    means = np.empty((resamples, values.shape[1]))
    step = max(1, _CELLS // size)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, size, (rows, size)) + np.arange(rows)[:, None] * size
        counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        means[start : start + rows] = counts @ values / (counts @ weight)[:, None]
    return means


def interval(means: Floats) -> tuple[float, float]:
    """Return the percentile interval of resampled means.

    Args:
        means: Shapes: ``(resamples,)``.

    Returns:
        Its lower and upper end.
    """
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def reliability(chance: Floats, score: Floats, bins: int = 10) -> tuple[tuple[float, float, int], ...]:
    """Compare predicted scores with what came, among predictions of about one size.

    Args:
        chance: Predicted scores, 0 to 1. Shapes: any.
        score: What came, 0 to 1. Shapes: the same.
        bins: Equal parts of 0 to 1 within which means are compared.

    Returns:
        For each part that is not empty: mean prediction, mean score, and how many there are.
    """
    place = np.minimum((chance * bins).astype(np.intp), bins - 1).ravel()
    said, came = (np.bincount(place, weights=v.ravel(), minlength=bins) for v in (chance, score))
    count = np.bincount(place, minlength=bins)
    return tuple(
        (float(said[i] / count[i]), float(came[i] / count[i]), int(count[i])) for i in range(bins) if count[i]
    )


def calibration_error(chance: Floats, score: Floats, bins: int = 10) -> float:
    """Return how far predicted scores are from what came, on average (ECE, arXiv 1706.04599).

    Args:
        chance: Predicted scores, 0 to 1. Shapes: any.
        score: What came, 0 to 1. Shapes: the same.
        bins: Equal parts of 0 to 1 within which means are compared.

    Returns:
        0 (the means agree in every bin) to 1.
    """
    parts = reliability(chance, score, bins)
    total = sum(count for _, _, count in parts)
    return sum(abs(said - came) * count for said, came, count in parts) / max(total, 1)
