"""A ladder, for a LangGraph server: the cheapest agent first, the next while no answer is good enough.

A router trained into ``routers/workbench`` is used when it is there, held to the preset ``cascade``: it says
how likely each answer is right. Without one an answer is good enough when another agent has given it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from agentroute.answers import group_equal
from agentroute.pipeline import AgentRoute
from agentroute.types import AgentSpec, Answer, Limits, Query, Ranked, Router, RoutingDecision

ROOT = Path(__file__).resolve().parent.parent
ROUTER = ROOT / "routers" / "workbench"
RUNGS = 5
LIMITS = Limits(max_rounds=RUNGS)


class Cascade:
    """Asks one agent a round, the cheapest first, until two answers agree.

    Args:
        inner: Ranks the agents; of equally cheap ones the better is asked first.
    """

    def __init__(self, inner: Router) -> None:
        self._inner = inner

    @property
    def version(self) -> str:
        """Which router this is."""
        return f"cascade/{self._inner.version}"

    def route(
        self,
        query: Query,
        agents: Sequence[AgentSpec],
        *,
        answers: Sequence[Answer] = (),
        limits: Limits = LIMITS,
        round: int = 1,
        budget_left_usd: float | None = None,
    ) -> RoutingDecision:
        """Climb one rung, or stop."""
        first = self._inner.route(query, agents, limits=limits, budget_left_usd=budget_left_usd)
        asked = {answer.agent for answer in answers}
        ladder = sorted((row for row in first.ranking if row.agent not in asked), key=_price)
        given = [answer for answer in answers if answer.status == "ok"]
        groups = group_equal([answer.text for answer in given])
        agreed = len(set(groups)) < len(groups)
        base = replace(
            first, selected=(), stop=False, abstained=False, round=round, router_version=self.version
        )
        if agreed or (given and (not ladder or round > limits.max_rounds)):
            weights = tuple((answer.agent, 1 / len(given)) for answer in given)
            reason = "two answers agree" if agreed else "the ladder ends"
            return replace(base, selected=weights, stop=True, reason=reason)
        if not ladder:
            return replace(base, abstained=True, reason="the ladder ends")
        rung = ladder[0]
        return replace(
            base,
            selected=((rung.agent, 1.0),),
            expected_score=rung.score,
            expected_cost_usd=rung.cost_usd,
            reason="the cheapest not yet asked",
        )


def _price(row: Ranked) -> float:
    return float("inf") if row.cost_usd is None else row.cost_usd


def _team() -> AgentRoute:
    path = ROOT / "agents" / "workbench.yaml"
    if ROUTER.exists():
        return AgentRoute.from_yaml(path, router=ROUTER, preset="cascade", limits=LIMITS)
    ranking = AgentRoute.from_yaml(path).router
    return AgentRoute.from_yaml(path, router=Cascade(ranking), limits=LIMITS)


graph = _team().workflow().compile(name="cascade")
