"""What the network says of recorded queries as their graphs grow, each state looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.graph import BASE, FORWARD, Floats, Indices, KnowledgeGraph
from agentroute.knowledge.hetero import Mask, PackedGraphs
from agentroute.outcomes import OutcomeTable
from agentroute.routing.base import Base
from agentroute.routing.policy import Table
from agentroute.routing.runtime import NumpyGNN
from agentroute.types import Answer, Usage

BATCH = 128
"""Graphs in one forward pass: enough to share the overhead, few enough to stay in the cache."""

GROWN = tuple(kind for kind in FORWARD if kind not in BASE or kind[1] == "suits")
"""The ties that the network's second stage reads."""


def recorded_answers(table: OutcomeTable, row: int) -> list[Answer]:
    """Return what the agents said to one query, as a run would have got it.

    Args:
        table: Recorded outcomes.
        row: The query.

    Returns:
        One answer per agent that ran; one without text did not answer.
    """
    said, tokens = table.answers[row], table.output_tokens[row]
    return [
        Answer(
            agent=spec.id,
            text=said[i] or "",
            status="ok" if (said[i] or "").strip() else "skipped",
            error=None if (said[i] or "").strip() else "declined",
            usage=Usage(output_tokens=None if np.isnan(tokens[i]) else int(tokens[i])),
        )
        for i, spec in enumerate(table.agents)
        if not np.isnan(table.score[row, i])
    ]


def ran(answer: Answer) -> bool:
    """Return whether an agent ran: it answered, or had nothing to say.

    Only then is it part of the graph. One that did not run is no empty answer, here as in training.
    """
    return answer.status == "ok" or (answer.status == "skipped" and answer.error == "declined")


def grow_all(
    builder: GraphBuilder, graphs: Sequence[KnowledgeGraph], table: OutcomeTable
) -> list[KnowledgeGraph]:
    """Add every recorded answer to the graphs of a table.

    Args:
        builder: Who built the graphs.
        graphs: One graph per query, without answers.
        table: Recorded outcomes of the same queries.

    Returns:
        The grown graphs; the same ones where no answers were recorded as text.
    """
    if not table.has_answers:
        return list(graphs)
    return [
        builder.grow(graph, record.query, recorded_answers(table, row))
        for row, (graph, record) in enumerate(zip(graphs, table.queries, strict=True))
    ]


class Growth:
    """The network's view of recorded queries, whoever has answered.

    Args:
        networks: The trained network; or several, each of which has not seen its own part of the queries.
        graphs: The graphs of the queries, fully grown.
        part: The network of each query. Shapes: ``(queries,)``.
    """

    def __init__(
        self, networks: NumpyGNN | Sequence[NumpyGNN], graphs: PackedGraphs, part: Indices | None = None
    ) -> None:
        self._networks = [networks] if isinstance(networks, NumpyGNN) else list(networks)
        self._graphs = graphs
        self._part = np.zeros(len(graphs), np.int64) if part is None else part
        self._columns: Indices | None = None
        # Shared by those among fewer agents: their states are states of the whole team.
        self._seen: dict[tuple[int, bytes], tuple[Floats, Floats]] = {}
        nobody = np.zeros((BATCH, graphs.agents), bool)
        rows = np.argsort(self._part, kind="stable")
        found = [
            network.base(graphs.batch(chunk, nobody[: len(chunk)], BASE))
            for i, network in enumerate(self._networks)
            for chunk in _chunks(rows[self._part[rows] == i])
        ]
        # Back into the order of the graphs, node by node.
        back = {kind: np.argsort(nodes, kind="stable") for kind, nodes in graphs.nodes(rows).items()}
        self._base = Base.join(found).take(back)

    @property
    def expected(self) -> Floats:
        """Log-odds of each agent's score, before any answer. Shapes: ``(queries, agents)``."""
        found = self._base.expected.reshape(len(self._graphs), -1)
        return found if self._columns is None else found[:, self._columns]

    def among(self, columns: Indices) -> Growth:
        """Look at the same graphs, of which only some agents may be asked.

        Args:
            columns: The positions of those agents in the whole team.

        Returns:
            A view of them alone; the others stay in the graphs, and never answer.
        """
        other = copy(self)
        other._columns = columns
        return other

    def look(self, rows: Indices, answered: Mask) -> tuple[Floats, Floats]:
        """Say what agents would add and how good answers are, in graphs as they stand.

        Args:
            rows: Positions of queries.
            answered: The agents that have been asked. Shapes: ``(rows, agents)``.

        Returns:
            Log-odds of each agent's gain, and of each answer being right, ``-inf`` where there is none.
            Shapes: ``(rows, agents)`` twice.
        """
        if self._columns is not None:
            whole = np.zeros((len(rows), self._graphs.agents), bool)
            whole[:, self._columns] = answered
            answered = whole
        keys = [(row, mask.tobytes()) for row, mask in zip(rows.tolist(), answered, strict=True)]
        fresh = {key: i for i, key in enumerate(keys) if key not in self._seen}
        wanted = np.array(list(fresh.values()), dtype=np.int64)
        for places in (chunk for i in self._each(rows, wanted) for chunk in _chunks(i)):
            gain, right = self._forward(rows[places], answered[places])
            for place, one, other in zip(places.tolist(), gain, right, strict=True):
                self._seen[keys[place]] = (one, other)
        found = [self._seen[key] for key in keys]
        gains, rights = np.zeros((2, *answered.shape), np.float32)
        if found:
            gains, rights = (np.stack(side) for side in zip(*found, strict=True))
        if self._columns is None:
            return gains, rights
        return gains[:, self._columns], rights[:, self._columns]

    def _each(self, rows: Indices, wanted: Indices) -> list[Indices]:
        """Split some places by the network that they need."""
        return [wanted[self._part[rows[wanted]] == i] for i in range(len(self._networks))]

    def _forward(self, rows: Indices, answered: Mask) -> tuple[Floats, Floats]:
        batch = self._graphs.batch(rows, answered, GROWN)
        scores = self._networks[self._part[rows[0]]].grow(self._base.take(self._graphs.nodes(rows)), batch)
        right = np.full(answered.size, -np.inf, np.float32)
        right[batch.gave] = scores.right
        return scores.gain.reshape(answered.shape), right.reshape(answered.shape)


def calibrated(logits: Table, scale: float, shift: float) -> Table:
    """Return chances from log-odds; ``-inf`` gives -1, since no answer is no wrong answer."""
    some = np.isfinite(logits)
    z = scale * np.where(some, logits, 0.0).astype(np.float64) + shift
    return np.where(some, 1.0 / (1.0 + np.exp(-np.clip(z, -500.0, 500.0))), -1.0)


def _chunks(rows: Indices) -> list[Indices]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
