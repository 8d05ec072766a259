"""The network, in plain PyG: two questions asked of one graph.

*gain(agent | graph so far)*: how much better than what we hold would this agent's answer be? *right(answer)*:
how good is this one? All are log-odds. Each starts from what the track record says, and the network learns
corrections: the last layers begin at zero, so that an untrained network is the record itself.

The network works in two stages. The first reads the question, its entities and the agents, once per query.
The second goes on from there each time that answers have joined the graph.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.utils import scatter

from agentroute.knowledge.build import SUITS_DIM, VOICE, dims
from agentroute.knowledge.graph import BASE_TYPES, COMPARED, GROWN_TYPES, NODE_TYPES, EdgeType
from agentroute.knowledge.grow import ANSWER_EXTRA, ANSWER_KINDS
from agentroute.routing.dropout import Dropout

BASE_NODES = ("query", "entity", "agent")

BACKING_DIM = 3 * len(COMPARED) + 2
"""What stands behind an answer: per relation the chances, log-odds and voices of those so tied to it; then
how many answers there are, and what they were expected to be worth together."""

EMPTY = ANSWER_KINDS.index("empty") - ANSWER_EXTRA
"""The column, counted from the end, that is 1 for an answer without text."""

SURE = 3.0
"""Log-odds beyond which an expectation counts no more as backing."""


@dataclass(frozen=True, kw_only=True)
class GNNConfig:
    """The shape of a network.

    Args:
        embedding: Length of the embedder's vectors.
        hidden_channels: Width of every hidden layer.
        num_layers: Rounds of message passing before any answer.
        grown_layers: Rounds of message passing over the answers.
        dropout: Share of hidden values dropped in training.
    """

    embedding: int = 384
    hidden_channels: int = 64
    num_layers: int = 1
    grown_layers: int = 2
    dropout: float = 0.3


class Scores(NamedTuple):
    """What the network says; all are log-odds.

    Args:
        expected: How good each agent's answer would be, before any answer. Shapes: ``(agents,)``.
        gain: How much each agent would add to the best answer there is; as ``expected`` without one. Shapes:
            ``(agents,)``.
        right: How good each answer is. Shapes: ``(answers,)``.
    """

    expected: Tensor
    gain: Tensor
    right: Tensor


class _Spread(torch.autograd.Function):
    """Multiply by a sparse matrix; the gradient needs its transpose, which PyTorch would make anew."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transposed: Tensor, h: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transposed @ grads[0]


# PyTorch says once a process that its CSR matrices are in beta; they multiply as they should.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)
    torch.sparse_csr_tensor([0, 1], [0], [1.0], (1, 1))


class Ties:
    """The edges of one type as a matrix that sums what comes in over them."""

    def __init__(self, index: Tensor, weight: Tensor, targets: int, sources: int) -> None:
        self.empty = index.shape[1] == 0
        if not self.empty:
            self._matrix = _csr(index[1], index[0], weight, targets, sources)
            self._transposed = _csr(index[0], index[1], weight, sources, targets)

    def __call__(self, h: Tensor) -> Tensor:
        """Sum the sources' features at the targets. Shapes: ``(sources, d)`` to ``(targets, d)``."""
        result: Tensor = _Spread.apply(self._matrix, self._transposed, h)  # type: ignore[no-untyped-call]
        return result


def _csr(rows: Tensor, columns: Tensor, values: Tensor, height: int, width: int) -> Tensor:
    order = torch.argsort(rows, stable=True)
    starts = torch.zeros(height + 1, dtype=torch.int64)
    starts[1:] = torch.bincount(rows, minlength=height).cumsum(0)
    # Validation would look at every edge again.
    return torch.sparse_csr_tensor(
        starts, columns[order], values[order], (height, width), check_invariants=False
    )


class RelationalConv(nn.Module):
    r"""One round of message passing over typed, weighted edges.

    .. math:: m_v = W_{t(v)} h_v + \sum_r W_r \sum_{u \in N_r(v)} s_{uv} w_{uv} h_u, \quad
        h'_v = h_v + \mathrm{ReLU}(m_v)

    The message is the relational convolution of https://arxiv.org/abs/1703.06103, equation 2, with edge
    weights ``w``, which may be negative: an agent that does badly where an entity is named sends the opposite
    of one that does well. The shares ``s`` make it a mean; see ``knowledge.hetero.Edges``. ``norm`` puts a
    LayerNorm behind it. Over answers that helps. Before any answer it hurts: question vectors of unit length
    in, hidden features of unit variance out, and small folders are learned by heart.

    Shapes: node features ``(nodes, hidden_channels)`` per type, in and out.
    """

    def __init__(
        self, nodes: tuple[str, ...], edges: tuple[EdgeType, ...], hidden: int, dropout: float, norm: bool
    ) -> None:
        super().__init__()
        self.root = nn.ModuleDict({t: nn.Linear(hidden, hidden) for t in nodes})
        self.relation = nn.ModuleDict({relation_key(e): nn.Linear(hidden, hidden, bias=False) for e in edges})
        self.norm = nn.ModuleDict({t: nn.LayerNorm(hidden) for t in nodes} if norm else {})
        self.dropout = Dropout(dropout)
        self._edges = edges

    def forward(self, h: dict[str, Tensor], ties: dict[EdgeType, Ties]) -> dict[str, Tensor]:
        """Pass messages once.

        Args:
            h: Hidden features per node type.
            ties: The edges per type.

        Returns:
            New features per node type.
        """
        out = {kind: self.root[kind](features) for kind, features in h.items()}
        for edge_type in self._edges:
            if not ties[edge_type].empty:
                source, _, target = edge_type
                weigh, total = self.relation[relation_key(edge_type)], ties[edge_type]
                # Weights and sums may change places; the weights go where there are fewer rows.
                few = len(h[source]) < len(out[target])
                message = total(weigh(h[source])) if few else weigh(total(h[source]))
                out[target] = out[target] + message
        moved = {kind: h[kind] + self.dropout(torch.relu(x)) for kind, x in out.items()}
        return {kind: self.norm[kind](x) for kind, x in moved.items()} if self.norm else moved


def relation_key(edge_type: EdgeType) -> str:
    """Return an edge type as one word, as parameters are named."""
    return "__".join(edge_type)


class RouterGNN(nn.Module):
    """Scores the agents and the answers of a batch of knowledge graphs.

    Shapes: agents ``(agents in the batch,)``, answers ``(answers in the batch,)``; all are log-odds.
    """

    def __init__(self, config: GNNConfig) -> None:
        super().__init__()
        self.config = config
        hidden, drop = config.hidden_channels, config.dropout
        self.lin = nn.ModuleDict({t: nn.Linear(d, hidden) for t, d in dims(config.embedding).items()})
        self.conv = nn.ModuleList(
            RelationalConv(BASE_NODES, BASE_TYPES, hidden, drop, norm=False) for _ in range(config.num_layers)
        )
        self.grown = nn.ModuleList(
            RelationalConv(NODE_TYPES, GROWN_TYPES, hidden, drop, norm=True)
            for _ in range(config.grown_layers)
        )
        self.suits = nn.Linear(SUITS_DIM, hidden)
        # The few plain features of an answer must not drown among the many of its text vector.
        self.lin["answer"] = nn.Linear(config.embedding, hidden)
        self.plain = nn.Linear(ANSWER_EXTRA, hidden)
        self.expected = _head(4 * hidden, hidden, 0.0)
        self.voice = _head(2 * hidden, hidden, drop)
        self.join = nn.Linear(4 * hidden + BACKING_DIM + 1, hidden)
        self.right = _head(2 * hidden + BACKING_DIM + 1, hidden, drop)
        self.gain = _head(5 * hidden + 2, hidden, 0.0)
        self.dropout = Dropout(drop)
        # How far to believe the agent's mean, and its shifts by task, by neighbours and by words.
        self.belief = nn.Parameter(torch.tensor([1.0, 1.0, 0.1, 0.8]))
        # How far an answer inherits the voices of those tied to it: fully from those that agree.
        self.echo = nn.Parameter(torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]))

    def forward(self, data: HeteroData) -> Scores:
        """Score every agent and every answer.

        Args:
            data: One graph or a union of graphs, from ``knowledge.hetero.to_hetero``.

        Returns:
            Log-odds per agent node and per answer node.
        """
        counts = {kind: len(data[kind].batch) for kind in NODE_TYPES}
        ties = {
            e: Ties(data[e].edge_index, data[e].edge_weight * data[e].edge_share, counts[e[2]], counts[e[0]])
            for e in (BASE_TYPES if counts["answer"] == 0 else (*BASE_TYPES, *GROWN_TYPES))
        }
        start = {kind: self.dropout(torch.relu(self._input(data, kind))) for kind in BASE_NODES}
        h = start
        for conv in self.conv:
            h = conv(h, ties)
        suits, of = data["agent"].suits, data["agent"].batch
        known = torch.relu(self.suits(suits))
        expected = suits[:, :4] @ self.belief + self._expected(h["agent"], h["query"], of, known)
        if counts["answer"] == 0:
            return Scores(expected, expected, expected.new_zeros(0))

        x, giver, in_graph = data["answer"].x, data["answer"].gave, data["answer"].batch
        graphs = counts["query"]
        there = torch.bincount(in_graph, minlength=graphs)
        # The second stage begins from what the nodes are, not from what the first one made of them: what
        # that learned is in the expectations, and what it memorized would drown the answers.
        h = start
        mate = h["agent"] + h["agent"] * h["query"][of]  # the agent as this question sees it
        voice = suits[:, VOICE] + self.voice(torch.cat([mate, known], dim=1)).squeeze(1)
        # What backs an answer is measured with the first stage's expectations, not trained through them.
        first = expected.detach()[giver]
        chance = torch.sigmoid(first)
        signal = torch.stack([chance, first.clamp(-SURE, SURE), voice.detach()[giver]], dim=1)
        size = there[in_graph].to(x.dtype)[:, None]
        behind = [
            signal.new_zeros(signal.shape) if ties[e].empty else ties[e](signal) * size for e in COMPARED
        ]
        worth = scatter(chance, in_graph, dim_size=graphs, reduce="sum")[in_graph][:, None]
        backing = torch.cat([torch.cat(behind, dim=1) / 3.0, worth / 5.0, size / 5.0], dim=1)
        text, plain = x[:, :-ANSWER_EXTRA], x[:, -ANSWER_EXTRA:]
        said = [torch.relu(self.lin["answer"](text)), torch.relu(self.plain(plain))]
        parts = [*said, mate[giver], known[giver], backing, first[:, None]]
        h = {**h, "answer": self.dropout(torch.relu(self.join(torch.cat(parts, dim=1))))}
        for conv in self.grown:
            h = conv(h, ties)

        own = voice[giver]
        echo = sum(
            self.echo[i] * ties[e](own[:, None]).squeeze(1) * size[:, 0]
            for i, e in enumerate(COMPARED)
            if not ties[e].empty
        )
        features = torch.cat([h["answer"], mate[giver], backing, first[:, None]], dim=1)
        right = first + own + echo + self.right(features).squeeze(1)

        # What is held so far: the answer that looks best, of those that say anything.
        looks = right.detach().masked_fill(x[:, EMPTY] > 0, float("-inf"))
        best = scatter(looks, in_graph, dim_size=graphs, reduce="max")
        best = torch.where(there > 0, best, torch.full_like(best, float("-inf")))
        place = torch.arange(len(looks))
        is_best = (looks == best[in_graph]) & torch.isfinite(looks)
        top = torch.full((graphs,), len(looks)).scatter_reduce(
            0, in_graph[is_best], place[is_best], reduce="amin"
        )
        held = torch.cat([h["answer"], h["answer"].new_zeros(1, h["answer"].shape[1])])[top]
        features = torch.cat(
            [
                h["agent"],
                h["agent"] * h["query"][of],
                known,
                h["query"][of],
                held[of],
                expected.detach()[:, None],
                torch.sigmoid(best)[of][:, None],
            ],
            dim=1,
        )
        adds = expected.detach() - HELD * (there > 0)[of] + self.gain(features).squeeze(1)
        return Scores(expected, torch.where(torch.isfinite(best)[of], adds, expected), right)

    def _expected(self, agent: Tensor, query: Tensor, of: Tensor, known: Tensor) -> Tensor:
        """Apply the head to ``[agent, query, agent * query, known]``, a query's part once for all agents."""
        first, rest = self.expected[0], self.expected[1:]
        assert isinstance(first, nn.Linear)
        by_agent, by_query, by_both, by_known = first.weight.chunk(4, dim=1)
        hidden = (query @ by_query.T + first.bias)[of]
        hidden = hidden + agent @ by_agent.T + (agent * query[of]) @ by_both.T + known @ by_known.T
        said: Tensor = rest(hidden)
        return said.squeeze(1)

    def _input(self, data: HeteroData, kind: str) -> Tensor:
        if kind == "agent" and "team" in data["agent"]:
            # The same agents in every graph: projected once.
            rows: Tensor = self.lin["agent"](data["agent"].team)
            return rows.repeat(data["query"].x.shape[0], 1)
        projected: Tensor = self.lin[kind](data[kind].x)
        return projected


HELD = 1.5
"""Log-odds by which an agent adds less, to begin with, once somebody has answered."""


def _head(inputs: int, hidden: int, dropout: float) -> nn.Sequential:
    """Two layers to one number, which starts at zero."""
    head = nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, 1))
    for parameter in head[-1].parameters():
        nn.init.zeros_(parameter)
    return head
