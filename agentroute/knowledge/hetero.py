"""Graphs to tensors: many graphs as one disjoint union, in PyG's words.

``collate`` needs numpy alone and serves the runtime; ``to_hetero`` makes the same union a ``HeteroData``
for training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from agentroute.knowledge.graph import (
    EDGE_TYPES,
    GAVE,
    NODE_TYPES,
    EdgeType,
    Floats,
    Indices,
    KnowledgeGraph,
)

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """A disjoint union of graphs.

    Args:
        x: Node features per type. Shapes: ``(nodes, features of the type)``.
        edges: Index and weight per edge type, reverses included. Shapes: ``(2, edges)`` and ``(edges,)``.
        suits: Agent features that hold for one query. Shapes: ``(agents, SUITS_DIM)``.
        batch: The graph that each node belongs to, per type. Shapes: ``(nodes,)``.
        gave: The agent node behind each answer node. Shapes: ``(answers,)``.
    """

    x: Mapping[str, Floats]
    edges: Mapping[EdgeType, tuple[Indices, Floats]]
    suits: Floats
    batch: Mapping[str, Indices]
    gave: Indices


def collate(graphs: Sequence[KnowledgeGraph]) -> GraphBatch:
    """Join graphs into one disjoint union, node order kept.

    Args:
        graphs: At least one graph.

    Returns:
        The union; every node type and edge type is present, empty ones with zero rows.
    """
    counts = {kind: np.array([graph.count(kind) for graph in graphs]) for kind in NODE_TYPES}
    offsets = {kind: np.concatenate([[0], np.cumsum(count)[:-1]]) for kind, count in counts.items()}
    parts: dict[EdgeType, list[tuple[Indices, Floats]]] = {kind: [] for kind in EDGE_TYPES}
    for i, graph in enumerate(graphs):
        for kind, (index, weight) in graph.both_ways().items():
            if index.shape[1]:
                shift = np.array([[offsets[kind[0]][i]], [offsets[kind[2]][i]]])
                parts[kind].append((index + shift, weight))
    edges = {kind: _joined(part) for kind, part in parts.items()}
    gave = np.full(int(counts["answer"].sum()), -1, dtype=np.int64)
    agent, answer = edges[GAVE][0]
    gave[answer] = agent
    return GraphBatch(
        # A lone graph keeps its own arrays, so that the runtime knows a team when it sees it again.
        x={
            kind: graphs[0].x[kind] if len(graphs) == 1 else np.concatenate([g.x[kind] for g in graphs])
            for kind in NODE_TYPES
        },
        edges=edges,
        suits=np.concatenate([graph.suits for graph in graphs]),
        batch={kind: np.repeat(np.arange(len(graphs)), counts[kind]) for kind in NODE_TYPES},
        gave=gave,
    )


def _joined(parts: Sequence[tuple[Indices, Floats]]) -> tuple[Indices, Floats]:
    if not parts:
        return np.zeros((2, 0), dtype=np.int64), np.zeros(0, dtype=np.float32)
    return np.concatenate([index for index, _ in parts], axis=1), np.concatenate([w for _, w in parts])


def to_hetero(graphs: KnowledgeGraph | Sequence[KnowledgeGraph]) -> HeteroData:
    """Turn one graph or several into PyG's ``HeteroData``, with the fixed metadata of ``knowledge.graph``.

    Args:
        graphs: One graph, or several to join.

    Returns:
        Node stores with ``x`` and ``batch``, the agent store with ``suits``, the answer store with
        ``gave``, and one edge store per edge type, reverses and empty ones included, with ``edge_index`` and
        ``edge_weight``.
    """
    import torch  # only training needs it
    from torch_geometric.data import HeteroData

    union = collate([graphs] if isinstance(graphs, KnowledgeGraph) else graphs)
    data = HeteroData()
    for kind in NODE_TYPES:
        data[kind].x = torch.from_numpy(union.x[kind])
        data[kind].batch = torch.from_numpy(union.batch[kind])
    data["agent"].suits = torch.from_numpy(union.suits)
    data["answer"].gave = torch.from_numpy(union.gave)
    for edge_type, (index, weight) in union.edges.items():
        data[edge_type].edge_index = torch.from_numpy(np.ascontiguousarray(index))
        data[edge_type].edge_weight = torch.from_numpy(np.ascontiguousarray(weight))
    return data
