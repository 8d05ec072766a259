"""What agents scored before: the track record that the graph draws on.

Only training queries enter it, and never a gold answer. A query that is itself in a record would see its own
outcome there; training therefore builds each query's graph from a record of other queries (``take``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError
from agentroute.knowledge.regression import Regression, with_column

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

# How many imagined outcomes at the wider mean a narrower mean is mixed with: thin evidence moves little.
PRIOR_COUNT_AGENT = 8.0
PRIOR_COUNT_TASK = 12.0
PRIOR_COUNT_NEIGHBOURS = 6.0
PRIOR_COUNT_ENTITY = 2.0
NEIGHBOURS = 48
SHARPNESS = 12.0
"""Neighbour weight is exp(SHARPNESS * cosine)."""

ESTIMATES_DIM = 6
"""Log-odds of the mean; shifts by task, by neighbours and by words; nearness of the neighbours; whether it is
known."""


def logit(p: npt.NDArray[np.floating]) -> Floats:
    """Return log-odds, with chances kept off 0 and 1."""
    p = np.clip(p, 0.01, 0.99)
    return np.asarray(np.log(p / (1.0 - p)), dtype=np.float32)


def entity_key(name: str) -> str:
    """Return the form under which an entity is remembered."""
    return " ".join(name.casefold().split())


@dataclass(frozen=True)
class TrackRecord:
    """Recorded scores of some agents on some queries.

    Args:
        agents: Agent ids, in column order.
        vectors: Query vectors of unit length. Shapes: ``(queries, dim)``.
        score: Scores, NaN where the agent did not run. Shapes: ``(queries, agents)``.
        task: Position in ``tasks`` per query, -1 for none. Shapes: ``(queries,)``.
        tasks: Task labels.
        entities: Entity keys that at least two queries name.
        entity_of: ``(query, entity)`` position pairs. Shapes: ``(pairs, 2)``.
        cost_usd: Mean cost per agent, NaN where unknown. Shapes: ``(agents,)``.
        latency_s: Mean seconds per agent, NaN where unknown. Shapes: ``(agents,)``.
        length: Mean and standard deviation of ``log1p`` of each agent's output tokens, NaN where unknown.
            Shapes: ``(2, agents)``.
        voice: Weight of each agent's word in a vote, as log-odds; 0 before any vote was seen. Shapes:
            ``(agents,)``.
        regression: What words say of each agent; ``None`` before it was learned.
        joined: How many agents joined after training and ran on a few queries only; they stand last. See
            ``with_agent``.
    """

    agents: tuple[str, ...]
    vectors: Floats
    score: Floats
    task: Indices
    tasks: tuple[str, ...]
    entities: tuple[str, ...]
    entity_of: Indices
    cost_usd: Floats
    latency_s: Floats
    length: Floats
    voice: Floats
    regression: Regression | None = None
    joined: int = 0

    @classmethod
    def build(
        cls,
        agents: Sequence[str],
        vectors: Floats,
        score: Floats,
        tasks: Sequence[str | None],
        entities: Sequence[Sequence[str]],
        cost_usd: npt.NDArray[np.floating],
        latency_s: npt.NDArray[np.floating],
        output_tokens: npt.NDArray[np.floating],
    ) -> TrackRecord:
        """Count up recorded outcomes.

        Args:
            agents: Agent ids, in column order.
            vectors: Query vectors. Shapes: ``(queries, dim)``.
            score: Scores, NaN where the agent did not run. Shapes: ``(queries, agents)``.
            tasks: One label or ``None`` per query.
            entities: The entity names of each query.
            cost_usd: Cost per query and agent, NaN where unknown. Shapes: ``(queries, agents)``.
            latency_s: Seconds per query and agent, NaN where unknown. Shapes: ``(queries, agents)``.
            output_tokens: Tokens written per query and agent, NaN where unknown. Shapes: ``(queries,
                agents)``.

        Returns:
            The record.
        """
        labels = tuple(sorted({task for task in tasks if task is not None}))
        place = {label: i for i, label in enumerate(labels)}
        keyed = [sorted({entity_key(name) for name in names}) for names in entities]
        seen: dict[str, int] = {}
        for keys in keyed:
            for key in keys:
                seen[key] = seen.get(key, 0) + 1
        kept = tuple(sorted(key for key, count in seen.items() if count > 1))
        where = {key: i for i, key in enumerate(kept)}
        pairs = [(row, where[key]) for row, keys in enumerate(keyed) for key in keys if key in where]
        return cls(
            agents=tuple(agents),
            vectors=np.ascontiguousarray(vectors, dtype=np.float32),
            score=np.ascontiguousarray(score, dtype=np.float32),
            task=np.array([-1 if task is None else place[task] for task in tasks], dtype=np.int64),
            tasks=labels,
            entities=kept,
            entity_of=np.array(pairs, dtype=np.int64).reshape(-1, 2),
            cost_usd=_column_means(cost_usd),
            latency_s=_column_means(latency_s),
            length=_lengths(output_tokens),
            voice=np.zeros(len(agents), dtype=np.float32),
        )

    def names(self) -> dict[str, list[str]]:
        """Return the part that is text, for a router file."""
        return {"agents": [*self.agents], "tasks": [*self.tasks], "entities": [*self.entities]}

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the part that is numbers, for a router file."""
        return {
            "vectors": self.vectors,
            "score": self.score,
            "task": self.task,
            "entity_of": self.entity_of,
            "cost_usd": self.cost_usd,
            "latency_s": self.latency_s,
            "length": self.length,
            "voice": self.voice,
            **(self.regression.arrays() if self.regression else {}),
            **({"joined": np.array([self.joined])} if self.joined else {}),
        }

    @classmethod
    def restore(cls, names: Mapping[str, Sequence[str]], arrays: Mapping[str, Any]) -> TrackRecord:
        """Build a record from what ``names`` and ``arrays`` gave.

        Args:
            names: The text.
            arrays: The numbers.

        Returns:
            The record.

        Raises:
            KeyError: A part is missing.
        """
        return cls(
            agents=tuple(names["agents"]),
            tasks=tuple(names["tasks"]),
            entities=tuple(names["entities"]),
            vectors=arrays["vectors"],
            score=arrays["score"],
            task=arrays["task"],
            entity_of=arrays["entity_of"],
            cost_usd=arrays["cost_usd"],
            latency_s=arrays["latency_s"],
            length=arrays["length"],
            voice=arrays["voice"],
            regression=Regression.restore(arrays),
            joined=int(arrays["joined"][0]) if "joined" in arrays else 0,
        )

    @property
    def settled(self) -> int:
        """How many agents were there from the beginning; they stand first."""
        return len(self.agents) - self.joined

    @cached_property
    def _filled(self) -> tuple[Floats, Floats]:
        """Scores with zeros where nobody ran, and where somebody did; of those who joined, their leads."""
        ran = ~np.isnan(self.score)
        score = np.where(ran, self.score, 0.0).astype(np.float32)
        if self.joined:
            score[:, self.settled :] -= ran[:, self.settled :] * self._usual[:, None]
        return score, ran.astype(np.float32)

    @cached_property
    def _usual(self) -> Floats:
        """What an agent usually scores on each query. Shapes: ``(queries,)``."""
        score = self.score[:, : self.settled]
        ran = ~np.isnan(score)
        count = ran.sum(1)
        mean = np.where(ran, score, 0.0).sum(1) / np.maximum(count, 1)
        return np.where(count > 0, mean, self.pool_mean).astype(np.float32)

    @cached_property
    def _totals(self) -> tuple[Floats, Floats]:
        score, ran = self._filled
        return score.sum(0), ran.sum(0)

    @cached_property
    def _by_task(self) -> tuple[Floats, Floats]:
        score, ran = self._filled
        # The last row collects what has no task, and is then emptied: no label is no evidence.
        total = np.zeros((len(self.tasks) + 1, len(self.agents)), dtype=np.float32)
        count = np.zeros_like(total)
        np.add.at(total, self.task, score)
        np.add.at(count, self.task, ran)
        total[-1], count[-1] = 0.0, 0.0
        return total, count

    @cached_property
    def _by_entity(self) -> tuple[Floats, Floats]:
        score, ran = self._filled
        total = np.zeros((len(self.entities), len(self.agents)), dtype=np.float32)
        count = np.zeros_like(total)
        rows, columns = self.entity_of.T
        np.add.at(total, columns, score[rows])
        np.add.at(count, columns, ran[rows])
        return total, count

    @cached_property
    def entity_position(self) -> Mapping[str, int]:
        """Where each entity key stands in ``entities``."""
        return {key: i for i, key in enumerate(self.entities)}

    @cached_property
    def task_position(self) -> Mapping[str, int]:
        """Where each task label stands in ``tasks``."""
        return {label: i for i, label in enumerate(self.tasks)}

    @cached_property
    def mean(self) -> Floats:
        """Each agent's mean score, shrunk toward the pool's. Shapes: ``(agents,)``."""
        return self._placed(self._lead)

    @cached_property
    def _lead(self) -> Floats:
        """Each agent's shrunk mean, not yet placed."""
        total, count = self._totals
        prior = np.full(len(self.agents), self.pool_mean)
        prior[self.settled :] = 0.0
        return np.asarray((total + PRIOR_COUNT_AGENT * prior) / (count + PRIOR_COUNT_AGENT), dtype=np.float32)

    def _placed(self, means: Floats) -> Floats:
        """Turn the leads of those who joined into scores: what is usual here, and the lead over it.

        Shapes: ``(..., agents)``, in and out.
        """
        if not self.joined:
            return means
        placed = means.copy()
        usual = means[..., : self.settled].mean(axis=-1, keepdims=True)
        placed[..., self.settled :] = np.clip(means[..., self.settled :] + usual, 0.0, 1.0)
        return placed

    @cached_property
    def pool_mean(self) -> float:
        """The mean of all recorded scores: what is expected of an agent without a record."""
        if self.joined:  # as it was before, to the last bit
            first = np.ascontiguousarray(self.score[:, : self.settled])
            return replace(self, agents=self.agents[: self.settled], score=first, joined=0).pool_mean
        total, count = self._totals
        return float(total.sum() / count.sum()) if count.sum() else 0.5

    def take(self, rows: Indices) -> TrackRecord:
        """Keep the outcomes of some queries.

        Args:
            rows: Positions of queries.

        Returns:
            A record of those alone, with the same agents, tasks and entities to look up. What was learned
            from all of them, it does not know: its ``regression`` is ``None``.
        """
        place = np.full(len(self.vectors), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        pairs = self.entity_of[place[self.entity_of[:, 0]] >= 0]
        return replace(
            self,
            vectors=self.vectors[rows],
            score=self.score[rows],
            task=self.task[rows],
            entity_of=np.stack([place[pairs[:, 0]], pairs[:, 1]], axis=1),
            regression=None,
        )

    def estimates(self, texts: Sequence[str], vectors: Floats, task: Indices) -> Floats:
        """Estimate every agent's score on each query from the queries that came before.

        Each step is a mean shrunk toward the wider one: the pool, the agent, the agent on this task, the
        agent on the nearest queries (weights ``exp(SHARPNESS * cosine)``). Beside them stands what the words
        say.

        Args:
            texts: The queries' texts.
            vectors: Query vectors. Shapes: ``(batch, dim)``.
            task: Position in ``tasks`` per query, -1 for none. Shapes: ``(batch,)``.

        Returns:
            Shapes: ``(batch, agents, ESTIMATES_DIM)``.
        """
        score, ran = self._filled
        task_total, task_count = self._by_task
        by_task = (task_total[task] + PRIOR_COUNT_TASK * self._lead) / (task_count[task] + PRIOR_COUNT_TASK)

        ids, near, weight = self.nearest(vectors)
        near_total = np.einsum("bn,bna->ba", weight, score[ids])
        near_count = np.einsum("bn,bna->ba", weight, ran[ids])
        by_near = (near_total + PRIOR_COUNT_NEIGHBOURS * by_task) / (near_count + PRIOR_COUNT_NEIGHBOURS)
        by_task, by_near = self._placed(by_task), self._placed(by_near)

        result = np.empty((len(vectors), len(self.agents), ESTIMATES_DIM), dtype=np.float32)
        result[..., 0] = logit(self.mean)
        result[..., 1] = logit(by_task) - result[..., 0]
        result[..., 2] = logit(by_near) - logit(by_task)
        result[..., 3] = 0.0
        if self.regression is not None:
            by_words = self.mean + self.regression(texts, vectors, task)
            result[..., 3] = logit(by_words) - logit(by_task)
        result[..., 4] = near.mean(axis=1)[:, None]
        result[..., 5] = 1.0
        return result

    def nearest(self, vectors: Floats) -> tuple[Indices, Floats, Floats]:
        """Find the recorded queries that are most like some others, and what each of them counts.

        Args:
            vectors: Query vectors. Shapes: ``(batch, dim)``.

        Returns:
            Rows of the record, in no order; their cosines; and their weights ``exp(SHARPNESS * cosine)``,
            scaled to sum to the effective sample size ``(sum w)^2 / (sum w^2)``, so that they count as so
            many outcomes. Shapes: ``(batch, NEIGHBOURS)`` each, or as many as are recorded.
        """
        # One row is summed without BLAS, whose threads would wait for a busy core.
        single = len(vectors) == 1
        similarity = np.einsum("bd,nd->bn", vectors, self.vectors) if single else vectors @ self.vectors.T
        nearest = min(NEIGHBOURS, similarity.shape[1])
        # Rounded, so that a batch and a single query, summed in another order, find the same neighbours.
        ids = np.argpartition(-np.round(similarity, 5), nearest - 1, axis=1)[:, :nearest]
        near = np.take_along_axis(similarity, ids, axis=1)
        weight = np.exp(SHARPNESS * (near - near.max(axis=1, keepdims=True)))
        weight *= (weight.sum(1) / (weight**2).sum(1))[:, None]
        return ids, near, weight

    def entity_ties(self, keys: Sequence[str]) -> tuple[Indices, Floats]:
        """Return how far each agent does better or worse than usual where an entity was named.

        Args:
            keys: Entity keys of one query.

        Returns:
            ``(agent, position in keys)`` pairs and their signed weights. Shapes: ``(2, ties)`` and
            ``(ties,)``.
        """
        known = [(i, self.entity_position[key]) for i, key in enumerate(keys) if key in self.entity_position]
        if not known:
            return np.zeros((2, 0), dtype=np.int64), np.zeros(0, dtype=np.float32)
        place, row = np.array(known, dtype=np.int64).T
        total, count = (table[row] for table in self._by_entity)
        lift = (total - count * self.mean) / (count + PRIOR_COUNT_ENTITY)
        # A few probes say nothing of single entities.
        told = (count > 0) & (np.abs(lift) > 0.02)
        told[:, self.settled :] = False
        entity, agent = np.nonzero(told)
        return np.stack([agent, place[entity]]), lift[entity, agent].astype(np.float32)


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
    aim = scores[ran] - record._usual[there] - made._lead[-1]
    examples = asked, record.vectors[there], record.task[there], aim
    return replace(made, regression=with_column(record.regression, record.settled, *examples))


def _and(values: Floats, last: float | None) -> Floats:
    return np.append(values, np.float32(np.nan if last is None else last)).astype(np.float32)


def _lengths(tokens: npt.NDArray[np.floating]) -> Floats:
    logs = np.log1p(np.where(tokens > 0, tokens, np.nan))
    mean = _column_means(logs)
    return np.stack([mean, np.sqrt(_column_means((logs - mean) ** 2))])


def _column_means(table: npt.NDArray[np.floating]) -> Floats:
    known = ~np.isnan(table)
    count = known.sum(0)
    total = np.where(known, table, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
