"""An agent that joins a record later, after it ran on a few of its queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError
from agentroute.knowledge.record.track_record import TrackRecord
from agentroute.knowledge.regression import with_column
from agentroute.knowledge.terms import Floats, Indices


def with_agent(
    record: TrackRecord,
    agent_id: str,
    rows: Indices,
    scores: npt.NDArray[np.floating],
    cost: float | None = None,
    latency: float | None = None,
    texts: Sequence[str] | None = None,
) -> TrackRecord:
    """Let an agent join that ran on some of the queries; nothing that is known of the others changes.

    What a few scores tell is how far the agent leads: it is counted from what the others scored on the same
    query, so that hard questions are not held against it, and shrunk as any mean is, toward no lead at all.
    What is then expected of it on a query is what is usual there, and its lead: by task, by neighbours and by
    words. Its word has the usual weight in a vote. Of single entities, and of the length of its answers,
    nothing is known.

    Args:
        record: What is known of the others.
        agent_id: Who joins.
        rows: Positions of the queries in the record. Shapes: ``(probes,)``.
        scores: What it scored, NaN where it did not run. Shapes: ``(probes,)``.
        cost: Mean US dollars of a call, ``None`` where unknown.
        latency: Mean seconds of a call, ``None`` where unknown.
        texts: The texts of the queries. With them, what words say of its lead is learned; without, they say
            of it what they say of the others in the mean.

    Returns:
        A record with one more agent, the last one.

    Raises:
        InputError: The agent is there already, did not run at all, or ``rows`` are not positions in the
            record, each once.
    """
    rows, scores = np.asarray(rows, dtype=np.int64), np.asarray(scores, dtype=np.float32)
    queries = len(record.score)
    if agent_id in record.agents:
        raise InputError(f"agent {agent_id!r} is in this record already; let a new one join, or train again")
    if rows.shape != scores.shape or rows.ndim != 1:
        raise InputError(f"{rows.shape} rows for {scores.shape} scores; give one score for each row")
    if len(np.unique(rows)) < len(rows) or not ((rows >= 0) & (rows < queries)).all():
        raise InputError(f"rows must be positions among the record's {queries:,} queries, each once")
    ran = ~np.isnan(scores)
    if not ran.any():
        raise InputError(f"agent {agent_id!r} has no score yet; ask it something first")
    column = np.full((queries, 1), np.nan, dtype=np.float32)
    column[rows, 0] = scores
    made = replace(
        record,
        agents=(*record.agents, agent_id),
        score=np.concatenate([record.score, column], axis=1),
        cost_usd=_and(record.cost_usd, cost),
        latency_s=_and(record.latency_s, latency),
        length=np.concatenate([record.length, np.full((2, 1), np.nan, np.float32)], axis=1),
        voice=_and(record.voice, float(record.voice[: record.settled].mean())),
        regression=None,
        joined=record.joined + 1,
    )
    if record.regression is None:
        return made
    there = rows[ran]
    asked = None if texts is None else [text for text, kept in zip(texts, ran.tolist(), strict=True) if kept]
    aim = scores[ran] - record.tallies.usual[there] - made.tallies.lead[-1]
    examples = asked, record.vectors[there], record.task[there], aim
    return replace(made, regression=with_column(record.regression, record.settled, *examples))


def _and(values: Floats, last: float | None) -> Floats:
    return np.append(values, np.float32(np.nan if last is None else last)).astype(np.float32)
