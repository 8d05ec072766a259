"""What the words of a step say of each level: ridge regression in its dual form, closed form throughout."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from agentroute.knowledge.regression import CONSTANT, TASK, VECTOR, Regression
from agentroute.knowledge.terms import Vocabulary

Floats = npt.NDArray[np.floating]
Indices = npt.NDArray[np.int64]

RIDGES = (2.0, 4.0, 8.0, 16.0)
"""Strengths of the pull toward the mean that are tried, in cases."""

MOST = 4_000
"""Cases that the words are learned from, at most; the cost grows with their cube."""


def learn_words(
    texts: Sequence[str], vectors: Floats, task: Indices, tasks: int, score: Floats, seed: int
) -> tuple[Regression, Floats]:
    """Learn how far above its mean each level scores, and say it of every case as if that one were unknown.

    Args:
        texts: The steps' texts.
        vectors: Their vectors; of width 0 where there are none. Shapes: ``(cases, dim)``.
        task: Position of the task, -1 for none. Shapes: ``(cases,)``.
        tasks: How many tasks there are.
        score: 0 to 1, nowhere unknown. Shapes: ``(cases, levels)``.
        seed: Decides which cases are learned from where there are too many.

    Returns:
        The regression, and what it says of each case, left out of it. Shapes: ``(cases, levels)``.
    """
    count = len(texts)
    kept = np.arange(count)
    if count > MOST:
        kept = np.sort(np.random.default_rng(seed).permutation(count)[:MOST])
    vocabulary = Vocabulary.of([texts[row] for row in kept.tolist()])
    found = vocabulary([texts[row] for row in kept.tolist()])
    width = len(vocabulary.terms)
    # It comes with scikit-learn.
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    matrix = csr_matrix((found.values, found.columns, found.starts), shape=(len(kept), width))
    labels = np.zeros((len(kept), tasks), np.float32)
    labelled = np.flatnonzero(task[kept] >= 0)
    labels[labelled, task[kept][labelled]] = TASK
    dense = VECTOR * vectors[kept].astype(np.float32)
    kernel = ((matrix @ matrix.T).toarray() + dense @ dense.T + labels @ labels.T + CONSTANT**2).astype(
        np.float64
    )
    aim = (score[kept] - score[kept].mean(axis=0)).astype(np.float64)
    dual, loo = _solve(kernel, aim)
    by_task = np.concatenate([TASK * (labels.T @ dual), np.zeros((1, aim.shape[1]))])
    regression = Regression(
        terms=vocabulary.terms,
        rarity=vocabulary.rarity,
        by_term=(matrix.T @ dual).astype(np.float32),
        by_vector=(VECTOR * (dense.T @ dual)).astype(np.float32),
        by_task=(by_task + CONSTANT**2 * dual.sum(axis=0)).astype(np.float32),
    )
    said = regression(texts, vectors.astype(np.float32), task).astype(np.float64)
    said[kept] = loo
    return regression, said


def _solve(kernel: Floats, aim: Floats) -> tuple[Floats, Floats]:
    """Solve at the ridge that predicts each case best from the others (Saunders et al. 1998)."""
    values, vectors = np.linalg.eigh(kernel)
    turned = vectors.T @ aim
    best: tuple[float, Floats, Floats] | None = None
    for ridge in RIDGES:
        scale = 1.0 / (np.maximum(values, 0.0) + ridge)
        dual = vectors @ (scale[:, None] * turned)
        residual = dual / ((vectors**2) @ scale)[:, None]
        error = float((residual**2).sum())
        if best is None or error < best[0]:
            best = error, dual, aim - residual
    assert best is not None
    return best[1], best[2]
