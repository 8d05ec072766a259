"""Recorded scores, counted up: sums and shrunk means by agent, by task and by entity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from agentroute.knowledge.terms import Floats, Indices

# How many imagined outcomes at the wider mean a narrower mean is mixed with: thin evidence moves little.
PRIOR_COUNT_AGENT = 8.0
PRIOR_COUNT_TASK = 12.0
PRIOR_COUNT_NEIGHBOURS = 6.0
PRIOR_COUNT_ENTITY = 2.0


@dataclass(frozen=True, eq=False)
class Tallies:
    """Counts what is recorded, each table when it is first needed.

    Args:
        score: Scores, NaN where the agent did not run. Shapes: ``(queries, agents)``.
        settled: How many agents were there from the beginning; they stand first.
        task: Position of the task per query, -1 for none. Shapes: ``(queries,)``.
        tasks: How many tasks there are.
        entity_of: ``(query, entity)`` position pairs. Shapes: ``(pairs, 2)``.
        entities: How many entities there are.
    """

    score: Floats
    settled: int
    task: Indices
    tasks: int
    entity_of: Indices
    entities: int

    @property
    def agents(self) -> int:
        """How many agents there are."""
        return int(self.score.shape[1])

    @property
    def joined(self) -> bool:
        """Whether some of them joined later."""
        return self.settled < self.agents

    @cached_property
    def filled(self) -> tuple[Floats, Floats]:
        """Scores with zeros where nobody ran, and where somebody did; of those who joined, their leads."""
        ran = ~np.isnan(self.score)
        score = np.where(ran, self.score, 0.0).astype(np.float32)
        if self.joined:
            score[:, self.settled :] -= ran[:, self.settled :] * self.usual[:, None]
        return score, ran.astype(np.float32)

    @cached_property
    def usual(self) -> Floats:
        """What an agent usually scores on each query. Shapes: ``(queries,)``."""
        score = self.score[:, : self.settled]
        ran = ~np.isnan(score)
        count = ran.sum(1)
        mean = np.where(ran, score, 0.0).sum(1) / np.maximum(count, 1)
        return np.where(count > 0, mean, self.pool_mean).astype(np.float32)

    @cached_property
    def totals(self) -> tuple[Floats, Floats]:
        """Sums of scores, and how many they are. Shapes: ``(agents,)`` twice."""
        score, ran = self.filled
        return score.sum(0), ran.sum(0)

    @cached_property
    def by_task(self) -> tuple[Floats, Floats]:
        """The same by task. Shapes: ``(tasks + 1, agents)`` twice."""
        score, ran = self.filled
        # The last row collects what has no task, and is then emptied: no label is no evidence.
        total = np.zeros((self.tasks + 1, self.agents), dtype=np.float32)
        count = np.zeros_like(total)
        np.add.at(total, self.task, score)
        np.add.at(count, self.task, ran)
        total[-1], count[-1] = 0.0, 0.0
        return total, count

    @cached_property
    def by_entity(self) -> tuple[Floats, Floats]:
        """The same by entity. Shapes: ``(entities, agents)`` twice."""
        score, ran = self.filled
        total = np.zeros((self.entities, self.agents), dtype=np.float32)
        count = np.zeros_like(total)
        rows, columns = self.entity_of.T
        np.add.at(total, columns, score[rows])
        np.add.at(count, columns, ran[rows])
        return total, count

    @cached_property
    def mean(self) -> Floats:
        """Each agent's mean score, shrunk toward the pool's. Shapes: ``(agents,)``."""
        return self.placed(self.lead)

    @cached_property
    def lead(self) -> Floats:
        """Each agent's shrunk mean, not yet placed."""
        total, count = self.totals
        prior = np.full(self.agents, self.pool_mean)
        prior[self.settled :] = 0.0
        return np.asarray((total + PRIOR_COUNT_AGENT * prior) / (count + PRIOR_COUNT_AGENT), dtype=np.float32)

    def placed(self, means: Floats) -> Floats:
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
            return replace(self, score=first).pool_mean
        total, count = self.totals
        return float(total.sum() / count.sum()) if count.sum() else 0.5

    def mean_by_task(self, task: Indices) -> Floats:
        """Return each agent's mean on a task, shrunk toward its mean; not yet placed.

        Args:
            task: Position of the task per query, -1 for none. Shapes: ``(batch,)``.

        Returns:
            Shapes: ``(batch, agents)``.
        """
        total, count = self.by_task
        shrunk = (total[task] + PRIOR_COUNT_TASK * self.lead) / (count[task] + PRIOR_COUNT_TASK)
        return np.asarray(shrunk, dtype=np.float32)

    def mean_nearby(self, wider: Floats, rows: Indices, weights: Floats) -> Floats:
        """Return each agent's mean on some recorded queries, shrunk toward a wider one; not yet placed.

        Args:
            wider: The wider mean. Shapes: ``(batch, agents)``.
            rows: The recorded queries. Shapes: ``(batch, neighbours)``.
            weights: What each of them counts. Shapes: ``(batch, neighbours)``.

        Returns:
            Shapes: ``(batch, agents)``.
        """
        score, ran = self.filled
        total = np.einsum("bn,bna->ba", weights, score[rows])
        count = np.einsum("bn,bna->ba", weights, ran[rows])
        shrunk = (total + PRIOR_COUNT_NEIGHBOURS * wider) / (count + PRIOR_COUNT_NEIGHBOURS)
        return np.asarray(shrunk, dtype=np.float32)

    def lift(self, entities: Indices) -> Floats:
        """Return how far each agent does better or worse than usual where an entity was named.

        Args:
            entities: Their positions. Shapes: ``(named,)``.

        Returns:
            Signed points of score, 0 where too little is known to say. Shapes: ``(named, agents)``.
        """
        total, count = (table[entities] for table in self.by_entity)
        lift = (total - count * self.mean) / (count + PRIOR_COUNT_ENTITY)
        told = (count > 0) & (np.abs(lift) > 0.02)
        # A few probes say nothing of single entities.
        told[:, self.settled :] = False
        return np.where(told, lift, 0.0)
