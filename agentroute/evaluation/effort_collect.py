"""Where labels of effort come from: steps of right trajectories, made again at every level.

Ares' way (arXiv 2603.07915): run at the highest level, keep the shortest trajectory that was right, make each
of its steps again several times at each level, and see which levels come to the same.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from agentroute.effort.levels import levels_for
from agentroute.effort.router import FixedEffort
from agentroute.effort.rungs import rung, rung_id
from agentroute.errors import AgentRouteError, InputError
from agentroute.evaluation.collect import metric_of
from agentroute.evaluation.collection import Collection, CollectReport, Journal, Progress
from agentroute.evaluation.effort_price import Estimate, price_for, price_of_steps, price_of_trajectory
from agentroute.evaluation.effort_steps import LabelledStep, StepAgent, kept_trajectories, steps_of
from agentroute.evaluation.questions import Questions, read_questions
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
from agentroute.running.budget import MeteredClient
from agentroute.running.client import LiteLLMClient
from agentroute.scoring import Metric
from agentroute.types import Agent, AgentSpec, Answer, ChatClient, Effort, Limits, Price, Usage

TRAJECTORIES = "trajectories"
"""The folder within the outcome folder that holds the runs at the highest level, an outcome folder itself."""

_NO_LIMITS = Limits(deadline_s=None)


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


def collect_effort(
    team: AgentRegistry | str | os.PathLike[str],
    questions: Questions,
    out: str | os.PathLike[str],
    **options: Any,
) -> EffortReport:
    """Collect labels of effort; the same call again goes on where it stopped.

    Args:
        team: A registry, or the path of one.
        questions: Query records with right answers, ``(query, gold, meta)`` triples, or a ``queries.jsonl``.
        out: The outcome folder; made if missing.
        **options: As for ``acollect_effort``.

    Returns:
        What was done. Every outcome in it is on the disk.

    Raises:
        InputError: Something given cannot be used; or an event loop is running: await ``acollect_effort``.
        StorageError: The disk refused an outcome; those before it are kept.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(acollect_effort(team, questions, out, **options))
    raise InputError(
        "collect_effort() was called where an event loop is running: write `await acollect_effort(...)` there"
    )


async def acollect_effort(
    team: AgentRegistry | str | os.PathLike[str],
    questions: Questions,
    out: str | os.PathLike[str],
    *,
    runs: int = 3,
    tries: int = 1,
    success: float = 1.0,
    judge: Judge | None = None,
    metric: str | Metric | None = None,
    concurrency: int = 8,
    limits: Limits = _NO_LIMITS,
    retry: bool = False,
    allow: Sequence[str] = (),
    client: ChatClient | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> EffortReport:
    """Collect labels of effort; the same call again goes on where it stopped, and nobody is paid twice.

    Each agent with levels answers each question at its highest one. Of what was right, the shortest
    trajectory is taken apart, and each of its steps is made again ``runs`` times at every level, with the
    messages as they were. ``out`` becomes an outcome folder: a query is a step (``meta`` says of what), an
    agent is ``AGENT@LEVEL``, and the score of a run is 1 when it came to the same as the trajectory, else 0.
    A run whose level was not applied did not run: it has no score. A trajectory that was not right gives no
    labels.

    Args:
        team: A registry, or the path of one. Rows of kind ``llm`` with two levels or more that their model
            can tell apart take part.
        questions: Query records with right answers, ``(query, gold, meta)`` triples, or a ``queries.jsonl``.
        out: The outcome folder; made if missing. ``trajectories`` in it holds the runs at the highest level.
        runs: How often each step is made again at each level.
        tries: Trajectories of each agent for each question, of which the shortest right one counts.
        success: The score from which on a trajectory is right.
        judge: Says whether a text is as good as the trajectory's; by default they must be equal by value.
        metric: As for ``acollect``.
        concurrency: Calls under way at the same time.
        limits: Caps of what is done now: money, requests, tokens, seconds.
        retry: Make those again that failed before.
        allow: Modules whose code the registry may name.
        client: For model calls; litellm when it is ``None``.
        progress: Called as the work goes on.
        tell: Called with what things will cost, before they do.

    Returns:
        What was done. Every outcome in it is on the disk.

    Raises:
        InputError: Something given cannot be used.
        StorageError: The disk refused an outcome; those before it are kept.
    """
    for name, number in (("runs", runs), ("tries", tries), ("concurrency", concurrency)):
        if number < 1:
            raise InputError(f"{name} is {number}; it takes a whole number, 1 or more")
    registry = team if isinstance(team, AgentRegistry) else AgentRegistry.from_yaml(team)
    ladders, left_out = _ladders(registry)
    records = read_questions(questions)
    if without := [record.query.id for record in records if not record.gold and not callable(metric)]:
        raise InputError(
            f"question {without[0]} has no right answer (gold), so that nobody can say which trajectory was "
            f"right; the same holds for {len(without) - 1} others"
        )
    chat: Any = client or LiteLLMClient()
    try:
        if opener := getattr(chat, "open", None):
            await opener()  # imports take seconds, and are no agent's time
        labelling = _Labelling(
            registry=registry,
            ladders=ladders,
            records={record.query.id or "": record for record in records},
            folder=Path(out),
            client=MeteredClient(chat, limits),
            prices={agent: await price_for(registry[agent], chat) for agent in ladders},
            runs=runs,
            tries=tries,
            limits=limits,
            retry=retry,
            concurrency=concurrency,
            progress=progress or (lambda what, done, total: None),
            tell=tell or (lambda line: None),
        )
        metrics = {record.query.id: metric_of(record, metric) for record in records}
        return await labelling.run(metrics, left_out, success, judge, allow)
    finally:
        if client is None and (close := getattr(chat, "aclose", None)):
            await close()


def _ladders(registry: AgentRegistry) -> tuple[dict[str, tuple[Effort, ...]], tuple[str, ...]]:
    """Say who has levels to choose from, and of the others, why not."""
    ladders: dict[str, tuple[Effort, ...]] = {}
    left_out: list[str] = []
    for spec in registry:
        levels = levels_for(spec)
        if spec.kind != "llm":
            left_out.append(
                f"{spec.id}: left out (it is a {spec.kind}, whose model calls are its own affair)"
            )
        elif len(levels) > 1:
            ladders[spec.id] = levels
        elif spec.effort is None:
            left_out.append(f"{spec.id}: left out (its row has no `effort`)")
        else:
            said = f"{levels[0]} alone" if levels else "none"
            left_out.append(f"{spec.id}: left out (of the levels in its row {spec.model} knows {said})")
    if not ladders:
        why = "; ".join(left_out)
        raise InputError(
            f"no agent has levels to choose from, such as effort: {{levels: [low, high]}}: {why}"
        )
    return ladders, tuple(left_out)


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
class _Labelling:
    """One collection of labels under way."""

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
        metrics: dict[str | None, str | Metric],
        left_out: tuple[str, ...],
        success: float,
        judge: Judge | None,
        allow: Sequence[str],
    ) -> EffortReport:
        tops = {rung_id(agent, levels[-1]): agent for agent, levels in self.ladders.items()}
        team = AgentRegistry.from_specs(
            rung(self.registry[agent], self.ladders[agent][-1]) for agent in tops.values()
        )
        place = create_folder(self.folder / TRAJECTORIES, team, self.records.values())
        agents = {spec.id: build_agent(spec, allow=allow, folder=self.registry.folder) for spec in team}
        with alone(place):
            before = self._foresee()
            self.tell(f"trajectories: {_told(before[0])}; then every step at every level: {_told(before[1])}")
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
            report = EffortReport(
                folder=self.folder, left_out=left_out, trajectories=ran, before=before[0] + before[1]
            )
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

    def _foresee(self) -> tuple[Estimate, Estimate]:
        """What all trajectories, and then all repeats, will take at most, nothing being there yet."""
        runs = again = Estimate()
        for agent, levels in self.ladders.items():
            for record in self.records.values():
                spec, price = self.registry[agent], self.prices[agent]
                one = price_of_trajectory(spec, record.query, levels[-1], price)
                runs += one.times(self.tries)
                again += one.times(self.runs * len(levels))
        return runs, again

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
