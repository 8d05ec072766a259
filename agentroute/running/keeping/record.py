"""One run, as it is put on record while it goes on."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any, TypeVar

from agentroute.errors import StorageError
from agentroute.running.keeping.journal import Journal
from agentroute.running.keeping.store import finished
from agentroute.running.keeping.story import Plain
from agentroute.running.spending.budget import estimate
from agentroute.types import Answer, ChatClient, ChatReply, ChatRequest, Usage, to_plain

_T = TypeVar("_T")
_PATIENCE_S = 5.0  # a disk that takes longer must not hold a run up


class Record:
    """Puts one run on record. What the disk refuses is a problem of the result, never the end of the run.

    Args:
        journal: Where; ``None`` keeps no record.
        run: The run's name.
        budget: What the run draws on beside its own caps; one in the same file is written in the same order.
    """

    def __init__(self, journal: Journal | None, run: str, budget: object = None) -> None:
        self._journal, self._run = journal, run
        self._covered = journal is not None and getattr(budget, "store", None) is journal.store
        self.refused: str | None = None
        """Why something could not be written down, in one line."""
        if journal is not None and journal.store.problem:
            self.refused = journal.store.problem

    async def begun(self, data: Plain) -> None:
        """Put down what is asked. It is on the disk before any answer is, since writes keep their order."""
        if self._journal is not None:
            await self._written(self._journal.begin(self._run, data))

    async def adopted(self, data: Plain) -> None:
        """Go on with a run that a checkpointer brought back."""
        if self._journal is not None and await self._written(self._journal.adopt(self._run)) is False:
            await self.begun(data)

    def routed(self, data: Plain) -> None:
        """Put down a decision; as writes keep their order, it is on record before any call of its wave."""
        if self._journal is not None:
            self._noted(self._journal.add(self._run, "routed", data, durable=False))

    async def sent(self, agent: str, spends: Usage) -> None:
        """Put down that a call is about to leave. It outlives this process, though not the machine."""
        if self._journal is not None:
            job = self._journal.add(self._run, "sent", {"spends": to_plain(spends)}, agent, durable=False)
            if self._covered:
                self._noted(job)  # the budget's hold comes after it in the same queue, and is waited for
            else:
                await self._written(job)

    async def answered(self, plain: Plain) -> None:
        """Acknowledge an answer: it is on the disk when this returns."""
        if self._journal is not None:
            await self._written(self._journal.add(self._run, "answered", plain, plain["agent"], durable=True))

    def late(self, answer: Answer) -> None:
        """Put down an answer that came when nobody waited any more; it is never used."""
        if self._journal is not None:
            self._noted(self._journal.add(self._run, "late", to_plain(answer), answer.agent, durable=False))

    async def ended(self, status: str, data: Plain, *, paid: bool) -> None:
        """Put down how it ended, before its result is given out.

        Args:
            status: How.
            data: The result, but for the answers, which are on record already.
            paid: Whether money went into making it; what cost nothing can be made again.
        """
        if self._journal is not None:
            await self._written(self._journal.end(self._run, status, data, durable=paid))

    def noting(self, agent: str, client: ChatClient) -> ChatClient:
        """Return a client that puts each call on record before it leaves."""
        return client if self._journal is None else _Noting(self, agent, client)

    def _noted(self, job: Future[Any]) -> None:
        """Let a write happen by itself; only its failure matters."""

        def look(done: Future[Any]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                self.refused = f"could not record: {error}"

        job.add_done_callback(look)

    async def _written(self, job: Future[_T]) -> _T | None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return await finished(job)
        except TimeoutError:
            self.refused = f"could not record: the disk took longer than {_PATIENCE_S:g} s"
        except StorageError as error:
            self.refused = f"could not record: {error}"
        return None


class _Noting:
    def __init__(self, record: Record, agent: str, client: ChatClient) -> None:
        self._record, self._agent, self._client = record, agent, client

    async def chat(self, request: ChatRequest) -> ChatReply:
        await self._record.sent(self._agent, estimate(request, request.price))
        return await self._client.chat(request)
