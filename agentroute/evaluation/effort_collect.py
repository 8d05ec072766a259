"""Where labels of effort come from: steps of right trajectories, made again at every level.

Ares' way (arXiv 2603.07915): run at the highest level, keep the shortest trajectory that was right, make each
of its steps again several times at each level, and see which levels come to the same.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentroute.effort.levels import levels_for
from agentroute.errors import InputError
from agentroute.evaluation.collect import metric_of
from agentroute.evaluation.collection import CollectReport, Progress
from agentroute.evaluation.effort_price import price_for
from agentroute.evaluation.labelling import TRAJECTORIES, EffortReport, Labelling
from agentroute.evaluation.questions import Questions, read_questions
from agentroute.evaluation.reproduced import Judge
from agentroute.registry import AgentRegistry
from agentroute.running.calling.client import LiteLLMClient
from agentroute.running.spending.budget import MeteredClient
from agentroute.scoring import Metric
from agentroute.types import ChatClient, Effort, Limits

__all__ = ["EffortReport", "acollect_effort", "collect_effort"]

_NO_LIMITS = Limits(deadline_s=None)


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
    estimate: bool = False,
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
        estimate: Only say what it will cost, and ask nobody.
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
        labelling = Labelling(
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
        before = labelling.foresee()
        if estimate:
            nobody = CollectReport(folder=labelling.folder / TRAJECTORIES, total=0, kept=0)
            return EffortReport(
                folder=labelling.folder, left_out=left_out, trajectories=nobody, before=before
            )
        return await labelling.run(before, metrics, left_out, success, judge, allow)
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
