"""Routing before any training: by what the agents say of themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentroute.knowledge.extract import RuleExtractor
from agentroute.knowledge.graph import Floats, KnowledgeGraph
from agentroute.routing.deciding import DecidingRouter
from agentroute.routing.policy import Policy, TopK
from agentroute.types import Embedder, Extractor


class CardRouter(DecidingRouter):
    """Ranks agents by how like the query their cards and examples are; claims no skill.

    Args:
        embedder: Makes the vectors.
        extractor: Finds the entities; by default the rule extractor.
        policy: By default the best three.
    """

    def __init__(
        self, embedder: Embedder, extractor: Extractor | None = None, policy: Policy | None = None
    ) -> None:
        super().__init__(
            embedder, extractor or RuleExtractor(), policy or TopK(k=3, temperature=0.5), version="cards"
        )

    @property
    def keeps_weights(self) -> bool:
        """Whether one answer is enough, and votes weigh what they weighed when the wave was selected."""
        return type(self.policy).wave is Policy.wave and not self.policy.looks

    def logits(self, graphs: Sequence[KnowledgeGraph]) -> Floats:
        """Score the agents by likeness; these are not chances, only an order.

        Args:
            graphs: Graphs from this router's ``builder``.

        Returns:
            Shapes: ``(graphs, agents)``.
        """
        likeness = np.stack([graph.suits[:, -2:] for graph in graphs])
        return np.asarray(4.0 * (likeness.max(axis=2) - 0.5), dtype=np.float32)
