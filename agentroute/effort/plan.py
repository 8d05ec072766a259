"""A plan: for each set of rungs asked so far, whether to stop and with whose answer, or whom to ask next.

It is found backwards, from the sets with most answers to the empty one (backward induction by regression,
Longstaff & Schwartz 2001): what a set is worth on each training step is what came of going on by the plan
from there, and a forest says of a new step what those like it were worth. A forest's guess about a training
step comes from the trees that did not see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.effort.forest import Forest, Grown, grow
from agentroute.effort.signs import Reply, StepView, pair_signs, reply_signs, step_signs

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Asked = tuple[int, ...]
"""Positions of the rungs asked so far, ascending."""

MOST_RUNGS = 4
"""Rungs of a ladder that a plan uses, at most: it has a forest for every set of them."""

TREES = 120

PRICE_SHARE = 1.0
"""How many points of score a standard deviation of a price counts where trees are split: prices tell kinds of
steps apart, and there is less chance in them than in scores."""


@dataclass(frozen=True, slots=True)
class Move:
    """What can be done: ask a rung, or stop with the answer of one that was asked."""

    ask: bool
    rung: int


def states(rungs: int) -> list[Asked]:
    """List the sets of rungs that can have been asked, most of them first; rungs are only asked upwards."""
    every = (asked for size in range(rungs, -1, -1) for asked in combinations(range(rungs), size))
    return list(every)


def moves(asked: Asked, rungs: int) -> tuple[Move, ...]:
    """List what can be done next, the dearest first, so that of equals the dearer is done."""
    first = asked[-1] + 1 if asked else 0
    higher = [Move(True, rung) for rung in range(rungs - 1, first - 1, -1)]
    return (*higher, *(Move(False, rung) for rung in reversed(asked)))


@dataclass(frozen=True, eq=False)
class Seen:
    """What shows of some steps, set of rungs by set of rungs.

    Args:
        step: What shows before anything is asked. Shapes: ``(steps, signs)``.
        reply: What shows of each rung's answer.
        pair: What shows of each two answers together.
    """

    step: Floats
    reply: tuple[Floats, ...]
    pair: Mapping[tuple[int, int], Floats]

    @classmethod
    def of(cls, views: Sequence[StepView], replies: Sequence[Sequence[Reply]], said: Floats) -> Seen:
        """Read the signs of recorded steps.

        Args:
            views: The steps.
            replies: What every rung answered.
            said: What the words say of each rung. Shapes: ``(steps, rungs)``.

        Returns:
            The signs.
        """
        rungs = len(replies[0]) if replies else 0
        plain = np.array([step_signs(view) for view in views], np.float32).reshape(len(views), -1)
        return cls(
            step=np.hstack([plain, said.astype(np.float32)]),
            reply=tuple(
                np.array([reply_signs(row[rung], view) for row, view in zip(replies, views, strict=True)])
                for rung in range(rungs)
            ),
            pair={
                (one, other): np.array([pair_signs(row[one], row[other]) for row in replies])
                for one, other in combinations(range(rungs), 2)
            },
        )

    def __call__(self, asked: Asked, rows: Indices | slice = slice(None)) -> Floats:
        """Put together what shows once some rungs were asked. Shapes: ``(steps, signs)``."""
        parts = [self.step[rows], *(self.reply[rung][rows] for rung in asked)]
        parts += [self.pair[both][rows] for both in combinations(asked, 2)]
        return np.hstack(parts).astype(np.float32)

    def with_said(self, said: Floats) -> Seen:
        """Put what the words say in place of what they said before."""
        width = self.step.shape[1] - said.shape[1]
        return Seen(np.hstack([self.step[:, :width], said.astype(np.float32)]), self.reply, self.pair)

    def take(self, rows: Indices) -> Seen:
        """Keep some steps."""
        return Seen(
            self.step[rows],
            tuple(part[rows] for part in self.reply),
            {both: part[rows] for both, part in self.pair.items()},
        )


def signs_of(view: StepView, said: Floats, replies: Sequence[Reply]) -> Floats:
    """Read the signs of one live step, as ``Seen`` has them. Shapes: ``(1, signs)``."""
    found = [*step_signs(view), *said.tolist()]
    for reply in replies:
        found += reply_signs(reply, view)
    for one, other in combinations(replies, 2):
        found += pair_signs(one, other)
    return np.array([found], np.float32)


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do in each state.

    Args:
        rungs: How many rungs there are.
        forests: One per state.
        worth: What each leaf says of each move, at each price of a unit spent.
            Shapes: ``(prices, leaves, moves)``.
        chance: What each leaf says of each rung's score. Shapes: ``(leaves, rungs)``.
        prices: What a unit spent counts in points of score (0 to 1), ascending.
        at: Which of ``prices`` holds.
        margin: Points of score (0 to 1) by which anything else must be worth more than asking the highest
            rung: when in doubt, the higher.
        expected: What the training steps were worth by the plan, less what they cost. Shapes: ``(prices,)``.
    """

    rungs: int
    forests: Mapping[Asked, Forest]
    worth: Mapping[Asked, npt.NDArray[np.float32]]
    chance: Mapping[Asked, npt.NDArray[np.float32]]
    prices: Floats
    at: int = 0
    margin: float = 0.0
    expected: Floats | None = None

    def dearer(self, at: int, worth: Floats) -> Indices:
        """Find the price at which a unit counts as much more as a step is worth less.

        Args:
            at: Which price holds for a step that is worth 1.
            worth: What steps are worth. Shapes: ``(steps,)``.

        Returns:
            Which of ``prices`` holds for each. Shapes: ``(steps,)``.
        """
        wanted = np.log(self.prices[at] / np.clip(worth, 1e-6, 1e6))
        return np.asarray(np.abs(wanted[:, None] - np.log(self.prices)).argmin(axis=1), np.int64)

    def values(self, asked: Asked, signs: Floats, at: int | Indices | None = None) -> tuple[Floats, Floats]:
        """Say what each move is worth, and how likely each rung does.

        Args:
            asked: The rungs asked so far.
            signs: Shapes: ``(steps, signs)``.
            at: Which of ``prices``, for all steps or for each; the plan's own by default.

        Returns:
            Shapes: ``(steps, moves)`` and ``(steps, rungs)``.
        """
        which = np.broadcast_to(np.asarray(self.at if at is None else at, np.int64), (len(signs),))
        leaf = self.forests[asked](signs)
        worth = self.worth[asked][which[:, None], leaf].mean(axis=1)
        if self.rungs - 1 not in asked:
            worth[:, 0] += self.margin  # of the moves, asking the highest rung comes first
        return worth, self.chance[asked][leaf].mean(axis=1)


def make_plan(
    seen: Seen, score: Floats, price: Floats, prices: Sequence[float], *, seed: int, trees: int = TREES
) -> Plan:
    """Find the plan that does best at each price of a unit spent.

    Args:
        seen: What shows of the training steps.
        score: What each rung scored on them, nowhere unknown. Shapes: ``(steps, rungs)``.
        price: What each rung cost. Shapes: the same.
        prices: What a unit spent counts in points of score, ascending.
        seed: Same seed, same plan.
        trees: Trees of each forest.

    Returns:
        The plan, at the first of the prices.
    """
    count, rungs = score.shape
    leaf = max(4, count // 400)
    # Scores are what the trees should tell apart; prices count less.
    spread = PRICE_SHARE * price / np.maximum(price.std(axis=0), 1e-30 + 1e-3 * price.mean())
    grown: dict[Asked, Grown] = {
        state: grow(seen(state), np.hstack([score, spread]), seed=seed, trees=trees, leaf=leaf)
        for state in states(rungs)
    }
    worth: dict[Asked, list[npt.NDArray[np.float32]]] = {state: [] for state in grown}
    expected: list[float] = []
    for unit in prices:
        came: dict[Asked, Floats] = {}
        for state, forest in grown.items():
            aims = np.stack(
                [
                    came[(*state, move.rung)] - unit * price[:, move.rung]
                    if move.ask
                    else score[:, move.rung]
                    for move in moves(state, rungs)
                ],
                axis=1,
            )
            table = forest.table(aims)
            worth[state].append(table)
            came[state] = aims[np.arange(count), forest.left_out(table).argmax(axis=1)]
        expected.append(float(came[()].mean()))
    return Plan(
        rungs=rungs,
        forests={state: forest.forest for state, forest in grown.items()},
        worth={state: np.stack(tables) for state, tables in worth.items()},
        chance={state: forest.table(score) for state, forest in grown.items()},
        prices=np.array(prices, np.float64),
        expected=np.array(expected),
    )
