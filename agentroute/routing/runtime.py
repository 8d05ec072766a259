"""The trained networks without torch: the same forward pass in numpy, for all members of a committee at once.

Every array of a hidden layer has the members as its first axis, so that three networks cost little more than
one: at the size of one question it is the number of steps that takes the time. Members are heard as the mean
of their log-odds.

Deciding must start in a fraction of a second, and importing torch alone takes several. A test holds this
file and ``gnn.py`` within 1e-5 of each other on random graphs, empty node types included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.build import VOICE
from agentroute.knowledge.graph import BASE_TYPES, COMPARED, GROWN_TYPES, NODE_TYPES, EdgeType, Floats
from agentroute.knowledge.grow import ANSWER_EXTRA, ANSWER_KINDS
from agentroute.knowledge.hetero import GraphBatch
from agentroute.routing.base import Base
from agentroute.routing.committee import mean, members_of, product
from agentroute.routing.sums import Sums, summed

LAYER_NORM_EPSILON = 1e-5
"""torch.nn.LayerNorm's default."""

BASE_NODES = ("query", "entity", "agent")
EMPTY = ANSWER_KINDS.index("empty") - ANSWER_EXTRA
SURE = 3.0
HELD = 1.5
"""These four as in ``gnn.py``."""


class Scores(NamedTuple):
    """What the network says, as log-odds; see ``gnn.Scores``."""

    expected: Floats
    gain: Floats
    right: Floats


class NumpyGNN:
    """Runs the weights of a ``RouterGNN``, or of several.

    Args:
        weights: The parameters, by the names of the ``state_dict``; of several networks, stacked along a
            first axis.
    """

    def __init__(self, weights: Mapping[str, npt.NDArray[np.floating]]) -> None:
        self._w = members_of(weights)
        self._layers, self._grown = (
            [
                f"{part}.{i}"
                for i in range(len({n.split(".")[1] for n in self._w if n.startswith(f"{part}.")}))
            ]
            for part in ("conv", "grown")
        )
        self._last_team: tuple[Floats, Floats] | None = None

    def needs(self) -> list[str]:
        """Return the names of all parameters that ``forward`` reads."""
        stages = (
            (self._layers or ["conv.0"], BASE_NODES, BASE_TYPES),
            (self._grown or ["grown.0"], NODE_TYPES, GROWN_TYPES),
        )
        linear = ["suits", "plain", "join", *(f"lin.{kind}" for kind in NODE_TYPES)]
        linear += [f"{head}.{i}" for head in ("expected", "voice", "right", "gain") for i in (0, 3)]
        linear += [
            f"{layer}.root.{kind}" for layers, nodes, _ in stages for layer in layers for kind in nodes
        ]
        linear += [f"{layer}.norm.{kind}" for layer in stages[1][0] for kind in NODE_TYPES]
        relations = [
            f"{layer}.relation.{'__'.join(kind)}.weight"
            for layers, _, edges in stages
            for layer in layers
            for kind in edges
        ]
        parts = [f"{name}.{part}" for name in linear for part in ("weight", "bias")]
        return ["belief", "echo", *relations, *parts]

    def forward(self, batch: GraphBatch) -> Scores:
        """Score every agent and every answer, as ``RouterGNN.forward`` does in evaluation mode.

        Args:
            batch: One graph or a union of graphs, from ``knowledge.hetero.collate``.

        Returns:
            Log-odds per agent node and per answer node. Shapes: ``(agents,)`` twice and ``(answers,)``.
        """
        return self.grow(self.base(batch), batch)

    def base(self, batch: GraphBatch) -> Base:
        """Run the first stage, which needs no answers.

        Args:
            batch: The graphs.

        Returns:
            What the second stage goes on from.
        """
        start = {kind: self._input(kind, batch.x[kind]) for kind in ("query", "entity") if len(batch.x[kind])}
        start["agent"] = self._agents(batch)
        h = self._passed(start, batch, self._layers, BASE_TYPES)
        of, suits = batch.batch["agent"], batch.suits
        agent, query = h["agent"], h["query"][:, of]
        known = np.maximum(self._linear("suits", suits), 0.0)
        features = np.concatenate([agent, query, agent * query, known], axis=-1)
        hopes = self._w["belief"] @ suits[:, :4].T + self._head("expected", features)
        mate = start["agent"] + start["agent"] * start["query"][:, of]
        voice = suits[:, VOICE] + self._head("voice", np.concatenate([mate, known], axis=-1))
        return Base(start, hopes, known, mate, voice)

    def grow(self, base: Base, batch: GraphBatch) -> Scores:
        """Run the second stage: answers have joined the graphs.

        Args:
            base: What ``base`` made of the same graphs.
            batch: The graphs with their answers.

        Returns:
            Log-odds per agent node and per answer node.
        """
        giver, of, in_graph = batch.gave, batch.batch["agent"], batch.batch["answer"]
        if not len(giver):
            return Scores(base.expected, base.expected, np.zeros(0, np.float32))
        graphs = batch.size
        there = np.bincount(in_graph, minlength=graphs)
        size = there[in_graph].astype(np.float32)[:, None]
        first, own = base.hopes[:, giver], base.voice[:, giver]
        chance = _sigmoid(first)
        signal = np.stack([chance, np.clip(first, -SURE, SURE), own], axis=-1)
        behind = [summed(batch, kind, signal) * size for kind in COMPARED]
        worth = np.stack([np.bincount(in_graph, weights=each, minlength=graphs) for each in chance])
        worth = worth[:, in_graph, None]
        sizes = np.broadcast_to(size, worth.shape)
        backing = np.concatenate([np.concatenate(behind, axis=-1) / 3.0, worth / 5.0, sizes / 5.0], axis=-1)
        backing = backing.astype(np.float32)
        mate, rest = base.mate[:, giver], first[..., None]
        x = batch.x["answer"]
        said = [
            self._input("answer", x[:, :-ANSWER_EXTRA]),
            np.maximum(self._linear("plain", x[:, -ANSWER_EXTRA:]), 0.0),
        ]
        parts = [*said, mate, base.known[:, giver], backing, rest]
        h = {**base.h, "answer": np.maximum(self._linear("join", np.concatenate(parts, axis=-1)), 0.0)}
        h = self._passed(h, batch, self._grown, GROWN_TYPES)

        echo = sum(self._w["echo"][:, i, None] * part[..., 2] for i, part in enumerate(behind))
        features = np.concatenate([h["answer"], mate, backing, rest], axis=-1)
        right = np.asarray(first + own + echo + self._head("right", features), dtype=np.float32)

        best, held = _held(np.where(x[:, EMPTY] > 0, -np.inf, right), h["answer"], in_graph, graphs)
        query = h["query"][:, of]
        features = np.concatenate(
            [
                h["agent"],
                h["agent"] * query,
                base.known,
                query,
                held[:, of],
                base.hopes[..., None],
                _sigmoid(best)[:, of, None],
            ],
            axis=-1,
        )
        adds = base.hopes - HELD * (there > 0)[of] + self._head("gain", features)
        return Scores(base.expected, mean(np.where(np.isfinite(best)[:, of], adds, base.hopes)), mean(right))

    def _passed(
        self, h: dict[str, Floats], batch: GraphBatch, layers: list[str], edges: tuple[EdgeType, ...]
    ) -> dict[str, Floats]:
        """Pass messages, once per layer."""
        ties = [
            (kind[0], kind[2], "__".join(kind), Sums(batch, kind))
            for kind in edges
            if batch.edges[kind].index.shape[1] and kind[0] in h
        ]
        for layer in layers:
            update = {kind: self._linear(f"{layer}.root.{kind}", x) for kind, x in h.items()}
            for source, target, key, sums in ties:
                weight = self._w[f"{layer}.relation.{key}.weight"]
                few = h[source].shape[1] < h[target].shape[1]
                update[target] += (
                    sums(product(h[source], weight)) if few else product(sums(h[source]), weight)
                )
            h = {kind: x + np.maximum(update[kind], 0.0) for kind, x in h.items()}
            if layers is self._grown:
                h = {kind: self._norm(f"{layer}.norm.{kind}", x) for kind, x in h.items()}
        return h

    def _input(self, kind: str, x: Floats) -> Floats:
        return np.maximum(self._linear(f"lin.{kind}", x), 0.0)

    def _agents(self, batch: GraphBatch) -> Floats:
        if batch.team is None:
            return self._input("agent", batch.x["agent"])
        # A team's agents are the same nodes in every query: project them once.
        last = self._last_team  # read once: another thread may be routing for another team
        if last is None or last[0] is not batch.team:
            last = self._last_team = (batch.team, self._input("agent", batch.team))
        return np.tile(last[1], (1, batch.size, 1)) if batch.size > 1 else last[1]

    def _linear(self, name: str, x: Floats) -> Floats:
        return product(x, self._w[f"{name}.weight"]) + self._w[f"{name}.bias"][:, None]

    def _norm(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + LAYER_NORM_EPSILON)
        weight, bias = (self._w[f"{name}.{part}"][:, None] for part in ("weight", "bias"))
        return np.asarray(centred / spread * weight + bias)

    def _head(self, name: str, x: Floats) -> Floats:
        return self._linear(f"{name}.3", np.maximum(self._linear(f"{name}.0", x), 0.0))[..., 0]


def _held(
    looks: Floats, answer: Floats, in_graph: npt.NDArray[np.int64], graphs: int
) -> tuple[Floats, Floats]:
    """Find the answer that looks best in each graph, to each member.

    Args:
        looks: Log-odds per answer, ``-inf`` for an empty one. Shapes: ``(members, answers)``.
        answer: What the answers came to. Shapes: ``(members, answers, hidden)``.
        in_graph: The graph of each answer. Shapes: ``(answers,)``.
        graphs: How many graphs there are.

    Returns:
        Its log-odds, ``-inf`` where there is none, and what it came to, zeros where there is none. Shapes:
        ``(members, graphs)``, ``(members, graphs, hidden)``.
    """
    best = np.full((len(looks), graphs), -np.inf, np.float32)
    held = np.zeros((len(looks), graphs, answer.shape[2]), np.float32)
    for member, seen in enumerate(looks):
        np.maximum.at(best[member], in_graph, seen)
        is_best = np.flatnonzero((seen == best[member][in_graph]) & np.isfinite(seen))
        where, first_of = np.unique(in_graph[is_best], return_index=True)
        held[member, where] = answer[member, is_best[first_of]]
    return best, held


def _sigmoid(x: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-x)), dtype=np.float32)
