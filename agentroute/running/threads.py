"""Calling ordinary functions from async code without waiting for those that hang."""

from __future__ import annotations

import asyncio
import contextvars
import os
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")
_MOST_IDLE = 32  # threads that wait for the next call; more than these end with theirs

LATE: contextvars.ContextVar[Callable[[object], None] | None] = contextvars.ContextVar(
    "agentroute_late", default=None
)
"""Who is told what a call returned when nobody waits for it any more; may be called in any thread."""


async def in_thread(call: Callable[[], _T]) -> _T:
    """Run a function in a thread that does nothing else meanwhile, without blocking the event loop.

    ``asyncio.to_thread`` has a small pool that hung calls fill up, and closing the loop waits for them. Here
    a call never waits for another one: it gets an idle thread or a new one. All are daemons: whoever stops
    waiting is free, and so is the process at its end.

    Args:
        call: A function without arguments.

    Returns:
        What it returned.

    Raises:
        Exception: What it raised; anything that is not an ``Exception`` comes as a ``RuntimeError``.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()
    context, late = contextvars.copy_context(), LATE.get()

    def settle(result: list[_T], error: Exception | None) -> None:
        if done.done():  # nobody waits any more
            if late is not None and result:
                late(result[0])
        elif error is None:
            done.set_result(result[0])
        else:
            done.set_exception(error)

    def work() -> None:
        result: list[_T] = []
        failure: Exception | None = None
        try:
            result.append(context.run(call))
        except BaseException as error:
            # A future refuses StopIteration, and SystemExit would end the loop instead of this call.
            plain = isinstance(error, Exception) and not isinstance(error, StopIteration)
            failure = error if plain else RuntimeError(named(error))  # type: ignore[assignment]
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:  # the loop was closed meanwhile
            if late is not None and result:
                late(result[0])

    try:
        thread = _idle.pop()
    except IndexError:
        thread = _Thread()
    thread.jobs.put(work)
    return await done


class _Thread(threading.Thread):
    """Does one call after another; between them it waits among the idle."""

    def __init__(self) -> None:
        super().__init__(name="agentroute-call", daemon=True)
        self.jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.start()

    def run(self) -> None:
        while True:
            self.jobs.get()()
            if len(_idle) >= _MOST_IDLE:
                return
            _idle.append(self)


_idle: deque[_Thread] = deque()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # threads do not outlive a fork


def words_of(error: object) -> str:
    """Return what an error says, or nothing when it cannot even say that.

    Args:
        error: Usually an exception of somebody else's code.

    Returns:
        Its text.
    """
    try:
        return str(error)
    except Exception:  # its own __str__ is broken; its type must do
        return ""


def named(error: object) -> str:
    """Return the type of an error, and what it says if it says anything.

    Args:
        error: Usually an exception of somebody else's code.

    Returns:
        Such as ``ValueError: no pencil``.
    """
    kind, words = type(error).__name__, words_of(error)
    return f"{kind}: {words}" if words else kind
