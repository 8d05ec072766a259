"""Whether a step that was made again came to the same."""

from __future__ import annotations

from collections.abc import Callable

from agentroute.answers import group_equal
from agentroute.errors import InputError
from agentroute.running.said import CALLS
from agentroute.running.strategies import final_answer

Judge = Callable[[str, str], bool]
"""Told what a step said at the highest level and what it says now: is it as good?"""


def reproduces(reference: str, now: str, judge: Judge | None = None) -> bool:
    """Tell whether a step came to the same again.

    Args:
        reference: What it said in the trajectory, as ``trajectories.said`` writes it.
        now: What it says this time.
        judge: Decides for texts; by default they are the same when they are equal by value. Tool calls are
            the same when names and arguments are, whatever their order.

    Returns:
        Whether they are the same.

    Raises:
        InputError: The judge failed, or said neither true nor false.
    """
    if reference.startswith(CALLS) or now.startswith(CALLS):
        return sorted(reference.splitlines()) == sorted(now.splitlines())
    if judge is None:
        one, other = group_equal([final_answer(reference), final_answer(now)])
        return one == other
    try:
        verdict = judge(reference, now)
    except Exception as error:  # a user's function may raise anything
        raise InputError(f"the judge failed: {type(error).__name__}: {error}") from error
    if not isinstance(verdict, bool):
        raise InputError(f"the judge returned {verdict!r}; it says True or False")
    return verdict
