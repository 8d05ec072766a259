"""A breaker per agent: who failed several times in a row is left alone for a while, then tried once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from agentroute.errors import InputError
from agentroute.types import Answer

SICK = frozenset({"timeout", "server", "rate_limited", "unreadable", "too_large"})
"""The faults that say something of an agent's health. What it makes of one question says nothing of it: an
agent that raises on a question may be well, and so may one whose request was refused."""


@dataclass(slots=True)
class _Health:
    failures: int = 0
    until: float = 0.0
    probing: bool = False


class Breaker:
    """Keeps count of each agent's failures, over all runs that share it.

    After ``failures`` in a row an agent is left out of decisions for ``wait_s`` seconds. Then one run may ask
    it; if it answers, all is forgotten, else it is left alone as long again.

    Args:
        failures: Failures in a row after which an agent is left alone.
        wait_s: For how many seconds.
        clock: Tells the time in seconds.

    Raises:
        InputError: A number is too small.
    """

    def __init__(
        self, failures: int = 5, wait_s: float = 30.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if failures < 1 or not wait_s > 0:
            raise InputError(f"Breaker({failures}, {wait_s}): failures is 1 or more, wait_s above 0")
        self.failures, self.wait_s, self._clock = failures, wait_s, clock
        self._lock = threading.Lock()
        self._health: dict[str, _Health] = {}

    def __reduce__(self) -> tuple[type[Breaker], tuple[int, float]]:
        return Breaker, (self.failures, self.wait_s)  # a copy of a team begins without a past

    def left_out(self, agent: str) -> str | None:
        """Say why an agent is left alone now, or return ``None``."""
        with self._lock:
            health = self._health.get(agent)
            if health is None or health.failures < self.failures:
                return None
            wait = health.until - self._clock()
            if wait <= 0 and not health.probing:
                return None
            when = (
                "being tried by another run" if health.probing else f"tried again in {max(1, round(wait))} s"
            )
            return f"left out: it failed {health.failures} times in a row; {when}"

    def enter(self, agent: str) -> None:
        """Note that an agent is about to be asked; of one that failed, no other run may ask meanwhile."""
        with self._lock:
            health = self._health.get(agent)
            if health is not None and health.failures >= self.failures:
                health.probing = True

    def leave(self, answer: Answer | None, agent: str) -> None:
        """Note how asking it ended.

        Args:
            answer: What it gave back; ``None`` when the run was cancelled, which says nothing.
            agent: Who.
        """
        with self._lock:
            health = self._health.setdefault(agent, _Health())
            health.probing = False
            if answer is not None and answer.fault in SICK:
                health.failures += 1
                health.until = self._clock() + self.wait_s
            elif answer is not None and answer.status != "skipped" and answer.fault is None:
                self._health.pop(agent)
