"""The knowledge graph: its schema, its columns, and the view that a person can print.

A graph is kept as columns (names, features, edge indices), because a network reads columns and building them
takes no loop over nodes. ``to_networkx`` gives the same graph as an ``nx.MultiDiGraph``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import networkx as nx

EdgeType = tuple[str, str, str]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

NODE_TYPES = ("query", "entity", "agent", "answer")

MENTIONS: EdgeType = ("query", "mentions", "entity")
RELATED: EdgeType = ("entity", "related", "entity")
SUITS: EdgeType = ("agent", "suits", "query")
KNOWS: EdgeType = ("agent", "knows", "entity")
GAVE: EdgeType = ("agent", "gave", "answer")
ANSWERS: EdgeType = ("answer", "answers", "query")
ANSWER_MENTIONS: EdgeType = ("answer", "mentions", "entity")
AGREES: EdgeType = ("answer", "agrees", "answer")
RESEMBLES: EdgeType = ("answer", "resembles", "answer")
WITHIN: EdgeType = ("answer", "within", "answer")
HOLDS: EdgeType = ("answer", "holds", "answer")
DIFFERS: EdgeType = ("answer", "differs", "answer")

BASE = (MENTIONS, RELATED, SUITS, KNOWS)
"""What ties a question, its entities and the agents before anybody has answered."""

COMPARED = (AGREES, RESEMBLES, WITHIN, HOLDS, DIFFERS)
"""What ties answers to each other; ``holds`` is ``within`` read the other way."""

FORWARD = (*BASE, GAVE, ANSWERS, ANSWER_MENTIONS, *COMPARED)


def reverse(edge_type: EdgeType) -> EdgeType:
    """Return the type of the edges that run back; a tie within one node type runs both ways itself."""
    source, relation, target = edge_type
    return edge_type if source == target else (target, f"rev_{relation}", source)


# A layer that hands out messages drops a node type that receives none, so every edge also runs back.
def _both_ways(kinds: tuple[EdgeType, ...]) -> tuple[EdgeType, ...]:
    return tuple(dict.fromkeys(e for forward in kinds for e in (forward, reverse(forward))))


EDGE_TYPES = _both_ways(FORWARD)
BASE_TYPES = tuple(e for e in _both_ways(BASE) if e not in (SUITS, KNOWS))
"""The ties that the network reads before any answer. Agents listen and are not heard: whether one is in the
team says nothing about the others."""
GROWN_TYPES = _both_ways((SUITS, GAVE, ANSWERS, ANSWER_MENTIONS, *COMPARED))
"""The ties that it reads once there are answers."""
METADATA: tuple[list[str], list[EdgeType]] = (list(NODE_TYPES), list(EDGE_TYPES))


@dataclass(frozen=True, eq=False)
class KnowledgeGraph:
    """One query's graph, as columns.

    Args:
        names: Node names per node type, in node order.
        x: Node features per node type. Shapes: ``(nodes, features of the type)``.
        edge_index: Source and target positions per forward edge type. Shapes: ``(2, edges)``.
        edge_weight: One weight per edge, of the same types. Shapes: ``(edges,)``.
        suits: What is known of each agent for this query, before any answer. Shapes: ``(agents, SUITS_DIM)``.
    """

    names: Mapping[str, tuple[str, ...]]
    x: Mapping[str, Floats]
    edge_index: Mapping[EdgeType, Indices]
    edge_weight: Mapping[EdgeType, Floats]
    suits: Floats = field(repr=False)

    def count(self, node_type: str) -> int:
        """Return how many nodes of a type there are."""
        return len(self.names[node_type])

    def __str__(self) -> str:
        """Describe the graph in a few lines: its nodes by type, its edges by relation."""
        lines = [f"{kind} ({self.count(kind)}): {_listed(self.names[kind])}" for kind in NODE_TYPES]
        for (source, relation, target), index in self.edge_index.items():
            if index.shape[1]:
                lines.append(f"{source} -{relation}-> {target}: {index.shape[1]}")
        return "\n".join(lines)


NO_EDGES: Indices = np.zeros((2, 0), dtype=np.int64)
NO_WEIGHTS: Floats = np.zeros(0, dtype=np.float32)


def pairs_of(where: npt.NDArray[np.bool_], weight: Floats) -> tuple[Indices, Floats]:
    """Turn a square of ties into an edge index and its weights.

    Args:
        where: Which pairs are tied. Shapes: ``(sources, targets)``.
        weight: Their weights, of the same shape.

    Returns:
        Shapes: ``(2, edges)`` and ``(edges,)``.
    """
    index = np.stack(np.nonzero(where)).astype(np.int64)
    return index, weight[where].astype(np.float32)


def _listed(names: tuple[str, ...], most: int = 8) -> str:
    shown = ", ".join(name if len(name) <= 60 else name[:57] + "..." for name in names[:most])
    return f"{shown}, ..." if len(names) > most else shown


def to_networkx(graph: KnowledgeGraph) -> nx.MultiDiGraph[Any]:
    """Show a graph as networkx does, to print, draw or export it.

    Args:
        graph: The columns.

    Returns:
        A graph whose nodes are ``(type, position)`` with the attributes ``type`` and ``name``, and whose
        edges carry ``relation`` and ``weight``; forward edges only, since the reverses say nothing new.
    """
    import networkx as nx  # only a person's view needs it

    view: nx.MultiDiGraph[Any] = nx.MultiDiGraph()
    for kind in NODE_TYPES:
        for position, name in enumerate(graph.names[kind]):
            view.add_node((kind, position), type=kind, name=name)
    for (source, relation, target), index in graph.edge_index.items():
        weights = graph.edge_weight[source, relation, target]
        for head, tail, weight in zip(*index.tolist(), weights.tolist(), strict=True):
            view.add_edge((source, head), (target, tail), relation=relation, weight=weight)
    return view


def export(graph: KnowledgeGraph) -> dict[str, Any]:
    """Turn a graph into networkx's node-link data, ready for JSON.

    Args:
        graph: The columns.

    Returns:
        Plain dicts and lists; node ids are written as ``type/position``.
    """
    import networkx as nx

    view = nx.relabel_nodes(to_networkx(graph), lambda node: f"{node[0]}/{node[1]}")
    data: dict[str, Any] = nx.node_link_data(view, edges="edges")
    return data
