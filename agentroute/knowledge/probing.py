"""Which known queries to try a new agent on: those that stand for the others."""

from __future__ import annotations

import numpy as np

from agentroute.knowledge.record.neighbours import SHARPNESS
from agentroute.knowledge.terms import Floats, Indices

MOST = 4_000
"""Queries that are compared with each other; of more, so many are drawn to stand for all."""


def representative(vectors: Floats, count: int, seed: int = 0) -> Indices:
    """Choose queries that tell most of all the others.

    A record judges a query by its neighbours, each of which counts ``exp(SHARPNESS * cosine)``. The choice
    makes the nearest chosen query count as much as possible, summed over all queries: facility location
    (Cornuejols et al. 1977), greedily, which comes within 1 - 1/e of the best (Nemhauser et al. 1978). It
    covers what is asked often, and is diverse, since a second query of a kind adds little.

    Recorded agents were left out and let join again by 20 and by 50 probes, on four folders, and the squared
    error of what was expected of them compared. This choice was as good as a random one or better; taking the
    query farthest from those taken already was neither, since odd queries tell little of others. Preferring
    queries where the other agents disagree made both worse: such queries are hard for everybody.

    Args:
        vectors: Query vectors of unit length. Shapes: ``(queries, dim)``.
        count: How many to choose; fewer are the first ones of more.
        seed: Draws which queries are compared, where there are many.

    Returns:
        Positions, the most telling one first. Shapes: ``(min(count, queries),)``.
    """
    rows = np.arange(len(vectors))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:MOST])
    some = vectors[rows]
    # Rounded, so that equal queries tie on every machine, and the first of them is taken.
    weight = np.round(np.exp(SHARPNESS * (some @ some.T - 1.0)), 5)
    held = np.zeros(len(rows), dtype=weight.dtype)
    chosen: list[int] = []
    for _ in range(min(count, len(rows))):
        gain = np.maximum(weight - held[:, None], 0.0).sum(axis=0, dtype=np.float64)
        gain[chosen] = -1.0
        chosen.append(int(gain.argmax()))
        held = np.maximum(held, weight[:, chosen[-1]])
    left = np.setdiff1d(np.arange(len(vectors)), rows)
    return np.concatenate([rows[chosen], left[: max(count - len(rows), 0)]]).astype(np.int64)
