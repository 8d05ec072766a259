"""Agents: a registry row made into something that answers, and the one way to run it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from agentroute.errors import AgentRouteError
from agentroute.running.calling.client import ClientError
from agentroute.running.calling.faults import one_line
from agentroute.running.calling.reply import CUT
from agentroute.running.cleaning import clean
from agentroute.running.interrupts import may_be_users
from agentroute.running.spending.tally import BUDGET, Tally, own_usage
from agentroute.running.steps import Steps
from agentroute.running.threads import LATE, named, words_of
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

NOT_NEEDED = "not waited for: the others had decided"
"""The error of an agent whose answer could not change the vote any more."""

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
    stop: asyncio.Event | None = None,
    late: Callable[[Answer], None] | None = None,
) -> Answer:
    """Ask one agent and turn whatever happens into an ``Answer``.

    Args:
        agent: Whom to ask.
        query: What to ask.
        client: For its model calls.
        effort: Decides the reasoning effort of each call.
        limits: The caps of the run.
        deadline: When the run's time is up, on the clock of ``time.monotonic``.
        stop: Set when nobody needs the answer any more.
        late: Told of an answer that comes when nobody waits for it any more, perhaps in another thread.

    Returns:
        The answer; what failed or took longer than ``spec.timeout_s`` is a status and an error in one line.
        An agent that does not stop when it is told to is left behind. One that kept the event loop from
        telling it, and finished late, has timed out as well.
    """
    spec, tally, began = agent.spec, Tally(client), time.monotonic()
    left = spec.timeout_s if deadline is None else max(0.0, min(spec.timeout_s, deadline - began))
    whose = f"within {spec.timeout_s:g} s" if left == spec.timeout_s else "before the run's time was up"
    steps = Steps(lambda: _attempt(agent, query, tally, effort, limits), began + left)
    told = None if late is None else partial(_late, spec, began, late)
    # A task of its own: one that swallows its cancellation cannot hold whoever waits for it.
    token = LATE.set(told)
    task = asyncio.ensure_future(steps)
    LATE.reset(token)
    try:
        stopped = await _until(task, stop, left)
    except asyncio.CancelledError:
        await _give_up(task, told)
        raise
    if not task.done():
        await _give_up(task, told)
        if stopped:
            answer = _failure(spec, tally, "skipped", NOT_NEEDED)
        else:
            fault = "timeout" if left == spec.timeout_s else "deadline"
            answer = _failure(spec, tally, "timed_out", f"no answer {whose}", fault)
    elif task.cancelled():
        answer = _failure(spec, tally, "failed", "it cancelled itself")
    else:
        outcome = task.result()
        answer = outcome if isinstance(outcome, Answer) else _failed(spec, tally, outcome)
        answer = _checked(spec, answer)
        if answer.status == "ok" and steps.overran is not None:
            why = f"it held the event loop for {steps.overran:.1f} s; what blocks must not be async"
            answer = replace(
                answer, text="", status="timed_out", error=f"no answer {whose}: {why}", fault="timeout"
            )
    if tally.notes:
        answer = replace(answer, notes=tuple(dict.fromkeys((*answer.notes, *tally.notes))))
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


async def _until(task: asyncio.Task[Any], stop: asyncio.Event | None, left: float) -> bool:
    """Wait until a task is done, its time is up, or nobody needs it; true in the last case."""
    if stop is None:
        await asyncio.wait({task}, timeout=left)
        return False
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, stopped}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return stopped.done()
    finally:
        stopped.cancel()


async def _give_up(task: asyncio.Task[Any], late: Callable[[object], None] | None) -> None:
    task.add_done_callback(partial(_forget, late))
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE_S)


def _forget(late: Callable[[object], None] | None, task: asyncio.Task[Any]) -> None:
    """Look at the outcome of an abandoned task, or asyncio reports it as never retrieved."""
    if not task.cancelled() and task.exception() is None and late is not None:
        late(task.result())


def _late(spec: AgentSpec, began: float, tell: Callable[[Answer], None], found: object) -> None:
    """Make an answer of what came too late; what is no text is not worth keeping."""
    answer = (
        found
        if isinstance(found, Answer)
        else Answer(agent=spec.id, text=found, usage=own_usage(spec))
        if isinstance(found, str)
        else None
    )
    if answer is not None:
        tell(replace(_checked(spec, answer), latency_s=time.monotonic() - began))


def _failed(spec: AgentSpec, tally: Tally, error: object) -> Answer:
    if isinstance(error, ClientError):
        if error.kind == "budget":
            status: AnswerStatus = "failed" if tally.usage.requests else "skipped"
            return _failure(spec, tally, status, f"{BUDGET}: {_one_line(error)}", error.kind)
        tries = f", after {error.attempts} attempts" if error.attempts > 1 else ""
        ended: AnswerStatus = "timed_out" if error.kind == "timeout" else "failed"
        return _failure(spec, tally, ended, f"{_one_line(error)}{tries}", error.kind)
    if isinstance(error, AgentRouteError):
        return _failure(spec, tally, "failed", _one_line(error))
    return _failure(spec, tally, "failed", _one_line(named(error)))


def _failure(
    spec: AgentSpec, tally: Tally, status: AnswerStatus, error: str, fault: str | None = None
) -> Answer:
    usage = tally.usage + own_usage(spec)
    return Answer(agent=spec.id, status=status, error=error, usage=usage, fault=fault)


def _checked(spec: AgentSpec, answer: object) -> Answer:
    """Hold an agent to its word: plain text under its own name, or a reason."""
    if not isinstance(answer, Answer) or not isinstance(answer.text, str):
        return Answer(agent=spec.id, status="failed", error=f"gave {type(answer).__name__}, not an Answer")
    text = clean(answer.text)
    if answer.status == "ok" and not text.strip():
        return replace(answer, agent=spec.id, text="", status="skipped", error="declined")
    if len(text) > MAX_ANSWER_CHARS:
        error = f"an answer of {len(text):,} characters; the most is {MAX_ANSWER_CHARS:,}"
        return replace(answer, agent=spec.id, text="", status="failed", error=error)
    if answer.agent != spec.id or text is not answer.text:
        return replace(answer, agent=spec.id, text=text)
    return answer


def _one_line(error: object) -> str:
    return one_line(words_of(error))


def problem(answer: Answer) -> str | None:
    """Say in one line what an agent did not do; ``None`` when it answered, declined or was not needed.

    Args:
        answer: What it gave back.

    Returns:
        A line that begins with the agent's id.
    """
    if answer.status == "ok":
        return f"{answer.agent}: {CUT}" if CUT in answer.notes else None
    if answer.error in ("declined", NOT_NEEDED):
        return None
    return f"{answer.agent}: {answer.status.replace('_', ' ')} ({answer.error})"
