"""The views of a team: ways to score its agents, each with more that was learned."""

from __future__ import annotations

import numpy as np

from agentroute.knowledge.graph import Floats
from agentroute.knowledge.record import ESTIMATES_DIM, NEAR


def views_of(suits: Floats, network: Floats) -> Floats:
    """Return what is expected of agents, with more and more of what was learned.

    The first view has means by agent and by task, the second what the words of the question say, the last
    the network, and the third is halfway there. A newcomer has no record: the network alone says what it
    makes of its card, and the other views have NaN, which ``Calibration`` fills in. Behind the views comes
    how near the query is to the recorded ones, the same for all that have a record.

    Args:
        suits: What is known of each agent for a query. Shapes: ``(..., agents, SUITS_DIM)``.
        network: The network's log-odds. Shapes: ``(..., agents)``.

    Returns:
        Log-odds in each view, and a cosine. Shapes: ``(VIEWS + 1, ..., agents)``.
    """
    known = suits[..., ESTIMATES_DIM - 1] > 0
    means = np.where(known, suits[..., 0] + suits[..., 1], np.float32(np.nan))
    words = means + suits[..., 3]
    near = np.where(known, suits[..., NEAR], np.float32(np.nan))
    return np.stack([means, words, (words + network) / 2.0, network, near])
