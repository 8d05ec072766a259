"""Lists of agents worth asking together: found greedily on the training part, by score less price."""

from __future__ import annotations

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.routing.policy import Table, known_cost

PRICES = (0.0, 0.005, 0.015, 0.04)
"""Points of score (0 to 1) that the price of the best agent's call must bring; one list for each."""

ROWS = 1500
"""Training queries that a list is chosen on."""

MOST = 8
"""Agents in a list."""


def find_panels(
    groups: Indices, score: Floats, voice: Floats, cost: Table, agents: tuple[str, ...], seed: int
) -> tuple[tuple[str, ...], ...]:
    """Choose lists of agents whose weighted votes score most for their price.

    An agent joins when it adds most; later ones vote with those before. The weights are the agents' voices,
    so that no network, which knows the training part too well, has a say.

    Args:
        groups: Number of the answer per agent, -1 for none. Shapes: ``(queries, agents)``.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(queries, agents)``.
        voice: Weight of each agent's word. Shapes: ``(agents,)``.
        cost: Expected US dollars per agent, NaN where unknown. Shapes: ``(agents,)``.
        agents: Their ids.
        seed: Draws the queries.

    Returns:
        Different lists of agent ids, in the order of joining; two agents at least in each.
    """
    if len(agents) < 3:
        return ()
    rows = np.random.default_rng(seed).permutation(len(score))[:ROWS]
    groups, right = groups[rows], np.nan_to_num(score[rows])
    same = ((groups[:, :, None] == groups[:, None, :]) & (groups >= 0)[:, :, None]).astype(np.float32)
    dollars = known_cost(cost)
    price = dollars / max(float(dollars[right.mean(axis=0).argmax()]), 1e-12)
    found = {_panel(same, groups >= 0, right, voice, weight * price) for weight in PRICES}
    return tuple(tuple(agents[i] for i in panel) for panel in sorted(found) if len(panel) > 1)


def _panel(
    same: Floats, spoke: np.ndarray, right: Floats, voice: Floats, price: Table
) -> tuple[int, ...]:
    chosen: list[int] = []
    backing = np.zeros(right.shape, np.float32)
    queries = np.arange(len(right))
    before = -np.inf
    # Voices are relative; the least of a panel still speaks.
    weight = voice - voice.min() + 0.05
    for _ in range(min(MOST, right.shape[1])):
        value = np.full(right.shape[1], -np.inf)
        for agent in range(right.shape[1]):
            if agent in chosen:
                continue
            seated = [*chosen, agent]
            votes = np.where(spoke[:, seated], (backing + same[:, :, agent] * weight[agent])[:, seated], -1.0)
            lead = votes.argmax(axis=1)
            value[agent] = right[queries, np.array(seated)[lead]].mean() - price[agent]
        best = int(value.argmax())
        # The first two make a panel whatever they cost; then nobody joins who brings less than the price.
        if len(chosen) > 2 and value[best] <= before:
            break
        before = value[best] + price[best]
        chosen.append(best)
        backing += same[:, :, best] * weight[best]
    return tuple(chosen)
