"""How dear a step may be: the setting that saves most while the loss stays within what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.effort.walks import Walk

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A setting, and what it came to on steps that the plan did not see.

    Args:
        at: Which price holds; ``None`` when the highest rung is always asked.
        margin: Points of score (0 to 1) by which anything else must be worth more than the highest rung.
        loss: Points of score (0 to 1) below the highest rung.
        doubt: The standard error of the loss; see ``_error``.
        saved: Share of the highest rung's price that was not spent.
        tried: Loss, its standard error and the saving of each setting: all prices at the first margin, then
            at the next.
        steps: Steps learned from.
        seconds: How long it took.
    """

    at: int | None
    margin: float
    loss: float
    doubt: float
    saved: float
    tried: tuple[tuple[float, float, float], ...]
    steps: int = 0
    seconds: float = 0.0


def choose(
    walks: Sequence[tuple[int, float, Walk]],
    top: Floats,
    price: Floats,
    episodes: npt.NDArray[np.int64] | None,
    max_loss: float,
    doubt: float,
) -> Choice:
    """Find the setting that saves most among those whose loss, with some doubt, is small enough.

    Args:
        walks: The price and the margin of each setting, and what it came to on steps held out.
        top: Scores of the highest rung. Shapes: ``(steps,)``.
        price: What each rung cost. Shapes: ``(steps, rungs)``.
        episodes: A number per step, the same within an episode; an episode scores the product of its steps.
        max_loss: Points of score (0 to 1).
        doubt: Standard errors added to the loss.

    Returns:
        The setting.
    """
    whole = price[:, -1].sum()
    tried: list[tuple[float, float, float]] = []
    for _, _, found in walks:
        lost = by_episode(top, episodes) - by_episode(found.score, episodes)
        tried.append((float(lost.mean()), _error(lost), float(1.0 - found.spent(price).sum() / whole)))
    smooth = _rising([loss for loss, _, _ in tried], [saved for _, _, saved in tried])
    within = [
        n for n, (_, error, saved) in enumerate(tried) if smooth[n] + doubt * error <= max_loss and saved > 0
    ]
    if not within:
        return Choice(at=None, margin=0.0, loss=0.0, doubt=0.0, saved=0.0, tried=tuple(tried))
    best = max(within, key=lambda n: tried[n][2])
    loss, error, saved = tried[best]
    at, margin, _ = walks[best]
    return Choice(at=at, margin=margin, loss=loss, doubt=error, saved=saved, tried=tuple(tried))


def _error(lost: Floats) -> float:
    """Return the standard error of a mean loss, half a case more having been lost or gained whole.

    Where nothing was lost on a hundred steps, something may be on the next hundred: that is no certainty. So
    the error is never below ``sqrt(0.5) / (cases + 0.5)``: it takes 71 cases to promise a loss of one point.
    """
    count = len(lost) + 0.5
    return float((lost.var() * len(lost) + 0.5) ** 0.5 / count)


def _rising(losses: Sequence[float], savings: Sequence[float]) -> Floats:
    """Smooth losses so that whoever saves more loses no less; then nothing is chosen for its luck.

    The pool-adjacent-violators algorithm (Ayer et al. 1955).
    """
    pools: list[list[float]] = []  # the mean loss and the size of each
    order = np.argsort(savings, kind="stable")
    for place in order.tolist():
        pools.append([losses[place], 1.0])
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (one, many), (other, more) = pools[-2:]
            pools[-2:] = [[(one * many + other * more) / (many + more), many + more]]
    smooth = np.empty(len(losses))
    smooth[order] = np.repeat([mean for mean, _ in pools], [int(count) for _, count in pools])
    return smooth


def by_episode(score: Floats, episodes: npt.NDArray[np.int64] | None) -> Floats:
    """Multiply the scores of each episode's steps: an episode is right when all of them are.

    Args:
        score: Shapes: ``(steps,)``.
        episodes: A number per step; ``None`` leaves the scores as they are.

    Returns:
        Shapes: ``(episodes,)``.
    """
    if episodes is None:
        return score
    product = np.ones(int(episodes.max()) + 1 if len(episodes) else 0)
    np.multiply.at(product, episodes, score)
    return product
