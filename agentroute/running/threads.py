"""Calling ordinary functions from async code without waiting for those that hang."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

LATE: contextvars.ContextVar[Callable[[object], None] | None] = contextvars.ContextVar(
    "agentroute_late", default=None
)
"""Who is told what a call returned when nobody waits for it any more; may be called in any thread."""


async def in_thread(call: Callable[[], _T]) -> _T:
    """Run a function in a thread of its own and wait for it without blocking the event loop.

    ``asyncio.to_thread`` has a small pool that hung calls fill up, and closing the loop waits for them. A
    thread of its own is a daemon: whoever stops waiting is free, and so is the process at its end.

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

    threading.Thread(target=work, name="agentroute-call", daemon=True).start()
    return await done


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
