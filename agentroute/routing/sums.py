"""Messages over the ties of one type: weighted sums of what the sources send."""

from __future__ import annotations

import numpy as np

from agentroute.knowledge.graph import EdgeType, Floats
from agentroute.knowledge.hetero import GraphBatch


def summed(batch: GraphBatch, kind: EdgeType, signal: Floats) -> Floats:
    """Sum what comes in over the edges of one type, for a few numbers per node.

    Args:
        batch: The graphs.
        kind: The type of the edges.
        signal: What the sources send. Shapes: ``(members, sources, d)``.

    Returns:
        Shapes: ``(members, targets, d)``.
    """
    edges = batch.edges[kind]
    (source, target), weight = edges.index, edges.weight * edges.share
    nodes = len(batch.batch[kind[2]])
    out = np.zeros((len(signal), nodes, signal.shape[2]), np.float32)
    if not len(source):
        return out
    for member, sent in enumerate(signal[:, source]):
        for column in range(signal.shape[2]):
            out[member, :, column] = np.bincount(target, weights=sent[:, column] * weight, minlength=nodes)
    return out


class Sums:
    """Weighted sums over the ties of one type: a small dense matrix per graph, made once for all layers.

    Args:
        batch: The graphs.
        kind: The type of the ties.
    """

    def __init__(self, batch: GraphBatch, kind: EdgeType) -> None:
        edges = batch.edges[kind]
        source, target = edges.index
        graphs = batch.size
        sources, targets = (np.bincount(batch.batch[node], minlength=graphs) for node in (kind[0], kind[2]))
        ends, starts = (np.concatenate([[0], np.cumsum(n)]) for n in (targets, sources))
        block = np.concatenate([[0], np.cumsum(targets * sources)])
        graph = batch.batch[kind[2]][target]
        cell = block[graph] + (target - ends[graph]) * sources[graph] + source - starts[graph]
        # Two nodes may be tied twice, so that cells are summed.
        cells = np.bincount(cell, weights=edges.weight * edges.share, minlength=int(block[-1])).astype(
            np.float32
        )
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
        """Return what comes in. Shapes: ``(members, sources, d)`` to ``(members, targets, d)``."""
        sums = np.zeros((len(h), self._rows, h.shape[2]), dtype=np.float32)
        for rows, columns, part in self._blocks:
            np.matmul(part, h[:, columns], out=sums[:, rows])
        return sums
