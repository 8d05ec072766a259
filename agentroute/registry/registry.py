"""AgentRegistry: a team of agents, read from a YAML file and checked row by row."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from agentroute.errors import RegistryError
from agentroute.registry.advice import warnings_for
from agentroute.registry.keys import json_schema
from agentroute.registry.plain_text import read_text
from agentroute.registry.reader import MAX_PROBLEMS, RowReader
from agentroute.registry.strict_yaml import Loader, Sequence
from agentroute.registry.team import read_agents, read_default, read_refiner, read_team
from agentroute.registry.writer import node_of, row_of, write_team
from agentroute.types import AgentSpec, RefinerSpec

__all__ = ["AgentRegistry", "json_schema"]

_VOTE = RefinerSpec()


@dataclass(frozen=True)
class AgentRegistry:
    """An immutable team: agents in file order, and how their answers become one.

    Make one with ``from_yaml`` or ``from_specs``, which check every rule. The keys of a row are explained in
    ``agents/README.md``.

    Args:
        agents: The rows, checked.
        refiner: How several answers become one.
        folder: Where relative paths of the rows begin, or ``None`` for the working folder.
        default_agent: The id of the agent that is asked where none fits, or ``None`` for nobody.
    """

    agents: tuple[AgentSpec, ...]
    refiner: RefinerSpec = _VOTE
    folder: Path | None = field(default=None, compare=False)
    default_agent: str | None = None

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], *, allow_private: bool = False) -> AgentRegistry:
        """Read a registry file.

        Args:
            path: The YAML file.
            allow_private: Whether rows may point to private network addresses; only a caller can say so.

        Returns:
            The checked team.

        Raises:
            RegistryError: With one ``file:line: message`` for every broken rule that was found.
        """
        return cls.from_text(read_text(path), path, allow_private=allow_private)

    @classmethod
    def from_text(
        cls, text: str, path: str | os.PathLike[str], *, allow_private: bool = False
    ) -> AgentRegistry:
        """Read the text of a registry file that is at hand.

        Args:
            text: The YAML.
            path: The file it is from: messages name it, and relative paths begin in its folder.
            allow_private: Whether rows may point to private network addresses; only a caller can say so.

        Returns:
            The checked team.

        Raises:
            RegistryError: With one ``file:line: message`` for every broken rule that was found.
        """
        loader = Loader(text)
        root = loader.load()
        reader = RowReader(allow_private=allow_private)
        reader.problems = loader.problems
        read = read_team(reader, root)
        _raise(reader, f"{os.fspath(path)}:")
        return cls(read.agents, read.refiner, Path(path).resolve().parent, read.default_agent)

    @classmethod
    def from_specs(
        cls,
        specs: Iterable[AgentSpec],
        refiner: RefinerSpec = _VOTE,
        *,
        folder: Path | None = None,
        default_agent: str | None = None,
    ) -> AgentRegistry:
        """Make a team of rows that were built in Python, by the same rules as a file.

        Args:
            specs: The rows, in order.
            refiner: How several answers become one.
            folder: Where relative paths of the rows begin.
            default_agent: The id of the agent that is asked where none fits.

        Returns:
            The checked team.

        Raises:
            RegistryError: With one ``spec N: message`` for every broken rule; the refiner counts as the last,
                and so does the default agent.
        """
        specs = tuple(specs)
        reader = RowReader(allow_private=True, unit="spec")  # the caller is the one who may allow it
        rows = [node_of(row_of(spec), number) for number, spec in enumerate(specs, start=1)]
        agents = read_agents(reader, Sequence(1, rows), {})
        last = len(rows) + 1
        checked = read_refiner(reader, node_of(row_of(refiner), last))
        if default_agent is not None:
            ids = [str(spec.id) for spec in specs]
            default_agent = read_default(reader, node_of(default_agent, last), ids)
        _raise(reader, "spec ")
        return cls(agents, checked, folder, default_agent)

    @property
    def ids(self) -> tuple[str, ...]:
        """The agents' ids, in file order."""
        return tuple(spec.id for spec in self.agents)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content; order, comments and defaults that are written out do not count."""
        rows = sorted((row_of(spec) for spec in self.agents), key=lambda row: str(row["id"]))
        parts = [rows, row_of(self.refiner), *([self.default_agent] if self.default_agent else [])]
        content = json.dumps(parts, sort_keys=True, ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(content.encode()).hexdigest()

    @cached_property
    def _by_id(self) -> dict[str, AgentSpec]:
        return {spec.id: spec for spec in self.agents}

    def __getitem__(self, agent: str) -> AgentSpec:
        try:
            return self._by_id[agent]
        except KeyError:
            near = get_close_matches(agent, self.ids, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else f"there are {len(self)} agents, see .ids"
            raise KeyError(f"no agent {agent!r} in the registry; {remedy}") from None

    def __contains__(self, agent: object) -> bool:
        return agent in self._by_id

    def __iter__(self) -> Iterator[AgentSpec]:
        return iter(self.agents)

    def __len__(self) -> int:
        return len(self.agents)

    def __repr__(self) -> str:
        return f"AgentRegistry({len(self)} agents, hash {self.hash[:12]})"

    def add(self, *specs: AgentSpec) -> AgentRegistry:
        """Return a team with more agents at its end. Raises ``RegistryError`` when a row breaks a rule."""
        return self.from_specs(
            (*self.agents, *specs), self.refiner, folder=self.folder, default_agent=self.default_agent
        )

    def remove(self, *ids: str) -> AgentRegistry:
        """Return a team without some agents: the other way of ``add``; see ``without``."""
        return self.without(*ids)

    def without(self, *ids: str) -> AgentRegistry:
        """Return a team without some agents.

        Args:
            ids: Who leaves. Without its default agent, the team has none.

        Returns:
            The smaller team.

        Raises:
            RegistryError: If an id is not in the team, or nobody would be left.
        """
        if unknown := [agent for agent in ids if agent not in self]:
            raise RegistryError(
                f"no agent {unknown[0]!r} to leave out; the team has {', '.join(self.ids[:20])}"
            )
        left = tuple(spec for spec in self.agents if spec.id not in ids)
        if not left:
            raise RegistryError("leaving out every agent leaves no team; keep at least one")
        default = None if self.default_agent in ids else self.default_agent
        return AgentRegistry(left, self.refiner, self.folder, default)

    def to_yaml(self) -> str:
        """Write the team as a registry file that ``from_yaml`` reads back as an equal team."""
        return write_team(self.agents, self.refiner, self.default_agent)

    def check(self) -> tuple[str, ...]:
        """Look for what is allowed but seldom meant.

        Returns:
            One warning a line: a key variable that is not set, agents that a router cannot tell apart or that
            share an example, descriptions that plead or are stuffed with keywords, tools that nobody calls,
            an outcome folder that is not there, rows without examples.
        """
        return warnings_for(self.agents, self.refiner, self.folder)


def _raise(reader: RowReader, prefix: str) -> None:
    """Raise what the reader noted, in the order of the lines."""
    if not reader.problems:
        return
    unique = dict.fromkeys(sorted(reader.problems, key=lambda problem: problem[0]))
    lines = [f"{prefix}{line}: {message}" for line, message in unique]
    if len(lines) >= MAX_PROBLEMS:
        lines = [
            *lines[:MAX_PROBLEMS],
            f"{prefix}1: reading stopped at {MAX_PROBLEMS} problems; mend these first",
        ]
    raise RegistryError(lines)
