"""Who answers: a registry with what was made of it, and the file that may change it between two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentroute.registry import AgentRegistry
from agentroute.registry.watch import WatchedRegistry
from agentroute.running.agents import build_team
from agentroute.running.threads import in_thread
from agentroute.types import Agent


@dataclass
class Crew:
    """A registry and what was made of it; another registry makes another crew, and runs keep their own.

    Args:
        registry: The rows.
        team: The agents that were made of them, by id.
        compiled: The workflow that asks them, once it was needed.
    """

    registry: AgentRegistry
    team: Mapping[str, Agent]
    compiled: Any = None


class Roster:
    """Keeps the crew of the next run.

    Args:
        registry: The agents to begin with.
        allow: Modules whose code a registry may name, beside ``agentroute.workbench``.

    Attributes:
        crew: The crew of the next run.

    Raises:
        RegistryError: The registry names code that is not allowed.
    """

    def __init__(self, registry: AgentRegistry, allow: Sequence[str]) -> None:
        self._allow = allow
        self._watched: WatchedRegistry | None = None
        self._take_up(registry)

    def __getstate__(self) -> dict[str, Any]:
        # A compiled workflow does not survive copying.
        return {**self.__dict__, "crew": replace(self.crew, compiled=None)}

    def watch(self, watched: WatchedRegistry) -> None:
        """Take up what changes in a registry file from now on, whenever somebody looks."""
        self._watched = watched

    def look(self) -> str | None:
        """Take up a changed registry file; say what is wrong with it, once."""
        return None if self._watched is None else self._watched.take(self._take_up)

    async def news(self) -> tuple[str, ...]:
        """Take up a changed registry file; what is wrong with it is news for a result."""
        if self._watched is None or not self._watched.moved():
            return ()
        problem = await in_thread(self.look)
        return () if problem is None else (problem,)

    def _take_up(self, registry: AgentRegistry) -> None:
        self.crew = Crew(registry, build_team(registry, self._allow))
