"""Queries and agents to knowledge graphs.

The team brings its own part. ``GraphBuilder`` adds what a query brings, and what was scored on its like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from agentroute.knowledge.embed import HashingEmbedder
from agentroute.knowledge.foresight import Foresight
from agentroute.knowledge.graph import (
    KNOWS,
    MENTIONS,
    NO_EDGES,
    NO_WEIGHTS,
    RELATED,
    SUITS,
    EdgeType,
    Floats,
    Indices,
    KnowledgeGraph,
    pairs_of,
)
from agentroute.knowledge.grow import ANSWER_EXTRA, ANSWER_TEXT_LIMIT, grow
from agentroute.knowledge.record import ESTIMATES_DIM, TrackRecord, entity_key
from agentroute.knowledge.team import AGENT_EXTRA, Team
from agentroute.knowledge.terms import EARLIER
from agentroute.types import Answer, Embedder, Entity, Extractor, Query, Relation

ENTITY_KINDS = ("name", "number", "date", "quote", "term", "task")
NAME_DIM = 64
"""Entity names are hashed, not encoded: a query has dozens, and the encoder takes milliseconds for each."""

SUITS_DIM = ESTIMATES_DIM + 3
"""The record's estimates and the agent's voice, then the query's cosines with the agent's card and with its
nearest example."""
VOICE = ESTIMATES_DIM
"""Where in ``suits`` the weight of an agent's word stands."""


@lru_cache(maxsize=1)
def _name_hasher() -> HashingEmbedder:
    return HashingEmbedder(dim=NAME_DIM)


@lru_cache(maxsize=65536)
def _name_vector(name: str) -> Floats:
    vector: Floats = _name_hasher().embed([name])[0]
    return vector


QUERY_EXTRA = 6
ENTITY_DIM = NAME_DIM + len(ENTITY_KINDS) + 3


def dims(embedding: int) -> dict[str, int]:
    """Return the feature length of each node type for an embedder of that many dimensions."""
    return {
        "query": embedding + QUERY_EXTRA,
        "entity": ENTITY_DIM,
        "agent": embedding + AGENT_EXTRA,
        "answer": embedding + ANSWER_EXTRA,
    }


@dataclass(frozen=True, eq=False)
class GraphBuilder:
    """Builds graphs for one team.

    Args:
        team: The agents.
        embedder: Makes query and answer vectors.
        extractor: Finds entities.
        record: What the agents scored before; ``None`` before any training.
        read_answers: Whether answers get text vectors; without them an answer costs no call of the embedder.
        foresight: What foresees scores on a question; ``None`` where no encoder was tuned on scores.
    """

    team: Team
    embedder: Embedder
    extractor: Extractor
    record: TrackRecord | None = None
    read_answers: bool = False
    foresight: Foresight | None = None

    def build(self, queries: Sequence[Query]) -> list[KnowledgeGraph]:
        """Build one graph per query.

        Args:
            queries: The queries.

        Returns:
            The graphs, in order.
        """
        texts = [query_text(query) for query in queries]
        vectors = self.embedder.embed(texts)
        suits = self._suits(texts, vectors, queries)
        return [self._one(*parts) for parts in zip(queries, vectors, suits, strict=True)]

    def grow(self, graph: KnowledgeGraph, query: Query, answers: Sequence[Answer]) -> KnowledgeGraph:
        """Add answers to a graph of this builder's.

        Args:
            graph: The graph of the query, without answers.
            query: The query.
            answers: What came back.

        Returns:
            The grown graph.
        """
        if self.read_answers:
            vectors = self.embedder.embed([answer.text[:ANSWER_TEXT_LIMIT] for answer in answers])
        else:
            vectors = np.zeros((len(answers), self.embedder.dim), np.float32)
        return grow(graph, query, answers, vectors, self._effort(answers))

    def take(self, rows: Indices) -> GraphBuilder:
        """Return a builder for some agents of the team.

        Args:
            rows: Their positions, ascending.

        Returns:
            A builder of smaller graphs.
        """
        made = replace(self, team=self.team.take(rows))
        made.__dict__["_columns"] = self._columns[rows]  # looked up before, for everybody
        return made

    def shortlist(self, query: Query, most: int) -> Indices:
        """Find the agents that are worth a closer look, by what costs one multiplication for all of them.

        Half are those whose card or example is nearest to the query; the others are those with a record that
        do best by its means and its words.

        Args:
            query: The query.
            most: How many agents.

        Returns:
            Positions in the team, ascending. Shapes: ``(most,)``, or all when there are no more.
        """
        agents = len(self.team.specs)
        if agents <= most:
            return np.arange(agents)
        text = query_text(query)
        vectors = self.embedder.embed([text])
        near = np.maximum(*self.team.likeness(vectors))[0]
        record, known = self.record, np.flatnonzero(self._columns >= 0)
        seats = 0
        chosen = np.zeros(agents, bool)
        if record is not None and len(known):
            hoped = record.mean
            if record.regression is not None:  # words alone: to foresee takes milliseconds
                task = np.array([record.task_position.get(query.task or "", -1)])
                hoped = hoped + record.regression([text], vectors, task)[0]
            seats = min(most // 2, len(known))
            best = np.argpartition(-hoped[self._columns[known]], seats - 1)[:seats]
            chosen[known[best]] = True
        left = np.where(chosen, -np.inf, near)
        chosen[np.argpartition(-left, most - seats - 1)[: most - seats]] = True
        return np.flatnonzero(chosen)

    def _effort(self, answers: Sequence[Answer]) -> Floats:
        """Return how much longer each answer took its agent than usual, NaN where unknown."""
        effort = np.full(len(answers), np.nan, np.float32)
        if self.record is None:
            return effort
        place = {agent: i for i, agent in enumerate(self.record.agents)}
        for i, answer in enumerate(answers):
            tokens, column = answer.usage.output_tokens, place.get(answer.agent)
            if tokens and column is not None:  # code that runs here writes no tokens, which says nothing
                mean, spread = self.record.length[:, column]
                effort[i] = (np.log1p(tokens) - mean) / max(spread, 1e-3)
        return effort

    def _suits(self, texts: Sequence[str], vectors: Floats, queries: Sequence[Query]) -> Floats:
        card, nearest = self.team.likeness(vectors)
        shape = (len(queries), len(self.team.specs), SUITS_DIM)
        suits = np.zeros(shape, dtype=np.float32)
        suits[..., -2], suits[..., -1] = card, nearest
        record = self.record
        if record is None or not len(record.vectors):
            return suits
        task = np.array([record.task_position.get(query.task or "", -1) for query in queries], np.int64)
        foreseen = None if self.foresight is None else self.foresight(texts)
        estimates = record.estimates(texts, vectors, task, foreseen)
        column = self._columns
        # A newcomer starts where the pool stands on this query, with the last flag saying that this is a
        # guess.
        usual = estimates[:, : record.settled].mean(axis=1, keepdims=True)
        newcomer = usual * np.array([1.0] * (ESTIMATES_DIM - 1) + [0.0])
        known = column >= 0
        suits[:, known, :ESTIMATES_DIM] = estimates[:, column[known]]
        suits[:, ~known, :ESTIMATES_DIM] = newcomer
        suits[:, known, VOICE] = record.voice[column[known]]
        suits[:, ~known, VOICE] = record.voice[: record.settled].mean()
        return suits

    @cached_property
    def _columns(self) -> Indices:
        place = {agent: i for i, agent in enumerate(self.record.agents)} if self.record else {}
        return np.array([place.get(spec.id, -1) for spec in self.team.specs], dtype=np.int64)

    def _one(self, query: Query, vector: Floats, suits: Floats) -> KnowledgeGraph:
        extraction = self.extractor.extract(query)
        task = (Entity(name=query.task, kind="task"),) if query.task else ()
        entities = (*task, *extraction.entities)
        keys = [entity_key(entity.name) for entity in entities]
        n, agents = len(entities), len(self.team.specs)
        in_query = np.array([entity.kind == "task" or entity.name in query.text for entity in entities], bool)
        knows, strength = self._knows(keys)
        edges: dict[EdgeType, tuple[Indices, Floats]] = {
            MENTIONS: (np.stack([np.zeros(n, np.int64), np.arange(n)]), _counted(entities)),
            RELATED: _related(keys, in_query, extraction.relations),
            SUITS: (
                np.stack([np.arange(agents), np.zeros(agents, np.int64)]),
                np.ascontiguousarray(suits[:, -1]),
            ),
            KNOWS: (knows, strength),
        }
        return KnowledgeGraph(
            names={
                "query": (query.text,),
                "entity": tuple(entity.name for entity in entities),
                "agent": tuple(spec.id for spec in self.team.specs),
                "answer": (),
            },
            x={
                "query": np.concatenate([vector, _plain_query(query, n)])[None].astype(np.float32),
                "entity": _entity_features(entities, in_query),
                "agent": self.team.x,
                "answer": np.zeros((0, self.embedder.dim + ANSWER_EXTRA), np.float32),
            },
            edge_index={kind: index for kind, (index, _) in edges.items()},
            edge_weight={kind: weight for kind, (_, weight) in edges.items()},
            suits=suits,
        )

    def _knows(self, keys: Sequence[str]) -> tuple[Indices, Floats]:
        named = [(agent, i) for i, key in enumerate(keys) for agent in self.team.words.get(key, ())]
        by_card = np.array(named, dtype=np.int64).reshape(-1, 2).T
        if self.record is None:
            return by_card, np.ones(by_card.shape[1], np.float32)
        (column, entity), lift = self.record.entity_ties(keys)
        row = np.full(len(self.record.agents) + 1, -1, np.int64)
        columns = self._columns
        row[columns] = np.arange(len(columns))
        row[-1] = -1
        here = row[column] >= 0
        index = np.concatenate([by_card, np.stack([row[column[here]], entity[here]])], axis=1)
        return index, np.concatenate([np.ones(by_card.shape[1], np.float32), lift[here]])


def query_text(query: Query) -> str:
    """Return the text that stands for a query: the question, then the two turns before it, last one first.

    An encoder that reads so many words and no more reads the question whole. ``terms.EARLIER`` tells the
    turns apart.
    """
    return EARLIER.join((query.text, *(turn.text for turn in reversed(query.history[-2:]))))


def _plain_query(query: Query, entities: int) -> Floats:
    words = query.text.split(maxsplit=400)
    return np.array(
        [
            np.log1p(len(words)) / 5.0,
            np.log1p(entities) / 4.0,
            float(any(c.isdigit() for c in query.text[:2000])),
            float(bool(query.context)),
            float(bool(query.history)),
            float("\n" in query.text),
        ],
        dtype=np.float32,
    )


def _entity_features(entities: Sequence[Entity], in_query: np.ndarray) -> Floats:
    x = np.zeros((len(entities), ENTITY_DIM), dtype=np.float32)
    for i, entity in enumerate(entities):
        x[i, :NAME_DIM] = _name_vector(entity.name)
        if entity.kind in ENTITY_KINDS:
            x[i, NAME_DIM + ENTITY_KINDS.index(entity.kind)] = 1.0
        x[i, -3:-1] = np.log1p(entity.count), len(entity.name) / 40.0
    x[:, -1] = in_query
    return x


def _counted(entities: Sequence[Entity]) -> Floats:
    return np.log1p(np.array([entity.count for entity in entities], dtype=np.float32))


def _related(
    keys: Sequence[str], in_query: np.ndarray, relations: Sequence[Relation]
) -> tuple[Indices, Floats]:
    """Tie the entities that stand together in the question, and those that a relation names."""
    together = np.outer(in_query, in_query) & ~np.eye(len(keys), dtype=bool)
    place = {key: i for i, key in enumerate(keys)}
    for relation in relations:
        head, tail = place.get(entity_key(relation.head)), place.get(entity_key(relation.tail))
        if head is not None and tail is not None and head != tail:
            together[head, tail] = together[tail, head] = True
    if not together.any():
        return NO_EDGES, NO_WEIGHTS
    return pairs_of(together, np.ones(together.shape, np.float32))
