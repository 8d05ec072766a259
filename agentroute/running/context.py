"""What lives as long as one run and may not go into its state: client, bill, clock, places."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentroute.errors import InputError
from agentroute.running.calling.client import ClientError
from agentroute.running.keeping.journal import Journal
from agentroute.running.keeping.past import Past
from agentroute.running.keeping.record import Record
from agentroute.running.race import Race
from agentroute.running.spending.budget import Ledger, MeteredClient, Reservation
from agentroute.running.spending.ledger import Purse
from agentroute.running.spending.tally import BUDGET, own_usage
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatClient,
    ChatReply,
    ChatRequest,
    Limits,
    Query,
    Usage,
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
        past: How far the run had come when it broke off, to go on from there.
        run: The live objects of the run; the workflow sets it.
    """

    run_id: str = ""
    client: ChatClient | None = None
    notes: tuple[str, ...] = ()
    past: Past | None = None
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
        record: Where the run is put on record.
        notes: What the result shall say, though nothing went wrong in the run.
        race: The wave under way, where it may end early.
        refused: Why an agent of the wave is not asked, by agent.
        left_usd: US dollars that were left at the last decision, or ``None`` without a cap.
        answers: The answers so far, by agent; the state holds them as plain data.
    """

    id: str
    query: Query
    raw: ChatClient
    client: ChatClient
    ledger: Ledger
    places: asyncio.Semaphore
    deadline: float | None
    record: Record
    notes: tuple[str, ...] = ()
    race: Race | None = None
    refused: dict[str, str] = field(default_factory=dict)
    left_usd: float | None = None
    answers: dict[str, Answer] = field(default_factory=dict)

    def seconds_left(self) -> float | None:
        """Seconds until the run's time is up, 0 when it is; ``None`` without a deadline."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def answer(self, record: Mapping[str, Any]) -> Answer:
        """Read an answer from the state; those given in this process are still at hand."""
        return self.answers.get(record["agent"]) or from_plain(Answer, record)

    async def hold(self, spec: AgentSpec) -> Reservation | None:
        """Reserve what asking a function or a Runnable costs; a model's calls are reserved one by one.

        Raises:
            ClientError: Of kind ``budget``, when the run cannot pay for it.
        """
        if spec.kind not in ("function", "runnable"):
            return None
        price = own_usage(spec)
        if price.cost_usd:
            await self.record.sent(spec.id, price)
        return await self.ledger.hold(price, f"asking {spec.id}", spec.timeout_s)

    async def replayed(self, answer: Answer) -> Answer:
        """Put a recorded answer on the bill, as if it had been given now; what does not fit was not asked."""
        try:
            held = await self.ledger.hold(answer.usage, f"asking {answer.agent}", answer.latency_s or 0.0)
        except ClientError as error:
            return Answer(agent=answer.agent, status="skipped", error=f"{BUDGET}: {error}", fault=error.kind)
        self.ledger.settle(held, answer.usage)
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
        journal: Where runs are put on record, if they are.
        budget: What all runs share, if they do.
    """

    def __init__(
        self,
        limits: Limits,
        client: Callable[[], ChatClient] | None,
        journal: Journal | None = None,
        budget: Purse | None = None,
    ) -> None:
        self._limits, self._client, self._journal, self._budget = limits, client, journal, budget
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
        before = own.past if own else None
        past = [from_plain(Answer, record) for record in (before.answers if before else answers)]
        ledger = Ledger.of(self._limits, self._budget)
        ledger.charge(sum((answer.usage for answer in past), before.charged if before else Usage()))
        name = run_id or (before.run_id if before else "") or (own.run_id if own else "") or uuid.uuid4().hex
        run = Run(
            id=name,
            query=query,
            raw=raw,
            client=MeteredClient(raw, ledger),
            ledger=ledger,
            places=asyncio.Semaphore(self._limits.concurrency),
            deadline=None if self._limits.deadline_s is None else time.monotonic() + self._limits.deadline_s,
            record=Record(self._journal, name, self._budget),
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


class NoClient:
    """Stands where no model is to be asked."""

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Refuse."""
        raise InputError(f"model {request.model!r} was asked, but this run has no client: pass client=...")
