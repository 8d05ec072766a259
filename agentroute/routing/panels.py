"""Lists of agents worth asking together: found greedily on the training part, by score less price."""

from __future__ import annotations

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.routing.policy import Mask, Table, known_cost

PRICES = (0.0, 0.002, 0.006, 0.015, 0.04)
"""Points of score (0 to 1) that the price of the best agent's call must bring; one list for each."""

ROWS = 1500
"""Training queries that a list is chosen on."""

MOST = 10
"""Agents in a list."""

CEILINGS = (0.1, 0.3, 1.05, 2.1)
"""Prices of a call, as multiples of the best agent's, up to which agents make a class of their own."""

CLASS_MOST = 4
"""Agents of a class that are worth a list."""


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


def price_classes(mean: Floats, cost: Table, agents: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """List the best agents of each class of prices, best first and cheapest first.

    Votes alone never bring two agents together, since the heavier one always wins. Whoever judges answers can
    choose between two that cost little, so validation is offered such lists too.

    Args:
        mean: Mean score of each agent. Shapes: ``(agents,)``.
        cost: Expected US dollars per agent, NaN where unknown. Shapes: ``(agents,)``.
        agents: Their ids.

    Returns:
        Different lists of agent ids; two agents at least in each. None where all cost the same: then there
        are no classes.
    """
    dollars = known_cost(cost)
    if len(set(dollars.tolist())) < 2:
        return ()
    order = np.argsort(-mean, kind="stable")
    usual = dollars[order[0]]
    found: dict[tuple[str, ...], None] = {}
    for ceiling in CEILINGS:
        best = order[dollars[order] <= ceiling * usual][:CLASS_MOST]
        for members in (best, best[np.argsort(dollars[best], kind="stable")]):
            found[tuple(agents[i] for i in members.tolist())] = None
    return tuple(members for members in found if len(members) > 1)


def _panel(same: Floats, spoke: Mask, right: Floats, voice: Floats, price: Table) -> tuple[int, ...]:
    """Let agents leave one by one, the one that is least worth its price first, and keep the best list seen.

    It starts from everybody, since votes are worth something together: a second agent never outvotes a first
    one of more weight, so that by adding one at a time nobody would come second.
    """
    seated = np.ones(right.shape[1], bool)
    backing = np.einsum("qab,b->qa", same, voice)
    rows = np.arange(len(right))
    left: list[int] = []
    best, kept = -np.inf, seated.copy()
    for size in range(right.shape[1], 1, -1):
        value = np.full(right.shape[1], -np.inf)
        for agent in np.flatnonzero(seated).tolist():
            votes = backing - same[:, :, agent] * voice[agent]
            votes[:, ~seated] = -np.inf
            votes[:, agent] = -np.inf
            votes[~spoke] = -np.inf
            value[agent] = right[rows, votes.argmax(axis=1)].mean() + price[agent]
        leaves = int(value.argmax())
        seated[leaves] = False
        backing -= same[:, :, leaves] * voice[leaves]
        left.append(leaves)
        worth = value[leaves] - price[leaves] - price[seated].sum()
        if size - 1 <= MOST and worth >= best:
            best, kept = worth, seated.copy()
    # Who would have left last is asked first.
    order = [*np.flatnonzero(seated).tolist(), *reversed(left)]
    return tuple(agent for agent in order if kept[agent])
