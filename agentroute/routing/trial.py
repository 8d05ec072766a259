"""Trying settings on validation: for the whole team, and for one with every ladder at one level."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentroute.knowledge.graph import Floats, Indices
from agentroute.outcomes import OutcomeTable
from agentroute.registry.ladders import one_level
from agentroute.routing.choose import Setting, settings
from agentroute.routing.growth import Growth
from agentroute.routing.panels import find_panels, price_classes
from agentroute.routing.policy import Table
from agentroute.routing.replay import answer_groups
from agentroute.types import EFFORTS, Effort


@dataclass(frozen=True, kw_only=True)
class OneLevel:
    """The same router where every ladder stands at one level: what its choice of levels is held against.

    Args:
        level: The level; a ladder that lacks it stands at its next higher one, or else at its highest.
        left_out: The agents that are never asked.
        tried: The settings that validation judged for the others.
    """

    level: Effort
    left_out: frozenset[str]
    tried: tuple[Setting, ...]

    def plain(self) -> dict[str, Any]:
        """Return plain data, for a router file."""
        return {
            "level": self.level,
            "left_out": sorted(self.left_out),
            "tried": [setting.plain() for setting in self.tried],
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> OneLevel:
        """Read what ``plain`` gave.

        Raises:
            ValueError: There is no such level.
        """
        return cls(
            level=EFFORTS[EFFORTS.index(data["level"])],
            left_out=frozenset(data["left_out"]),
            tried=tuple(Setting.from_plain(setting) for setting in data["tried"]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """Recorded queries on which policies are tried, and the training part that lists of agents come from.

    Args:
        views: From ``views.views_of``. Shapes: ``(VIEWS + 1, judged queries, agents)``.
        cost: Expected US dollars per agent, NaN where unknown. Shapes: ``(agents,)``.
        judged: The queries that judge.
        growth: The network's view of them; ``None`` where no answers were recorded as text.
        learned: The queries that were learned from.
        groups: ``answer_groups(learned)``.
        voice: Weight of each agent's word. Shapes: ``(agents,)``.
        mean: Mean score of each agent. Shapes: ``(agents,)``.
        seed: Draws the queries that lists are chosen on.
    """

    views: Floats
    cost: Table
    judged: OutcomeTable
    growth: Growth | None
    learned: OutcomeTable
    groups: Indices
    voice: Floats
    mean: Floats
    seed: int

    def settings(self, usual: float | None = None) -> tuple[Setting, ...]:
        """Try every policy; see ``choose.settings``."""
        panels: tuple[tuple[str, ...], ...] = ()
        if self.growth is not None:
            ids = self.judged.agent_ids
            panels = find_panels(self.groups, self.learned.score, self.voice, self.cost, ids, self.seed)
            panels = tuple(dict.fromkeys((*panels, *price_classes(self.mean, self.cost, ids))))
        groups = answer_groups(self.judged)
        return settings(self.views, self.cost, self.judged, groups, self.growth, panels, usual)

    def without(self, left_out: Collection[str]) -> Trial:
        """Return the same trial, in which some agents are never asked."""
        kept = np.array([name not in left_out for name in self.judged.agent_ids])
        columns = np.flatnonzero(kept)
        return replace(
            self,
            views=self.views[..., columns],
            cost=self.cost[columns],
            judged=self.judged.without(left_out),
            growth=None if self.growth is None else self.growth.among(columns),
            learned=self.learned.without(left_out),
            groups=self.groups[:, columns],
            voice=self.voice[columns],
            mean=self.mean[columns],
        )

    def at_one_level(self, usual: float | None) -> tuple[OneLevel, ...]:
        """Try every policy at each level at which all ladders of the team can stand.

        Args:
            usual: US dollars that are one price, so that all levels are weighed alike.

        Returns:
            What was tried at each level, the weakest first; empty for a team without ladders.
        """
        return tuple(
            OneLevel(level=level, left_out=left_out, tried=self.without(left_out).settings(usual))
            for level, left_out in one_level(self.judged.agents).items()
        )
