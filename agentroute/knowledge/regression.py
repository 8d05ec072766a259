"""What the words of a question say of each agent: a linear regression, learned from recorded scores.

Neighbours say how agents did on whole questions that are alike. Single words, and pairs of words near each
other with all names alike, say more where a folder is small: "longer ... than" tells an agent that compares
from one that looks things up, whoever is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.terms import Floats, Indices, Terms, Vocabulary

# How far each kind of feature is trusted beside the words: the square roots of their shares in the kernel.
VECTOR = 0.2**0.5
TASK = 0.3**0.5
CONSTANT = 0.1**0.5


@dataclass(frozen=True, eq=False)
class Regression:
    """Weights that turn a question into how far each agent is above or below its mean.

    Args:
        terms: As in ``Vocabulary``.
        rarity: As in ``Vocabulary``.
        by_term: Shapes: ``(terms, agents)``.
        by_vector: Shapes: ``(dim, agents)``.
        by_task: The last row is for queries without a task. Shapes: ``(tasks + 1, agents)``.
    """

    terms: Terms
    rarity: Floats
    by_term: Floats
    by_vector: Floats
    by_task: Floats

    def __call__(self, texts: Sequence[str], vectors: Floats, task: Indices) -> Floats:
        """Say how far each agent should be above its mean.

        Args:
            texts: Questions.
            vectors: Their vectors. Shapes: ``(batch, dim)``.
            task: Position of the task per query, -1 for none. Shapes: ``(batch,)``.

        Returns:
            Points of score, 0 to 1. Shapes: ``(batch, agents)``.
        """
        words = Vocabulary(self.terms, self.rarity)(texts) @ self.by_term
        # A single row is summed without BLAS, whose threads would wait for a busy core.
        dense = (
            np.einsum("bd,da->ba", vectors, self.by_vector) if len(vectors) == 1 else vectors @ self.by_vector
        )
        return np.asarray(words + dense + self.by_task[task], dtype=np.float32)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the weights by name, for a router file."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def restore(cls, arrays: Mapping[str, Any]) -> Regression | None:
        """Build a regression from what ``arrays`` gave.

        Args:
            arrays: The weights by name; others are passed over.

        Returns:
            The regression, or ``None`` when there are none of its weights.

        Raises:
            KeyError: Some of them are missing.
        """
        names = [field.name for field in fields(cls)]
        if not any(name in arrays for name in names):
            return None
        return cls(**{name: arrays[name] for name in names})


RIDGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Strengths of the pull toward the mean that are tried for an agent that joins later, in outcomes."""


def with_column(
    regression: Regression,
    settled: int,
    texts: Sequence[str] | None,
    vectors: Floats,
    task: Indices,
    aim: Floats,
) -> Regression:
    """Let an agent join of whom a few outcomes are known; the weights of the others stay as they are.

    Of it, words say what they say of the others in the mean, and what its lead has to do with them: ridge
    regression in its dual form, which costs by examples and not by terms (Saunders et al. 1998). The ridge is
    the one that predicts each example best from the others; where none does better than nothing, words say
    nothing of its lead.

    Args:
        regression: What words say of the others.
        settled: How many of them, the first ones, make up the mean.
        texts: The questions the agent was asked; ``None`` where they are not known.
        vectors: Their vectors. Shapes: ``(examples, dim)``.
        task: Position of the task per question, -1 for none. Shapes: ``(examples,)``.
        aim: How far its lead was above its mean lead. Shapes: ``(examples,)``.

    Returns:
        The regression with one more agent, the last one.
    """
    tasks = len(regression.by_task) - 1
    parts = len(regression.terms), vectors.shape[1], tasks, 1
    weights = np.zeros(sum(parts))
    if texts is not None:
        matrix = np.zeros((len(texts), sum(parts)))
        words, dense, labels, constant = np.split(matrix, np.cumsum(parts)[:-1], axis=1)  # views
        found = Vocabulary(regression.terms, regression.rarity)(texts)
        words[np.repeat(np.arange(len(texts)), np.diff(found.starts)), found.columns] = found.values
        dense[:], constant[:] = VECTOR * vectors, CONSTANT
        labelled = np.flatnonzero(task >= 0)
        labels[labelled, task[labelled]] = TASK
        weights = matrix.T @ _dual(matrix @ matrix.T, aim.astype(np.float64))
    by_term, by_vector, by_label, by_constant = np.split(weights, np.cumsum(parts)[:-1])
    by_task = CONSTANT * by_constant + np.append(TASK * by_label, 0.0)
    return Regression(
        terms=regression.terms,
        rarity=regression.rarity,
        by_term=_beside(regression.by_term, settled, by_term),
        by_vector=_beside(regression.by_vector, settled, VECTOR * by_vector),
        by_task=_beside(regression.by_task, settled, by_task),
    )


def _dual(kernel: npt.NDArray[np.float64], aim: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Solve at the best ridge, by the errors of leaving one out; zeros where saying nothing is best."""
    best, least = np.zeros(len(aim)), float(aim @ aim)
    for ridge in RIDGES:
        inverse = np.linalg.inv(kernel + ridge * np.eye(len(aim)))
        dual = inverse @ aim
        error = float(((dual / np.diag(inverse)) ** 2).sum())
        if error < least:
            best, least = dual, error
    return best


def _beside(table: Floats, settled: int, lead: npt.NDArray[np.float64]) -> Floats:
    column = table[:, :settled].mean(axis=1) + lead
    return np.concatenate([table, column[:, None].astype(np.float32)], axis=1)
