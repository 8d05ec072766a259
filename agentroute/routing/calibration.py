"""From log-odds to chances that hold: what validation fits, and how far to trust the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.outcomes import OutcomeTable
from agentroute.routing.growth import Growth
from agentroute.routing.policy import Mask, Table

VIEWS = 4
"""Ways to score the agents, each with more that was learned: the means alone, what words say, halfway to the
network, the network. See ``views.views_of``."""

UNLIKE = 0.05
"""Share of the queries that some agent fits which count as unlike the recorded ones."""

NEARNESS = 0.5
"""How much a query's distance from the recorded ones counts beside what is expected of the best agent, both
by their spread over queries that some agent fits."""

SCALES = (0.05, 5.0)
"""Smallest and largest factor on log-odds: they never turn round, and never become certainties."""


@dataclass(frozen=True)
class Calibration:
    """Turns a network's log-odds into chances that hold.

    Args:
        trust: Which view to take, up to ``VIEWS - 1``, the network itself.
        scale: Factor on the log-odds; below 1 where they are too sure.
        shift: Added to the log-odds.
        network: Scale and shift of the last view, for newcomers, who stand in no other: so that all are
            chances on one scale.
        nearness: What each unit of cosine takes off where the query is farther from the recorded ones than
            that cosine, which comes second; and what is taken off at most. It says nothing of newcomers, and
            changes no order among the others.
    """

    trust: int = VIEWS - 1
    scale: float = 1.0
    shift: float = 0.0
    network: tuple[float, float] = (1.0, 0.0)
    nearness: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what ``dataclasses.asdict`` gave, after it has been JSON, where a pair is a list."""
        pairs = {name: tuple(data[name]) for name in ("network", "nearness") if name in data}
        return cls(**{**data, **pairs})

    def __call__(self, views: Floats) -> Floats:
        """Return calibrated log-odds.

        Args:
            views: From ``views.views_of``; without its last layer where ``nearness`` counts for nothing.
                Shapes: ``(VIEWS + 1, ..., agents)``.

        Returns:
            Shapes: ``(..., agents)``.
        """
        said = self.scale * views[self.trust] + self.shift
        if self.nearness[0]:
            said = said - self.unlike(views[VIEWS])
        new = np.isnan(said)
        if new.any():
            scale, shift = self.network
            said = np.where(new, scale * views[VIEWS - 1] + shift, said)
        return np.asarray(said, dtype=np.float32)

    def unlike(self, near: Floats) -> Floats:
        """Return what is taken off where a query is unlike the recorded ones. Shapes: those of ``near``."""
        weight, least, most = self.nearness
        return np.asarray(np.clip(weight * (least - near), 0.0, most))


def calibrate(views: Floats, score: Floats, trust: int) -> Calibration:
    """Fit ``sigmoid(scale * logits + shift)`` to recorded scores.

    Args:
        views: From ``views.views_of``. Shapes: ``(VIEWS, queries, agents)``, or with nearness.
        score: Recorded scores, NaN where an agent did not run. Shapes: ``(queries, agents)``.
        trust: The view to take.

    Returns:
        The calibration of this view.
    """
    ran = ~np.isnan(score)
    scale, shift = platt(views[trust][ran], score[ran])
    last = (scale, shift) if trust == VIEWS - 1 else platt(views[VIEWS - 1][ran], score[ran])
    return Calibration(trust=trust, scale=scale, shift=shift, network=last)


def with_nearness(calibration: Calibration, views: Floats, known: Mask) -> Calibration:
    """Let a calibration take something off where a query is unlike all that is on record.

    A network that was taught to tell agents apart is sure of one of them there too. That takes no example of
    queries that no agent fits.

    Args:
        calibration: From ``calibrate``.
        views: From ``views.views_of``. Shapes: ``(VIEWS + 1, queries, agents)``.
        known: Queries that some agent fits. Shapes: ``(queries,)``.

    Returns:
        The same calibration, with a nearness that counts.
    """
    near = np.nanmax(views[VIEWS][known], axis=1)
    spread = float(near.std())
    if spread < 1e-6:  # all alike: it tells nothing
        return calibration
    # No more than that spread: queries in another style are unlike the recorded ones too, and may be clear.
    most = float(calibration(views)[known].max(axis=1).std())
    return replace(calibration, nearness=(NEARNESS * most / spread, float(np.quantile(near, UNLIKE)), most))


def platt(logits: Table, target: Table) -> tuple[float, float]:
    """Fit ``sigmoid(scale * logits + shift)`` to scores: Platt's scaling (1999) with soft labels.

    Args:
        logits: Log-odds. Shapes: ``(n,)``.
        target: Scores, 0 to 1. Shapes: ``(n,)``.

    Returns:
        Scale and shift.
    """
    x = np.stack([logits, np.ones_like(logits)], axis=1).astype(np.float64)
    start = np.array([1.0, 0.0])
    theta = start

    def loss(theta: Table) -> float:
        z = x @ theta
        return float(np.logaddexp(0.0, z).sum() - target @ z + 0.5 * ((theta - start) ** 2).sum())

    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ theta, -500.0, 500.0)))
        # A weak pull toward "leave it as it is" keeps thin or one-sided data from running away.
        gradient = x.T @ (p - target) + (theta - start)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # Where the log-odds are far too sure, a whole step overshoots and never comes back.
        while loss(theta - step) > loss(theta) + 1e-9 and np.abs(step).max() > 1e-9:
            step = step / 2.0
        theta = theta - step
    scale = float(np.clip(theta[0], *SCALES))
    if scale != theta[0]:
        theta = np.array([scale, _shift(scale * x[:, 0], target, theta[1])])
    return scale, float(np.clip(theta[1], -5.0, 5.0))


def _shift(logits: Table, target: Table, start: float) -> float:
    """Fit the shift alone, where the scale was cut off: the chances must still hold on the whole."""
    shift = start
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-np.clip(logits + shift, -500.0, 500.0)))
        step = ((p - target).sum() + shift) / ((p * (1 - p)).sum() + 1.0)
        shift -= float(np.clip(step, -2.0, 2.0))
    return shift


def calibrate_growth(
    growth: Growth, table: OutcomeTable, groups: Indices
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Fit scale and shift of what the network says of answers and of gains, on random partial rounds.

    Args:
        growth: The network's view of the validation queries.
        table: Their recorded outcomes.
        groups: ``answer_groups(table)``.

    Returns:
        Scale and shift for answers, then for gains.
    """
    draw = np.random.default_rng(0)
    answers: list[tuple[Table, Table]] = []
    gains: list[tuple[Table, Table]] = []
    rows = np.arange(len(table))
    score = np.nan_to_num(table.score)
    for size in (1, 2, 3, 5):
        order = np.argsort(np.where(table.ran, draw.random(score.shape), 2.0), axis=1).argsort(axis=1)
        asked = (order < size) & table.ran
        spoke = asked & (groups >= 0)
        gain, right = growth.look(rows, asked)
        answers.append((right[spoke], score[spoke]))
        looks = np.where(spoke, right, -np.inf)
        held = np.where(spoke.any(axis=1), score[rows, looks.argmax(axis=1)], 0.0)
        left = table.ran & ~asked & spoke.any(axis=1, keepdims=True)
        gains.append((gain[left], np.maximum(score - held[:, None], 0.0)[left]))
    fitted = []
    for parts in (answers, gains):
        logits, target = (np.concatenate(side) for side in zip(*parts, strict=True))
        fitted.append(platt(logits, target) if len(logits) else (1.0, 0.0))
    return fitted[0], fitted[1]
