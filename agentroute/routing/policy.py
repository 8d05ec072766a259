"""Scores to a selection: whom to ask in one round, and with what weight their answers count.

A policy sees whole batches, and only numbers: what is expected of each agent, what the answers so far are
worth, and prices. It knows nothing of graphs, networks or how agents are run. The policies here decide once;
those that look at answers and decide again are in ``rounds``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError

Table = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

POLICIES: dict[str, type[Policy]] = {}
"""Every kind of policy by its name, as router files write it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """What is known before one round, for a batch of queries.

    Args:
        agents: The ids of the agents, in column order.
        expected: Log-odds of each agent's score, before any answer. Shapes: ``(batch, agents)``.
        cost: Expected price per agent in US dollars, NaN where unknown. Shapes: ``(agents,)``.
        free: Who may still be asked. Shapes: ``(batch, agents)``.
        asked: Who has been asked; the others may be too dear. Shapes: ``(batch, agents)``.
        spoke: Who has given an answer. Shapes: ``(batch, agents)``.
        agree: Share of the answers that say what most of them say; 0 without answers. Shapes: ``(batch,)``.
        gain: What each agent would add to the best answer there is, 0 to 1; ``None`` when the policy does not
            ask for it. Shapes: ``(batch, agents)``.
        right: Chance that each answer is right, -1 where there is none; ``None`` as well. Shapes: ``(batch,
            agents)``.
    """

    agents: tuple[str, ...]
    expected: Table
    cost: Table
    free: Mask
    asked: Mask
    spoke: Mask
    agree: Table
    gain: Table | None = None
    right: Table | None = None

    @property
    def held(self) -> Table:
        """Chance that the best answer so far is right, 0 without one. Shapes: ``(batch,)``."""
        assert self.right is not None  # only policies that judge ask for it
        return np.asarray(np.maximum(self.right.max(axis=1), 0.0))

    def short_of(self, sure: float) -> Mask:
        """Return where no answer is right with that chance. Shapes: ``(batch,)``."""
        return np.asarray((self.held < sure) | ~self.spoke.any(axis=1))


@dataclass(frozen=True, kw_only=True)
class Policy(ABC):
    """Chooses agents from their scores.

    Args:
        temperature: Voting weights are proportional to odds to the power 1 / temperature: small values
            trust the best agent alone, large ones count heads. At 1 this is the optimal vote of independent
            agents up
            to a constant (https://doi.org/10.2307/2526438).
        judged: Whether the answer that the network thinks best is given, instead of the one with most weight.
    """

    temperature: float = 1.0
    judged: bool = False

    name: ClassVar[str]
    dial: ClassVar[str | None] = None
    """The setting that trades score for price, where there is one."""

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if "name" in cls.__dict__:
            POLICIES[cls.name] = cls

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}; it must be above 0")

    @property
    def looks(self) -> bool:
        """Whether it needs to see how good the answers are."""
        return self.judged

    def wave(self, view: View) -> Mask:
        """Choose whom to ask next; nobody when it is enough.

        Unless a policy says otherwise, it decides once, and again only while nobody has answered.

        Args:
            view: What is known.

        Returns:
            A subset of those free. Shapes: ``(batch, agents)``.
        """
        silent = ~view.spoke.any(axis=1)
        chosen = np.zeros_like(view.free)
        if silent.any():
            chosen[silent] = self.select(view.expected[silent], view.cost, view.free[silent])
        return chosen & view.free

    @abstractmethod
    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose whom to ask.

        Args:
            logits: Log-odds of each agent's expected score. Shapes: ``(batch, agents)``.
            cost: Expected price per agent in US dollars, NaN where unknown. Shapes: ``(agents,)``.
            free: Who may still be asked. Shapes: ``(batch, agents)``.

        Returns:
            A subset of ``free``, not empty where ``free`` is not. Shapes: ``(batch, agents)``.
        """

    def remark(self, view: View, chosen: Mask) -> str | None:
        """Say what a decision should tell of its first round, beyond whom it asks.

        Args:
            view: What was known, of one query.
            chosen: Whom ``wave`` chose. Shapes: ``(1, agents)``.

        Returns:
            A reason in words; ``None`` when there is nothing to tell.
        """
        return None

    def weights(self, logits: Table, members: Mask) -> Table:
        """Weigh the members' votes.

        Args:
            logits: Log-odds of each agent's expected score. Shapes: ``(batch, agents)``.
            members: Who votes. Shapes: ``(batch, agents)``.

        Returns:
            Non-negative weights that sum to 1 over the members of each row, 0 elsewhere. Shapes: as
            ``logits``.
        """
        logits = logits.astype(np.float64)
        top = np.max(np.where(members, logits, -np.inf), axis=1, keepdims=True, initial=-1e9)
        below = np.where(members, logits - top, 0.0)
        with np.errstate(over="ignore"):  # a tiny temperature makes weights of 0
            odds = np.where(members, np.exp(below / self.temperature), 0.0)
        return np.asarray(odds / np.maximum(odds.sum(axis=1, keepdims=True), 1e-300))

    def plain(self) -> dict[str, Any]:
        """Return name and settings, for a router file."""
        return {**asdict(self), "name": self.name}


@dataclass(frozen=True, kw_only=True)
class TopK(Policy):
    """Asks the ``k`` agents with the highest scores."""

    name: ClassVar[str] = "top_k"
    dial: ClassVar[str | None] = "k"
    k: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise InputError(f"k is {self.k}; at least one agent must be asked")

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose whom to ask; see ``Policy.select``."""
        return np.asarray((rank(logits, free) < self.k) & free)


@dataclass(frozen=True, kw_only=True)
class Nucleus(Policy):
    """Asks the smallest set, best first, whose voting weights reach ``p`` of all; at most ``most`` agents."""

    name: ClassVar[str] = "nucleus"
    dial: ClassVar[str | None] = "p"
    p: float = 0.8
    most: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.p <= 1 or self.most < 1:
            raise InputError(f"p={self.p}, most={self.most}; p must be in (0, 1] and most at least 1")

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose whom to ask; see ``Policy.select``."""
        place, weights = rank(logits, free), self.weights(logits, free)
        ordered = np.take_along_axis(weights, np.argsort(place, axis=1), axis=1)
        # An agent is needed when those before it fall short of p; rounding must not ask for one more.
        before = np.cumsum(ordered, axis=1) - ordered
        size = (before < self.p - 1e-9).sum(axis=1, keepdims=True)
        return np.asarray((place < np.minimum(np.maximum(size, 1), self.most)) & free)


@dataclass(frozen=True, kw_only=True)
class PriceAware(Policy):
    """Asks an agent while what it should add is worth its price.

    The set grows greedily. With ``s`` the expected score so far, agent ``a`` is worth ``(1 - s) * p_a *
    novelty - price_weight * cost_a / mean cost``; the first agent is chosen by ``p_a - price_weight * cost_a
    / mean
    cost``. An unknown price counts as the highest known one; where none is known, every call costs the same.

    Args:
        price_weight: Points of score (0 to 1) that the mean price of a call must buy.
        novelty: Share of an agent's score that earlier agents do not already cover; agents err together.
        cap_usd: No set is expected to cost more, unless even the cheapest agent does.
        most: Agents in one set.
    """

    name: ClassVar[str] = "price_aware"
    dial: ClassVar[str | None] = "price_weight"
    price_weight: float = 0.05
    novelty: float = 0.4
    cap_usd: float | None = None
    most: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.price_weight >= 0 or not 0 <= self.novelty <= 1:
            raise InputError(
                f"price_weight={self.price_weight}, novelty={self.novelty}; the one must be 0 or more, the "
                "other in [0, 1]"
            )
        if (self.cap_usd is not None and not self.cap_usd >= 0) or self.most < 1:
            raise InputError(
                f"cap_usd={self.cap_usd}, most={self.most}; a cap is 0 or more and most at least 1"
            )

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose whom to ask; see ``Policy.select``."""
        chance = 1.0 / (1.0 + np.exp(-logits.astype(np.float64)))
        dollars = known_cost(cost)
        price = self.price_weight * dollars / max(float(dollars.mean()), 1e-12)
        chosen, rows = np.zeros_like(free), np.arange(len(free))
        spent, reached = np.zeros(len(free)), np.zeros(len(free))
        for size in range(min(self.most, free.shape[1])):
            share = 1.0 if size == 0 else (1.0 - reached)[:, None] * self.novelty
            open_ = free & ~chosen
            if self.cap_usd is not None and size:
                open_ &= spent[:, None] + dollars <= self.cap_usd
            value = np.where(open_, share * chance - price, -np.inf)
            if self.cap_usd is not None and size == 0:
                fits = open_ & (dollars <= self.cap_usd)
                cheapest = np.where(open_, -dollars, -np.inf)
                value = np.where(fits, value, np.where(fits.any(1, keepdims=True), -np.inf, cheapest))
            best = value.argmax(axis=1)
            worth = np.isfinite(value[rows, best]) & ((value[rows, best] > 0) | (size == 0))
            chosen[rows[worth], best[worth]] = True
            gained = chance[rows, best] * (1.0 if size == 0 else self.novelty)
            reached = np.where(worth, 1.0 - (1.0 - reached) * (1.0 - gained), reached)
            spent += np.where(worth, dollars[best], 0.0)
        return chosen


def known_cost(cost: Table) -> Table:
    """Fill unknown prices with the highest known one, or with 1 where none is known.

    Args:
        cost: US dollars per agent, NaN where unknown. Shapes: ``(agents,)``.

    Returns:
        The same, without NaN. Shapes: ``(agents,)``.
    """
    known = cost[~np.isnan(cost)]
    return np.where(np.isnan(cost), known.max() if len(known) else 1.0, cost).astype(np.float64)


def make_policy(settings: Mapping[str, Any]) -> Policy:
    """Build a policy from ``Policy.plain``.

    Args:
        settings: ``name`` and the policy's own arguments.

    Returns:
        The policy.

    Raises:
        InputError: There is no policy of that name, or it has no such setting.
    """
    rest = {key: value for key, value in settings.items() if key != "name"}
    try:
        return POLICIES[settings["name"]](**rest)
    except (KeyError, TypeError):
        raise InputError(f"no policy fits {dict(settings)}; known: {', '.join(POLICIES)}") from None


def rank(logits: Table, free: Mask) -> npt.NDArray[np.intp]:
    """Return each agent's place among the free ones, best 0; those not free come after them all."""
    order = np.argsort(np.where(free, -logits, np.inf), axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(logits.shape[1])[None], axis=1)
    return np.where(free, place, logits.shape[1])
