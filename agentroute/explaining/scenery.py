"""The picture of an explanation: the knowledge graph around the agents that matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from agentroute.knowledge.drawing import draw
from agentroute.knowledge.graph import EdgeType, Floats, Indices, KnowledgeGraph

if TYPE_CHECKING:
    from agentroute.explaining.explanation import Explanation

MOST = 12
"""Agents in a picture, unless more were selected."""


def draw_reasons(explanation: Explanation, path: Path) -> Path:
    """Draw the graph of an explanation, with the agents that rank highest.

    Args:
        explanation: What was found.
        path: Where to; the ending decides the format.

    Returns:
        The path.
    """
    decision, graph = explanation.decision, explanation.graph
    weights = decision.weights
    ranked = [place.agent for place in decision.ranking]
    runner_up = [explanation.runner_up] if explanation.runner_up else []
    first = [*dict.fromkeys([*weights, *runner_up, *ranked])]
    shown = {*first[: max(MOST, len(weights))]}
    score = {place.agent: place.score for place in decision.ranking}
    part = take_agents(graph, [i for i, name in enumerate(graph.names["agent"]) if name in shown])
    asked = ", ".join(f"{agent} {weight:.2f}" for agent, weight in decision.selected)
    return draw(
        part,
        path,
        title=f"asked: {asked}" if asked else "nobody is asked",
        gain=[score[agent] for agent in part.names["agent"]],
        chosen=weights,
    )


def take_agents(graph: KnowledgeGraph, rows: list[int]) -> KnowledgeGraph:
    """Keep some of the agents of a graph without answers, and their ties.

    Args:
        graph: The graph.
        rows: Their positions.

    Returns:
        The smaller graph.
    """
    place = np.full(graph.count("agent"), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    index: dict[EdgeType, Indices] = {}
    weight: dict[EdgeType, Floats] = {}
    for kind, ends in graph.edge_index.items():
        if kind[0] != "agent":
            index[kind], weight[kind] = ends, graph.edge_weight[kind]
            continue
        kept = place[ends[0]] >= 0
        index[kind] = np.stack([place[ends[0][kept]], ends[1][kept]])
        weight[kind] = graph.edge_weight[kind][kept]
    names: Mapping[str, tuple[str, ...]] = {
        **graph.names,
        "agent": tuple(graph.names["agent"][row] for row in rows),
    }
    x = {**graph.x, "agent": graph.x["agent"][rows]}
    return replace(graph, names=names, x=x, edge_index=index, edge_weight=weight, suits=graph.suits[rows])
