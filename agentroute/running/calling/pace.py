"""A pace per provider: so many requests a second, so many at once, none while it asked for a pause."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from agentroute.running.calling.faults import ClientError

Account = tuple[str, str | None, str | None]
"""A provider, its address, and the name of the key's variable: what a provider counts together."""


@dataclass(slots=True)
class _Lane:
    places: asyncio.Semaphore | None
    next_at: float = 0.0
    paused_until: float = 0.0
    asked_s: float = 0.0


class Pace:
    """Makes requests to one account wait their turn; belongs to one event loop.

    Args:
        per_second: Requests that may leave each second, evenly spread, or ``None``.
        at_once: Requests that may be under way, or ``None``.
    """

    def __init__(self, per_second: float | None = None, at_once: int | None = None) -> None:
        self._gap = 0.0 if per_second is None else 1.0 / per_second
        self._at_once = at_once
        self._lanes: dict[Account, _Lane] = {}

    @contextlib.asynccontextmanager
    async def turn(self, account: Account, end: float) -> AsyncIterator[None]:
        """Wait for a turn, and hold it while one request is under way.

        Args:
            account: Where the request goes.
            end: When its time is up, on the clock of ``time.monotonic``.

        Raises:
            ClientError: Of kind ``rate_limited``, at once, when no turn comes in time.
        """
        lane = self._lane(account)
        async with lane.places or contextlib.nullcontext():
            while (wait := self._wait(lane)) > 0:
                if time.monotonic() + wait >= end:
                    raise self._refused(account, lane, wait)
                await asyncio.sleep(wait)
            lane.next_at = max(lane.next_at, time.monotonic()) + self._gap
            yield

    def pause(self, account: Account, seconds: float) -> None:
        """Let nobody ask an account for a while, since it said so."""
        lane = self._lane(account)
        until = time.monotonic() + seconds
        if until > lane.paused_until:
            lane.paused_until, lane.asked_s = until, seconds

    def _lane(self, account: Account) -> _Lane:
        if account not in self._lanes:
            places = None if self._at_once is None else asyncio.Semaphore(self._at_once)
            self._lanes[account] = _Lane(places)
        return self._lanes[account]

    def _wait(self, lane: _Lane) -> float:
        now = time.monotonic()
        return max(lane.paused_until, lane.next_at if self._gap else 0.0) - now

    @staticmethod
    def _refused(account: Account, lane: _Lane, wait: float) -> ClientError:
        if lane.paused_until > time.monotonic():
            text = (
                f"not sent: {account[0]} asked for a pause of {lane.asked_s:g} s, {wait:.0f} s of it are left"
            )
        else:
            text = f"not sent: its turn at {account[0]} comes in {wait:.1f} s, after its time is up"
        return ClientError("rate_limited", text, attempts=0, retry_after_s=wait)
