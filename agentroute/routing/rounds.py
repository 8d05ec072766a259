"""Policies that decide again once there are answers.

``Growing`` is this library's own: another agent is asked while what it should add is worth its price. The
others are the known methods as settings of the same mechanism: agreement as the only stop rule (ACAR), a
ladder from cheap to dear (cascades), and a fixed panel that is asked until an answer is good enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agentroute.errors import InputError
from agentroute.routing.policy import Mask, Policy, Table, View, known_cost, rank


def _chance(logits: Table) -> Table:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -500.0, 500.0))))


def _price(cost: Table) -> Table:
    """Return prices in units of the mean price of a call; where all are free, every call costs the same."""
    dollars = known_cost(cost)
    return np.asarray(dollars / dollars.mean() if dollars.max() > 0 else np.ones_like(dollars))


@dataclass(frozen=True, kw_only=True)
class Growing(Policy):
    """Asks on while what an agent should add to the best answer so far is worth its price.

    The first round asks the ``first`` agents with the highest expected score less price. Each later one asks
    those whose gain, as the network sees it in the graph with all answers so far, is above their price; the
    second of a wave counts ``novelty`` of its gain, the third ``novelty`` of that, since agents err together.

    Args:
        price_weight: Points of score (0 to 1) that the mean price of a call must buy.
        first: Agents in the first wave.
        most: Agents in a later wave.
        novelty: Share of a gain that an agent before it in the same wave leaves.
    """

    name: ClassVar[str] = "growing"
    dial: ClassVar[str | None] = "price_weight"
    judged: bool = True
    price_weight: float = 0.05
    first: int = 1
    most: int = 1
    novelty: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.price_weight >= 0 or not 0 <= self.novelty <= 1 or self.first < 1 or self.most < 1:
            raise InputError(
                f"price_weight={self.price_weight}, novelty={self.novelty}, first={self.first}, "
                f"most={self.most}; price_weight is 0 or more, novelty in [0, 1], a wave at least 1"
            )

    @property
    def looks(self) -> bool:
        """It always needs to see how good the answers are."""
        return True

    def wave(self, view: View) -> Mask:
        """Choose whom to ask next; see ``Policy.wave``."""
        chosen = super().wave(view)
        if view.gain is None:
            return chosen
        spoke = np.asarray(view.spoke.any(axis=1))
        price = self.price_weight * _price(view.cost)
        place = rank(view.gain - price, view.free)
        worth = (view.gain * self.novelty**place > price) & (place < self.most) & view.free
        return np.where(spoke[:, None], worth, chosen)

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose the first wave; see ``Policy.select``."""
        value = _chance(logits) - self.price_weight * _price(cost)
        return np.asarray((rank(value, free) < self.first) & free)


@dataclass(frozen=True, kw_only=True)
class Panel(Policy):
    """Asks a fixed list of agents in its order, until an answer is good enough.

    Args:
        order: Agent ids, first to last.
        first: Agents in the first wave.
        most: Agents in each later wave.
        sure: Chance of being right at which an answer is good enough; 1 asks the whole panel.
    """

    name: ClassVar[str] = "panel"
    dial: ClassVar[str | None] = "sure"
    judged: bool = True
    order: tuple[str, ...] = ()
    first: int = 1
    most: int = 1
    sure: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "order", tuple(self.order))  # JSON has lists only
        if not 0 <= self.sure <= 1 or self.first < 1 or self.most < 1:
            raise InputError(
                f"sure={self.sure}, first={self.first}, most={self.most}; sure is a chance, a wave at least 1"
            )

    @property
    def looks(self) -> bool:
        """It needs to see how good the answers are, to stop or to choose among them."""
        return self.judged or self.sure < 1

    def wave(self, view: View) -> Mask:
        """Choose whom to ask next; see ``Policy.wave``."""
        place = {agent: i for i, agent in enumerate(self.order)}
        turn = np.array([place.get(agent, len(self.order)) for agent in view.agents])
        seated = view.free & (turn < len(self.order))
        begun = (view.asked & (turn < len(self.order))).any(axis=1)
        most = np.where(begun, self.most, self.first)[:, None]
        chosen = (rank(np.broadcast_to(-turn.astype(np.float64), seated.shape), seated) < most) & seated
        if view.right is not None and self.sure < 1:
            chosen &= view.short_of(self.sure)[:, None]
        # A panel of which nobody answered is followed by whoever is expected to do best.
        lost = np.asarray(~view.spoke.any(axis=1) & ~seated.any(axis=1))
        return np.where(lost[:, None], self.select(view.expected, view.cost, view.free), chosen)

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose the agent that is expected to do best; see ``Policy.select``."""
        return np.asarray((rank(logits, free) < 1) & free)


@dataclass(frozen=True, kw_only=True)
class Agreement(Policy):
    """Asks a few; if they do not agree, asks the others: ACAR's rule (agreement, and nothing else).

    Args:
        first: Agents in the first wave, those with the highest expected score.
        share: Share of the answers that must say the same.
        most: Agents in all.
    """

    name: ClassVar[str] = "agreement"
    dial: ClassVar[str | None] = "most"
    first: int = 2
    share: float = 1.0
    most: int = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1 or self.first < 1 or self.most < 1:
            raise InputError(
                f"share={self.share}, first={self.first}, most={self.most}; share is in (0, 1], the others "
                "are at least 1"
            )

    def wave(self, view: View) -> Mask:
        """Choose whom to ask next; see ``Policy.wave``."""
        chosen = super().wave(view)
        spoke = view.spoke.sum(axis=1)
        differ = np.asarray((spoke > 0) & ((view.agree < self.share - 1e-9) | (spoke < 2)))
        left = np.maximum(self.most - view.asked.sum(axis=1), 0)[:, None]
        others = (rank(view.expected, view.free) < left) & view.free
        return np.where(differ[:, None], others, chosen)

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose the first wave; see ``Policy.select``."""
        return np.asarray((rank(logits, free) < self.first) & free)


@dataclass(frozen=True, kw_only=True)
class Cascade(Policy):
    """Asks one agent after the other, cheapest first, until an answer is good enough.

    Args:
        sure: Chance of being right at which an answer is good enough.
    """

    name: ClassVar[str] = "cascade"
    dial: ClassVar[str | None] = "sure"
    judged: bool = True
    sure: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sure <= 1:
            raise InputError(f"sure={self.sure}; it is a chance, 0 to 1")

    def wave(self, view: View) -> Mask:
        """Choose whom to ask next; see ``Policy.wave``."""
        next_ = self.select(view.expected, view.cost, view.free)
        if view.right is None:
            return next_
        return np.asarray(next_ & view.short_of(self.sure)[:, None])

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose the cheapest who is free; of equally dear ones the best. See ``Policy.select``."""
        dollars = known_cost(cost)
        order = rank(logits, np.ones_like(free)) / (logits.shape[1] + 1.0)
        step = np.unique(dollars, return_inverse=True)[1]
        return np.asarray((rank(-(step + order), free) < 1) & free)
