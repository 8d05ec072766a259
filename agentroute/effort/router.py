"""Effort routers: which reasoning effort each step of an agent gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentroute.effort.levels import clamp, levels_for
from agentroute.types import AgentSpec, Effort, Limits, StepRole


class FixedEffort:
    """The effort that stands in the agent's row, for every step alike."""

    def select(
        self,
        *,
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
    ) -> Effort | None:
        """Return the row's default level within the limits of the run.

        Args:
            history: The messages so far; not read.
            observation: What the last step gave; not read.
            spec: The agent's row.
            role: What the step is for; not read.
            step: Its number; not read.
            limits: The run's caps, of which the effort floor and ceiling count.

        Returns:
            The level, or ``None`` when the agent has no levels.
        """
        return None if spec.effort is None else clamp(spec.effort.default, limits, levels_for(spec))
