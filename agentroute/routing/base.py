"""What the first stage of the network leaves to the second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.routing.committee import mean


class Base(NamedTuple):
    """What the first stage made of some graphs: it holds for every answer that may join them.

    Args:
        h: The nodes as they entered the network. Shapes: ``(members, nodes, hidden)``.
        hopes: Log-odds per agent node. Shapes: ``(members, agents)``.
        known: What the record adds. Shapes: ``(members, agents, hidden)``.
        mate: The agents as the question sees them. Shapes: ``(members, agents, hidden)``.
        voice: The weight of each agent's word. Shapes: ``(members, agents)``.
    """

    h: dict[str, Floats]
    hopes: Floats
    known: Floats
    mate: Floats
    voice: Floats

    @property
    def expected(self) -> Floats:
        """Log-odds per agent node, the mean of all members. Shapes: ``(agents,)``."""
        return mean(self.hopes)

    @classmethod
    def join(cls, parts: Sequence[Base]) -> Base:
        """Put batches one after the other.

        Args:
            parts: What the first stage made of each batch; at least one.

        Returns:
            One for all.
        """
        kinds = {kind for part in parts for kind in part.h}
        return cls(
            {
                kind: np.concatenate([part.h[kind] for part in parts if kind in part.h], axis=1)
                for kind in kinds
            },
            *(np.concatenate(columns, axis=1) for columns in zip(*(part[1:] for part in parts), strict=True)),
        )

    def take(self, nodes: Mapping[str, Indices]) -> Base:
        """Keep some nodes.

        Args:
            nodes: Positions per node type.

        Returns:
            Their part.
        """
        agents = nodes["agent"]
        return Base(
            {kind: x[:, nodes[kind]] for kind, x in self.h.items() if len(nodes[kind])},
            *(values[:, agents] for values in self[1:]),
        )
