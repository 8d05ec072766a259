"""The network, in plain PyG: two questions asked of one graph.

*gain(agent | graph so far)*: how good would this agent's answer be? *right(answer)*: how good is this one?
Both are log-odds of the expected score. Each starts from what the track record says, and the network learns
corrections: its last layers begin at zero, so that an untrained network is the record itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.utils import scatter

from agentroute.knowledge.build import SUITS_DIM, dims
from agentroute.knowledge.graph import EDGE_TYPES, NODE_TYPES, EdgeType


@dataclass(frozen=True, kw_only=True)
class GNNConfig:
    """The shape of a network.

    Args:
        embedding: Length of the embedder's vectors.
        hidden_channels: Width of every hidden layer.
        num_layers: Rounds of message passing.
        dropout: Share of hidden values dropped in training.
    """

    embedding: int = 384
    hidden_channels: int = 64
    num_layers: int = 2
    dropout: float = 0.2


class RelationalConv(nn.Module):
    r"""One round of message passing over typed, weighted edges.

    .. math:: m_v = W_{t(v)} h_v + \sum_r W_r \frac{1}{|N_r(v)|} \sum_{u \in N_r(v)} w_{uv} h_u, \quad
        h'_v = \mathrm{LayerNorm}(h_v + \mathrm{ReLU}(m_v))

    The message is the relational convolution of https://arxiv.org/abs/1703.06103, equation 2, with edge
    weights, which may be negative: an agent that does badly where an entity is named sends the opposite of
    one that does well.

    Shapes: node features ``(nodes, hidden_channels)`` per type, in and out.
    """

    def __init__(self, hidden_channels: int, dropout: float) -> None:
        super().__init__()
        self.root = nn.ModuleDict({t: nn.Linear(hidden_channels, hidden_channels) for t in NODE_TYPES})
        self.relation = nn.ModuleDict(
            {relation_key(e): nn.Linear(hidden_channels, hidden_channels, bias=False) for e in EDGE_TYPES}
        )
        self.norm = nn.ModuleDict({t: nn.LayerNorm(hidden_channels) for t in NODE_TYPES})
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        h: dict[str, Tensor],
        edge_index_dict: dict[EdgeType, Tensor],
        edge_weight_dict: dict[EdgeType, Tensor],
    ) -> dict[str, Tensor]:
        """Pass messages once.

        Args:
            h: Hidden features per node type.
            edge_index_dict: Source and target positions per edge type.
            edge_weight_dict: One weight per edge.

        Returns:
            New features per node type.
        """
        out = {kind: self.root[kind](features) for kind, features in h.items()}
        for edge_type, edge_index in edge_index_dict.items():
            if edge_index.shape[1] == 0:
                continue
            source, _, target = edge_type
            message = h[source][edge_index[0]] * edge_weight_dict[edge_type][:, None]  # (edges, hidden)
            mean = scatter(message, edge_index[1], dim_size=h[target].shape[0], reduce="mean")
            out[target] = out[target] + self.relation[relation_key(edge_type)](mean)
        return {kind: norm(h[kind] + self.dropout(torch.relu(out[kind]))) for kind, norm in self.norm.items()}


def relation_key(edge_type: EdgeType) -> str:
    """Return an edge type as one word, as parameters are named."""
    return "__".join(edge_type)


class RouterGNN(nn.Module):
    """Scores the agents and the answers of a batch of knowledge graphs.

    Shapes: agents ``(agents in the batch,)``, answers ``(answers in the batch,)``; both are log-odds.
    """

    def __init__(self, config: GNNConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden_channels
        self.lin = nn.ModuleDict({t: nn.Linear(d, hidden) for t, d in dims(config.embedding).items()})
        self.conv = nn.ModuleList(RelationalConv(hidden, config.dropout) for _ in range(config.num_layers))
        self.suits = nn.Linear(SUITS_DIM, hidden)
        self.gain = nn.Sequential(nn.Linear(4 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.right = nn.Sequential(nn.Linear(3 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.dropout = nn.Dropout(config.dropout)
        # How far to believe the agent's mean, its shift by task, its shift by neighbours.
        self.belief = nn.Parameter(torch.tensor([1.0, 1.0, 0.3]))
        for head in (self.gain, self.right):
            for parameter in head[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, data: HeteroData) -> tuple[Tensor, Tensor]:
        """Score every agent and every answer.

        Args:
            data: One graph or a union of graphs, from ``knowledge.hetero.to_hetero``.

        Returns:
            Log-odds per agent node and per answer node.
        """
        h = {kind: self.dropout(torch.relu(self.lin[kind](x))) for kind, x in data.x_dict.items()}
        for conv in self.conv:
            h = conv(h, data.edge_index_dict, data.edge_weight_dict)
        agent, query, suits = h["agent"], h["query"][data["agent"].batch], data["agent"].suits
        known = torch.relu(self.suits(suits))
        features = torch.cat([agent, query, agent * query, known], dim=1)  # (agents, 4 * hidden)
        gain = suits[:, :3] @ self.belief + self.gain(features).squeeze(1)
        answer, giver = h["answer"], data["answer"].gave
        right = gain[giver] + self.right(
            torch.cat([answer, agent[giver], h["query"][data["answer"].batch]], dim=1)
        ).squeeze(1)
        return gain, right
