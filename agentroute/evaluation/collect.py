"""Collecting outcomes: every agent on every query, scored and written down as it comes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from agentroute.effort.router import FixedEffort
from agentroute.errors import InputError
from agentroute.evaluation.collection import Collection, CollectReport, Journal, Progress
from agentroute.evaluation.questions import Questions, read_questions
from agentroute.outcomes import OutcomeWriter, QueryRecord, alone, create_folder
from agentroute.registry import AgentRegistry
from agentroute.running.agents import build_team
from agentroute.running.calling.client import LiteLLMClient
from agentroute.running.context import NoClient
from agentroute.running.spending.budget import MeteredClient
from agentroute.scoring import METRICS, Metric
from agentroute.types import Agent, ChatClient, EffortRouter, Limits

Team = AgentRegistry | str | os.PathLike[str] | Iterable[Agent]

_NO_LIMITS = Limits(deadline_s=None)


def collect(team: Team, questions: Questions, out: str | os.PathLike[str], **options: Any) -> CollectReport:
    """Run every agent on every query and record how each did; the same call again goes on where it stopped.

    Args:
        team: A registry, the path of one, or agents.
        questions: Query records, ``(query, gold, meta)`` triples, or the path of a ``queries.jsonl``.
        out: The outcome folder; made if missing.
        **options: As for ``acollect``.

    Returns:
        What was done. Every outcome in it is on the disk.

    Raises:
        InputError: Something given cannot be used; or an event loop is running, where ``acollect`` is due.
        StorageError: The disk refused an outcome; those before it are kept.
        KeyboardInterrupt: It was interrupted; what was done is kept.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(acollect(team, questions, out, **options))
    raise InputError("collect() was called where an event loop is running: write `await acollect(...)` there")


async def acollect(
    team: Team,
    questions: Questions,
    out: str | os.PathLike[str],
    *,
    metric: str | Metric | None = None,
    concurrency: int = 8,
    limits: Limits = _NO_LIMITS,
    retry: bool = False,
    allow: Sequence[str] = (),
    client: ChatClient | None = None,
    effort: EffortRouter | None = None,
    progress: Progress | None = None,
) -> CollectReport:
    """Run every agent on every query and record how each did; the same call again goes on where it stopped.

    An agent that gives nothing has declined, which scores 0. One that fails or takes too long did not run:
    its score is unknown, and it is left alone until ``retry``. An answer without a right one to compare it
    with is recorded without a score.

    Args:
        team: A registry, the path of one, or agents.
        questions: Query records, ``(query, gold, meta)`` triples, or the path of a ``queries.jsonl``.
        out: The outcome folder; made if missing.
        metric: A name in ``scoring.METRICS`` or a function of ``(answer, gold)``. ``None`` takes each query's
            ``meta["metric"]``, and ``exact_match`` where there is none.
        concurrency: Agents at work at the same time.
        limits: Caps of the whole collection: money, requests, tokens, seconds. An agent that no longer fits
            is not asked and not recorded.
        retry: Ask those again that failed before.
        allow: Modules whose code the registry may name, beside ``agentroute.workbench``.
        client: For model calls; litellm when it is ``None`` and there is somebody who needs a model.
        effort: Decides the reasoning effort of each model call; each agent's default when it is ``None``.
        progress: Called as the work goes on.

    Returns:
        What was done. Every outcome in it is on the disk.

    Raises:
        InputError: Something given cannot be used.
        StorageError: The disk refused an outcome; those before it are kept.
    """
    if concurrency < 1:
        raise InputError(f"concurrency is {concurrency}; at least one agent must be at work")
    registry, agents = _agents(team, allow)
    records = read_questions(questions)
    metrics = {record.query.id: metric_of(record, metric) for record in records}
    folder = create_folder(Path(out), registry, records)
    with alone(folder), OutcomeWriter(folder) as writer:
        done = writer.done(failures=not retry)
        todo = [(r, agent) for r in records for agent in registry.ids if not done[r.query.id or "", agent]]
        model = any(spec.kind == "llm" for spec in registry)
        chat: Any = client or (LiteLLMClient() if model else NoClient())
        total = len(records) * len(registry)
        work = Collection(
            agents=agents,
            pairs=iter(todo),
            metrics=metrics,
            client=MeteredClient(chat, limits),
            effort=effort or FixedEffort(),
            limits=limits,
            tell=progress or (lambda what, done, total: None),
            journal=Journal(writer),
            report=CollectReport(folder=folder, total=total, kept=total - len(todo)),
        )
        try:
            if opener := getattr(chat, "open", None):
                await opener()  # imports take seconds, and are no agent's time
            return await work.run(concurrency)
        finally:
            if client is None and (close := getattr(chat, "aclose", None)):
                await close()


def _agents(team: Team, allow: Sequence[str]) -> tuple[AgentRegistry, dict[str, Agent]]:
    if isinstance(team, (str, os.PathLike)):
        team = AgentRegistry.from_yaml(team)
    if isinstance(team, AgentRegistry):
        return team, build_team(team, allow)
    agents = {agent.spec.id: agent for agent in team}
    return AgentRegistry.from_specs(agent.spec for agent in agents.values()), agents


def metric_of(record: QueryRecord, metric: str | Metric | None) -> str | Metric:
    """Take the metric of one query, and refuse a name that does not exist before anybody is asked.

    Args:
        record: The query; its ``meta["metric"]`` counts where ``metric`` is ``None``.
        metric: A name in ``scoring.METRICS``, a function, or ``None``.

    Returns:
        The metric; ``exact_match`` where nothing names one.

    Raises:
        InputError: There is no such metric.
    """
    chosen: str | Metric = metric if metric is not None else record.meta.get("metric") or "exact_match"
    if isinstance(chosen, str) and chosen in METRICS:
        return chosen
    if callable(chosen):
        return chosen
    raise InputError(
        f"no metric {chosen!r} (query {record.query.id}); there are {', '.join(METRICS)}, or give a function"
    )
