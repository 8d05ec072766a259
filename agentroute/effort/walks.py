"""Going by a plan on recorded steps, or on episodes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agentroute.effort.plan import Asked, Floats, Indices, Plan, Seen, moves, states


@dataclass(frozen=True, eq=False)
class Walk:
    """What a plan came to on recorded steps.

    Args:
        score: Of the answers given. Shapes: ``(steps,)``.
        asked: Which rungs were asked. Shapes: ``(steps, rungs)``.
        given: Whose answer was given. Shapes: ``(steps,)``.
        chance: How likely the answer given was thought right. Shapes: ``(steps,)``.
    """

    score: Floats
    asked: npt.NDArray[np.bool_]
    given: Indices
    chance: Floats

    def spent(self, price: Floats) -> Floats:
        """Add up what all that were asked cost; unknown with an unknown part. Shapes: ``(steps,)``."""
        return np.asarray(np.where(self.asked, price, 0.0).sum(axis=1))


def walk(plan: Plan, seen: Seen, score: Floats, at: int | Indices | None = None) -> Walk:
    """Go by a plan on recorded steps.

    Args:
        plan: The plan.
        seen: What shows of the steps.
        score: Shapes: ``(steps, rungs)``.
        at: Which of the plan's prices holds, for all steps or for each; the plan's own by default.

    Returns:
        What came of it.
    """
    count = len(score)
    which = np.broadcast_to(np.asarray(plan.at if at is None else at, np.int64), (count,))
    asked = np.zeros((count, plan.rungs), bool)
    given, chance = np.full(count, -1), np.zeros(count)
    waiting: dict[Asked, Indices] = {(): np.arange(count)}
    for state in reversed(states(plan.rungs)):
        rows = waiting.pop(state, np.zeros(0, np.int64))
        if not len(rows):
            continue
        worth, chances = plan.values(state, seen(state, rows), which[rows])
        best = worth.argmax(axis=1)
        for place, move in enumerate(moves(state, plan.rungs)):
            here = rows[best == place]
            if move.ask:
                asked[here, move.rung] = True
                after = (*state, move.rung)
                waiting[after] = np.concatenate([waiting.get(after, here[:0]), here])
            else:
                given[here], chance[here] = move.rung, chances[best == place, move.rung]
    return Walk(score[np.arange(count), given], asked, given, chance)


def walk_episodes(
    plan: Plan, seen: Seen, score: Floats, episodes: Indices, turn: Indices, mean: float
) -> Walk:
    """Go by a plan on episodes, step by step: what earlier steps have spoiled is not worth much effort.

    An episode is right when all of its steps are. So a step is worth the chance that all the others are
    right, and a unit spent on it counts as much more.

    Args:
        plan: The plan.
        seen: What shows of the steps.
        score: Shapes: ``(steps, rungs)``.
        episodes: A number per step, the same within an episode. Shapes: ``(steps,)``.
        turn: The order of the steps within their episodes. Shapes: ``(steps,)``.
        mean: Mean score of the highest rung: what is expected of a step.

    Returns:
        What came of it.
    """
    count = len(score)
    whole = Walk(
        np.zeros(count), np.zeros((count, plan.rungs), bool), np.zeros(count, np.int64), np.zeros(count)
    )
    so_far = np.ones(int(episodes.max()) + 1)
    place = np.zeros(count, np.int64)
    for row in np.lexsort((turn, episodes))[1:]:
        before = np.flatnonzero((episodes == episodes[row]) & (turn < turn[row]))
        place[row] = len(before)
    for number in range(int(place.max()) + 1):
        rows = np.flatnonzero(place == number)
        worth = so_far[episodes[rows]] / max(mean, 0.05) ** number
        part = walk(plan, seen.take(rows), score[rows], plan.dearer(plan.at, worth))
        for name in ("score", "asked", "given", "chance"):
            getattr(whole, name)[rows] = getattr(part, name)
        so_far[episodes[rows]] *= part.chance
    return whole
