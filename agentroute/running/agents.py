"""Agents: a registry row made into something that answers, and the one way to run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from agentroute.errors import AgentRouteError
from agentroute.running.client import ClientError
from agentroute.running.interrupts import may_be_users
from agentroute.running.steps import Steps
from agentroute.running.tally import BUDGET, Tally, own_usage
from agentroute.running.threads import named, words_of
from agentroute.types import (
    Agent,
    AgentSpec,
    Answer,
    AnswerStatus,
    ChatClient,
    EffortRouter,
    Limits,
    Query,
)

if TYPE_CHECKING:
    from agentroute.registry import AgentRegistry

MAX_ANSWER_CHARS = 2_000_000
"""A longer answer is a failure: cut, it would pass for a whole one."""

GRACE_S = 0.25
"""Seconds that a cancelled agent gets to clean up before nobody waits for it any more."""


@runtime_checkable
class Prepared(Protocol):
    """An agent that has to load something large before its first answer."""

    async def prepare(self) -> None:
        """Load it, once."""


def build_agent(spec: AgentSpec, *, allow: Sequence[str] = (), folder: Path | None = None) -> Agent:
    """Make a registry row into an agent.

    Args:
        spec: The row.
        allow: Modules whose code the row may name, with their submodules; ``agentroute.workbench`` always is.
        folder: The folder of the registry; relative paths in the row begin there.

    Returns:
        An agent that has loaded nothing yet: its code is imported when it is first asked.

    Raises:
        RegistryError: The row names code outside ``allow``, a missing module, or an unknown strategy.
    """
    # Each kind brings imports of its own; a team of functions should not pay for the others.
    if spec.kind == "llm":
        from agentroute.running.strategies import LLMAgent

        return LLMAgent(spec, allow)
    if spec.kind == "function":
        from agentroute.running.functions import FunctionAgent

        return FunctionAgent(spec, allow)
    if spec.kind == "runnable":
        from agentroute.running.runnables import RunnableAgent

        return RunnableAgent(spec, allow)
    from agentroute.running.recorded import RecordedAgent

    return RecordedAgent(spec, folder)


def build_team(registry: AgentRegistry, allow: Sequence[str] = ()) -> dict[str, Agent]:
    """Make every row of a registry into an agent, by id.

    Args:
        registry: The rows.
        allow: As for ``build_agent``.

    Returns:
        The agents in the registry's order.

    Raises:
        RegistryError: As for ``build_agent``.
    """
    return {spec.id: build_agent(spec, allow=allow, folder=registry.folder) for spec in registry.agents}


async def run_agent(
    agent: Agent,
    query: Query,
    client: ChatClient,
    effort: EffortRouter,
    limits: Limits,
    *,
    deadline: float | None = None,
) -> Answer:
    """Ask one agent and turn whatever happens into an ``Answer``.

    Args:
        agent: Whom to ask.
        query: What to ask.
        client: For its model calls.
        effort: Decides the reasoning effort of each call.
        limits: The caps of the run.
        deadline: When the run's time is up, on the clock of ``time.monotonic``.

    Returns:
        The answer; what failed or took longer than ``spec.timeout_s`` is a status and an error in one line.
        An agent that does not stop when it is told to is left behind. One that kept the event loop from
        telling it, and finished late, has timed out as well.
    """
    spec, tally, began = agent.spec, Tally(client), time.monotonic()
    left = spec.timeout_s if deadline is None else max(0.0, min(spec.timeout_s, deadline - began))
    whose = f"within {spec.timeout_s:g} s" if left == spec.timeout_s else "before the run's time was up"
    steps = Steps(lambda: _attempt(agent, query, tally, effort, limits), began + left)
    # A task of its own: one that swallows its cancellation cannot hold whoever waits for it.
    task = asyncio.ensure_future(steps)
    try:
        await asyncio.wait({task}, timeout=left)
    except asyncio.CancelledError:
        await _give_up(task)
        raise
    if not task.done():
        await _give_up(task)
        answer = _failure(spec, tally, "timed_out", f"no answer {whose}")
    elif task.cancelled():
        answer = _failure(spec, tally, "failed", "it cancelled itself")
    else:
        outcome = task.result()
        answer = outcome if isinstance(outcome, Answer) else _failed(spec, tally, outcome)
        answer = _checked(spec, answer)
        if answer.status == "ok" and steps.overran is not None:
            why = f"it held the event loop for {steps.overran:.1f} s; what blocks must not be async"
            answer = replace(answer, text="", status="timed_out", error=f"no answer {whose}: {why}")
    if answer.latency_s is None:
        answer = replace(answer, latency_s=time.monotonic() - began)
    return answer


async def _attempt(
    agent: Agent, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits
) -> Answer | BaseException:
    try:
        return await agent.answer(query, client, effort, limits)
    except asyncio.CancelledError:
        raise
    except KeyboardInterrupt as error:
        if may_be_users(error):
            raise
        return error
    except BaseException as error:  # SystemExit of an agent must not end the run either
        return error


async def _give_up(task: asyncio.Task[Any]) -> None:
    task.add_done_callback(_forget)
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE_S)


def _forget(task: asyncio.Task[Any]) -> None:
    """Look at the outcome of an abandoned task, or asyncio reports it as never retrieved."""
    if not task.cancelled():
        task.exception()


def _failed(spec: AgentSpec, tally: Tally, error: object) -> Answer:
    if isinstance(error, ClientError):
        if error.kind == "budget":
            status: AnswerStatus = "failed" if tally.usage.requests else "skipped"
            return _failure(spec, tally, status, f"{BUDGET}: {_one_line(error)}")
        tries = f", after {error.attempts} attempts" if error.attempts > 1 else ""
        ended: AnswerStatus = "timed_out" if error.kind == "timeout" else "failed"
        return _failure(spec, tally, ended, f"{_one_line(error)}{tries}")
    if isinstance(error, AgentRouteError):
        return _failure(spec, tally, "failed", _one_line(error))
    return _failure(spec, tally, "failed", _one_line(named(error)))


def _failure(spec: AgentSpec, tally: Tally, status: AnswerStatus, error: str) -> Answer:
    return Answer(agent=spec.id, status=status, error=error, usage=tally.usage + own_usage(spec))


def _checked(spec: AgentSpec, answer: object) -> Answer:
    """Hold an agent to its word: plain text under its own name, or a reason."""
    if not isinstance(answer, Answer) or not isinstance(answer.text, str):
        return Answer(agent=spec.id, status="failed", error=f"gave {type(answer).__name__}, not an Answer")
    text = _cleaned(answer.text)
    if answer.status == "ok" and not text.strip():
        return replace(answer, agent=spec.id, text="", status="skipped", error="declined")
    if len(text) > MAX_ANSWER_CHARS:
        error = f"an answer of {len(text):,} characters; the most is {MAX_ANSWER_CHARS:,}"
        return replace(answer, agent=spec.id, text="", status="failed", error=error)
    if answer.agent != spec.id or text is not answer.text:
        return replace(answer, agent=spec.id, text=text)
    return answer


def _cleaned(text: str) -> str:
    """Take out what UTF-8 or a database cannot hold."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _one_line(error: object) -> str:
    line = " ".join(_cleaned(words_of(error)).split())
    return line if len(line) <= 300 else f"{line[:299]}…"


def problem(answer: Answer) -> str | None:
    """Say in one line what an agent did not do; ``None`` when it answered or declined.

    Args:
        answer: What it gave back.

    Returns:
        A line that begins with the agent's id.
    """
    if answer.status == "ok" or answer.error == "declined":
        return None
    return f"{answer.agent}: {answer.status.replace('_', ' ')} ({answer.error})"
