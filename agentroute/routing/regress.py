"""Learning what the words of a question say of each agent: ridge regression, by conjugate gradients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from agentroute.knowledge.graph import Floats, Indices
from agentroute.knowledge.regression import CONSTANT, TASK, VECTOR, Regression
from agentroute.knowledge.terms import Counted, Sparse, Vocabulary

RIDGES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Strengths of the pull toward an agent's mean, in outcomes; rows of the words' matrix have unit length."""

STEPS = 20
"""Steps of conjugate gradients, at most."""

CLOSE = 1e-2
"""Share of the first residual at which an agent's solution is close enough; closer ones score no better."""

CHOOSING_ROWS = 4_000
"""Questions that the strength of the pull is chosen with, at most; it is counted in outcomes, so that it
holds for more of them."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Questions, and what agents scored on them.

    Args:
        texts: The questions; ``Counted``, where many parts of them are learned from.
        vectors: Their vectors. Shapes: ``(queries, dim)``.
        task: Position of the task per query, -1 for none. Shapes: ``(queries,)``.
        tasks: How many tasks there are.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(queries, agents)``.
        mean: The score that each agent is measured from. Shapes: ``(agents,)``.
    """

    texts: Sequence[str]
    vectors: Floats
    task: Indices
    tasks: int
    score: Floats
    mean: Floats

    def take(self, rows: Indices) -> Examples:
        """Keep some of the questions."""
        return replace(
            self,
            texts=Counted.of(self.texts).take(rows),
            vectors=self.vectors[rows],
            task=self.task[rows],
            score=self.score[rows],
        )


def choose_ridge(examples: Examples, held_out: Indices) -> float:
    """Find the pull that does best on questions that were left out.

    Args:
        examples: What there is to learn from.
        held_out: The questions to leave out.

    Returns:
        One of ``RIDGES``, by squared error.
    """
    rest = np.setdiff1d(np.arange(len(examples.texts)), held_out)
    if not len(rest) or np.isnan(examples.score[held_out]).all():
        return RIDGES[-1]
    # Every so many, since neighbours in a file are often alike.
    rest = rest[:: -(-len(rest) // CHOOSING_ROWS)]
    known, asked = examples.take(rest), examples.take(held_out)
    aim = asked.score - asked.mean
    error = {}
    for ridge in RIDGES:
        said = fit_regression(known, ridge)(asked.texts, asked.vectors, asked.task)
        error[ridge] = float(np.nansum((said - aim) ** 2))
    return min(error, key=lambda ridge: error[ridge])


def fit_regression(examples: Examples, ridge: float) -> Regression:
    """Learn how the words, the vector and the task of a question move each agent's score.

    Solves ``(X' M X + ridge I) w = X' M y`` per agent, with ``M`` leaving out what did not run (Hoerl &
    Kennard 1970; conjugate gradients of Hestenes & Stiefel 1952, on all agents at once).

    Args:
        examples: What to learn from.
        ridge: Strength of the pull toward the mean.

    Returns:
        The regression.
    """
    vocabulary = Vocabulary.of(examples.texts)
    matrix = _Matrix(vocabulary(examples.texts), len(vocabulary.terms), examples)
    ran = ~np.isnan(examples.score)
    there = torch.from_numpy(ran.astype(np.float32))
    aim = torch.from_numpy(np.where(ran, examples.score - examples.mean, 0.0).astype(np.float32))
    solution = torch.zeros(matrix.width, examples.score.shape[1])
    residual = matrix.transposed(aim)
    direction, size = residual.clone(), _products(residual, residual)
    enough = size * CLOSE**2
    for _ in range(STEPS):
        if bool((size <= enough).all()):
            break
        moved = matrix.transposed(matrix(direction).mul_(there)).add_(direction, alpha=ridge)
        # An agent that is solved already stands still.
        step = torch.where(size > enough, size / _products(direction, moved).clamp(min=1e-30), 0.0)
        solution.addcmul_(step, direction)
        residual.addcmul_(step, moved, value=-1.0)
        before, size = size, _products(residual, residual)
        direction.mul_(size / before.clamp(min=1e-30)).add_(residual)
    words, dense, labels, constant = matrix.split(solution.numpy())
    by_task = np.concatenate([TASK * labels, np.zeros_like(constant)])
    return Regression(
        terms=vocabulary.terms,
        rarity=vocabulary.rarity,
        by_term=np.ascontiguousarray(words),
        by_vector=VECTOR * dense,
        by_task=by_task + CONSTANT * constant,
    )


def _products(one: Tensor, other: Tensor) -> Tensor:
    """Return the scalar products of columns. Shapes: ``(rows, n)`` twice to ``(n,)``."""
    products: Tensor = torch.linalg.vecdot(one, other, dim=0)
    return products


class _Matrix:
    """The questions as rows: words, vector, task and a constant, side by side."""

    def __init__(self, words: Sparse, terms: int, examples: Examples) -> None:
        vectors, task, tasks = examples.vectors, examples.task, examples.tasks
        shape = (len(vectors), terms)
        starts, columns, values = (torch.from_numpy(part) for part in words)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # PyTorch calls its CSR matrices a beta
            self._words = torch.sparse_csr_tensor(starts, columns, values, size=shape)
            self._turned = self._words.to_sparse_coo().t().coalesce().to_sparse_csr()  # type: ignore[no-untyped-call]
        some = np.zeros((len(vectors), tasks), np.float32)
        labelled = np.flatnonzero(task >= 0)
        some[labelled, task[labelled]] = TASK
        constant = np.full((len(vectors), 1), CONSTANT, np.float32)
        self._dense = torch.from_numpy(np.concatenate([VECTOR * vectors, some, constant], axis=1))
        self._parts = (terms, vectors.shape[1], tasks, 1)
        self.width = sum(self._parts)

    def __call__(self, weights: Tensor) -> Tensor:
        """Multiply from the right. Shapes: ``(width, agents)`` to ``(queries, agents)``."""
        terms = self._parts[0]
        return self._words @ weights[:terms] + self._dense @ weights[terms:]

    def transposed(self, values: Tensor) -> Tensor:
        """Multiply the transposed matrix. Shapes: ``(queries, agents)`` to ``(width, agents)``."""
        return torch.cat([self._turned @ values, self._dense.T @ values])

    def split(self, weights: Floats) -> list[Floats]:
        """Cut weights into those of words, vector, tasks and the constant."""
        return np.split(weights, np.cumsum(self._parts)[:-1])
