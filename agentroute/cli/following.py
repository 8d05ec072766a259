"""Following a run round by round: whom it asks, why it goes on, why it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from agentroute.cli.output import plain, shortened
from agentroute.types import Answer, RoutingDecision, RunResult


def rounds(decisions: Iterable[RoutingDecision]) -> Iterator[str]:
    """Say what was decided, in one line a round.

    Args:
        decisions: The decisions of a run, from the first.

    Yields:
        Whom the round asked and why, or why nobody more was asked.
    """
    asked: set[str] = set()
    for number, decision in enumerate(decisions, 1):
        new = [agent for agent in decision.weights if agent not in asked]
        asked.update(new)
        if decision.stop or not new:
            did = "gave up" if decision.abstained else "stopped"
        else:
            did = f"round {number}: asked {', '.join(new)}"
        yield plain(f"{did}: {decision.reason}" if decision.reason else did)


class Follower:
    """Runs a team and remembers what came, so that an interrupt does not hide what was paid for.

    Args:
        tell: Called with a line for each round and each answer as they come; ``None`` tells nothing.
    """

    def __init__(self, tell: Callable[[str], None] | None) -> None:
        self._tell = tell or (lambda line: None)
        self._decisions: list[RoutingDecision] = []
        self._answers: list[Answer] = []

    def run(self, team: Any, query: str | None, run_id: str) -> RunResult:
        """Answer a question, or go on with a run when there is none; see ``AgentRoute``."""
        return asyncio.run(self._run(team, query, run_id))

    async def _run(self, team: Any, query: str | None, run_id: str) -> RunResult:
        result: Any = None
        events = team.astream_resume(run_id) if query is None else team.astream(query, run_id=run_id)
        try:
            async for event in events:
                self._see(event.kind, event.data)
                result = event.data  # the last event is the result, or the stream raises
        finally:
            await team.aclose()  # its connections belong to this event loop
        return result  # type: ignore[no-any-return]

    def _see(self, kind: str, data: Any) -> None:
        if kind == "route":
            self._decisions.append(data)
            *_, line = rounds(self._decisions)
            self._tell(line)
        elif kind == "agent_end":
            self._answers.append(data)
            self._tell(f"  {data.agent}: {shortened(data)}")

    def interrupted(self, resume: str | None) -> str:
        """Say what had come before the run was interrupted.

        Args:
            resume: How to go on with it, or ``None`` when it is not on record.

        Returns:
            A line, one for each answer, and one on how to go on.
        """
        given = [answer for answer in self._answers if answer.status == "ok"]
        how = [] if resume is None else [f"to go on with it: {resume}"]
        if not given:
            return "\n".join(["interrupted; nobody had answered yet", *how])
        lines = [f"  {answer.agent}: {shortened(answer)}" for answer in given]
        return "\n".join(["interrupted; these answers had come, and are not refined:", *lines, *how])
