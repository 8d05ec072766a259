"""Paired bootstrap intervals and a calibration error: how sure a comparison can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

RESAMPLES = 1_000
LEVEL = 0.95
"""The share of resamples that an interval holds."""

_CELLS = 4_000_000
"""Drawn positions held at once, which bounds the memory."""


def resampled_means(values: Floats, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Return the means of each column over queries drawn with replacement (doi 10.1214/aos/1176344552).

    All columns see the same draws, so that the difference of two columns is a paired one.

    Args:
        values: One row per query. Shapes: ``(queries, columns)``.
        seed: Same seed, same draws.
        resamples: How many.

    Returns:
        Shapes: ``(resamples, columns)``.
    """
    rng, size = np.random.default_rng(seed), len(values)
    means = np.empty((resamples, values.shape[1]))
    step = max(1, _CELLS // size)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, size, (rows, size)) + np.arange(rows)[:, None] * size
        counts = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        means[start : start + rows] = counts @ values / size
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


def calibration_error(chance: Floats, score: Floats, bins: int = 10) -> float:
    """Return how far predicted scores are from what came, on average (ECE, arXiv 1706.04599).

    Args:
        chance: Predicted scores, 0 to 1. Shapes: any.
        score: What came, 0 to 1. Shapes: the same.
        bins: Equal parts of 0 to 1 within which means are compared.

    Returns:
        0 (the means agree in every bin) to 1.
    """
    place = np.minimum((chance * bins).astype(np.intp), bins - 1).ravel()
    gap = np.bincount(place, weights=(chance - score).ravel(), minlength=bins)
    return float(np.abs(gap).sum() / max(place.size, 1))
