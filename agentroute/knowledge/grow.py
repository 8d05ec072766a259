"""The graph grows: answers become nodes, tied to who gave them, to what they name, and to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from agentroute.knowledge.graph import (
    AGREES,
    ANSWER_MENTIONS,
    ANSWERS,
    DIFFERS,
    GAVE,
    HOLDS,
    RESEMBLES,
    WITHIN,
    EdgeType,
    Floats,
    Indices,
    KnowledgeGraph,
    pairs_of,
)
from agentroute.knowledge.likeness import READ_CHARS, Reading, compare, numbers, read, words
from agentroute.types import Answer, Query

ANSWER_KINDS = ("number", "date", "yes_no", "choice", "name", "list", "code", "text", "refusal", "empty")
ANSWER_EXTRA = len(ANSWER_KINDS) + 17

ANSWER_TEXT_LIMIT = 200
"""Characters of an answer that its vector is made of."""

SLIGHT = 0.05
"""Likenesses below this are no tie."""

CONTEXT_CHARS = 40_000
"""Characters of the given passages in which an answer is looked for."""


def grow(
    graph: KnowledgeGraph, query: Query, answers: Sequence[Answer], vectors: Floats, effort: Floats
) -> KnowledgeGraph:
    """Add answers to a graph.

    Args:
        graph: A graph without answers.
        query: The question it was built from.
        answers: What came back, failures included; those of unknown agents are left out.
        vectors: One vector per answer; rows of zeros where text vectors are not used. Shapes:
            ``(answers, dim)``.
        effort: How much longer each answer took its agent than usual, in standard deviations of the logarithm
            of its tokens; NaN where unknown. Shapes: ``(answers,)``.

    Returns:
        A new graph: answers tied to their agents, to the entities they mention, and to each other.
    """
    place = {name: i for i, name in enumerate(graph.names["agent"])}
    kept = [i for i, answer in enumerate(answers) if answer.agent in place]
    answers, vectors, effort = [answers[i] for i in kept], vectors[kept], effort[kept]
    n = len(answers)
    texts = [answer.text[:READ_CHARS] if answer.status == "ok" else "" for answer in answers]
    like = compare(texts)
    said = np.array([read(text).kind != "empty" for text in texts], dtype=bool)
    differ = np.outer(said, said) & ~np.eye(n, dtype=bool) & (like.equal == 0)
    mentions = _mentions(graph.names["entity"], texts)
    one = np.ones(n, np.float32)
    edges: dict[EdgeType, tuple[Indices, Floats]] = {
        GAVE: (
            np.array([[place[a.agent] for a in answers], range(n)], dtype=np.int64).reshape(2, n),
            one,
        ),
        ANSWERS: (np.stack([np.arange(n), np.zeros(n, np.int64)]), one),
        ANSWER_MENTIONS: (mentions, np.ones(mentions.shape[1], np.float32)),
        AGREES: pairs_of(like.equal > 0, like.equal),
        RESEMBLES: pairs_of(like.resembles > SLIGHT, like.resembles),
        WITHIN: pairs_of(like.within > SLIGHT, like.within),
        HOLDS: pairs_of(like.within.T > SLIGHT, like.within.T),
        DIFFERS: pairs_of(differ, 1.0 - like.resembles),
    }
    ground = _Ground.of(query)
    plain = np.array([ground.features(read(text), len(text)) for text in texts], dtype=np.float32)
    overlaps = np.zeros(n, np.float32)
    overlaps[mentions[0]] = 1.0
    close = vectors @ graph.x["query"][0, : vectors.shape[1]]
    rest = np.stack(
        [
            np.array([answer.status == "ok" for answer in answers], np.float32),
            overlaps,
            close.astype(np.float32),
            np.nan_to_num(np.clip(effort, -4.0, 4.0)),
            np.isfinite(effort).astype(np.float32),
        ],
        axis=1,
    )
    return replace(
        graph,
        names={**graph.names, "answer": tuple(f"{a.agent}: {a.text[:60]}" for a in answers)},
        x={
            **graph.x,
            "answer": np.concatenate([vectors, plain, rest], axis=1).astype(np.float32)
            if n
            else graph.x["answer"],
        },
        edge_index={**graph.edge_index, **{kind: index for kind, (index, _) in edges.items()}},
        edge_weight={**graph.edge_weight, **{kind: weight for kind, (_, weight) in edges.items()}},
    )


def _mentions(entities: Sequence[str], texts: Sequence[str]) -> Indices:
    """Return ``(answer, entity)`` pairs where an answer names an entity."""
    lower = [text.lower() for text in texts]
    names = [name.lower() for name in entities]
    found = [(i, j) for j, name in enumerate(names) for i, text in enumerate(lower) if name in text]
    return np.array(found, dtype=np.int64).reshape(-1, 2).T


class _Ground:
    """What an answer can be held against: the question's words, the passages that came with it."""

    def __init__(self, query: Query) -> None:
        self.asked = words(query.text[:4000])
        self.context = " ".join(f"{p.title} {p.text}" for p in query.context)[:CONTEXT_CHARS].lower()
        self.figures = frozenset(numbers(self.context))

    @classmethod
    def of(cls, query: Query) -> _Ground:
        return _ground(query) if query.context else cls(query)

    def features(self, answer: Reading, length: int) -> list[float]:
        figures = answer.numbers
        known = [figure in self.figures for figure in figures]
        literal = [item in self.context for item in answer.items] if self.context else [False]
        return [
            *(float(answer.kind == kind) for kind in ANSWER_KINDS),
            float(np.log1p(length)) / 6.0,
            min(len(answer.words), 30) / 10.0,
            len(answer.words & self.asked) / max(len(answer.words), 1),
            float(bool(figures)),
            min(len(figures), 9) / 3.0,
            min(len(answer.items), 9) / 3.0,
            float(answer.has_unit),
            min(answer.decimals, 8) / 4.0,
            float(bool(self.context)),
            sum(literal) / len(literal),
            sum(known) / len(known) if known and self.context else 0.0,
            float(bool(self.context) and all(known)),
        ]


@lru_cache(maxsize=256)
def _ground(query: Query) -> _Ground:
    return _Ground(query)
