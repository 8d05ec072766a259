"""Sets of agents that fit: as many as the scores leave in doubt, and nobody where none fits.

For folders of utterances, whose labels say which agents fit. There nobody answers, so what a set is worth is
whether it holds an agent that fits (the recall that TCAndon-Router, arXiv 2601.04544, is judged by).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from agentroute.errors import InputError
from agentroute.knowledge.graph import Floats
from agentroute.outcomes import OutcomeTable
from agentroute.routing.calibration import VIEWS, calibrate, with_nearness
from agentroute.routing.choose import Setting
from agentroute.routing.policy import Mask, Policy, Table, View, rank

COVERAGES = tuple(round(1.0 - 0.75 * 0.86**step, 4) for step in range(40))
"""Shares of the chance that are tried, .25 to nearly 1: the larger, the larger the sets."""

MOST = (1, 2, 3, 5)
"""Agents in one set, at most."""

TEMPERATURES = tuple(round(0.25 * 1.15**step, 4) for step in range(22))
"""Tried to make the chances hold, .25 to about 5."""

REFUSED = 0.02
"""Recall that may be lost to "none fits" among all queries, at the far end of what validation leaves open."""

SURE = 1.64
"""Standard errors between what validation shows and that far end: one side of 95%."""

REFUSED_BLINDLY = 0.0025
"""The same where no example of "none fits" shows what it would bring."""

AGENT_PRICE = 0.02
"""Recall (0 to 1) that one more agent in a set must bring where no size is asked for."""


@dataclass(frozen=True, kw_only=True)
class Fitting(Policy):
    """Asks the smallest set that holds a fitting agent with a wanted chance; nobody where none fits.

    Agents join in order until their shares of the chance reach ``coverage``: an adaptive prediction set
    (Romano et al. 2020, arXiv:2006.02544). More than one agent is a conflict: several seem to fit.

    Args:
        coverage: The chance that the set is to hold a fitting agent, 0 to 1.
        most: Agents in one set.
        least: Chance below which even the best agent does not fit.
    """

    name: ClassVar[str] = "fitting"
    coverage: float = 0.9
    most: int = 3
    least: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (0 < self.coverage <= 1 and 0 <= self.least <= 1) or self.most < 1:
            raise InputError(
                f"coverage={self.coverage}, least={self.least}, most={self.most}; coverage is in (0, 1], "
                "least in [0, 1] and most at least 1"
            )

    def wave(self, view: View) -> Mask:
        """Choose whom to ask next; see ``Policy.wave``."""
        # That none fits is said once, of everybody; later waves only replace those that failed.
        none = (best_chance(view.expected) < self.least) & ~view.asked.any(axis=1)
        return np.asarray(super().wave(view) & ~none[:, None])

    def remark(self, view: View, chosen: Mask) -> str | None:
        """Tell that nobody fits, or that several may; see ``Policy.remark``."""
        if view.asked.any():
            return None
        order = np.argsort(-view.expected[0], kind="stable")
        chance = float(best_chance(view.expected)[0])
        if chance < self.least:
            shown, bar = _apart(chance, self.least)
            best = view.agents[order[0]]
            return f"no agent fits: the best, {best}, with a chance of {shown}, is below {bar}"
        several = [view.agents[i] for i in order.tolist() if chosen[0, i]]
        if len(several) < 2:
            return None
        return f"{len(several)} agents may fit: {', '.join(several[:-1])} and {several[-1]}"

    def select(self, logits: Table, cost: Table, free: Mask) -> Mask:
        """Choose a set among those who are free; see ``Policy.select``."""
        place, weights = rank(logits, free), self.weights(logits, free)
        ordered = np.take_along_axis(weights, np.argsort(place, axis=1), axis=1)
        before = np.cumsum(ordered, axis=1) - ordered
        # An agent is needed when those before it fall short; rounding must not ask for one more.
        size = (before < self.coverage - 1e-9).sum(axis=1, keepdims=True)
        return np.asarray((place < np.clip(size, 1, self.most)) & free)


def _apart(one: float, other: float) -> tuple[str, str]:
    """Write two numbers with as many digits as it takes to tell them apart."""
    for digits in (2, 3, 4, 6):
        if (a := f"{one:.{digits}f}") != (b := f"{other:.{digits}f}"):
            return a, b
    return repr(one), repr(other)


def best_chance(logits: Table) -> Table:
    """Return the chance that the best agent fits. Shapes: ``(batch, agents)`` to ``(batch,)``."""
    top = logits.max(axis=1).astype(np.float64)
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(top, -500.0, 500.0))))


def set_settings(views: Floats, table: OutcomeTable) -> tuple[Setting, ...]:
    """Try sets of all sizes on the validation queries.

    Args:
        views: From ``views.views_of``. Shapes: ``(VIEWS + 1, queries, agents)``.
        table: The labels of the validation queries: 1 where an agent fits.

    Returns:
        One setting per policy, smallest sets first; ``score`` is the recall, ``calls`` the mean size.
    """
    fits = np.asarray(np.nan_to_num(table.score) > 0.5)
    known: Mask = np.asarray(fits.any(axis=1))
    if not known.any():
        raise InputError("no validation query has an agent that fits; record more utterances with labels")
    trust = _view(views[:, known], fits[known])
    calibration = with_nearness(calibrate(views, table.score, trust), views, known)
    logits = calibration(views)
    temperature = _temperature(logits[known], fits[known])
    least = _least(logits, fits, known)
    nothing = np.zeros(logits.shape[1])
    free = np.ones(logits.shape, bool)
    refused = np.asarray(best_chance(logits) < least)
    found: dict[tuple[float, float], Setting] = {}
    for most in MOST:
        for coverage in COVERAGES if most > 1 else COVERAGES[:1]:
            policy = Fitting(coverage=coverage, most=most, least=least, temperature=temperature)
            chosen = policy.select(logits, nothing, free)
            hit = np.asarray((chosen & fits).any(axis=1) & ~refused)[known]
            # Of all sets: refusing many must not make room for larger ones.
            size = float(chosen.sum(axis=1).mean())
            setting = Setting(
                policy=policy,
                calibration=calibration,
                score=float(hit.mean()),
                calls=size,
                cost_usd=None,
                price=size,  # and no doubt: a larger set is never a worse one
            )
            found.setdefault((round(setting.score, 6), round(size, 6)), setting)
    return tuple(found.values())


def _view(views: Floats, fits: Mask) -> int:
    """Take the view under whose softmax the labels are likeliest, each at its own best temperature."""
    return int(np.argmin([_surprise(view, fits, _temperature(view, fits)) for view in views[:VIEWS]]))


def _temperature(logits: Table, fits: Mask) -> float:
    """Find the temperature under whose softmax the labels are likeliest (Guo et al. 2017)."""
    return min(TEMPERATURES, key=lambda t: _surprise(logits, fits, t))


def _surprise(logits: Table, fits: Mask, temperature: float) -> float:
    z = logits.astype(np.float64) / temperature
    z -= z.max(axis=1, keepdims=True)
    share = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    return float(-np.log(np.maximum((share * fits).sum(axis=1), 1e-12)).mean())


def _least(logits: Table, fits: Mask, known: Mask) -> float:
    """Find the chance below which nobody fits: as high as the recall that may be lost allows.

    Without examples of "none fits" it is a guess, and may cost far less.
    """
    widest = rank(logits, np.ones_like(fits)) < max(MOST)
    right = np.asarray((widest & fits).any(axis=1))
    count = int(known.sum())
    place = int(REFUSED_BLINDLY * count) if known.all() else _safely_lost(count)
    # Refusing a query whose set would hold nobody that fits loses nothing.
    costly = np.sort(best_chance(logits)[known & right])
    return float(costly[place]) if place < len(costly) else 0.0


def _safely_lost(count: int) -> int:
    """Return of how many of ``count`` validation queries the loss still keeps ``REFUSED`` elsewhere."""
    share = np.arange(count + 1) / count
    far = share + SURE * np.sqrt(share * (1.0 - share) / count)
    return int(np.flatnonzero(far <= REFUSED).max())
