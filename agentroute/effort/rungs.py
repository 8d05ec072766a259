"""Ladders: the levels of one agent as agents of their own, which is how outcome folders hold them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from agentroute.effort.levels import levels_for
from agentroute.types import AgentSpec, Effort, EffortRange


def rung_id(agent: str, level: Effort) -> str:
    """Name one level of an agent.

    Args:
        agent: The agent's id.
        level: The level.

    Returns:
        ``AGENT@LEVEL``.
    """
    return f"{agent}@{level}"


def rung(spec: AgentSpec, level: Effort) -> AgentSpec:
    """Hold an agent to one level.

    Args:
        spec: The agent's row.
        level: The level that it always runs at.

    Returns:
        A row that differs in ``id`` and ``effort`` alone; ``model`` is what rungs of one ladder share, so
        that an agent without one gets its own id there.
    """
    return replace(
        spec,
        id=rung_id(spec.id, level),
        model=spec.model or spec.id,
        effort=EffortRange(levels=(level,), default=level),
    )


def rungs(spec: AgentSpec, levels: Iterable[Effort] | None = None) -> tuple[AgentSpec, ...]:
    """Make an agent into a ladder.

    Args:
        spec: The agent's row.
        levels: The levels wanted; those worth asking for by default.

    Returns:
        One row for each level, weakest first; none for an agent without levels.
    """
    return tuple(rung(spec, level) for level in (levels_for(spec) if levels is None else levels))
