"""The recorded queries that are most like a new one, and what each of them counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agentroute.knowledge.terms import Floats, Indices

NEIGHBOURS = 48
SHARPNESS = 12.0
"""Neighbour weight is exp(SHARPNESS * cosine)."""


class Neighbours(NamedTuple):
    """Recorded queries near some others, in no order.

    Args:
        rows: Their positions in the record. Shapes: ``(batch, NEIGHBOURS)``, or as many as are recorded.
        cosines: How near they are. Shapes: the same.
        weights: ``exp(SHARPNESS * cosine)``, scaled to sum to the effective sample size ``(sum w)^2 / (sum
            w^2)``, so that they count as so many outcomes. Shapes: the same.
    """

    rows: Indices
    cosines: Floats
    weights: Floats


def nearest(vectors: Floats, recorded: Floats) -> Neighbours:
    """Find the recorded queries that are most like some others, and what each of them counts.

    Args:
        vectors: Query vectors. Shapes: ``(batch, dim)``.
        recorded: Vectors of the recorded queries. Shapes: ``(queries, dim)``.

    Returns:
        The nearest.
    """
    # One row is summed without BLAS, whose threads would wait for a busy core.
    single = len(vectors) == 1
    similarity = np.einsum("bd,nd->bn", vectors, recorded) if single else vectors @ recorded.T
    nearest = min(NEIGHBOURS, similarity.shape[1])
    # Rounded, so that a batch and a single query, summed in another order, find the same neighbours.
    rows = np.argpartition(-np.round(similarity, 5), nearest - 1, axis=1)[:, :nearest]
    cosines = np.take_along_axis(similarity, rows, axis=1)
    weights = np.exp(SHARPNESS * (cosines - cosines.max(axis=1, keepdims=True)))
    weights *= (weights.sum(1) / (weights**2).sum(1))[:, None]
    return Neighbours(rows, cosines, weights)
