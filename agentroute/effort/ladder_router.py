"""A ladder of agents as a router: the cheapest that should do, and up while a look at its answer says so."""

from __future__ import annotations

import os
from collections.abc import Sequence

from agentroute.effort.plan import moves
from agentroute.effort.signs import Reply, StepView
from agentroute.effort.step_router import StepRouter, signs_for
from agentroute.errors import InputError
from agentroute.types import AgentSpec, Answer, Embedder, Limits, Query, Ranked, RoutingDecision


class LadderRouter:
    """Implements ``types.Router`` over what ``agentroute effort train`` learned, agent and level together.

    The rungs are rows of the registry: whole agents (``--across``), or one row for each level of an agent.
    Every round asks one of them; their answers are the graph that grows, and all calls are billed.

    Args:
        learned: An effort router.
        ladder: Which of its ladders; the only one by default.

    Raises:
        InputError: There is no such ladder, or several to choose from.
    """

    def __init__(self, learned: StepRouter, ladder: str | None = None) -> None:
        found = [plan for plan in learned.plans if ladder in (None, plan.ladder.name)]
        if len(found) != 1:
            names = ", ".join(plan.ladder.name for plan in learned.plans)
            raise InputError(f"ladder is {ladder!r}: name one of {names}")
        self._learned, self._plan = learned, found[0]

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        ladder: str | None = None,
        embedder: Embedder | None = None,
    ) -> LadderRouter:
        """Read a router that was saved; see ``StepRouter.load``."""
        return cls(StepRouter.load(folder, embedder), ladder)

    @property
    def version(self) -> str:
        """Which router this is, for the record."""
        return f"{self._learned.version}/{self._plan.ladder.name}"

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
        """Ask the next rung, or stop with the best answer there is.

        Args:
            query: The question.
            agents: The team; the ladder's rungs must be in it.
            answers: What came back so far.
            limits: The run's caps; the workflow holds them.
            round: 1 for the first decision of a run.
            budget_left_usd: What is left of the budget; the workflow holds it.

        Returns:
            One agent to ask, or a stop with one agent's answer.

        Raises:
            InputError: A rung is missing from the team.
        """
        plan, rungs = self._plan, self._plan.ladder.rungs
        there = {spec.id for spec in agents}
        if missing := [rung.agent for rung in rungs if rung.agent not in there]:
            raise InputError(f"the team lacks {', '.join(missing)}, which this router was trained on")
        said = {answer.agent: answer for answer in answers}
        asked = tuple(
            place
            for place, rung in enumerate(rungs)
            if rung.agent in said and said[rung.agent].status == "ok"
        )
        tried = {place for place, rung in enumerate(rungs) if rung.agent in said}
        replies = [
            Reply(
                answer=said[rungs[place].agent].text,
                tokens=said[rungs[place].agent].usage.output_tokens,
            )
            for place in asked
        ]
        view = StepView(text=query.text, task=query.task)
        at = plan.choice.at
        signs = signs_for(plan, view, asked, replies, self._learned.embedder)
        worth, chances = plan.plan.values(asked, signs, at or 0)
        known = list(zip(moves(asked, plan.plan.rungs), worth[0].tolist(), strict=True))
        up = {move.rung: value for move, value in known if move.ask and move.rung not in tried}
        stops = {move.rung: value for move, value in known if not move.ask}
        if at is None and not asked:  # nothing saves within the loss that is allowed
            up = {max(up): 0.0} if up else {}
        best = max(up, key=lambda place: (up[place], place), default=None)
        kept = max(stops, key=lambda place: (stops[place], place), default=None)
        go_on = best is not None and (kept is None or (at is not None and up[best] >= stops[kept]))
        chosen = best if go_on else kept
        ranking = sorted(
            (
                Ranked(
                    agent=rung.agent,
                    score=float(min(1.0, max(0.0, chances[0, place]))),
                    cost_usd=float(plan.spent[place]) if plan.currency == "cost_usd" else None,
                )
                for place, rung in enumerate(rungs)
            ),
            key=lambda row: -row.score,
        )
        if chosen is None:  # every rung failed
            return RoutingDecision(
                ranking=tuple(ranking),
                selected=(),
                stop=True,
                reason="no rung of the ladder is left",
                round=round,
                router_version=self.version,
            )
        chance = float(min(1.0, max(0.0, chances[0, chosen])))
        return RoutingDecision(
            ranking=tuple(ranking),
            selected=((rungs[chosen].agent, 1.0),),
            expected_score=chance,
            expected_cost_usd=float(plan.spent[chosen]) if go_on and plan.currency == "cost_usd" else None,
            coverage=0.0 if go_on and asked else 1.0,
            stop=not go_on,
            confidence=None if go_on else chance,
            reason="the next rung is worth its price" if go_on else "the answer so far should do",
            round=round,
            router_version=self.version,
        )
