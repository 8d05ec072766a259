"""The same router with heterogeneous graph transformers (arXiv 2003.01332) where ours has relational layers.

AgentRouter's way of passing messages: attention over each neighbourhood, edge weights not read. All else
stays: features, heads, losses, what validation chooses from. Deciding needs torch here, so it is no more than
a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn import HGTConv

from agentroute.knowledge.graph import BASE_TYPES, EDGE_TYPES, GROWN_TYPES, NODE_TYPES, EdgeType, Floats
from agentroute.knowledge.hetero import GraphBatch
from agentroute.routing.dropout import Dropout
from agentroute.routing.gnn import BASE_NODES, GNNConfig, RouterGNN, Scores, Ties
from agentroute.routing.runtime import NumpyGNN

HEADS = 2
"""As in AgentRouter's sibling code."""


class HGTLayer(nn.Module):
    """One round of attention, with the residual, the dropout and the norm that ``RelationalConv`` has.

    Shapes: node features ``(nodes, hidden)`` per type, in and out.
    """

    def __init__(
        self, nodes: tuple[str, ...], edges: tuple[EdgeType, ...], hidden: int, dropout: float, norm: bool
    ) -> None:
        super().__init__()
        self.hgt = HGTConv(hidden, hidden, ([*nodes], [*edges]), heads=HEADS)
        self.norm = nn.ModuleDict({kind: nn.LayerNorm(hidden) for kind in nodes} if norm else {})
        self.dropout = Dropout(dropout)
        self.edges = edges
        self.edge_index: Mapping[EdgeType, Tensor] = {}

    def forward(self, h: dict[str, Tensor], ties: dict[EdgeType, Ties] | None = None) -> dict[str, Tensor]:
        """Pass messages once, over ``edge_index``; sums over the same edges are of no use to attention."""
        out = self.hgt(h, {kind: self.edge_index[kind] for kind in self.edges})
        moved = {kind: x + self.dropout(torch.relu(out[kind])) for kind, x in h.items()}
        return {kind: self.norm[kind](x) for kind, x in moved.items()} if self.norm else moved


class HGTRouterGNN(RouterGNN):
    """``RouterGNN`` with its layers exchanged."""

    def __init__(self, config: GNNConfig) -> None:
        super().__init__(config)
        shape = config.hidden_channels, config.dropout
        self.conv = nn.ModuleList(
            HGTLayer(BASE_NODES, BASE_TYPES, *shape, norm=False) for _ in range(config.num_layers)
        )
        self.grown = nn.ModuleList(
            HGTLayer(NODE_TYPES, GROWN_TYPES, *shape, norm=True) for _ in range(config.grown_layers)
        )

    def forward(self, data: HeteroData) -> Scores:
        """Score every agent and every answer; see ``RouterGNN.forward``."""
        index = {kind: data[kind].edge_index for kind in EDGE_TYPES}
        for layer in (*self.conv, *self.grown):
            layer.edge_index = index
        return super().forward(data)


class NumpyHGT(NumpyGNN):
    """``NumpyGNN`` that leaves the layers to torch, so that a ``GraphRouter`` can decide with them."""

    def __init__(self, weights: Mapping[str, npt.NDArray[np.floating]]) -> None:
        super().__init__(weights)
        members, hidden, embedding = self._w["lin.answer.weight"].shape
        shape = GNNConfig(
            embedding=embedding,
            hidden_channels=hidden,
            num_layers=len(self._layers),
            grown_layers=len(self._grown),
        )
        self._models = [HGTRouterGNN(shape) for _ in range(members)]
        for member, model in enumerate(self._models):
            model.load_state_dict({name: torch.tensor(value[member]) for name, value in self._w.items()})
            model.eval()

    def _passed(
        self, h: dict[str, Floats], batch: GraphBatch, layers: list[str], edges: tuple[EdgeType, ...]
    ) -> dict[str, Floats]:
        first = edges is BASE_TYPES
        members, _, width = next(iter(h.values())).shape
        nothing = np.zeros((members, 0, width), np.float32)
        kinds = BASE_NODES if first else NODE_TYPES
        index = {kind: torch.from_numpy(np.ascontiguousarray(batch.edges[kind].index)) for kind in edges}
        passed: list[dict[str, Tensor]] = []
        with torch.no_grad():
            for member, model in enumerate(self._models):
                x = {
                    kind: torch.from_numpy(np.ascontiguousarray(h.get(kind, nothing)[member]))
                    for kind in kinds
                }
                for layer in model.conv if first else model.grown:
                    layer.edge_index = index
                    x = layer(x)
                passed.append(x)
        return {kind: np.stack([x[kind].numpy() for x in passed]) for kind in kinds}
