"""Graphs to batches: many graphs in columns, any of them as one disjoint union, and that in PyG's words.

Graphs are packed once, fully grown. A batch then takes the rows it wants with the answers it wants: a graph
as it stood when only some agents had answered is the part of the grown graph without the other answers.
``GraphBatch`` needs numpy alone and serves the runtime; ``to_hetero`` makes a ``HeteroData`` of it for
training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.graph import (
    COMPARED,
    EDGE_TYPES,
    FORWARD,
    GAVE,
    NO_EDGES,
    NO_WEIGHTS,
    NODE_TYPES,
    EdgeType,
    Floats,
    Indices,
    KnowledgeGraph,
    reverse,
)

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class Edges:
    """The edges of one type.

    Args:
        index: Source and target positions. Shapes: ``(2, edges)``.
        weight: One weight per edge. Shapes: ``(edges,)``.
        share: What one edge counts in its target's mean: 1 over the edges that reach the target, and among
            answers 1 over the answers that there are, so that being alone shows. Shapes: ``(edges,)``.
    """

    index: Indices
    weight: Floats
    share: Floats


@dataclass(frozen=True, eq=False)
class GraphBatch:
    """A disjoint union of graphs.

    Args:
        x: Node features per type; without those of agents that ``team`` has, where they would be repeated.
            Shapes: ``(nodes, features of the type)``.
        edges: The edges of every type, reverses included and empty ones present.
        suits: Agent features that hold for one query. Shapes: ``(agents, SUITS_DIM)``.
        batch: The graph that each node belongs to, per type, ascending. Shapes: ``(nodes,)``.
        gave: The agent node behind each answer node. Shapes: ``(answers,)``.
        team: Features of the agents of one graph, when all graphs have the same ones. Shapes: ``(agents of a
            graph, features)``.
    """

    x: Mapping[str, Floats]
    edges: Mapping[EdgeType, Edges]
    suits: Floats
    batch: Mapping[str, Indices]
    gave: Indices
    team: Floats | None = None

    @property
    def size(self) -> int:
        """How many graphs there are."""
        return len(self.batch["query"])

    def whole(self) -> GraphBatch:
        """Return the same graphs with the features of every node, those that repeat as well."""
        if "agent" in self.x or self.team is None:
            return self
        return replace(self, x={**self.x, "agent": np.tile(self.team, (self.size, 1))})


class PackedGraphs:
    """Graphs in columns, ready to be taken in any order and as they were before some of the answers came.

    Args:
        graphs: At least one graph.
    """

    def __init__(self, graphs: Sequence[KnowledgeGraph]) -> None:
        self._count = {kind: np.array([graph.count(kind) for graph in graphs]) for kind in NODE_TYPES}
        self._start = {kind: _starts(count) for kind, count in self._count.items()}
        first = graphs[0]
        # The agents of one team are the same nodes in every graph: kept once.
        self._one_team = all(graph.x["agent"] is first.x["agent"] for graph in graphs)
        self._x = {
            kind: first.x[kind]
            if len(graphs) == 1 or (kind == "agent" and self._one_team)
            else np.concatenate([graph.x[kind] for graph in graphs])
            for kind in NODE_TYPES
        }
        self._suits = first.suits if len(graphs) == 1 else np.concatenate([graph.suits for graph in graphs])
        self._edges: dict[EdgeType, tuple[Indices, Floats, Indices, Indices]] = {}
        for kind in FORWARD:
            found = [(graph.edge_index.get(kind, NO_EDGES), graph.edge_weight.get(kind)) for graph in graphs]
            count = np.array([index.shape[1] for index, _ in found])
            if count.any():
                index = np.concatenate([index for index, _ in found], axis=1)
                weight = np.concatenate([NO_WEIGHTS if weight is None else weight for _, weight in found])
                self._edges[kind] = (index, weight, _starts(count), count)

    def __len__(self) -> int:
        return len(self._count["query"])

    def digest(self) -> str:
        """Return a sha256 of all that the graphs hold: equal graphs in the same order have the same."""
        digest = hashlib.sha256()
        named = [*self._count.items(), *self._x.items(), ("suits", self._suits)]
        named += [("|".join(kind), part) for kind, parts in self._edges.items() for part in parts]
        for name, value in named:
            digest.update(f"{name} {value.dtype} {value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    @property
    def agents(self) -> int:
        """How many agents the first graph has; of one team, all have as many."""
        return int(self._count["agent"][0])

    @property
    def has_answers(self) -> bool:
        """Whether anybody answers in any of them."""
        return bool(self._count["answer"].any())

    def nodes(self, rows: Indices) -> dict[str, Indices]:
        """Return where the nodes of some graphs stand among those of all, answers left out.

        Args:
            rows: Positions of the graphs, in the order wanted.

        Returns:
            Positions per node type.
        """
        return {
            kind: _ragged(self._start[kind][rows], self._count[kind][rows])
            for kind in NODE_TYPES
            if kind != "answer"
        }

    def batch(
        self,
        rows: Indices | None = None,
        answered: Mask | None = None,
        kinds: Sequence[EdgeType] = FORWARD,
    ) -> GraphBatch:
        """Join graphs into one disjoint union.

        Args:
            rows: Positions of the graphs, in the order wanted; all of them by default.
            answered: The agents whose answers are there by now; by default all who gave one. Shapes:
                ``(rows, agents)``.
            kinds: The types of edges that are wanted, without reverses; those left out are empty.

        Returns:
            The union; every node type and edge type is present, empty ones with zero rows.
        """
        rows = np.arange(len(self)) if rows is None else np.asarray(rows)
        count = {kind: found[rows] for kind, found in self._count.items()}
        node = {kind: _ragged(self._start[kind][rows], count[kind]) for kind in NODE_TYPES}
        kept, renumbered = np.ones(len(node["answer"]), bool), np.zeros(0, np.int64)
        if answered is not None and len(kept):
            giver, of = self._givers(rows, count["answer"])
            kept = answered[of, giver]
            count["answer"] = np.bincount(of[kept], minlength=len(rows))
            # Where each answer stands among those of its graph that are there.
            renumbered = np.cumsum(kept) - 1 - _starts(count["answer"])[of]
        offset = {kind: _starts(found)[:-1] for kind, found in count.items()}
        graph = np.arange(len(rows))
        edges: dict[EdgeType, Edges] = {}
        answer_start = _starts(self._count["answer"][rows])[:-1]
        for kind in FORWARD:
            if kind not in self._edges or kind not in kinds:
                edges[kind] = edges[reverse(kind)] = Edges(NO_EDGES, NO_WEIGHTS, NO_WEIGHTS)
                continue
            index, weight, start, many = self._edges[kind]
            taken = _ragged(start[rows], many[rows])
            of = np.repeat(graph, many[rows])
            ends, weight = index[:, taken], weight[taken]
            if answered is not None and "answer" in (kind[0], kind[2]):
                there = np.ones(len(of), bool)
                ends = ends.copy()
                for side, end in ((0, kind[0]), (1, kind[2])):
                    if end == "answer":
                        at = answer_start[of] + ends[side]
                        there &= kept[at]
                        ends[side] = renumbered[at]
                ends, weight, of = ends[:, there], weight[there], of[there]
            ends = ends + np.stack([offset[kind[0]][of], offset[kind[2]][of]])
            edges[kind] = Edges(ends, weight, self._share(kind, ends[1], of, count))
            if (back := reverse(kind)) != kind:
                edges[back] = Edges(ends[::-1], weight, self._share(back, ends[0], of, count))
        batch = {kind: np.repeat(graph, found) for kind, found in count.items()}
        gave = np.full(int(count["answer"].sum()), -1, dtype=np.int64)
        agent, answer = edges[GAVE].index
        gave[answer] = agent
        x = {kind: self._take(kind, node[kind]) for kind in ("query", "entity")}
        x["answer"] = self._take("answer", node["answer"][kept])
        if not self._one_team:
            x["agent"] = self._x["agent"][node["agent"]]
        elif len(rows) == 1:
            x["agent"] = self._x["agent"]
        return GraphBatch(
            x=x,
            edges=edges,
            suits=self._suits if len(rows) == len(self) == 1 else self._suits[node["agent"]],
            batch=batch,
            gave=gave,
            team=self._x["agent"] if self._one_team else None,
        )

    def _take(self, kind: str, nodes: Indices) -> Floats:
        # A lone graph keeps its own arrays.
        whole = len(self) == 1 and len(nodes) == len(self._x[kind])
        return self._x[kind] if whole else self._x[kind][nodes]

    def _givers(self, rows: Indices, count: Indices) -> tuple[Indices, Indices]:
        """Return the agent behind each answer, and the place in ``rows`` of its graph."""
        index, _, start, many = self._edges[GAVE]
        taken = _ragged(start[rows], many[rows])
        of = np.repeat(np.arange(len(rows)), count)
        giver = np.zeros(len(of), np.int64)
        agent, answer = index[:, taken]
        giver[_starts(count)[:-1][of] + answer] = agent
        return giver, of

    @staticmethod
    def _share(kind: EdgeType, target: Indices, of: Indices, count: Mapping[str, Indices]) -> Floats:
        if kind in COMPARED:
            return (1.0 / count["answer"][of]).astype(np.float32)
        reached = np.bincount(target)
        return (1.0 / reached[target]).astype(np.float32) if len(target) else NO_WEIGHTS


def _starts(count: Indices) -> Indices:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])


def _ragged(start: Indices, count: Indices) -> Indices:
    """Return ``count`` positions from ``start`` on, for one row after the other."""
    before = np.cumsum(count) - count
    return np.asarray(np.repeat(start - before, count) + np.arange(int(count.sum())))


def collate(graphs: Sequence[KnowledgeGraph]) -> GraphBatch:
    """Join graphs into one disjoint union, node order kept.

    Args:
        graphs: At least one graph.

    Returns:
        The union, with the features of every node.
    """
    return PackedGraphs(graphs).batch().whole()


def to_hetero(graphs: KnowledgeGraph | Sequence[KnowledgeGraph] | GraphBatch) -> HeteroData:
    """Turn one graph or several into PyG's ``HeteroData``, with the fixed metadata of ``knowledge.graph``.

    Args:
        graphs: One graph, several to join, or a batch.

    Returns:
        Node stores with ``x`` and ``batch``, the agent store with ``suits`` (and ``team``, the rows that
        repeat, when all graphs have the same agents; no ``x`` beside it, if the batch has none), the answer
        store with ``gave``, and one edge store per edge type, reverses and empty ones included, with
        ``edge_index``, ``edge_weight`` and ``edge_share``.
    """
    import torch  # only training needs it
    from torch_geometric.data import HeteroData

    if isinstance(graphs, KnowledgeGraph):
        graphs = [graphs]
    union = graphs if isinstance(graphs, GraphBatch) else collate(graphs)
    data = HeteroData()
    for kind in NODE_TYPES:
        if kind in union.x:
            data[kind].x = torch.from_numpy(np.ascontiguousarray(union.x[kind]))
        data[kind].num_nodes = len(union.batch[kind])
        data[kind].batch = torch.from_numpy(union.batch[kind])
    data["agent"].suits = torch.from_numpy(union.suits)
    if union.team is not None:
        data["agent"].team = torch.from_numpy(union.team)
    data["answer"].gave = torch.from_numpy(union.gave)
    for edge_type in EDGE_TYPES:
        edges = union.edges[edge_type]
        data[edge_type].edge_index = torch.from_numpy(np.ascontiguousarray(edges.index))
        data[edge_type].edge_weight = torch.from_numpy(np.ascontiguousarray(edges.weight))
        data[edge_type].edge_share = torch.from_numpy(np.ascontiguousarray(edges.share))
    return data
