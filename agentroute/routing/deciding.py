"""What every router of ours does alike: hold a team's graphs, score them, and turn scores into a decision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from agentroute.errors import InputError, QueryError
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.graph import Floats, KnowledgeGraph
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.team import Team
from agentroute.routing.choose import ROUNDS
from agentroute.routing.policy import Mask, Policy, Table
from agentroute.types import AgentSpec, Answer, Embedder, Extractor, Limits, Query, Ranked, RoutingDecision

BATCH = 128
"""Graphs in one forward pass: enough to share the overhead, few enough to stay in the cache."""

TEAMS_KEPT = 4
"""Teams whose vectors a router holds on to."""

TYPICAL_TOKENS = (600, 300)
"""Input and output tokens that a price card is turned into dollars with, where no outcome tells."""


class DecidingRouter(ABC):
    """Scores become a decision here; how to score is left to the classes below.

    Args:
        embedder: Makes query and card vectors.
        extractor: Finds the entities.
        policy: Whom to ask, given scores.
        record: What the agents scored before, if anything is known.
        version: Names this router in decisions.
    """

    def __init__(
        self,
        embedder: Embedder,
        extractor: Extractor,
        policy: Policy,
        record: TrackRecord | None = None,
        version: str = "",
    ) -> None:
        self.embedder, self.extractor, self.policy = embedder, extractor, policy
        self.record, self.version = record, version
        self.rounds = ROUNDS
        self._builders: list[GraphBuilder] = []

    @abstractmethod
    def logits(self, graphs: Sequence[KnowledgeGraph]) -> Floats:
        """Score the agents of some graphs of one team.

        Args:
            graphs: Graphs from this router's ``builder``.

        Returns:
            Log-odds of each agent's expected score. Shapes: ``(graphs, agents)``.
        """

    def builder(self, agents: Sequence[AgentSpec]) -> GraphBuilder:
        """Return the graph builder of a team; its vectors are computed once per registry.

        Args:
            agents: The registry rows.

        Returns:
            The builder.

        Raises:
            InputError: There are no agents.
        """
        specs = tuple(agents)
        for found in self._builders:
            # Tuples compare by identity first: the same registry costs one glance per agent.
            if found.team.specs == specs:
                return found
        if not specs:
            raise InputError("there are no agents to route among; the registry needs at least one")
        made = GraphBuilder(Team.build(specs, self.embedder), self.embedder, self.extractor, self.record)
        self._builders = [made, *self._builders[: TEAMS_KEPT - 1]]
        return made

    def score(self, queries: Sequence[Query], agents: Sequence[AgentSpec]) -> Floats:
        """Score every agent on every query, before any answer.

        Args:
            queries: The queries.
            agents: The registry rows.

        Returns:
            Log-odds of each agent's expected score. Shapes: ``(queries, agents)``.
        """
        builder = self.builder(agents)
        starts = range(0, len(queries), BATCH)
        parts = [self.logits(builder.build(queries[start : start + BATCH])) for start in starts]
        return np.concatenate(parts) if parts else np.zeros((0, len(agents)), np.float32)

    def cost(self, agents: Sequence[AgentSpec]) -> Table:
        """Return the expected price of asking each agent.

        Args:
            agents: The registry rows.

        Returns:
            US dollars from recorded outcomes, else from the price card, else NaN. Shapes: ``(agents,)``.
        """
        record = self.record
        recorded = dict(zip(record.agents, record.cost_usd.tolist(), strict=True)) if record else {}
        costs = [recorded.get(spec.id, np.nan) for spec in agents]
        return np.array([_card_cost(s) if np.isnan(c) else c for s, c in zip(agents, costs, strict=True)])

    def route(
        self,
        query: Query,
        agents: Sequence[AgentSpec],
        *,
        answers: Sequence[Answer] = (),
        limits: Limits = Limits(),
        round: int = 1,
        budget_left_usd: float | None = None,
    ) -> RoutingDecision:
        """Decide one round; see ``types.Router``.

        One answer is enough to stop. While there is none, the next round asks those not asked before.

        Args:
            query: What is asked.
            agents: Who may be asked.
            answers: What came back in earlier rounds.
            limits: The run's caps.
            round: 1 for the first decision of a run.
            budget_left_usd: US dollars not yet spent, or ``None`` without a cap.

        Returns:
            The decision.

        Raises:
            QueryError: The query is empty.
        """
        if not query.text.strip():
            raise QueryError("the query is empty; ask something")
        builder = self.builder(agents)
        logits = self.logits(builder.build([query]))
        cost = self.cost(agents)
        place = {spec.id: i for i, spec in enumerate(agents)}
        asked, spoke = np.zeros((2, len(agents)), dtype=bool)
        asked[[place[a.agent] for a in answers if a.agent in place]] = True
        spoke[[place[a.agent] for a in answers if a.agent in place and a.status == "ok"]] = True
        # An unknown price is the budget's business, not the router's: NaN is not above any cap.
        dear = cost > (np.inf if budget_left_usd is None else budget_left_usd)
        stop = bool(spoke.any())
        chosen = spoke
        if not stop:
            free = ~asked & ~dear & (round <= self.rounds)
            if free.any():
                chosen = self.policy.select(logits, cost, free[None])[0] & free
                chosen = _best(chosen, logits[0], limits.max_agents)
        weights = self.policy.weights(logits, chosen[None])[0]
        chance = 1.0 / (1.0 + np.exp(-logits[0].astype(np.float64)))
        order = np.argsort(-logits[0], kind="stable").tolist()
        ids = [spec.id for spec in agents]
        prices = [None if np.isnan(c) else float(c) for c in cost]
        spent = [prices[i] for i in order if chosen[i]]
        return RoutingDecision(
            ranking=tuple(
                Ranked(
                    agent=ids[i],
                    score=float(chance[i]),
                    cost_usd=prices[i],
                    reason=_place(asked[i], chosen[i], dear[i]),
                )
                for i in order
            ),
            selected=tuple((ids[i], float(weights[i])) for i in order if chosen[i]),
            expected_score=float(weights @ chance) if chosen.any() else None,
            expected_cost_usd=None if None in spent else sum(price for price in spent if price is not None),
            coverage=float(self.policy.weights(logits, asked[None])[0][spoke].sum()) if asked.any() else 1.0,
            stop=stop,
            abstained=not chosen.any(),
            reason=_why(stop, chosen, asked, round > self.rounds),
            round=round,
            router_version=self.version,
            registry_hash=builder.team.hash,
        )


def _place(asked: bool, chosen: bool, dear: bool) -> str:
    if asked:
        return "asked before"
    return "selected" if chosen else "costs more than is left" if dear else "others score higher"


def _why(stop: bool, chosen: Mask, asked: Mask, over: bool) -> str:
    if stop:
        return "there is an answer, and one round is all this policy asks for"
    if chosen.any():
        return "nobody has answered yet, so others are asked" if asked.any() else "the first round"
    if over:
        return "nobody has answered, and this router's rounds are over"
    return "everybody was asked" if asked.all() else "nobody who is left fits the budget"


def _best(chosen: Mask, logits: Floats, most: int) -> Mask:
    """Keep the best ``most`` of a selection."""
    if chosen.sum() <= most:
        return chosen
    kept = np.zeros_like(chosen)
    kept[np.argsort(np.where(chosen, -logits, np.inf), kind="stable")[:most]] = True
    return kept


def _card_cost(spec: AgentSpec) -> float:
    price = spec.price
    if price is None:
        return float("nan")
    if price.call is not None:
        return price.call
    if price.input is None or price.output is None:
        return float("nan")
    return (price.input * TYPICAL_TOKENS[0] + price.output * TYPICAL_TOKENS[1]) / 1e6
