"""A budget that several runs share: in this process, or across the processes of one machine."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from concurrent.futures import Future
from functools import partial
from typing import cast

from agentroute.errors import InputError, StorageError
from agentroute.running.calling.faults import ClientError
from agentroute.running.keeping.journal import default_path
from agentroute.running.keeping.store import Store, finished
from agentroute.running.spending.ledger import Amount, Caps, Ledger, Reservation, refusal
from agentroute.types import Usage
from agentroute.types.results import checked_cap


class Budget:
    """Caps on what all runs together may take; give the same one to every ``AgentRoute`` that shares it.

    Without a store, it holds for the runs of this process. With one, it holds for all processes of this
    machine that name the same budget and store, and it goes on where the last of them ended. What a process
    had reserved when it was killed is charged in full, and counted as unknown.

    Args:
        name: Which budget it is in the store, such as ``2026-11``: a new name is a new budget.
        max_cost_usd: US dollars, or ``None`` for no cap.
        max_requests: Model calls, or ``None``.
        max_tokens: Input and output tokens together, or ``None``.
        max_seconds: Seconds that calls take, those at the same time added up, or ``None``.
        store: The file that keeps it; ``True`` for ``runs.db`` in this user's state folder.

    Raises:
        InputError: A cap is negative or not a number, or a store is given without a name.
        StorageError: The store cannot be opened.
    """

    def __init__(
        self,
        name: str = "",
        *,
        max_cost_usd: float | None = None,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
        store: str | os.PathLike[str] | bool | None = None,
    ) -> None:
        caps = (max_cost_usd, max_requests, max_tokens, max_seconds)
        for label, cap in zip(("cost_usd", "requests", "tokens", "seconds"), caps, strict=True):
            checked_cap(f"max_{label}", cap)
        if store and not name:
            raise InputError("a budget in a store has to have a name, such as '2026-11'")
        self.name = name
        self.caps = Caps(usd=max_cost_usd, requests=max_requests, tokens=max_tokens, seconds=max_seconds)
        self._own = Ledger(
            max_cost_usd=max_cost_usd,
            max_requests=max_requests,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            unpriced="allow",
        )
        path = default_path() if store is True else store
        self.store = Store.at(path) if path else None
        self._whose = f"shared budget {name}".rstrip()

    def __copy__(self) -> Budget:
        return self  # a copy would be money twice

    def __deepcopy__(self, memo: dict[int, object]) -> Budget:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        told = self.told
        if told is None:
            raise TypeError("a budget without a store holds in one process: give it store=PATH to send it on")
        return partial(Budget, **told), ()  # type: ignore[arg-type]

    @property
    def told(self) -> dict[str, object] | None:
        """What another process needs to draw on the same budget; ``None`` without a store."""
        if self.store is None:
            return None
        caps = self.caps
        return {
            "name": self.name,
            "max_cost_usd": caps.usd,
            "max_requests": caps.requests,
            "max_tokens": caps.tokens,
            "max_seconds": caps.seconds,
            "store": str(self.store.path),
        }

    async def hold(self, estimate: Usage, what: str, seconds: float) -> object:
        """Hold room for a call; see ``ledger.Purse``."""
        if self.store is None:
            try:
                return self._own.reserve(estimate, what, seconds)
            except ClientError as error:
                raise ClientError("budget", f"shared {error.message}", attempts=0) from None
        asked, store, owner = Amount.of(estimate, seconds), self.store, self.store.owner

        def work(db: sqlite3.Connection) -> int:
            self._reconcile(db)
            if why := refusal(self.caps, self._taken(db), asked, what, self._whose):
                raise ClientError("budget", why, attempts=0)
            return cast(
                int,
                db.execute(
                    "INSERT INTO holds (budget, owner, requests, tokens, usd, seconds) VALUES (?,?,?,?,?,?)",
                    (self.name, owner, asked.requests, asked.tokens, asked.usd, asked.seconds),
                ).lastrowid,
            )

        job = store.submit(work, durable=False)
        try:
            return await finished(job)
        except asyncio.CancelledError:
            job.add_done_callback(self._give_back)  # the call never leaves
            raise
        except StorageError as error:  # what cannot be counted is not spent
            raise ClientError("budget", f"{self._whose} cannot be kept: {error}", attempts=0) from error

    def _give_back(self, job: Future[int]) -> None:
        if not job.cancelled() and job.exception() is None:
            self.settle(job.result(), Usage(), 0.0)

    def settle(self, held: object, usage: Usage, seconds: float) -> None:
        """Charge what a call took; see ``ledger.Purse``."""
        if self.store is None:
            self._own.settle(cast(Reservation, held), usage, seconds)
            return
        took = Amount.of(usage, seconds)

        def work(db: sqlite3.Connection) -> None:
            if db.execute("DELETE FROM holds WHERE id = ?", (held,)).rowcount:
                self._charge(db, took)

        # Nobody waits: where it fails, the reserve stays held, and is charged when this process ends.
        self.store.submit(work, durable=False)

    async def left_usd(self) -> float | None:
        """US dollars neither charged nor reserved, or ``None`` without a cap."""
        if self.caps.usd is None:
            return None
        if self.store is None:
            return self._own.left_usd
        try:
            taken = await self.store.write(self._looked_at, durable=False)
        except StorageError:
            return 0.0  # what cannot be counted is not spent
        return max(0.0, self.caps.usd - taken.usd)

    @property
    def spent(self) -> Usage:
        """What was charged so far, by everybody; tokens are counted together, as input.

        Raises:
            StorageError: The store cannot be read.
        """
        if self.store is None:
            return self._own.spent
        taken = self.store.submit(self._charged, durable=False).result()
        return Usage(requests=taken.requests, input_tokens=taken.tokens, cost_usd=taken.usd)

    @property
    def unknown(self) -> int:
        """How many calls were charged their reserve, since their process ended before they did."""
        if self.store is None:
            return 0

        def work(db: sqlite3.Connection) -> int:
            self._reconcile(db)
            row = db.execute("SELECT unknown FROM budgets WHERE name = ?", (self.name,)).fetchone()
            return int(row[0]) if row else 0

        return self.store.submit(work, durable=False).result()

    # ------------------------------------------------------------------------------- in the store

    def _looked_at(self, db: sqlite3.Connection) -> Amount:
        self._reconcile(db)
        return self._taken(db)

    def _charged(self, db: sqlite3.Connection) -> Amount:
        self._reconcile(db)
        row = db.execute(
            "SELECT usd, requests, tokens, seconds FROM budgets WHERE name = ?", (self.name,)
        ).fetchone()
        return _amount(row)

    def _taken(self, db: sqlite3.Connection) -> Amount:
        row = db.execute(
            "SELECT sum(usd), sum(requests), sum(tokens), sum(seconds) FROM holds WHERE budget = ?",
            (self.name,),
        ).fetchone()
        charged = db.execute(
            "SELECT usd, requests, tokens, seconds FROM budgets WHERE name = ?", (self.name,)
        ).fetchone()
        return _amount(row) + _amount(charged)

    def _charge(self, db: sqlite3.Connection, took: Amount, unknown: int = 0) -> None:
        db.execute("INSERT OR IGNORE INTO budgets (name) VALUES (?)", (self.name,))
        db.execute(
            "UPDATE budgets SET usd = usd + ?, requests = requests + ?, tokens = tokens + ?,"
            " seconds = seconds + ?, unknown = unknown + ? WHERE name = ?",
            (took.usd, took.requests, took.tokens, took.seconds, unknown, self.name),
        )

    def _reconcile(self, db: sqlite3.Connection) -> None:
        """Charge what processes had reserved that are no more: what their calls cost is unknown."""
        store = cast(Store, self.store)
        owners = db.execute(
            "SELECT owner, count(*), sum(usd), sum(requests), sum(tokens), sum(seconds) FROM holds"
            " WHERE budget = ? AND owner != ? GROUP BY owner",
            (self.name, store.owner),
        ).fetchall()
        for owner, count, *sums in owners:
            if not store.alive(owner):
                self._charge(db, _amount(sums), unknown=count)
                db.execute("DELETE FROM holds WHERE budget = ? AND owner = ?", (self.name, owner))


def _amount(row: tuple[float | None, ...] | list[float | None] | None) -> Amount:
    usd, requests, tokens, seconds = row or (None,) * 4
    return Amount(
        usd=usd or 0.0, requests=int(requests or 0), tokens=int(tokens or 0), seconds=seconds or 0.0
    )
