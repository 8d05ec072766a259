"""The graph grows: answers become nodes, tied to who gave them, to what they name, and to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentroute.answers import answer_kind, group_equal
from agentroute.knowledge.graph import (
    AGREES,
    ANSWER_MENTIONS,
    DIFFERS,
    GAVE,
    RESEMBLES,
    Floats,
    KnowledgeGraph,
    pairs_of,
)
from agentroute.types import Answer

ANSWER_KINDS = ("number", "date", "yes_no", "choice", "name", "list", "code", "text", "refusal", "empty")
ANSWER_EXTRA = len(ANSWER_KINDS) + 5


ANSWER_TEXT_LIMIT = 200
"""Characters of an answer that its vector is made of."""


def grow(graph: KnowledgeGraph, answers: Sequence[Answer], vectors: Floats) -> KnowledgeGraph:
    """Add answers to a graph.

    Args:
        graph: A graph without answers.
        answers: What came back, failures included; those of unknown agents are left out.
        vectors: One vector per answer. Shapes: ``(answers, dim)``.

    Returns:
        A new graph: answers tied to their agents, to the entities they mention, and to each other.
    """
    place = {name: i for i, name in enumerate(graph.names["agent"])}
    kept = [i for i, answer in enumerate(answers) if answer.agent in place]
    answers, vectors = [answers[i] for i in kept], vectors[kept]
    n = len(answers)
    group = np.array(group_equal([answer.text for answer in answers]), dtype=np.int64)
    both = (group[:, None] >= 0) & (group[None, :] >= 0) & ~np.eye(n, dtype=bool)
    equal = both & (group[:, None] == group[None, :])
    close = np.maximum(vectors @ vectors.T, 0.0) ** 4
    texts = [answer.text.casefold()[:ANSWER_TEXT_LIMIT] for answer in answers]
    mentions = [
        (i, j)
        for j, name in enumerate(graph.names["entity"])
        for i, text in enumerate(texts)
        if name.casefold() in text
    ]
    named = np.array(mentions, dtype=np.int64).reshape(-1, 2).T
    gave = np.array([[place[a.agent], i] for i, a in enumerate(answers)], dtype=np.int64).reshape(-1, 2).T
    edges = {
        GAVE: (gave, np.ones(n, np.float32)),
        ANSWER_MENTIONS: (named, np.ones(named.shape[1], np.float32)),
        AGREES: pairs_of(equal, np.ones_like(close)),
        RESEMBLES: pairs_of(both & ~equal & (close > 0.05), close),
        DIFFERS: pairs_of(both & ~equal, np.ones_like(close)),
    }
    overlaps = np.zeros(n, np.float32)
    overlaps[named[0]] = 1.0
    plain = np.array([_plain_answer(a) for a in answers], np.float32).reshape(n, ANSWER_EXTRA - 1)
    return replace(
        graph,
        names={**graph.names, "answer": tuple(f"{a.agent}: {a.text[:60]}" for a in answers)},
        x={**graph.x, "answer": np.concatenate([vectors, plain, overlaps[:, None]], axis=1)},
        edge_index={**graph.edge_index, **{kind: index for kind, (index, _) in edges.items()}},
        edge_weight={**graph.edge_weight, **{kind: weight for kind, (_, weight) in edges.items()}},
    )


def _plain_answer(answer: Answer) -> list[float]:
    kind = answer_kind(answer.text)
    return [
        *(float(kind == name) for name in ANSWER_KINDS),
        float(answer.status == "ok"),
        float(np.log1p(len(answer.text)) / 6.0),
        min(len(answer.text.split(maxsplit=30)), 30) / 10.0,
        float(any(c.isdigit() for c in answer.text[:ANSWER_TEXT_LIMIT])),
    ]
