"""Onboarding: a new agent is tried on a few known queries, and joins a trained router's record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agentroute.errors import AllAgentsFailedError, InputError
from agentroute.evaluation.collect import acollect
from agentroute.evaluation.collection import CollectReport
from agentroute.knowledge.build import query_text
from agentroute.knowledge.graph import Indices
from agentroute.knowledge.probing import representative
from agentroute.knowledge.record import with_agent
from agentroute.outcomes import OutcomeFolder, OutcomeTable, QueryRecord
from agentroute.registry import AgentRegistry
from agentroute.routing.router import GraphRouter

SAME = 0.9995
"""Cosine from which two vectors are those of one query: batches differ in rounding."""

BATCH = 512
"""Queries that are looked up at once."""


@dataclass(frozen=True, kw_only=True)
class Onboarding:
    """What onboarding an agent came to.

    Args:
        router: The router that knows the agent; ``None`` when the work stopped early.
        report: What was asked, and what it cost.
        probes: Query ids that the agent was tried on, the most telling first.
        score: Its mean score on them; ``None`` while none is known.
        expected: What it is expected to score on all queries, in the mean.
        usual: What the router's agents score there, in the mean.
    """

    router: GraphRouter | None
    report: CollectReport
    probes: tuple[str, ...]
    score: float | None = None
    expected: float | None = None
    usual: float

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain data, less the router."""
        return {
            "probes": [*self.probes],
            "score": self.score,
            "expected": self.expected,
            "usual": self.usual,
            "report": self.report.to_json(),
        }


def onboard(
    agent: AgentRegistry,
    router: GraphRouter,
    outcomes: OutcomeFolder | str | os.PathLike[str],
    probed: str | os.PathLike[str],
    **options: Any,
) -> Onboarding:
    """Try a new agent on a few known queries, and let it join a router; see ``aonboard``.

    Args:
        agent: A registry with the one row.
        router: A trained router.
        outcomes: The folder that the router was trained on.
        probed: Where the agent's outcomes are kept.
        **options: As for ``aonboard``.

    Returns:
        The router that knows the agent, and what was done.

    Raises:
        InputError: As ``aonboard``; or an event loop is running, where ``aonboard`` is due.
        AllAgentsFailedError: No probe came to a score.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(aonboard(agent, router, outcomes, probed, **options))
    raise InputError("onboard() was called where an event loop is running: write `await aonboard(...)` there")


async def aonboard(
    agent: AgentRegistry,
    router: GraphRouter,
    outcomes: OutcomeFolder | str | os.PathLike[str],
    probed: str | os.PathLike[str],
    *,
    probes: int = 20,
    **options: Any,
) -> Onboarding:
    """Try a new agent on a few known queries, and let it join a router.

    The queries are those of the router's record that tell most of the others; see ``probing.representative``.
    The network is not trained again, and nothing that it says of the other agents changes; see
    ``record.with_agent``. The same call again goes on where it stopped.

    Args:
        agent: A registry with the one row.
        router: A trained router.
        outcomes: The folder that the router was trained on; it is read only.
        probed: An outcome folder for the new agent; made if missing.
        probes: How many queries to try it on.
        **options: As for ``acollect``: the metric, the caps, how many at once.

    Returns:
        The router that knows the agent, and what was done.

    Raises:
        InputError: There is not one row, the router knows the agent already, or the folder is not the one
            that the router was trained on, or holds no right answers.
        StorageError: The disk refused an outcome; those before it are kept.
        AllAgentsFailedError: No probe came to a score.
    """
    if len(agent) != 1:
        raise InputError(
            f"there are {len(agent)} rows: {', '.join(agent.ids[:5])}; one agent is onboarded a time"
        )
    (spec,) = agent
    if spec.id in router.record.agents:
        raise InputError(
            f"the router knows {spec.id!r} already; give the router that it was to join, or another id"
        )
    if probes < 1:
        raise InputError(f"probes is {probes}; an agent is tried on one query at least")
    opened = outcomes if isinstance(outcomes, OutcomeFolder) else OutcomeFolder.open(Path(outcomes))
    if opened.labelled:
        raise InputError(
            f"{opened.path} holds utterances, to which nobody answers: put some that the new agent fits on "
            "its card, as examples; that needs no onboarding"
        )
    records, rows = _known(router, opened, needs_gold=spec.kind != "recorded")
    order = representative(router.record.vectors[rows], probes)
    records, rows = [records[place] for place in order.tolist()], rows[order]
    report = await acollect(agent, records, probed, **options)
    found = OutcomeFolder.open(Path(probed)).table([spec.id])
    made = Onboarding(
        router=None,
        report=report,
        probes=tuple(record.query.id or "" for record in records),
        usual=router.record.pool_mean,
    )
    return made if report.stopped is not None else _joined(made, router, found, rows)


def _known(router: GraphRouter, opened: OutcomeFolder, needs_gold: bool) -> tuple[list[QueryRecord], Indices]:
    """Find the queries of a folder that are in the router's record, each of them once, in its order."""
    held = set(router.manifest.get("test_ids") or ())
    records = [record for name, record in opened.queries.items() if name not in held]
    place: dict[int, QueryRecord] = {}
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        vectors = router.embedder.embed([query_text(record.query) for record in batch])
        cosine = np.round(vectors @ router.record.vectors.T, 5)
        for record, row, near in zip(batch, cosine.argmax(1).tolist(), cosine.max(1).tolist(), strict=True):
            if near >= SAME:
                place.setdefault(row, record)
    if not place:
        raise InputError(
            f"none of the queries of {opened.path} is among those that the router was trained on; give the "
            f"folder {router.manifest.get('data')!r} that it was trained on"
        )
    usable = [row for row in sorted(place) if place[row].gold or not needs_gold]
    if not usable:
        raise InputError(
            f"no right answer is known to any query of {opened.path}, so that a new agent cannot be "
            "scored; add gold to its queries"
        )
    return [place[row] for row in usable], np.array(usable, dtype=np.int64)


def _joined(made: Onboarding, router: GraphRouter, found: OutcomeTable, rows: Indices) -> Onboarding:
    (spec,) = found.agents
    at = {record.query.id: i for i, record in enumerate(found.queries)}
    order = [at[name] for name in made.probes]
    scores = found.score[order, 0]
    if np.isnan(scores).all():
        raise AllAgentsFailedError(
            f"{spec.id} came to no score on any of {len(rows)} queries; mend the cause, then retry",
            problems=made.report.problems,
        )
    record = with_agent(
        router.record,
        spec.id,
        rows,
        scores,
        _mean(found.cost_usd),
        _mean(found.latency_s),
        [query_text(found.queries[i].query) for i in order],
    )
    past = [*router.manifest.get("onboarded", ())]
    ran = int((~np.isnan(scores)).sum())
    joined = GraphRouter(
        embedder=router.embedder,
        extractor=router.extractor,
        record=record,
        weights=router.weights,
        tried=router.tried,
        setting=router.setting,
        baseline=_with_usual(router.baseline),
        manifest={**router.manifest, "onboarded": [*past, {"agent": spec.id, "probes": ran}]},
        foresight=router.foresight,
    )
    joined.one_level = router.one_level
    return Onboarding(
        router=joined,
        report=made.report,
        probes=made.probes,
        score=float(np.nanmean(scores)),
        expected=float(record.mean[-1]),
        usual=made.usual,
    )


def _with_usual(baseline: Any) -> dict[str, Any]:
    """Let the query-only network, a baseline that has not seen the agent, expect the usual of it."""
    last = ("3.weight", "3.bias")
    return {
        name: np.concatenate([value, value.mean(axis=0, keepdims=True)]) if name in last else value
        for name, value in baseline.items()
    }


def _mean(values: Sequence[Any] | np.ndarray) -> float | None:
    known = np.asarray(values)[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
