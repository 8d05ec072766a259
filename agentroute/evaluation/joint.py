"""What it brings to choose agent and level together: the same router with every ladder at one level.

The router, its graphs and its scores are the same on both sides; on the one, the other levels of a ladder are
never asked. Which level that is, and how the router is run there, validation says within each bound, so that
a fixed level is as good as it can be without a choice for each query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agentroute.errors import InputError
from agentroute.evaluation.against import Against
from agentroute.evaluation.bounds import hold, known_mean
from agentroute.evaluation.verdict import PolicyScore
from agentroute.knowledge.graph import Indices
from agentroute.outcomes import OutcomeTable
from agentroute.registry.ladders import one_level
from agentroute.routing.growth import Growth
from agentroute.routing.replay import Replay
from agentroute.routing.router import GraphRouter
from agentroute.routing.trial import OneLevel
from agentroute.types import Effort

if TYPE_CHECKING:
    from rich.table import Table

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Bounds of the frontier, as multiples of what the best single agent costs."""

LACKING = (
    "agents here are levels of one another, and the router cannot say what a fixed level would bring: it was "
    "trained without some of them, or by an earlier version; train it again"
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both sides within one bound.

    Args:
        bound: ``max_calls`` or ``max_cost_usd``, means per query; empty without a bound.
        joint: Agent and level chosen together; its gain is that over the other side, with a paired interval.
        level: The best fixed level, by validation.
        fixed: The agent chosen, at that level.
    """

    bound: Mapping[str, float]
    joint: PolicyScore
    level: Effort
    fixed: PolicyScore

    def plain(self) -> dict[str, Any]:
        """Return plain data; ``None`` is unknown."""
        sides = {"joint": self.joint, "fixed": self.fixed}
        names = ("score", "cost_usd", "calls")
        return {
            "bound": dict(self.bound),
            **{side: {name: getattr(of, name) for name in names} for side, of in sides.items()},
            "level": self.level,
            **{name: getattr(self.joint, name) for name in ("gain", "gain_low", "gain_high")},
        }


@dataclass(frozen=True, kw_only=True)
class Joint:
    """Both sides as the router is to run, and along the frontier.

    Args:
        asked: Within the bounds that were asked for, if any.
        frontier: Within tight bounds and wide ones, as far as both sides can keep them.
    """

    asked: Pair | None
    frontier: tuple[Pair, ...]

    def plain(self) -> dict[str, Any]:
        """Return plain data; ``None`` is unknown."""
        return {
            "asked": None if self.asked is None else self.asked.plain(),
            "frontier": [pair.plain() for pair in self.frontier],
        }

    def table(self) -> Table:
        """Return the frontier, with and without, as a table for the terminal."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        from agentroute.evaluation.report import points, share

        title = "agent and level chosen together, and at one level for all"
        table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for name in ("bound", "together", "price", "one level", "price", "level", "gain in points, 95%"):
            table.add_column(name, justify="right", no_wrap=True)
        for pair in (*([self.asked] if self.asked else []), *self.frontier):
            calls = "max_calls" in pair.bound or pair.joint.cost_usd is None
            sides = [
                (share(side.score), f"{side.calls:.2f} calls" if calls else f"{side.cost_usd or 0.0:.2g} USD")
                for side in (pair.joint, pair.fixed)
            ]
            gain = points(pair.joint.gain, pair.joint.gain_low, pair.joint.gain_high)
            bound = " ".join(f"{limit:.2g}" for limit in pair.bound.values()) or "-"
            table.add_row(bound, *sides[0], *sides[1], pair.level, gain)
        return table


@dataclass(frozen=True, kw_only=True, eq=False)
class Sides:
    """Replays a router on some queries, with all levels to choose from and at each one alone.

    Args:
        router: The router.
        table: Recorded outcomes.
        groups: ``answer_groups(table)``.
        growth: The network's view of the queries, if there are answers.
        levels: What validation tried at each level that the agents of the table can stand at.
    """

    router: GraphRouter
    table: OutcomeTable
    groups: Indices
    growth: Growth | None
    levels: tuple[OneLevel, ...]

    @classmethod
    def of(cls, router: GraphRouter, table: OutcomeTable, groups: Indices, growth: Growth | None) -> Sides:
        """Take the levels of a router at which the ladders of a table stand as they did in training."""
        here = one_level(table.agents)
        levels = tuple(one for one in router.one_level if here.get(one.level) == one.left_out)
        return cls(
            router=router,
            table=table,
            groups=groups,
            growth=growth,
            levels=levels if len(levels) == len(here) else (),
        )

    def fixed(self, limits: Mapping[str, float]) -> dict[Effort, tuple[float, Replay]]:
        """Replay the router at each level, within bounds.

        Args:
            limits: ``max_calls``, ``max_cost_usd``, both or none: means per query.

        Returns:
            What its setting is worth by validation, and what came of it, by level; those that cannot keep
            the bounds are left out.
        """
        found: dict[Effort, tuple[float, Replay]] = {}
        for one in self.levels:
            kept = np.flatnonzero([name not in one.left_out for name in self.table.agent_ids])
            table, groups = self.table.without(one.left_out), self.groups[:, kept]
            growth = None if self.growth is None else self.growth.among(kept)
            try:
                bounded, got = hold(
                    self.router.at(one),
                    lambda router: router.replay(table, groups, growth=growth),  # noqa: B023 - called at once
                    limits,
                )
            except InputError:
                continue
            found[one.level] = bounded.setting.worth(self.router.call_price), got
        return found

    def pair(self, limits: Mapping[str, float], seed: int, clusters: Indices) -> Pair | None:
        """Compare both sides within bounds; ``None`` where one of them cannot keep them.

        Args:
            limits: As for ``fixed``.
            seed: Of the bootstrap.
            clusters: Queries that are drawn together.

        Returns:
            The pair.
        """
        fixed = self.fixed(limits)
        try:
            _, joint = hold(
                self.router,
                lambda router: router.replay(self.table, self.groups, growth=self.growth),
                limits,
            )
        except InputError:
            return None
        if not fixed:
            return None
        level = max(fixed, key=lambda name: fixed[name][0])
        against = Against(fixed[level][1], seed, clusters)
        return Pair(bound=limits, joint=against(joint), level=level, fixed=against(fixed[level][1]))


def compare_sides(
    sides: Sides, single: Replay, limits: Mapping[str, float], seed: int, clusters: Indices
) -> Joint:
    """Compare both sides as the router is to run, and along the frontier.

    Args:
        sides: Both of them.
        single: What came of the best single agent, whose price is the unit of the frontier's bounds.
        limits: The bounds that were asked for, if any.
        seed: Of the bootstrap.
        clusters: Queries that are drawn together.

    Returns:
        The comparison.
    """
    usd = known_mean(single.cost_usd)
    name, unit = ("max_cost_usd", usd) if usd else ("max_calls", float(single.calls.mean()))
    found: list[Pair] = []
    for bound in ({name: share * unit} for share in SHARES):
        pair = sides.pair(bound, seed, clusters)
        # A wider bound may change nothing.
        if pair is not None and not (found and replace(pair, bound=found[-1].bound) == found[-1]):
            found.append(pair)
    return Joint(asked=sides.pair(limits, seed, clusters), frontier=tuple(found))
