"""One collection under way: workers that ask, a journal that writes, a report that counts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from agentroute.errors import AgentRouteError, InputError
from agentroute.outcomes import Outcome, OutcomeWriter, QueryRecord, outcome_from_answer
from agentroute.running.agents import run_agent
from agentroute.running.calling.client import ClientError
from agentroute.running.spending.budget import MeteredClient
from agentroute.running.spending.tally import BUDGET, own_usage
from agentroute.running.threads import in_thread
from agentroute.scoring import Metric, score
from agentroute.types import Agent, Answer, EffortRouter, Limits, Usage

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

TICK_S = 0.05
"""Seconds that a timer may go off too early."""


@dataclass(frozen=True, kw_only=True)
class CollectReport:
    """What a collection came to.

    Args:
        folder: Where the outcomes are.
        total: Pairs of a query and an agent.
        kept: Pairs that were recorded before.
        recorded: Pairs that were recorded now, failures included.
        declined: Of those, how often an agent gave nothing.
        unscored: Of those, how many answers could not be scored, because no right one is known.
        failures: Of those, how often an agent did not run, and its first error, by agent.
        usage: What was spent now.
        seconds: How long it took.
        stopped: Why it ended before the last pair, or ``None``.
    """

    folder: Path
    total: int
    kept: int
    recorded: int = 0
    declined: int = 0
    unscored: int = 0
    failures: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    stopped: str | None = None

    @property
    def failed(self) -> int:
        """How often an agent did not run."""
        return sum(count for count, _ in self.failures.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each agent that failed, and one for an early end."""
        lines = [f"{agent}: failed {n} times, first: {error}" for agent, (n, error) in self.failures.items()]
        return (*lines, *([f"stopped early: {self.stopped}"] if self.stopped else []))

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        failures = {agent: {"count": n, "first": error} for agent, (n, error) in self.failures.items()}
        return {**asdict(self), "folder": str(self.folder), "failed": self.failed, "failures": failures}


class Journal:
    """Writes outcomes while others are at work; those that come meanwhile go together in the next write."""

    def __init__(self, writer: OutcomeWriter) -> None:
        self._writer, self._ready = writer, list[Outcome]()
        self._turn, self._lock = asyncio.Lock(), threading.Lock()

    async def add(self, outcome: Outcome) -> None:
        """Return when the outcome is on the disk."""
        self._ready.append(outcome)
        async with self._turn:
            if self._ready:
                await in_thread(self.flush)

    def flush(self) -> None:
        """Write what is waiting."""
        with self._lock:  # an interrupted run flushes while its last write may still be under way
            batch, self._ready = self._ready, []
            self._writer.append(*batch)


@dataclass(kw_only=True)
class Collection:
    """Asks, scores and records until nothing is left to do.

    Args:
        agents: Whom to ask, by id.
        pairs: What to ask whom; all workers take from it.
        metrics: How to score, by query id.
        client: For model calls; its ledger holds the caps.
        effort: Decides the reasoning effort.
        limits: The caps.
        tell: Called as the work goes on.
        journal: Takes the outcomes.
        report: What was done so far.
    """

    agents: Mapping[str, Agent]
    pairs: Iterator[tuple[QueryRecord, str]]
    metrics: Mapping[str | None, str | Metric]
    client: MeteredClient
    effort: EffortRouter
    limits: Limits
    tell: Progress
    journal: Journal
    report: CollectReport
    began: float = field(default_factory=time.monotonic)
    refused: dict[str, str] = field(default_factory=dict)

    async def run(self, concurrency: int) -> CollectReport:
        """Do the work, and leave nothing unwritten whatever ends it.

        Args:
            concurrency: Agents at work at the same time.

        Returns:
            What was done.
        """
        self.tell("collecting", self.report.kept, self.report.total)
        tasks = [asyncio.create_task(self._work()) for _ in range(concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.journal.flush()
        stopped = next(iter(self.refused.values()), None) or self.report.stopped
        return replace(self.report, seconds=time.monotonic() - self.began, stopped=stopped)

    async def _work(self) -> None:
        for record, name in self.pairs:
            if name in self.refused:
                continue
            if self._late():
                return
            answer = await self._ask(self.agents[name], record)
            if answer.status != "ok" and (answer.error or "").startswith(BUDGET):
                self.refused[name] = answer.error or BUDGET
                continue
            if answer.status == "timed_out" and self._late():
                return  # it was our time that was up, not the agent's
            outcome, broken = self._judge(record, answer)
            await self.journal.add(outcome)
            self._count(outcome, answer)
            if broken:
                raise broken

    def _late(self) -> bool:
        """Tell whether the time of the collection is up, and note it."""
        if self._deadline is None or time.monotonic() < self._deadline - TICK_S:
            return False
        why = f"the {self.limits.deadline_s:g} s of this collection are up"
        self.report = replace(self.report, stopped=why)
        return True

    @property
    def _deadline(self) -> float | None:
        return None if self.limits.deadline_s is None else self.began + self.limits.deadline_s

    async def _ask(self, agent: Agent, record: QueryRecord) -> Answer:
        spec, ledger = agent.spec, self.client.ledger
        held = None
        if spec.kind in ("function", "runnable"):  # a model's calls are reserved one by one
            try:
                held = ledger.reserve(own_usage(spec), f"asking {spec.id}")
            except ClientError as error:
                return Answer(agent=spec.id, status="skipped", error=f"{BUDGET}: {error}")
        try:
            return await run_agent(
                agent, record.query, self.client, self.effort, self.limits, deadline=self._deadline
            )
        finally:
            if held is not None:
                ledger.settle(held, own_usage(spec))

    def _judge(self, record: QueryRecord, answer: Answer) -> tuple[Outcome, AgentRouteError | None]:
        """Score an answer. One that the metric cannot judge is kept, and told of afterwards."""
        name, metric = record.query.id or "", self.metrics[record.query.id]
        if answer.status != "ok" or not answer.text.strip():
            return outcome_from_answer(name, answer, None), None
        if isinstance(metric, str) and not record.gold:
            return outcome_from_answer(name, answer, answer.score), None
        try:
            return outcome_from_answer(name, answer, score(answer.text, record.gold, metric)), None
        except AgentRouteError as error:
            broken: AgentRouteError = error
        except Exception as error:  # a user's metric may raise anything
            broken = InputError(f"the metric failed on {name}: {type(error).__name__}: {error}")
        kept = replace(outcome_from_answer(name, answer, None), error=f"not scored: {broken}"[:300])
        return kept, broken

    def _count(self, outcome: Outcome, answer: Answer) -> None:
        report, failures = self.report, dict(self.report.failures)
        if outcome.error is not None:
            count, first = failures.get(outcome.agent, (0, outcome.error))
            failures[outcome.agent] = (count + 1, first)
        self.report = replace(
            report,
            recorded=report.recorded + 1,
            declined=report.declined + (outcome.answer == ""),
            unscored=report.unscored + (outcome.score is None and outcome.error is None),
            failures=failures,
            usage=report.usage + answer.usage,
        )
        self.tell("collecting", self.report.kept + self.report.recorded, self.report.total)
