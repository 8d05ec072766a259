"""What a setting should score, read off those that differ from it in one number and cost about as much.

Of many settings tried on the same few queries, the luckiest looks best. Those that differ in one number
alone, such as the price of a call, make a curve over what they cost, and luck shows in it as a peak of one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from agentroute.routing.policy import Policy

WIDTH = 0.15
"""How far apart prices may be and still count, as the standard deviation of their natural logarithms."""

RIDGE = 0.5 * WIDTH**2
"""Pulls the slope of a line toward zero, so that a lucky setting at the end of a curve sinks as well."""

Values = npt.NDArray[np.float64]


def smoothed(
    tried: Sequence[tuple[Policy, int]], prices: Sequence[float], scores: Sequence[float]
) -> list[float]:
    """Smooth the scores of settings by local linear regression on their prices (Cleveland 1979).

    Args:
        tried: Policies, and how many rounds each had.
        prices: What each cost, 0 or more.
        scores: What each scored.

    Returns:
        A score for each; the same one where fewer than two others differ from it in their ``dial`` alone.
    """
    found = np.array(scores, np.float64)
    places = np.log(np.maximum(np.array(prices, np.float64), 1e-3))
    for curve in _curves(tried):
        found[curve] = _local_lines(places[curve], found[curve])
    return [float(score) for score in found]


def _curves(tried: Sequence[tuple[Policy, int]]) -> list[list[int]]:
    """Gather the positions of policies that are alike but for their dials."""
    alike: dict[Hashable, list[int]] = {}
    for i, (policy, rounds) in enumerate(tried):
        rest = tuple((name, value) for name, value in policy.plain().items() if name != policy.dial)
        alike.setdefault((rounds, rest), []).append(i)
    return [curve for curve in alike.values() if len(curve) > 2]


def _local_lines(at: Values, values: Values) -> Values:
    """Return at each place the value of a line through all, the nearer the more they count."""
    weight = np.exp(-0.5 * ((at[:, None] - at) / WIDTH) ** 2)
    total = weight.sum(axis=1)
    middle, mean = weight @ at / total, weight @ values / total
    off = at - middle[:, None]
    slope = (weight * off * values).sum(axis=1) / ((weight * off**2).sum(axis=1) + RIDGE)
    return np.asarray(mean + slope * (at - middle))
