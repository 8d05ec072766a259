"""Figures of a policy, and of its difference from another one on the same queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agentroute.evaluation.bootstrap import interval, resampled_means
from agentroute.evaluation.bounds import known_mean
from agentroute.evaluation.verdict import PolicyScore
from agentroute.routing.replay import Replay


@dataclass(frozen=True, eq=False)
class Against:
    """Turns what came of a policy into its figures, always against the same queries and draws.

    Args:
        other: What its gain is measured from.
        seed: Same seed, same draws.
        clusters: A number per query, the same for those drawn together. Shapes: ``(queries,)``.
    """

    other: Replay
    seed: int
    clusters: npt.NDArray[np.int64]

    def __call__(self, got: Replay) -> PolicyScore:
        """Return the figures of what came of a policy."""
        score = np.asarray(got.score, dtype=np.float64)
        gain = score - self.other.score
        means = resampled_means(np.stack([score, gain], axis=1), self.seed, clusters=self.clusters)
        (low, high), (gain_low, gain_high) = interval(means[:, 0]), interval(means[:, 1])
        return PolicyScore(
            score=float(score.mean()),
            score_low=low,
            score_high=high,
            cost_usd=known_mean(got.cost_usd),
            calls=float(got.calls.mean()),
            latency_s=known_mean(got.latency_s),
            gain=float(gain.mean()),
            gain_low=gain_low,
            gain_high=gain_high,
        )
