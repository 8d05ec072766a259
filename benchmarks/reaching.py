"""Strong learners on recorded levels: what shows of a step, and what is worth asking then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold

from agentroute.effort.ladders import Ladder
from agentroute.effort.signs import StepView, pair_signs, reply_signs, step_signs
from agentroute.knowledge.embed import make_embedder

Floats = npt.NDArray[np.floating[Any]]

WIDTH = 40
"""Numbers that the words, and the vector, of a step are brought down to."""

TASKS = 60
"""Kinds of step, up to which each has a sign of its own."""

Guess = Callable[[int, Floats], Floats]
"""Guesses what is to be learned of steps from what shows once so many answers are there."""


def looks(ladder: Ladder, price: Floats, seed: int) -> list[Floats]:
    """Put into numbers what shows of steps: before any answer, after the lowest rung's, after the next.

    Args:
        ladder: The steps; every rung has run on each.
        price: What each rung cost. Shapes: ``(steps, rungs)``.
        seed: Of the singular value decompositions.

    Returns:
        For 0, 1 and more answers, as many numbers for every step. Shapes: ``(steps, signs)`` each.
    """
    count, top = len(ladder.views), len(ladder.rungs) - 1
    tasks = sorted({view.task for view in ladder.views if view.task})
    kinds = [[float(view.task == task) for task in tasks] for view in ladder.views]
    parts = [
        asked(ladder.views, seed),
        np.array(kinds if len(tasks) <= TASKS else [[]] * count).reshape(count, -1),
    ]
    found = [np.hstack(parts)]
    for rung in range(top):
        both = zip(ladder.replies, ladder.views, strict=True)
        parts += [np.array([reply_signs(row[rung], view) for row, view in both]), price[:, [rung]]]
        if rung:
            parts.append(np.array([pair_signs(row[rung - 1], row[rung]) for row in ladder.replies]))
        found.append(np.hstack(parts))
    return found


def asked(views: Sequence[StepView], seed: int) -> Floats:
    """Put into numbers what is asked: its plain signs, its words, and its sentence vector.

    Args:
        views: The questions, or steps.
        seed: Of the singular value decompositions.

    Returns:
        Shapes: ``(views, signs)``.
    """
    texts = [view.text for view in views]
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2).fit_transform(texts)
    vectors = make_embedder("minilm").embed(texts)
    width = min(WIDTH, len(texts) // 8)
    shorter = [TruncatedSVD(width, random_state=seed).fit_transform(part) for part in (words, vectors)]
    return np.hstack([np.array([step_signs(view) for view in views]), *shorter])


def crossed(signs: Floats, aim: Floats, seed: int) -> Floats:
    """Guess what is to be learned of each step from the other parts: the mean of two kinds of trees.

    Boosting learns one number at a time, and is left out where there are several.

    Args:
        signs: What shows. Shapes: ``(steps, signs)``.
        aim: What is to be learned. Shapes: ``(steps,)``, or ``(steps, n)``.
        seed: Of the parts and the trees.

    Returns:
        Shapes: those of ``aim``.
    """
    guess = np.zeros(aim.shape)
    for known, held in KFold(5, shuffle=True, random_state=seed).split(signs):
        learners: list[Any] = [
            ExtraTreesRegressor(250, min_samples_leaf=4, max_features=0.4, random_state=seed)
        ]
        if aim.ndim == 1:
            boosting = HistGradientBoostingRegressor(
                max_iter=100, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
            )
            learners.append(boosting)
        for learner in learners:
            guess[held] += learner.fit(signs[known], aim[known]).predict(signs[held]) / len(learners)
    return guess


def walked(score: Floats, price: Floats, units: Floats, guess: Guess) -> list[tuple[float, float]]:
    """Go by guesses: begin with any rung; from the lowest go on, or up at once, while it is worth its price.

    What going on is worth is found backwards, from what came of it.

    Args:
        score: Shapes: ``(steps, rungs)``.
        price: In means of the highest rung. Shapes: the same.
        units: What one counts, in points of score (0 to 1).
        guess: Cross-fitted learners.

    Returns:
        For each unit the share of the price that was saved, and the score lost (0 to 1).
    """
    count, top = len(score), score.shape[1] - 1
    last, usual = score[:, top], price.mean(axis=0)
    # From a rung on, for each unit: what was scored in the end, and what was spent after it.
    ended, spent = np.repeat(last[:, None], len(units), 1), np.zeros((count, len(units)))
    for rung in range(top - 1, -1, -1):
        here = score[:, [rung]]
        higher = (
            [] if rung == top - 1 else [guess(rung + 1, last - score[:, rung])[:, None] - units * usual[top]]
        )
        more = price[:, [rung + 1]] + spent
        on = guess(rung + 1, np.column_stack([ended - here - units * more]))
        choice = np.stack([np.zeros_like(on), on, *higher]).argmax(axis=0)
        spent = np.where(choice == 1, more, np.where(choice == 2, price[:, [top]], 0.0))
        ended = np.where(choice == 1, ended, np.where(choice == 2, last[:, None], here))
    low = guess(0, ended - last[:, None] - units * (price[:, [0]] + spent))
    alone = [guess(0, score[:, rung] - last)[:, None] - units * usual[rung] for rung in range(1, top)]
    begin = np.stack([np.broadcast_to(-units * usual[top], low.shape), low, *alone]).argmax(axis=0)
    cost, got = np.repeat(price[:, [top]], len(units), 1), np.repeat(last[:, None], len(units), 1)
    cost, got = np.where(begin == 1, price[:, [0]] + spent, cost), np.where(begin == 1, ended, got)
    for rung in range(1, top):
        cost = np.where(begin == rung + 1, price[:, [rung]], cost)
        got = np.where(begin == rung + 1, score[:, [rung]], got)
    saved, lost = 1.0 - cost.mean(axis=0) / usual[top], (last[:, None] - got).mean(axis=0)
    return list(zip(saved.tolist(), lost.tolist(), strict=True))
