"""Mean bounds are kept on the queries at hand, whatever they cost on validation."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from routing.labelled import trained_on_labels

from agentroute.errors import InputError
from agentroute.evaluation.bounds import WIDER, hold
from agentroute.routing.router import GraphRouter


@dataclass(frozen=True)
class Spent:
    calls: np.ndarray
    cost_usd: np.ndarray


def router_of(*validation: tuple[float, float]) -> GraphRouter:
    """A router whose settings had these mean calls and scores on validation."""
    made = copy(trained_on_labels())
    one = made.setting
    made.tried = tuple(
        replace(one, rounds=i + 2, calls=calls, score=score, doubt=0.0, price=0.0)
        for i, (calls, score) in enumerate(validation)
    )
    return made.using(made.tried[0])


def held(
    router: GraphRouter, here: list[float], limits: Mapping[str, float], wider: tuple[float, ...] = WIDER
) -> float:
    """Hold a router whose settings take these mean calls here; return what the chosen one takes."""

    def replayed(one: GraphRouter) -> Spent:
        calls = here[one.rounds - 2]
        return Spent(np.array([calls - 0.5, calls + 0.5]), np.array([np.nan, np.nan]))

    return float(hold(router, replayed, limits, wider)[1].calls.mean())


def test_a_step_down_does_not_miss_the_smallest_that_there_is() -> None:
    router = router_of((1.0, 0.5), (1.02, 0.6), (1.05, 0.7))
    assert held(router, [1.0, 1.2, 1.3], {"max_calls": 1.05}) == 1.0


def test_where_these_queries_are_cheaper_more_is_asked() -> None:
    router = router_of((1.0, 0.5), (1.3, 0.6), (1.45, 0.7), (1.6, 0.8))
    assert held(router, [1.0, 1.2, 1.3, 1.5], {"max_calls": 1.3}) == 1.3
    assert held(router, [1.0, 1.2, 1.3, 1.5], {"max_calls": 1.3}, (1.05,)) == 1.2
    assert held(router, [1.0, 1.2, 1.3, 1.5], {}) == 1.0


def test_a_bound_that_nothing_keeps_is_refused() -> None:
    router = router_of((1.0, 0.5), (1.3, 0.6))
    with pytest.raises(InputError, match=r"max_calls=\d"):
        held(router, [1.4, 1.5], {"max_calls": 1.3})
    with pytest.raises(InputError, match=r"max_calls=0\.9"):
        held(router, [1.0, 1.5], {"max_calls": 0.9})
    # Validation knows nothing below 1, and yet here it is kept.
    assert held(router, [0.8, 1.5], {"max_calls": 0.95}) == 0.8


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(1, 4), st.floats(0, 1), st.floats(0.7, 1.4)), min_size=1, max_size=8))
def test_what_is_held_keeps_the_bound(drawn: list[tuple[float, float, float]]) -> None:
    router = router_of(*((calls, score) for calls, score, _ in drawn))
    here = [calls * factor for calls, _, factor in drawn]
    lowest = min(range(len(drawn)), key=lambda i: drawn[i][0])
    for bound in (1.2, 2.0, 3.5):
        assume(len({calls for calls, _, _ in drawn}) == len(drawn))
        try:
            assert held(router, here, {"max_calls": bound}) <= bound * (1 + 1e-9)
        except InputError:
            # Then not even the setting that asked the fewest on validation keeps it.
            assert drawn[lowest][0] > bound or here[lowest] > bound
