"""What a run tells: events while it goes on, a result or an error at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from agentroute.errors import AllAgentsFailedError, BudgetError, DeadlineError, QuorumError, RunError
from agentroute.running.calling.sent import unapplied
from agentroute.types import Answer, Refined, RoutingDecision, RunResult, Usage, from_plain

_FAILURES: dict[str, type[RunError]] = {
    "agents": AllAgentsFailedError,
    "budget": BudgetError,
    "deadline": DeadlineError,
    "quorum": QuorumError,
}
_RESULT = (
    *("run_id", "answer", "status", "sources", "confidence", "coverage"),
    *("decisions", "answers", "problems"),
)
OUTPUT = [*_RESULT, "refining", "earlier", "failure"]
"""The parts of the state that a result is made of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened during a run.

    Args:
        kind: ``route`` a decision, ``agent_start`` an agent's id, ``agent_end`` its answer, ``refine`` what
            the answers were made into, ``result`` the end of the run.
        data: That decision, id, answer, refined answer or result.
    """

    kind: Literal["route", "agent_start", "agent_end", "refine", "result"]
    data: RoutingDecision | str | Answer | Refined | RunResult


def read_event(chunk: Any) -> Event | None:
    """Read an event from the stream; an agent that is a graph itself may have written others."""
    values: dict[str, Any] = {"route": RoutingDecision, "agent_end": Answer, "refine": Refined}
    kind = chunk.get("kind") if isinstance(chunk, dict) else None
    if kind == "agent_start":
        return Event(kind=kind, data=chunk["data"])
    return Event(kind=kind, data=from_plain(values[kind], chunk["data"])) if kind in values else None


def read_result(state: dict[str, Any], how_to_resume: Callable[[str], str | None]) -> RunResult:
    """Read the result from a run's last state.

    Args:
        state: The parts that ``OUTPUT`` names.
        how_to_resume: Writes the command that goes on with a run, for the error.

    Returns:
        The result.

    Raises:
        RunError: There is no answer.
    """
    result = from_plain(RunResult, {key: state[key] for key in _RESULT})
    parts = [from_plain(Usage, state[key]) for key in ("refining", "earlier") if state.get(key) is not None]
    usage = sum((*(answer.usage for answer in result.answers), *parts), Usage())
    if failure := state["failure"]:
        raise _FAILURES[failure["kind"]](
            failure["message"],
            run_id=state["run_id"],
            problems=failure["problems"],
            cost_usd=usage.cost_usd,
            resume=how_to_resume(state["run_id"]),
        )
    missed = tuple(line for answer in result.answers if (line := unapplied(answer)) is not None)
    return replace(result, usage=usage, problems=result.problems + missed)


def broken(run_id: str, error: Exception, resume: str | None = None) -> RunError:
    """Make an error of ours of whatever came out of the workflow."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return RunError(f"the run broke off: {reason}", run_id=run_id, cost_usd=None, resume=resume)
