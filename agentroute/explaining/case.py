"""One decision that is to be explained, ready to be made again with something changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.graph import Floats, KnowledgeGraph
from agentroute.routing.deciding import DecidingRouter
from agentroute.types import AgentSpec, Embedder, Limits, Query, RoutingDecision


class Remembering:
    """An embedder that asks another once for each text: most of what changes leaves the texts alone.

    Args:
        inner: Who embeds.
    """

    def __init__(self, inner: Embedder) -> None:
        self.inner = inner
        self._known: dict[str, Floats] = {}

    @property
    def fingerprint(self) -> str:
        """The inner embedder's."""
        return self.inner.fingerprint

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self.inner.dim

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return one unit vector per text; see ``types.Embedder``."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= zip(new, np.asarray(self.inner.embed(new), np.float32), strict=True)
        return np.array([self._known[text] for text in texts], np.float32).reshape(len(texts), self.dim)


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A decision, and all that it was made of.

    Args:
        router: Who decided.
        query: What was asked.
        agents: Who could be asked.
        limits: The run's caps.
        decision: What was decided.
        whole: The builder of all agents' graphs.
        close: The builder of those that were looked at closely: all but in a large team.
        graph: The graph that was scored.
        logits: The scores. Shapes: ``(agents looked at,)``.
    """

    router: DecidingRouter
    query: Query
    agents: tuple[AgentSpec, ...]
    limits: Limits
    decision: RoutingDecision
    whole: GraphBuilder
    close: GraphBuilder
    graph: KnowledgeGraph
    logits: Floats

    @classmethod
    def of(cls, router: DecidingRouter, query: Query, agents: Sequence[AgentSpec], limits: Limits) -> Case:
        """Decide, as a run's first round does.

        Args:
            router: Who decides.
            query: What is asked.
            agents: Who may be asked.
            limits: The run's caps.

        Returns:
            The case.

        Raises:
            QueryError: The query is empty.
            InputError: There are no agents.
        """
        decision = router.route(query, agents, limits=limits, budget_left_usd=limits.max_cost_usd)
        found = router.builder(agents)
        whole = replace(found, embedder=Remembering(found.embedder))
        ranked = {place.agent for place in decision.ranking}
        rows = np.array([i for i, spec in enumerate(agents) if spec.id in ranked], dtype=np.int64)
        close = whole if len(rows) == len(agents) else whole.take(rows)
        graph = close.build([query])[0]
        return cls(
            router=router.with_builder(whole),
            query=query,
            agents=tuple(agents),
            limits=limits,
            decision=decision,
            whole=whole,
            close=close,
            graph=graph,
            logits=router.logits([graph])[0],
        )

    @property
    def column(self) -> dict[str, int]:
        """Where each agent that was looked at stands."""
        return {agent: i for i, agent in enumerate(self.graph.names["agent"])}

    @property
    def vector(self) -> Floats:
        """The query's vector. Shapes: ``(dim,)``."""
        return self.graph.x["query"][0, : self.whole.embedder.dim]

    def again(
        self,
        *,
        query: Query | None = None,
        builder: GraphBuilder | None = None,
        budget_usd: float | None = None,
    ) -> RoutingDecision:
        """Decide once more, with something changed.

        Args:
            query: In place of the query.
            builder: In place of the graphs' builder; its team may be asked.
            budget_usd: In place of the budget.

        Returns:
            What is decided then.
        """
        router = self.router if builder is None else self.router.with_builder(builder)
        agents = self.agents if builder is None else builder.team.specs
        budget = self.limits.max_cost_usd if budget_usd is None else budget_usd
        return router.route(query or self.query, agents, limits=self.limits, budget_left_usd=budget)

    def score(self, texts: Sequence[str]) -> Floats:
        """Score the agents that were looked at, on other words of the question.

        Args:
            texts: In place of the question; what came along with it stays.

        Returns:
            Log-odds. Shapes: ``(texts, agents looked at)``.
        """
        if not texts:
            return np.zeros((0, len(self.logits)), np.float32)
        return self.router.logits(self.close.build([replace(self.query, text=text) for text in texts]))
