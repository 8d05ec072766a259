"""The trained network without torch: the same forward pass in numpy.

Deciding must start in a fraction of a second, and importing torch alone takes several. A test holds this
file and ``gnn.py`` within 1e-5 of each other on random graphs, empty node types included.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.graph import EDGE_TYPES, NODE_TYPES, EdgeType, Floats
from agentroute.knowledge.hetero import GraphBatch

LAYER_NORM_EPSILON = 1e-5
"""torch.nn.LayerNorm's default."""

ONE_THREAD = 2**18
"""Multiplications up to which OpenBLAS keeps a product in one thread. Layers this small gain nothing from a
second one, and on a busy machine each product would wait milliseconds for it."""


class NumpyGNN:
    """Runs the weights of a ``RouterGNN``.

    Args:
        weights: The network's parameters, by the names of its ``state_dict``.
    """

    def __init__(self, weights: Mapping[str, npt.NDArray[np.floating]]) -> None:
        self._w = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in weights.items()}
        self._layers = len({name.split(".")[1] for name in self._w if name.startswith("conv.")})
        self._last_team: tuple[Floats, Floats] | None = None

    def needs(self) -> list[str]:
        """Return the names of all parameters that ``forward`` reads."""
        layers = [f"conv.{layer}" for layer in range(self._layers)]
        linear = ["suits", "gain.0", "gain.2", "right.0", "right.2"]
        linear += [f"lin.{kind}" for kind in NODE_TYPES]
        linear += [
            f"{layer}.{part}.{kind}" for layer in layers for part in ("root", "norm") for kind in NODE_TYPES
        ]
        relations = [f"{layer}.relation.{'__'.join(kind)}.weight" for layer in layers for kind in EDGE_TYPES]
        return ["belief", *relations, *(f"{name}.{part}" for name in linear for part in ("weight", "bias"))]

    def forward(self, batch: GraphBatch) -> tuple[Floats, Floats]:
        """Score every agent and every answer, as ``RouterGNN.forward`` does in evaluation mode.

        Args:
            batch: One graph or a union of graphs, from ``knowledge.hetero.collate``.

        Returns:
            Log-odds per agent node and per answer node. Shapes: ``(agents,)`` and ``(answers,)``.
        """
        h = {kind: self._input(kind, batch.x[kind]) for kind in NODE_TYPES if len(batch.x[kind])}
        ties = [
            (source, target, "__".join((source, name, target)), _Means(batch, (source, name, target)))
            for source, name, target in EDGE_TYPES
            if batch.edges[source, name, target][0].shape[1]
        ]
        for layer in range(self._layers):
            update = {kind: self._linear(f"conv.{layer}.root.{kind}", x) for kind, x in h.items()}
            for source, target, key, means in ties:
                update[target] += _product(means(h[source]), self._w[f"conv.{layer}.relation.{key}.weight"])
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
        return _product(x, self._w[f"{name}.weight"]) + self._w[f"{name}.bias"]

    def _norm(self, name: str, x: Floats) -> Floats:
        centred = x - x.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=1, keepdims=True) + LAYER_NORM_EPSILON)
        return np.asarray(centred / spread * self._w[f"{name}.weight"] + self._w[f"{name}.bias"])

    def _head(self, name: str, x: Floats) -> Floats:
        return self._linear(f"{name}.2", np.maximum(self._linear(f"{name}.0", x), 0.0))[:, 0]


def _product(x: Floats, weight: Floats) -> Floats:
    """Return ``x @ weight.T``, in pieces of rows."""
    out = np.empty((len(x), len(weight)), dtype=np.float32)
    rows = max(1, ONE_THREAD // weight.size)
    for start in range(0, len(x), rows):
        np.matmul(x[start : start + rows], weight.T, out=out[start : start + rows])
    return out


class _Means:
    """Weighted means over the ties of one type: a small dense matrix per graph, made once for all layers."""

    def __init__(self, batch: GraphBatch, kind: EdgeType) -> None:
        (source, target), weight = batch.edges[kind]
        graphs = int(batch.batch["query"][-1]) + 1
        sources, targets = (np.bincount(batch.batch[node], minlength=graphs) for node in (kind[0], kind[2]))
        ends, starts = (np.concatenate([[0], np.cumsum(n)]) for n in (targets, sources))
        block = np.concatenate([[0], np.cumsum(targets * sources)])
        graph = batch.batch[kind[2]][target]
        cell = block[graph] + (target - ends[graph]) * sources[graph] + source - starts[graph]
        # Two nodes may be tied twice, so that cells are summed; the mean is over ties, whatever they weigh.
        share = weight / np.bincount(target, minlength=len(batch.batch[kind[2]]))[target]
        cells = np.bincount(cell, weights=share, minlength=int(block[-1])).astype(np.float32)
        self._rows = int(ends[-1])
        self._blocks = [
            (
                slice(ends[g], ends[g + 1]),
                slice(starts[g], starts[g + 1]),
                part.reshape(targets[g], sources[g]),
            )
            for g in range(graphs)
            if (part := cells[block[g] : block[g + 1]]).size
        ]

    def __call__(self, h: Floats) -> Floats:
        means = np.zeros((self._rows, h.shape[1]), dtype=np.float32)
        for rows, columns, part in self._blocks:
            np.matmul(part, h[columns], out=means[rows])
        return means
