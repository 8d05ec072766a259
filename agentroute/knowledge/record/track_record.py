"""The recorded scores of some agents on some queries, and what they say of new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.foresight import joined
from agentroute.knowledge.record.estimates import estimate
from agentroute.knowledge.record.neighbours import nearest
from agentroute.knowledge.record.tallies import Tallies
from agentroute.knowledge.regression import Regression
from agentroute.knowledge.terms import Floats, Indices


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
    def entity_position(self) -> Mapping[str, int]:
        """Where each entity key stands in ``entities``."""
        return {key: i for i, key in enumerate(self.entities)}

    @cached_property
    def task_position(self) -> Mapping[str, int]:
        """Where each task label stands in ``tasks``."""
        return {label: i for i, label in enumerate(self.tasks)}

    @cached_property
    def tallies(self) -> Tallies:
        """The scores, counted up."""
        return Tallies(
            self.score, self.settled, self.task, len(self.tasks), self.entity_of, len(self.entities)
        )

    @property
    def mean(self) -> Floats:
        """Each agent's mean score, shrunk toward the pool's. Shapes: ``(agents,)``."""
        return self.tallies.mean

    @property
    def pool_mean(self) -> float:
        """The mean of all recorded scores: what is expected of an agent without a record."""
        return self.tallies.pool_mean

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

    def estimates(
        self, texts: Sequence[str], vectors: Floats, task: Indices, foreseen: Floats | None = None
    ) -> Floats:
        """Estimate every agent's score on each query from the queries that came before.

        Each step is a mean shrunk toward the wider one: the pool, the agent, the agent on this task, the
        agent on the nearest queries (weights ``exp(SHARPNESS * cosine)``). Beside them stands what the
        question itself says.

        Args:
            texts: The queries' texts.
            vectors: Query vectors. Shapes: ``(batch, dim)``.
            task: Position in ``tasks`` per query, -1 for none. Shapes: ``(batch,)``.
            foreseen: What a tuned encoder foresees of the agents that were there from the beginning, if there
                is one; see ``foresight``. Shapes: ``(batch, settled)``.

        Returns:
            Shapes: ``(batch, agents, ESTIMATES_DIM)``.
        """
        words = None if self.regression is None else self.regression(texts, vectors, task)
        if foreseen is not None:
            words = joined(words, foreseen, self.mean)
        return estimate(self.tallies, task, nearest(vectors, self.vectors), words)

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
        lift = self.tallies.lift(row)
        entity, agent = np.nonzero(lift)
        return np.stack([agent, place[entity]]), lift[entity, agent].astype(np.float32)


def _lengths(tokens: npt.NDArray[np.floating]) -> Floats:
    logs = np.log1p(np.where(tokens > 0, tokens, np.nan))
    mean = _column_means(logs)
    return np.stack([mean, np.sqrt(_column_means((logs - mean) ** 2))])


def _column_means(table: npt.NDArray[np.floating]) -> Floats:
    known = ~np.isnan(table)
    count = known.sum(0)
    total = np.where(known, table, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
