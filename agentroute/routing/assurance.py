"""A promise that can be held to: of the answers called sure, the stated share is right.

Validation shows from which confidence on the promise holds. The test is *Learn then Test*
(arXiv 2110.01052) in fixed sequences: from a few starts, which share the risk, thresholds are lowered step by
step until one cannot be shown to keep the promise. Whatever the network is worth, the chance that the
threshold chosen breaks the promise on queries like those of validation is at most ``RISK``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentroute.routing.policy import Table

TARGETS = tuple(round(0.5 + 0.01 * step, 2) for step in range(50))
"""Shares of right answers that may be promised: 0.50, 0.51, ... 0.99."""

RISK = 0.1
"""Chance that a threshold does not keep its promise."""

STARTS = 2
"""Sequences of thresholds that share the risk."""

STEPS = 40
"""Thresholds that are tried at most, so that each rests on enough queries."""


def thresholds(confidence: Table, score: Table) -> tuple[float | None, ...]:
    """Find, for every target, the confidence from which on answers are right often enough.

    Args:
        confidence: The chance of being right that each answer was given. Shapes: ``(queries,)``.
        score: What each answer scored, 0 to 1; a share of 0.9 right answers is a mean score of 0.9. Shapes:
            ``(queries,)``.

    Returns:
        One threshold per target of ``TARGETS``, ``None`` where none can be shown to do.
    """
    order = np.argsort(-confidence, kind="stable")
    total = np.cumsum(score[order])
    size = len(order)
    ends = np.unique(np.linspace(0, size, STEPS + 1).astype(int)[1:]) - 1 if size else np.zeros(0, int)
    found: list[float | None] = []
    for target in TARGETS:
        kept: float | None = None
        tried = ends[ends + 1 >= _enough(target)].tolist()
        # A start on few answers is easily lost to chance, one on many reaches too far down: both have a try.
        for start in range(STARTS):
            for end in tried[start * len(tried) // STARTS :]:
                if p_value(float(total[end]) / (end + 1), end + 1, target) > RISK / STARTS:
                    break
                kept = min(float(confidence[order[end]]), 1.0 if kept is None else kept)
        found.append(kept)
    return tuple(found)


def _enough(target: float) -> float:
    """Return how many answers the strictest threshold rests on: thrice those that could show the target."""
    return float(3.0 * np.log(RISK) / np.log(target))


def p_value(mean: float, count: int, target: float) -> float:
    """Return the chance of a mean this high if the true one were below the target.

    Args:
        mean: Mean score of some answers, 0 to 1.
        count: How many there are.
        target: The share promised.

    Returns:
        Hoeffding's bound for the mean of numbers from 0 to 1: ``exp(-n KL(mean, target))``
        (https://doi.org/10.2307/2282952, theorem 1).
    """
    if mean <= target:
        return 1.0
    gap = mean * np.log(mean / target)
    if mean < 1:
        gap += (1 - mean) * np.log((1 - mean) / (1 - target))
    return float(np.exp(-count * gap))


def threshold(sure: Sequence[float | None], target: float) -> float | None:
    """Return the confidence that keeps a promise.

    Args:
        sure: What ``thresholds`` gave.
        target: The share of right answers; the next higher one of ``TARGETS`` is taken.

    Returns:
        The confidence, or ``None`` when validation could not show one.
    """
    for stored, found in zip(TARGETS, sure, strict=False):
        if stored >= target - 1e-9:
            return found
    return None
