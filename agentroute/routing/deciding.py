"""What every router of ours does alike: hold a team's graphs, score them, and turn scores into a decision."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence, Set
from copy import copy
from typing import Self

import numpy as np

from agentroute.errors import InputError, QueryError
from agentroute.knowledge.build import GraphBuilder
from agentroute.knowledge.graph import Floats, KnowledgeGraph
from agentroute.knowledge.record import TrackRecord
from agentroute.knowledge.team import Team
from agentroute.routing.choice import Choice, agreement
from agentroute.routing.choose import ROUNDS
from agentroute.routing.growth import BATCH
from agentroute.routing.policy import Policy, Table, View
from agentroute.types import (
    THINKING_TOKENS,
    AgentSpec,
    Answer,
    Embedder,
    Extractor,
    Limits,
    Query,
    RoutingDecision,
)

EXACT = 256
"""Agents up to which all of a team are looked at closely."""

SHORTLIST = 96
"""Agents of a larger team that are looked at closely."""

TEAMS_KEPT = 4
"""Teams whose vectors a router holds on to."""

TYPICAL_TOKENS = (600, 300)
"""Input and output tokens that a price card is turned into dollars with, where no outcome tells; to these
come the tokens of thinking at the row's level."""


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
        self.sure_from: float | None = None
        self._builders: list[GraphBuilder] = []
        # The last query's shortlist, so that a later round goes on from it.
        self._narrow: dict[str, tuple[GraphBuilder, Query, Set[str], GraphBuilder]] = {}

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

    def with_builder(self, builder: GraphBuilder) -> Self:
        """Return the same router with one builder at hand, which may read queries in another way.

        Args:
            builder: Used whenever its team is asked for.

        Returns:
            A router; this one stays as it is.
        """
        other = copy(self)
        other._builders, other._narrow = [builder], {}
        return other

    def _narrowed(self, builder: GraphBuilder, query: Query, asked: Set[str]) -> GraphBuilder:
        """Leave out whom a large team has no use for; whoever was asked stays."""
        if len(builder.team.specs) <= EXACT:
            return builder
        last = self._narrow.get("last")  # read once: another thread may be routing another query
        if last is not None and last[0] is builder and last[1] == query and asked <= last[2]:
            return last[3]
        rows = builder.shortlist(query, SHORTLIST)
        if asked:
            before = [i for i, spec in enumerate(builder.team.specs) if spec.id in asked]
            rows = np.union1d(rows, np.array(before, dtype=np.int64))
        made = builder.take(rows)
        self._narrow["last"] = (builder, query, {spec.id for spec in made.team.specs}, made)
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

        Of a large team, ``SHORTLIST`` agents are looked at closely and ranked; the others are left out.

        A policy that looks at answers asks on while that is worth its price. For the others one answer is
        enough; while there is none, the next round asks those not asked before.

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
        builder = self._narrowed(self.builder(agents), query, {answer.agent for answer in answers})
        agents = builder.team.specs
        place = {spec.id: i for i, spec in enumerate(agents)}
        answers = [answer for answer in answers if answer.agent in place]
        asked, spoke = np.zeros((2, len(agents)), dtype=bool)
        asked[[place[answer.agent] for answer in answers]] = True
        spoke[[place[answer.agent] for answer in answers if answer.status == "ok"]] = True
        logits, gain, right = self.look(builder, query, answers)
        cost = self.cost(agents)
        # An unknown price is the budget's business, not the router's: NaN is not above any cap.
        dear = cost > (np.inf if budget_left_usd is None else budget_left_usd)
        over = round > min(self.rounds, limits.max_rounds)
        free = ~asked & ~dear & (not over)
        view = View(
            agents=tuple(place),
            expected=logits[None],
            cost=cost,
            free=free[None],
            asked=asked[None],
            spoke=spoke[None],
            agree=agreement([answer.text for answer in answers if answer.status == "ok"]),
            gain=None if gain is None else gain[None],
            right=None if right is None else np.where(spoke, right, -1.0)[None],
        )
        choice = Choice.of(self.policy, view, answers, most=limits.max_agents, dear=dear, over=over)
        return RoutingDecision(
            **choice.told(),
            assured=choice.surer_than(self.sure_from),
            round=round,
            router_version=self.version,
            registry_hash=builder.team.hash,
        )

    def look(
        self, builder: GraphBuilder, query: Query, answers: Sequence[Answer]
    ) -> tuple[Floats, Table | None, Table | None]:
        """Look at one query's graph as it stands.

        Args:
            builder: Of the team.
            query: The query.
            answers: What came back so far, from agents of the team.

        Returns:
            Log-odds of each agent's score before any answer; then, for a router that judges answers, the
            chance of each agent to add something and of each answer to be right, else ``None`` twice. Shapes:
            ``(agents,)`` each.
        """
        return self.logits(builder.build([query]))[0], None, None


def _card_cost(spec: AgentSpec) -> float:
    price = spec.price
    if price is None:
        return float("nan")
    if price.call is not None:
        return price.call
    if price.input is None or price.output is None:
        return float("nan")
    told, said = TYPICAL_TOKENS
    thought = THINKING_TOKENS[spec.effort.default] if spec.effort else 0
    return (price.input * told + price.output * (said + thought)) / 1e6
