"""What an agent's score is made of: parts that sum to it, its likeness, and its ties to the entities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from agentroute.explaining.case import Case
from agentroute.explaining.explanation import Part, Tie
from agentroute.knowledge.graph import KNOWS, Floats
from agentroute.knowledge.record import ESTIMATES_DIM, NEAR
from agentroute.routing.calibration import VIEWS
from agentroute.routing.router import GraphRouter

NAMES = ("mean", "task", "neighbours", "words")
"""What the record says of an agent, in the order of its estimates; the first is its mean score, the others
are shifts from there."""

_PLAIN = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0]])
"""How much of each is in the first two of ``views.views_of``, which know no network."""


def belief(case: Case) -> Floats:
    """Return how much of each estimate is in an agent's score, as ``views.views_of`` mixes them.

    Args:
        case: What was decided; by a trained router.

    Returns:
        Factors, the calibration's scale left out. Shapes: ``(agents looked at, 4)``.
    """
    router = case.router
    assert isinstance(router, GraphRouter)
    # One row for each member of a committee: its log-odds are their mean, and so is what they believe.
    believed = np.asarray(router.weights["belief"], np.float64).reshape(-1, 4)
    network: Floats = believed.mean(axis=0)
    trust = router.setting.calibration.trust
    halfway = (_PLAIN[1] + network) / 2.0
    mixed = (*_PLAIN, halfway, network)[trust]
    known = case.graph.suits[:, ESTIMATES_DIM - 1] > 0
    # Of a newcomer all views say what the network says.
    return np.where(known[:, None], mixed, network)


def parts(case: Case) -> list[tuple[Part, ...]]:
    """Take the score of every agent apart.

    Args:
        case: What was decided.

    Returns:
        For each agent that was looked at, parts that sum to its log-odds.
    """
    scores = case.logits.astype(np.float64)
    router = case.router
    if not isinstance(router, GraphRouter):
        nothing = replace(case.graph, suits=np.zeros_like(case.graph.suits))
        shift = float(router.logits([nothing])[0, 0])
        return [
            (Part(name="likeness", log_odds=float(s) - shift), Part(name="calibration", log_odds=shift))
            for s in scores
        ]
    calibration = router.setting.calibration
    known = case.graph.suits[:, ESTIMATES_DIM - 1] > 0
    # A newcomer is known to the network alone, whose scale may be another.
    ours = known | (calibration.trust == VIEWS - 1)
    scale, shift = np.where(
        ours, np.array([[calibration.scale], [calibration.shift]]), np.array(calibration.network)[:, None]
    )
    near = np.where(known, -calibration.unlike(case.graph.suits[:, NEAR]), 0.0)
    said = scale[:, None] * belief(case) * case.graph.suits[:, : len(NAMES)]
    # What the record does not say, the network adds; where it has no say, nothing but rounding is left.
    rest = scores - shift - near - said.sum(axis=1)
    silent = known & (calibration.trust < VIEWS - 2)
    found = []
    columns = zip(said, rest, silent, near.tolist(), shift.tolist(), strict=True)
    for row, network, quiet, close, moved in columns:
        named = [Part(name=name, log_odds=float(value)) for name, value in zip(NAMES, row, strict=True)]
        named.append(Part(name="network", log_odds=0.0 if quiet else float(network)))
        if calibration.nearness[0]:
            named.append(Part(name="nearness", log_odds=close))
        found.append((*named, Part(name="calibration", log_odds=moved)))
    return found


def nearest_example(case: Case, column: int) -> tuple[str | None, float | None]:
    """Return an agent's example that is most like the question, and its cosine.

    Args:
        case: What was decided.
        column: The agent.

    Returns:
        ``None`` twice for an agent without examples.
    """
    team = case.close.team
    mine = np.flatnonzero(team.owner == column)
    if not len(mine):
        return None, None
    cosines = team.examples[mine] @ case.vector
    best = int(cosines.argmax())
    return team.specs[column].examples[best], float(cosines[best])


def ties(case: Case, column: int) -> tuple[Tie, ...]:
    """Return what ties an agent to the entities of the question.

    Args:
        case: What was decided.
        column: The agent.

    Returns:
        The ties, the strongest first.
    """
    agents, entities = case.graph.edge_index[KNOWS]
    weights, names = case.graph.edge_weight[KNOWS], case.graph.names["entity"]
    mine = np.flatnonzero(agents == column)
    order = mine[np.argsort(-np.abs(weights[mine]), kind="stable")]
    return tuple(Tie(entity=names[entities[i]], weight=float(weights[i])) for i in order.tolist())
