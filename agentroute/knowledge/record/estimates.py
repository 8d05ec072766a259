"""What a track record says of agents on new queries, from the widest mean to the nearest evidence."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.record.neighbours import Neighbours
from agentroute.knowledge.record.tallies import Tallies
from agentroute.knowledge.terms import Floats, Indices

ESTIMATES_DIM = 6
"""Log-odds of the mean; shifts by task, by neighbours and by words; nearness of the neighbours; whether it is
known."""

NEAR = 4
"""Where the nearness of the neighbours stands: their mean cosine, the same for every agent."""


def logit(p: npt.NDArray[np.floating]) -> Floats:
    """Return log-odds, with chances kept off 0 and 1."""
    p = np.clip(p, 0.01, 0.99)
    return np.asarray(np.log(p / (1.0 - p)), dtype=np.float32)


def estimate(tallies: Tallies, task: Indices, near: Neighbours, words: Floats | None) -> Floats:
    """Estimate every agent's score on some queries, each step as a shift of log-odds.

    Args:
        tallies: What was counted.
        task: Position of the task per query, -1 for none. Shapes: ``(batch,)``.
        near: The recorded queries most like each.
        words: How far the question says that each agent is above its mean, if that was learned: by its words,
            and by what is foreseen of it. Shapes: ``(batch, agents)``.

    Returns:
        Shapes: ``(batch, agents, ESTIMATES_DIM)``.
    """
    by_task = tallies.mean_by_task(task)
    by_near = tallies.placed(tallies.mean_nearby(by_task, near.rows, near.weights))
    by_task = tallies.placed(by_task)
    result = np.empty((*by_near.shape, ESTIMATES_DIM), dtype=np.float32)
    result[..., 0] = logit(tallies.mean)
    result[..., 1] = logit(by_task) - result[..., 0]
    result[..., 2] = logit(by_near) - logit(by_task)
    result[..., 3] = 0.0 if words is None else logit(tallies.mean + words) - logit(by_task)
    result[..., NEAR] = near.cosines.mean(axis=1)[:, None]
    result[..., 5] = 1.0
    return result
