"""Labels of effort under way: trajectories at the highest level, then their steps at every level."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from agentroute.effort.router import FixedEffort
from agentroute.effort.rungs import rung, rung_id
from agentroute.errors import AgentRouteError
from agentroute.evaluation.collection import Collection, CollectReport, Journal, Progress
from agentroute.evaluation.effort_price import Estimate, price_of_steps, price_of_trajectory
from agentroute.evaluation.effort_steps import LabelledStep, StepAgent, kept_trajectories, steps_of
from agentroute.evaluation.reproduced import Judge, reproduces
from agentroute.evaluation.trajectories import Call, Recorder, with_calls
from agentroute.outcomes import (
    Outcome,
    OutcomeFolder,
    OutcomeWriter,
    QueryRecord,
    alone,
    create_folder,
    extend_folder,
    read_queries,
)
from agentroute.registry import AgentRegistry
from agentroute.running.agents import build_agent, run_agent
from agentroute.running.spending.budget import MeteredClient
from agentroute.scoring import Metric
from agentroute.types import Agent, AgentSpec, Answer, Effort, Limits, Price, Usage

TRAJECTORIES = "trajectories"
"""The folder within the outcome folder that holds the runs at the highest level, an outcome folder itself."""


@dataclass(frozen=True, kw_only=True)
class EffortReport:
    """What a collection of labels came to.

    Args:
        folder: Where the labels are.
        left_out: Agents without labels, and why.
        trajectories: The runs at the highest level.
        right: Questions and agents with a trajectory that was right.
        steps: Steps of the kept trajectories.
        repeats: The steps made again; ``None`` when it did not come to that.
        before: What the trajectories were thought to take at most, and every step once at every level.
        after: What the repeats were thought to take, when the trajectories were known.
    """

    folder: Path
    left_out: tuple[str, ...]
    trajectories: CollectReport
    right: int = 0
    steps: int = 0
    repeats: CollectReport | None = None
    before: Estimate = field(default_factory=Estimate)
    after: Estimate | None = None

    @property
    def usage(self) -> Usage:
        """What was spent now."""
        return self.trajectories.usage + (self.repeats.usage if self.repeats else Usage())

    @property
    def stopped(self) -> str | None:
        """Why it ended early, or ``None``."""
        return self.trajectories.stopped or (self.repeats.stopped if self.repeats else None)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each agent that was left out or failed."""
        parts = (self.trajectories, self.repeats) if self.repeats else (self.trajectories,)
        return (*self.left_out, *(line for part in parts for line in part.problems))

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data."""
        return {
            "folder": str(self.folder),
            "right": self.right,
            "steps": self.steps,
            "trajectories": self.trajectories.to_json(),
            "repeats": None if self.repeats is None else self.repeats.to_json(),
            "stopped": self.stopped,
            "problems": list(self.problems),
            "cost_usd": self.usage.cost_usd,
        }


_made: ContextVar[tuple[Call, ...]] = ContextVar("agentroute_calls", default=())


class _Trajectories(Collection):
    """Runs agents, and keeps their calls with the outcome."""

    async def _ask(self, agent: Agent, record: QueryRecord) -> Answer:
        recorder = Recorder(self.client, self.effort)
        _made.set(())
        answer = await run_agent(
            agent, record.query, recorder, recorder, self.limits, deadline=self._deadline
        )
        _made.set(recorder.calls)
        return answer

    def _judge(self, record: QueryRecord, answer: Answer) -> tuple[Outcome, AgentRouteError | None]:
        outcome, broken = super()._judge(record, answer)
        return with_calls(outcome, _made.get()), broken


@dataclass(kw_only=True)
class Labelling:
    """One collection of labels under way.

    Args:
        registry: The team.
        ladders: Who takes part, with the levels of each, weakest first.
        records: The questions by id.
        folder: The outcome folder.
        client: For model calls; its ledger holds the caps.
        prices: What each agent's model costs.
        runs: How often each step is made again at each level.
        tries: Trajectories of each agent for each question.
        limits: The caps.
        retry: Whether to make those again that failed before.
        concurrency: Calls under way at the same time.
        progress: Called as the work goes on.
        tell: Called with what things will cost.
        began: When it began, on the clock of ``time.monotonic``.
    """

    registry: AgentRegistry
    ladders: dict[str, tuple[Effort, ...]]
    records: dict[str, QueryRecord]
    folder: Path
    client: MeteredClient
    prices: dict[str, Price | None]
    runs: int
    tries: int
    limits: Limits
    retry: bool
    concurrency: int
    progress: Progress
    tell: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)

    async def run(
        self,
        before: Estimate,
        metrics: dict[str | None, str | Metric],
        left_out: tuple[str, ...],
        success: float,
        judge: Judge | None,
        allow: Sequence[str],
    ) -> EffortReport:
        """Do what is left to do.

        Args:
            before: What it was thought to take.
            metrics: How to score a trajectory, by question.
            left_out: Agents that do not take part, and why.
            success: The score from which on a trajectory is right.
            judge: Compares texts; ``None`` compares them by value.
            allow: Modules whose code the registry may name.

        Returns:
            What was done.
        """
        tops = {rung_id(agent, levels[-1]): agent for agent, levels in self.ladders.items()}
        team = AgentRegistry.from_specs(
            rung(self.registry[agent], self.ladders[agent][-1]) for agent in tops.values()
        )
        place = create_folder(self.folder / TRAJECTORIES, team, self.records.values())
        agents = {spec.id: build_agent(spec, allow=allow, folder=self.registry.folder) for spec in team}
        with alone(place):
            with OutcomeWriter(place) as writer:
                done = writer.done(failures=not self.retry)
                pairs = [
                    (record, agent)
                    for record in self.records.values()
                    for agent in team.ids
                    for _ in range(self.tries - done[record.query.id or "", agent])
                ]
                total = len(self.records) * len(team) * self.tries
                work = self._work(_Trajectories, writer, pairs, agents, metrics, total, place)
                ran = await work.run(self.concurrency)
            report = EffortReport(folder=self.folder, left_out=left_out, trajectories=ran, before=before)
            steps = self._steps(place, tops, success)
            report = replace(
                report, right=len({step.record.meta["episode"] for step in steps}), steps=len(steps)
            )
            if not steps or ran.stopped:
                return report
            return await self._repeat(report, steps, judge)

    def _work(
        self,
        kind: type[Collection],
        writer: OutcomeWriter,
        pairs: list[tuple[QueryRecord, str]],
        agents: dict[str, Agent],
        metrics: dict[str | None, str | Metric],
        total: int,
        folder: Path,
    ) -> Collection:
        what = "trajectories" if kind is _Trajectories else "steps"
        return kind(
            agents=agents,
            pairs=iter(pairs),
            metrics=metrics,
            client=self.client,
            effort=FixedEffort(),
            limits=self.limits,
            tell=lambda _, done, total: self.progress(what, done, total),
            journal=Journal(writer),
            report=CollectReport(folder=folder, total=total, kept=total - len(pairs)),
            began=self.began,
        )

    def foresee(self) -> Estimate:
        """Say what all trajectories, and then all repeats, will take at most, nothing being there yet."""
        runs = again = Estimate()
        for agent, levels in self.ladders.items():
            for record in self.records.values():
                spec, price = self.registry[agent], self.prices[agent]
                one = price_of_trajectory(spec, record.query, levels[-1], price)
                runs += one.times(self.tries)
                again += one.times(self.runs * len(levels))
        self.tell(f"trajectories: {_told(runs)}; then every step at every level: {_told(again)}")
        return runs + again

    def _steps(self, place: Path, tops: dict[str, str], success: float) -> list[LabelledStep]:
        """The steps to label. A trajectory that was picked by an earlier run stays."""
        file = self.folder / "queries.jsonl"
        known = read_queries(file) if file.is_file() and file.stat().st_size else {}
        top = {agent: name for name, agent in tops.items()}
        before = {
            (record.meta["question"], top[record.meta["agent"]]): record.meta["trajectory"]
            for record in known.values()
        }
        kept = kept_trajectories(OutcomeFolder.open(place).read(), success, before)
        return [
            step
            for (question, name), (trial, outcome) in kept.items()
            for step in steps_of(self.records[question], tops[name], trial, outcome)
        ]

    async def _repeat(
        self, report: EffortReport, steps: list[LabelledStep], judge: Judge | None
    ) -> EffortReport:
        """Make the steps again, at every level, as often as is still missing."""
        specs: list[AgentSpec] = [
            rung(self.registry[agent], level) for agent, levels in self.ladders.items() for level in levels
        ]
        extend_folder(self.folder, AgentRegistry.from_specs(specs), [step.record for step in steps])
        by_id = {step.id: step for step in steps}
        agents: dict[str, Agent] = {spec.id: StepAgent(spec, by_id) for spec in specs}
        with OutcomeWriter(self.folder) as writer:
            done = writer.done(failures=not self.retry)
            pairs: list[tuple[QueryRecord, str]] = []
            after = Estimate()
            for step in steps:
                agent = step.record.meta["agent"]
                price = price_of_steps(self.registry[agent], [step.call], self.prices[agent])
                for level in self.ladders[agent]:
                    missing = max(0, self.runs - done[step.id, rung_id(agent, level)])
                    pairs += [(step.record, rung_id(agent, level))] * missing
                    after += price.times(missing)
            self.tell(f"{len(steps):,} steps of {report.right:,} right trajectories: {_told(after)}")
            metrics: dict[str | None, str | Metric] = {
                step.id: partial(_same, step.call.said, judge) for step in steps
            }
            total = self.runs * sum(len(self.ladders[step.record.meta["agent"]]) for step in steps)
            work = self._work(Collection, writer, pairs, agents, metrics, total, self.folder)
            return replace(report, repeats=await work.run(self.concurrency), after=after)


def _same(reference: str, judge: Judge | None, answer: str, gold: Sequence[str]) -> float:
    return float(reproduces(reference, answer, judge))


def _told(estimate: Estimate) -> str:
    cost = "at an unknown price" if estimate.cost_usd is None else f"about ${estimate.cost_usd:.4g} at most"
    return f"{estimate.calls:,} calls, {cost}"
