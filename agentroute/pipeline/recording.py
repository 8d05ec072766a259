"""The record of a team's runs: the journal, if there is one, and where the team came from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agentroute.errors import InputError
from agentroute.registry import AgentRegistry
from agentroute.running.keeping.journal import Journal
from agentroute.running.keeping.past import Past, resume_command, take_up
from agentroute.running.threads import in_thread
from agentroute.types import Limits, RunResult, to_plain

if TYPE_CHECKING:
    from agentroute.running.spending.shared import Budget


@dataclass
class Recording:
    """Where runs are put on record, and what a record says of where its team came from.

    Args:
        journal: The runs on record; ``None`` keeps no record.
        origin: The files and settings that the team was read from.
    """

    journal: Journal | None
    origin: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def at(cls, given: Journal | str | os.PathLike[str] | bool | None) -> Recording:
        """Open what a caller gave as journal.

        Args:
            given: A journal, its file, or ``True`` for ``runs.db`` in the state folder.

        Returns:
            The recording.

        Raises:
            StorageError: The journal cannot be opened.
        """
        if given is None or given is False:
            return cls(None)
        return cls(given if isinstance(given, Journal) else Journal(None if given is True else given))

    def whence(self, registry: AgentRegistry, limits: Limits, budget: Budget | None) -> Mapping[str, object]:
        """Say what a record needs to know for its run to be taken up by another process.

        Args:
            registry: The team.
            limits: The caps of each run.
            budget: What the runs share with others.

        Returns:
            Plain data.
        """
        whence = {**self.origin, "hash": registry.hash, "limits": to_plain(limits)}
        return whence if budget is None else {**whence, "budget": budget.told}

    def how_to_resume(self, run_id: str) -> str | None:
        """Write the command that goes on with a run, or return ``None`` where no record is kept."""
        return None if self.journal is None else resume_command(self.journal, run_id, self.origin)

    async def past(self, run_id: str) -> Past | RunResult:
        """Become the one writer of a run that broke off.

        Args:
            run_id: The run's name, or enough of its beginning.

        Returns:
            How far it had come; or its result, when it has one already.

        Raises:
            InputError: There is no journal, no such run in it, or a live process is at it.
        """
        journal = self.journal
        if journal is None:
            raise InputError("there is no journal to resume from: give AgentRoute(..., journal=PATH)")
        return await in_thread(lambda: take_up(journal, run_id))

    def release(self, run_id: str) -> None:
        """Give up a run that broke off: another process may take it up."""
        if self.journal is not None:
            self.journal.release(run_id)
