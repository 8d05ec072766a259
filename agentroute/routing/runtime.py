"""The trained network without torch: the same forward pass in numpy.

Deciding must start in a fraction of a second, and importing torch alone takes several. A test holds this
file and ``gnn.py`` within 1e-5 of each other on random graphs, empty node types included.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.graph import EDGE_TYPES, NODE_TYPES, Floats, Indices
from agentroute.knowledge.hetero import GraphBatch

LAYER_NORM_EPSILON = 1e-5
"""torch.nn.LayerNorm's default."""


class NumpyGNN:
    """Runs the weights of a ``RouterGNN``.

    Args:
        weights: The network's parameters, by the names of its ``state_dict``.
    """

    def __init__(self, weights: Mapping[str, npt.NDArray[np.floating]]) -> None:
        self._w = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}
        self._layers = len({name.split(".")[1] for name in self._w if name.startswith("conv.")})
        self._last_team: tuple[Floats, Floats] | None = None

    def forward(self, batch: GraphBatch) -> tuple[Floats, Floats]:
        """Score every agent and every answer, as ``RouterGNN.forward`` does in evaluation mode.

        Args:
            batch: One graph or a union of graphs, from ``knowledge.hetero.collate``.

        Returns:
            Log-odds per agent node and per answer node. Shapes: ``(agents,)`` and ``(answers,)``.
        """
        h = {kind: self._input(kind, batch.x[kind]) for kind in NODE_TYPES if len(batch.x[kind])}
        edges = [(e, *batch.edges[e]) for e in EDGE_TYPES if batch.edges[e][0].shape[1]]
        sums = [
            (source, target, "__".join((source, name, target)), index, weight, _Mean(index[1]))
            for (source, name, target), index, weight in edges
        ]
        for layer in range(self._layers):
            update = {kind: self._linear(f"conv.{layer}.root.{kind}", x) for kind, x in h.items()}
            for source, target, key, index, weight, mean in sums:
                message = h[source][index[0]] * weight[:, None]
                rows, means = mean(message)
                update[target][rows] += means @ self._w[f"conv.{layer}.relation.{key}.weight"].T
            h = {
                kind: self._norm(f"conv.{layer}.norm.{kind}", x + np.maximum(update[kind], 0.0))
                for kind, x in h.items()
            }
        agent, query = h["agent"], h["query"][batch.batch["agent"]]
        suits = batch.suits
        known = np.maximum(self._linear("suits", suits), 0.0)
        features = np.concatenate([agent, query, agent * query, known], axis=1)
        gain = suits[:, :3] @ self._w["belief"] + self._head("gain", features)
        if "answer" not in h:
            return gain, np.zeros(0, np.float32)
        giver = batch.gave
        features = np.concatenate([h["answer"], agent[giver], h["query"][batch.batch["answer"]]], axis=1)
        return gain, gain[giver] + self._head("right", features)

    def _input(self, kind: str, x: Floats) -> Floats:
        if kind != "agent":
            return np.maximum(self._linear(f"lin.{kind}", x), 0.0)
        # A team's agents are the same nodes in every query: project them once.
        last = self._last_team  # read once: another thread may be routing for another team
        if last is None or last[0] is not x:
            last = self._last_team = (x, np.maximum(self._linear("lin.agent", x), 0.0))
        return last[1]

    def _linear(self, name: str, x: Floats) -> Floats:
        return np.asarray(x @ self._w[f"{name}.weight"].T + self._w[f"{name}.bias"])

    def _norm(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
        return np.asarray(centred / spread * self._w[f"{name}.weight"] + self._w[f"{name}.bias"])

    def _head(self, name: str, x: Floats) -> Floats:
        return self._linear(f"{name}.2", np.maximum(self._linear(f"{name}.0", x), 0.0))[:, 0]


class _Mean:
    """Means of rows that share a target; the sorting is done once for all layers."""

    def __init__(self, target: Indices) -> None:
        self._order = np.argsort(target, kind="stable")
        ordered = target[self._order]
        self._starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        self._rows = ordered[self._starts]
        self._counts = np.diff(self._starts, append=len(target)).astype(np.float32)[:, None]

    def __call__(self, message: Floats) -> tuple[Indices, Floats]:
        sums = np.add.reduceat(message[self._order], self._starts, axis=0)
        return self._rows, np.asarray(sums / self._counts, dtype=np.float32)
