"""What lives as long as one run and may not go into its state: client, bill, clock, places."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentroute.errors import InputError
from agentroute.running.budget import Ledger, MeteredClient, Reservation
from agentroute.running.client import ClientError
from agentroute.running.tally import BUDGET, own_usage
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatClient,
    ChatReply,
    ChatRequest,
    Limits,
    Query,
    from_plain,
)

_MOST_LIVE = 4096
"""Runs kept for callers without a context; the oldest go first, and are opened again if they go on."""


@dataclass(kw_only=True)
class RunContext:
    """What a caller may hand to one run as LangGraph's ``context``; make a fresh one for each run.

    Args:
        run_id: The run's name; a random one without it.
        client: For model calls, instead of the workflow's own; it is metered by the run's ledger.
        notes: What the result shall say among its problems, though nothing went wrong in the run.
        run: The live objects of the run; the workflow sets it.
    """

    run_id: str = ""
    client: ChatClient | None = None
    notes: tuple[str, ...] = ()
    run: Run | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Tell servers, which describe contexts as JSON, that nothing can be set from outside."""
        from pydantic_core import core_schema

        return core_schema.any_schema()


@dataclass(kw_only=True)
class Run:
    """The live objects of one run.

    Args:
        id: The run's name.
        query: What is asked.
        raw: The client as it was given; opened before the first model call.
        client: The same, metered.
        ledger: The run's bill.
        places: Bounds how many agents run at the same time.
        deadline: When the run's time is up, on the clock of ``time.monotonic``.
        notes: What the result shall say, though nothing went wrong in the run.
        answers: The answers so far, by agent; the state holds them as plain data.
    """

    id: str
    query: Query
    raw: ChatClient
    client: ChatClient
    ledger: Ledger
    places: asyncio.Semaphore
    deadline: float | None
    notes: tuple[str, ...] = ()
    answers: dict[str, Answer] = field(default_factory=dict)

    def seconds_left(self) -> float | None:
        """Seconds until the run's time is up, 0 when it is; ``None`` without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def answer(self, record: Mapping[str, Any]) -> Answer:
        """Read an answer from the state; those given in this process are still at hand."""
        return self.answers.get(record["agent"]) or from_plain(Answer, record)

    def hold(self, spec: AgentSpec) -> Reservation | None:
        """Reserve what asking a function or a Runnable costs; a model's calls are reserved one by one.

        Raises:
            ClientError: Of kind ``budget``, when the run cannot pay for it.
        """
        if spec.kind not in ("function", "runnable"):
            return None
        return self.ledger.reserve(own_usage(spec), f"asking {spec.id}")

    def replayed(self, answer: Answer) -> Answer:
        """Put a recorded answer on the bill, as if it had been given now; what does not fit was not asked."""
        try:
            self.ledger.settle(self.ledger.reserve(answer.usage, f"asking {answer.agent}"), answer.usage)
        except ClientError as error:
            return Answer(agent=answer.agent, status="skipped", error=f"{BUDGET}: {error}")
        return answer

    async def open_client(self) -> None:
        """Let the client import what it needs, which takes seconds and is no agent's time."""
        if opener := getattr(self.raw, "open", None):
            await opener()


class Contexts:
    """Opens, finds and closes the live objects of runs.

    Args:
        limits: The caps of each run.
        client: Makes the client of runs that bring none.
    """

    def __init__(self, limits: Limits, client: Callable[[], ChatClient] | None) -> None:
        self._limits, self._client = limits, client
        self._live: OrderedDict[str, Run] = OrderedDict()

    def open(self, given: object, query: Query, *, run_id: str = "", answers: Sequence[Any] = ()) -> Run:
        """Begin a run, or go on with one that another process began.

        Args:
            given: What came as LangGraph's context; one of an outer graph, or none, is as good as none.
            query: What is asked.
            run_id: The run's name, when it has one.
            answers: What the state holds already; what they cost is on the bill.

        Returns:
            The live objects.
        """
        # A graph nested in one of its own kind sees the outer run; that one is not ours to take.
        own = given if isinstance(given, RunContext) and given.run is None else None
        raw = (own and own.client) or (self._client() if self._client else NoClient())
        past = [from_plain(Answer, record) for record in answers]
        ledger = Ledger.of(_rest(self._limits, past))
        run = Run(
            id=run_id or (own.run_id if own else "") or uuid.uuid4().hex,
            query=query,
            raw=raw,
            client=MeteredClient(raw, ledger),
            ledger=ledger,
            places=asyncio.Semaphore(self._limits.concurrency),
            deadline=None if self._limits.deadline_s is None else time.monotonic() + self._limits.deadline_s,
            notes=own.notes if own else (),
        )
        run.answers.update((answer.agent, answer) for answer in past)
        if own is not None:
            own.run = run
        else:
            self._live[run.id] = run
            while len(self._live) > _MOST_LIVE:
                self._live.popitem(last=False)
        return run

    def find(self, given: object, run_id: str) -> Run | None:
        """Return a run that this process has open, or ``None``."""
        if isinstance(given, RunContext) and given.run is not None and given.run.id == run_id:
            return given.run
        return self._live.get(run_id)

    def close(self, run: Run) -> None:
        """Forget a run."""
        self._live.pop(run.id, None)


def _rest(limits: Limits, past: Sequence[Answer]) -> Limits:
    """What the caps leave to a run that goes on."""
    if not past:
        return limits
    requests = sum(answer.usage.requests for answer in past)
    tokens = sum((answer.usage.input_tokens or 0) + (answer.usage.output_tokens or 0) for answer in past)
    usd = sum(answer.usage.cost_usd or 0.0 for answer in past)
    return replace(
        limits,
        max_requests=None if limits.max_requests is None else max(0, limits.max_requests - requests),
        max_tokens=None if limits.max_tokens is None else max(0, limits.max_tokens - tokens),
        max_cost_usd=None if limits.max_cost_usd is None else max(0.0, limits.max_cost_usd - usd),
    )


class NoClient:
    """Stands where no model is to be asked."""

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Refuse."""
        raise InputError(f"model {request.model!r} was asked, but this run has no client: pass client=...")
