"""Money, requests, tokens and seconds: reserved before a call, settled after it.

A check without a reservation lets fifty calls at once through a cap that has room for one. So the rule is:
before any call, what is spent plus what is reserved stays within the cap.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from agentroute.running.calling.faults import ClientError
from agentroute.types import Limits, Usage

_DUST = 1e-9  # sums of floats may miss by less than this
Unpriced = Literal["error", "treat_as", "allow"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """What may be taken in all; ``None`` means no cap.

    Args:
        usd: US dollars.
        requests: Calls.
        tokens: Input and output tokens together.
        seconds: Seconds that calls take, those at the same time added up.
    """

    usd: float | None = None
    requests: int | None = None
    tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """Known amounts, for comparing with caps; unknown ones count nothing here."""

    usd: float = 0.0
    requests: int = 0
    tokens: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, usage: Usage, seconds: float = 0.0) -> Amount:
        """Return what is known of a usage."""
        tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        return cls(usd=usage.cost_usd or 0.0, requests=usage.requests, tokens=tokens, seconds=seconds)

    def __add__(self, other: Amount) -> Amount:
        return Amount(
            usd=self.usd + other.usd,
            requests=self.requests + other.requests,
            tokens=self.tokens + other.tokens,
            seconds=self.seconds + other.seconds,
        )

    def __sub__(self, other: Amount) -> Amount:
        return self + Amount(
            usd=-other.usd, requests=-other.requests, tokens=-other.tokens, seconds=-other.seconds
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """Room held for one call until it is settled.

    Args:
        number: Which one.
        estimate: What the call may take.
        seconds: How long it may take.
        shared: The same in a shared budget, if there is one.
    """

    number: int
    estimate: Usage
    seconds: float = 0.0
    shared: object = None


class Purse(Protocol):
    """A budget that several runs share."""

    @property
    def caps(self) -> Caps:
        """What may be taken in all."""

    async def hold(self, estimate: Usage, what: str, seconds: float) -> object:
        """Hold room for a call, or raise ``ClientError`` of kind ``budget``."""

    def settle(self, held: object, usage: Usage, seconds: float) -> None:
        """Charge what a call took, whose unknown parts are filled in, and give back the rest."""

    async def left_usd(self) -> float | None:
        """US dollars neither charged nor reserved, or ``None`` without a cap."""


class Ledger:
    """Keeps what is spent and reserved within caps; safe for threads and tasks.

    Args:
        max_cost_usd: Cap in US dollars, or ``None``.
        max_requests: Cap on calls, or ``None``; a retry inside a call is counted when the call is settled.
        max_tokens: Cap on input and output tokens together, or ``None``.
        max_seconds: Cap on the seconds that calls take, added up, or ``None``.
        unpriced: Under a cap in dollars, whether a call whose price is unknown is refused (``error``), counts
            as ``unpriced_cost_usd`` (``treat_as``), or is let through uncounted (``allow``).
        unpriced_cost_usd: US dollars that such a call counts as.
        shared: A budget that other runs draw on as well; ``hold`` asks it too.
    """

    def __init__(
        self,
        *,
        max_cost_usd: float | None = None,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
        unpriced: Unpriced = "error",
        unpriced_cost_usd: float | None = None,
        shared: Purse | None = None,
    ) -> None:
        self.caps = Caps(usd=max_cost_usd, requests=max_requests, tokens=max_tokens, seconds=max_seconds)
        self._unpriced, self._unpriced_usd, self._shared = unpriced, unpriced_cost_usd, shared
        self._lock = threading.Lock()
        self._spent = Usage()
        self._held, self._charged = Amount(), Amount()
        self._open: dict[int, Reservation] = {}
        self._count = 0

    @classmethod
    def of(cls, limits: Limits, shared: Purse | None = None) -> Ledger:
        """Return a fresh ledger with the caps of a run."""
        return cls(
            max_cost_usd=limits.max_cost_usd,
            max_requests=limits.max_requests,
            max_tokens=limits.max_tokens,
            unpriced=limits.unpriced,
            unpriced_cost_usd=limits.unpriced_cost_usd,
            shared=shared,
        )

    @property
    def spent(self) -> Usage:
        """What was charged so far; a call of unknown usage is charged its reserve."""
        with self._lock:
            return self._spent

    @property
    def left_usd(self) -> float | None:
        """US dollars of this ledger neither charged nor reserved, or ``None`` without a cap."""
        with self._lock:
            return None if self.caps.usd is None else max(0.0, self.caps.usd - self._taken().usd)

    async def left_in_all_usd(self) -> float | None:
        """The same, or what the shared budget has left where that is less."""
        own = self.left_usd
        left = None if self._shared is None else await self._shared.left_usd()
        return own if left is None else left if own is None else min(own, left)

    def reserve(self, estimate: Usage, what: str = "the call", seconds: float = 0.0) -> Reservation:
        """Hold room for a call in this ledger alone, at once.

        Args:
            estimate: What the call may take; a cost of ``None`` is unknown.
            what: How to name the call in a refusal.
            seconds: How long it may take.

        Returns:
            The reservation, to be settled whatever becomes of the call.

        Raises:
            ClientError: Of kind ``budget``, when the room is not there; nothing is held then.
        """
        estimate = self._priced(estimate, what)
        asked = Amount.of(estimate, seconds)
        with self._lock:
            if why := refusal(self.caps, self._taken(), asked, what):
                raise ClientError("budget", why, attempts=0)
            self._count += 1
            held = Reservation(number=self._count, estimate=estimate, seconds=seconds)
            self._open[held.number] = held
            self._held += asked
            return held

    async def hold(self, estimate: Usage, what: str = "the call", seconds: float = 0.0) -> Reservation:
        """Hold room for a call here and in the shared budget; see ``reserve``."""
        held = self.reserve(estimate, what, seconds)
        if self._shared is None:
            return held
        try:
            shared = await self._shared.hold(held.estimate, what, seconds)
        except BaseException:
            self.settle(held, Usage(), 0.0)
            raise
        return replace(held, shared=shared)

    def settle(self, reservation: Reservation, usage: Usage, seconds: float | None = None) -> None:
        """Charge what a call really took, and give back the rest.

        Args:
            reservation: From ``reserve`` or ``hold``, once.
            usage: What the call spent; unknown parts are charged as reserved, once for each request.
            seconds: How long it took; as reserved when it is not known.

        Raises:
            ValueError: When the reservation was settled before.
        """
        took = reservation.seconds if seconds is None else seconds
        charge = _filled(usage, reservation.estimate)
        with self._lock:
            if self._open.pop(reservation.number, None) is None:
                raise ValueError(f"reservation {reservation.number} is not open; settle each one once")
            self._held -= Amount.of(reservation.estimate, reservation.seconds)
            self._charged += Amount.of(charge, took)
            self._spent += charge
            if not self._open:
                self._held = Amount()  # no dust from floats that were added and taken
        if self._shared is not None and reservation.shared is not None:
            self._shared.settle(reservation.shared, charge, took)

    def charge(self, usage: Usage) -> None:
        """Put on the bill what was spent before; a shared budget has had its part already."""
        with self._lock:
            self._charged += Amount.of(usage)
            self._spent += usage

    def _priced(self, estimate: Usage, what: str) -> Usage:
        """Apply the rule for calls whose price nobody knows."""
        if (cost := estimate.cost_usd) is not None and not 0.0 <= cost < math.inf:
            estimate = replace(estimate, cost_usd=None)  # a price that is no price is unknown
        cap = self.caps.usd
        if cap is None and self._shared is not None:
            cap = self._shared.caps.usd
        if cap is None or estimate.cost_usd is not None or self._unpriced == "allow":
            return estimate
        if self._unpriced == "treat_as":
            return replace(estimate, cost_usd=self._unpriced_usd)
        raise ClientError(
            "budget",
            f"the price of {what} is unknown and there is a cap of ${cap:g}; give it a price in the "
            "registry, say what it counts as (unpriced='treat_as'), or lift max_cost_usd",
            attempts=0,
        )

    def _taken(self) -> Amount:
        return self._charged + self._held


def refusal(caps: Caps, taken: Amount, asked: Amount, what: str, whose: str = "budget") -> str | None:
    """Say why a call does not fit.

    Args:
        caps: What may be taken in all.
        taken: What is charged and reserved.
        asked: What the call may take.
        what: How to name the call.
        whose: How to name the budget.

    Returns:
        One sentence, or ``None`` when it fits.
    """
    if caps.usd is not None and taken.usd + asked.usd > caps.usd + _DUST:
        left = max(0.0, caps.usd - taken.usd)
        return f"{whose} of ${caps.usd:g} reached: {what} may cost ${asked.usd:.6f}, ${left:.6f} is left"
    for name, most, had, more in (
        ("requests", caps.requests, taken.requests, asked.requests),
        ("tokens", caps.tokens, taken.tokens, asked.tokens),
        ("seconds", caps.seconds, taken.seconds, asked.seconds),
    ):
        if most is not None and had + more > most + _DUST:
            rest = max(0, most - had)
            return (
                f"{whose} of {_told(most)} {name} reached: {what} may take {_told(more)}, {_told(rest)} left"
            )
    return None


def _told(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.1f}"


def _filled(usage: Usage, estimate: Usage) -> Usage:
    """Put the reserve where the usage is unknown, once for each request, and refuse to be paid for a call."""
    times = max(1, usage.requests)

    def known(spent: int | None, held: int | None) -> int | None:
        return max(0, spent) if spent is not None else None if held is None else held * times

    cost = estimate.cost_usd
    return Usage(
        requests=usage.requests,
        input_tokens=known(usage.input_tokens, estimate.input_tokens),
        output_tokens=known(usage.output_tokens, estimate.output_tokens),
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=max(0.0, usage.cost_usd)
        if usage.cost_usd is not None and math.isfinite(usage.cost_usd)
        else None
        if cost is None
        else cost * times,
    )
