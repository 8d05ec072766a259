"""Holding a router to mean bounds on the queries at hand, by their prices and never by their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError
from agentroute.routing.router import GraphRouter

WIDER = tuple(1.1**step for step in range(1, 9))
"""Factors by which a bound is widened in turn, where these queries are cheaper than validation's."""


class Spending(Protocol):
    """What came of a router on some queries."""

    @property
    def calls(self) -> npt.NDArray[np.integer]:
        """Agents asked. Shapes: ``(queries,)``."""

    @property
    def cost_usd(self) -> npt.NDArray[np.floating]:
        """US dollars, NaN where unknown. Shapes: ``(queries,)``."""


Spent = TypeVar("Spent", bound=Spending)


def hold(
    router: GraphRouter,
    replayed: Callable[[GraphRouter], Spent],
    limits: Mapping[str, float],
    wider: Sequence[float] = WIDER,
) -> tuple[GraphRouter, Spent]:
    """Find the best setting of a router that keeps mean bounds on some queries.

    Validation says which setting is best within a bound. What the setting costs here may be more or
    less than it did there, so the bound that validation is asked about is tightened or widened until it fits.
    Only prices of these queries are looked at for that, never scores.

    Args:
        router: The router.
        replayed: Says what came of a router on the queries.
        limits: ``max_calls``, ``max_cost_usd``, both or none: means per query.
        wider: Factors by which the bounds are widened in turn, until these queries no longer keep them.

    Returns:
        The router with that setting, and what came of it.

    Raises:
        InputError: No setting keeps within the bounds.
    """
    try:
        chosen = router.within(**limits)
    except InputError:
        chosen = _cheapest(router, limits, wider)
        got = replayed(chosen)
        if _over(got, limits):
            raise
        return chosen, got
    got = replayed(chosen)
    asked = dict(limits)
    lowest = {"max_calls": min(setting.calls for setting in router.tried)}
    while over := _over(got, limits):
        name, factor = over
        tighter, least = asked[name] * min(0.98, factor), lowest.get(name, 0.0)
        # A step must not miss the smallest that there is, which may be just enough.
        asked[name] = max(tighter, least) if asked[name] > least else tighter
        chosen = router.within(**asked)
        got = replayed(chosen)
    if not limits or asked != dict(limits):
        return chosen, got
    for factor in wider:
        next_ = _widened(router, limits, factor)
        if next_.setting == chosen.setting:
            continue
        came = replayed(next_)
        if _over(came, limits):
            break
        chosen, got = next_, came
    return chosen, got


def known_mean(values: npt.NDArray[np.floating]) -> float | None:
    """Return a mean; one with an unknown part is unknown.

    Args:
        values: NaN where unknown. Shapes: any.

    Returns:
        The mean, or ``None``.
    """
    return None if np.isnan(values).any() else float(values.mean())


def _cheapest(router: GraphRouter, limits: Mapping[str, float], wider: Sequence[float]) -> GraphRouter:
    """Where validation knows nothing within the bounds, take what it knows next to them."""
    for factor in wider:
        try:
            return _widened(router, limits, factor)
        except InputError:
            continue
    return router.within(**limits)  # says what it lacks


def _widened(router: GraphRouter, limits: Mapping[str, float], factor: float) -> GraphRouter:
    return router.within(**{name: limit * factor for name, limit in limits.items()})


def _over(got: Spending, limits: Mapping[str, float]) -> tuple[str, float] | None:
    """Name a bound that was not kept, and the factor by which it was missed."""
    spent = {"max_calls": float(got.calls.mean()), "max_cost_usd": known_mean(got.cost_usd) or 0.0}
    for name, limit in limits.items():
        if spent[name] > limit * (1 + 1e-9):
            return name, limit / spent[name]
    return None
