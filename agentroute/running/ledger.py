"""Money, requests and tokens: reserved before a call, settled after it.

A check without a reservation lets fifty calls at once through a cap that has room for one. So the rule is:
before any call, what is spent plus what is reserved stays within the cap.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from agentroute.running.faults import ClientError
from agentroute.types import Limits, Usage

_DUST_USD = 1e-9  # sums of floats may miss by less than this


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """Room held for one call until it is settled."""

    number: int
    estimate: Usage


class Ledger:
    """Keeps what is spent and reserved within caps; safe for threads and tasks, and never waits.

    Args:
        max_cost_usd: Cap in US dollars, or ``None``.
        max_requests: Cap on calls, or ``None``; a retry inside a call is counted when the call is settled.
        max_tokens: Cap on input and output tokens together, or ``None``.
        unpriced: Under a cap in dollars, whether a call whose price is unknown is refused or let through
            uncounted.
    """

    def __init__(
        self,
        *,
        max_cost_usd: float | None = None,
        max_requests: int | None = None,
        max_tokens: int | None = None,
        unpriced: Literal["allow", "error"] = "error",
    ) -> None:
        self._max_usd, self._max_requests, self._max_tokens = max_cost_usd, max_requests, max_tokens
        self._unpriced = unpriced
        self._lock = threading.Lock()
        self._spent = Usage()
        self._held = _Sum()
        self._charged = _Sum()
        self._open: dict[int, Usage] = {}
        self._count = 0

    @classmethod
    def of(cls, limits: Limits, *, unpriced: Literal["allow", "error"] = "error") -> Ledger:
        """Return a fresh ledger with the caps of a run."""
        return cls(
            max_cost_usd=limits.max_cost_usd,
            max_requests=limits.max_requests,
            max_tokens=limits.max_tokens,
            unpriced=unpriced,
        )

    @property
    def spent(self) -> Usage:
        """What was charged so far; a call of unknown usage is charged its reserve."""
        with self._lock:
            return self._spent

    @property
    def left_usd(self) -> float | None:
        """US dollars neither charged nor reserved, or ``None`` without a cap."""
        with self._lock:
            return None if self._max_usd is None else max(0.0, self._max_usd - self._taken_usd())

    def reserve(self, estimate: Usage, what: str = "the call") -> Reservation:
        """Hold room for a call.

        Args:
            estimate: What the call may take; a cost of ``None`` is unknown.
            what: How to name the call in a refusal.

        Returns:
            The reservation, to be settled whatever becomes of the call.

        Raises:
            ClientError: Of kind ``budget``, when the room is not there; nothing is held then.
        """
        with self._lock:
            refusal = self._refusal(estimate, what)
            if refusal is not None:
                raise ClientError("budget", refusal, attempts=0)
            self._count += 1
            self._open[self._count] = estimate
            self._held.add(estimate)
            return Reservation(number=self._count, estimate=estimate)

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """Charge what a call really took, and give back the rest.

        Args:
            reservation: From ``reserve``, once.
            usage: What the call spent; unknown parts are charged as reserved.

        Raises:
            ValueError: When the reservation was settled before.
        """
        with self._lock:
            if self._open.pop(reservation.number, None) is None:
                raise ValueError(f"reservation {reservation.number} is not open; settle each one once")
            charge = _filled(usage, reservation.estimate)
            self._held.take(reservation.estimate)
            self._charged.add(charge)
            self._spent += charge
            if not self._open:
                self._held = _Sum()  # no dust from floats that were added and taken

    def _refusal(self, estimate: Usage, what: str) -> str | None:
        cap = self._max_usd
        if cap is not None and estimate.cost_usd is None and self._unpriced == "error":
            return (
                f"the price of {what} is unknown and there is a cap of ${cap:g}; "
                "give it a price in the registry, or lift max_cost_usd"
            )
        if cap is not None and self._taken_usd() + (estimate.cost_usd or 0.0) > cap + _DUST_USD:
            left = max(0.0, cap - self._taken_usd())
            return (
                f"budget of ${cap:g} reached: {what} may cost ${estimate.cost_usd:.6f}, ${left:.6f} is left"
            )
        for name, most, taken, more in (
            ("requests", self._max_requests, self._charged.requests + self._held.requests, estimate.requests),
            ("tokens", self._max_tokens, self._charged.tokens + self._held.tokens, _tokens(estimate)),
        ):
            if most is not None and taken + more > most:
                left = max(0, most - taken)
                return f"budget of {most:,} {name} reached: {what} may take {more:,}, {left:,} left"
        return None

    def _taken_usd(self) -> float:
        return self._charged.usd + self._held.usd


@dataclass(slots=True)
class _Sum:
    """Known amounts, for comparing with caps; unknown ones count nothing here."""

    requests: int = 0
    tokens: int = 0
    usd: float = 0.0

    def add(self, usage: Usage, sign: int = 1) -> None:
        self.requests += sign * usage.requests
        self.tokens += sign * _tokens(usage)
        self.usd += sign * (usage.cost_usd or 0.0)

    def take(self, usage: Usage) -> None:
        self.add(usage, -1)


def _tokens(usage: Usage) -> int:
    return (usage.input_tokens or 0) + (usage.output_tokens or 0)


def _filled(usage: Usage, estimate: Usage) -> Usage:
    """Put the reserve where the usage is unknown, and refuse to be paid for a call."""
    cost = estimate.cost_usd if usage.cost_usd is None else max(0.0, usage.cost_usd)
    return Usage(
        requests=usage.requests,
        input_tokens=estimate.input_tokens if usage.input_tokens is None else max(0, usage.input_tokens),
        output_tokens=estimate.output_tokens if usage.output_tokens is None else max(0, usage.output_tokens),
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=cost,
    )
