"""Asking one agent of a wave: its place, its budget, its health, and whatever comes of it as a record."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from agentroute.running.agents import Prepared, run_agent
from agentroute.running.breaker import Breaker
from agentroute.running.calling.client import ClientError
from agentroute.running.calling.faults import one_line
from agentroute.running.context import Run
from agentroute.running.spending.tally import BUDGET, UNKNOWN_CALL, own_usage
from agentroute.running.threads import named
from agentroute.types import Agent, Answer, EffortRouter, Limits


class Asking:
    """Asks the agents of a team, one at a time, within a run.

    Args:
        team: The agents by id.
        effort: Decides the reasoning effort of each model call.
        limits: The caps of each run.
        breaker: Keeps count of failures; ``None`` keeps none.
    """

    def __init__(
        self, team: Mapping[str, Agent], effort: EffortRouter, limits: Limits, breaker: Breaker | None
    ) -> None:
        self._team, self._effort, self._limits, self._breaker = team, effort, limits, breaker

    async def ask(self, name: str, run: Run) -> Answer:
        """Ask one agent; whatever happens becomes an answer.

        Args:
            name: Who.
            run: The run.

        Returns:
            The answer, or why there is none.
        """
        agent = self._team.get(name)
        if agent is None:  # begun with another registry, by another process
            return Answer(agent=name, status="skipped", error="left the team during the run")
        if why := run.refused.get(name):
            return Answer(agent=name, status="skipped", error=f"{BUDGET}: {why}", fault="budget")
        try:
            async with asyncio.timeout(run.seconds_left()):
                await run.places.acquire()
        except TimeoutError:
            return Answer(
                agent=name,
                status="timed_out",
                error="its turn did not come before the run's time was up",
                fault="deadline",
            )
        try:
            return await self._billed(agent, run)
        except Exception as error:  # a check of ours could not be made: nothing of this agent is believed
            return Answer(agent=name, status="failed", error=_unchecked(error), usage=UNKNOWN_CALL)
        finally:
            run.places.release()

    async def _billed(self, agent: Agent, run: Run) -> Answer:
        spec = agent.spec
        try:
            held = await run.hold(spec)
        except ClientError as error:
            return Answer(agent=spec.id, status="skipped", error=f"{BUDGET}: {error}", fault="budget")
        spent, seconds = own_usage(spec), None  # hold when the run is cancelled
        try:
            await self._prepared(agent, run)
            answer = await self._watched(agent, run)
            spent, seconds = answer.usage, answer.latency_s
            return await run.replayed(answer) if spec.kind == "recorded" else answer
        finally:
            if held is not None:
                run.ledger.settle(held, spent, seconds)

    async def _watched(self, agent: Agent, run: Run) -> Answer:
        answer: Answer | None = None
        name = agent.spec.id
        if self._breaker is not None:
            self._breaker.enter(name)
        try:
            answer = await run_agent(
                agent,
                run.query,
                run.record.noting(name, run.client),
                self._effort,
                self._limits,
                deadline=run.deadline,
                stop=run.race.over if run.race is not None else None,
                late=run.record.late,
            )
            return answer
        finally:
            if self._breaker is not None:
                self._breaker.leave(answer, name)

    async def _prepared(self, agent: Agent, run: Run) -> None:
        """Let what is loaded once for all runs be loaded on the run's time, not on this agent's."""
        # What goes wrong here goes wrong again when the agent is asked, and is put on record there.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(run.seconds_left()):
                if agent.spec.kind == "llm":
                    await run.open_client()
                elif isinstance(agent, Prepared):
                    await agent.prepare()


def _unchecked(error: Exception) -> str:
    """Say that an answer could not be checked; its words only if secrets can be taken out of them."""
    try:
        why = one_line(named(error))
    except Exception:
        why = type(error).__name__
    return f"not verified, so nothing of it is used: {why}"
