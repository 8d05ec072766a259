"""Random partial rounds: who has answered so far, drawn from what was recorded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agentroute.knowledge.graph import Floats
from agentroute.routing.policy import Mask, Table

FULL_SHARE = 0.2
"""Share of training rounds in which everybody has answered."""


def partial_round(score: Floats, chance: Callable[[tuple[int, int]], Table]) -> Mask:
    """Draw who has answered so far: one agent at least, seldom many, now and then all.

    Args:
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(batch, agents)``.
        chance: Draws numbers from 0 to 1, of a given shape.

    Returns:
        Agents whose answers are in the graph; none that did not run. Shapes: ``(batch, agents)``.
    """
    rows = len(score)
    share = chance((rows, 1)) ** 1.5
    answered = chance(score.shape) < np.where(chance((rows, 1)) < FULL_SHARE, 1.0, share)
    ran = ~np.isnan(score)
    # Good agents are asked first, so they are there more often.
    merit = np.where(ran, score, 0.0).sum(axis=0) / np.maximum(ran.sum(axis=0), 1) + 0.05
    draw = np.log(merit**3) - np.log(-np.log(chance(score.shape)))
    answered[np.arange(rows), np.where(ran, draw, -np.inf).argmax(axis=1)] = True
    return np.asarray(answered & ran)
