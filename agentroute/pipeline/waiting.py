"""A run, waited for: the event loop of a caller who has none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agentroute.errors import InputError
from agentroute.types import RunResult


def waited(
    start: Callable[[], Awaitable[RunResult]],
    close: Callable[[], Awaitable[None]],
    instead: str,
    how_to_resume: Callable[[], str | None],
) -> RunResult:
    """Run a coroutine in an event loop of its own, and close what belongs to it.

    Args:
        start: Makes the coroutine.
        close: Closes what it opened.
        instead: The method to await where an event loop is running, such as ``arun``.
        how_to_resume: Writes the command that goes on with the run, for whoever interrupts it.

    Returns:
        The result.

    Raises:
        InputError: An event loop is running already.
        KeyboardInterrupt: It was interrupted; the message says how to go on, if it is on record.
    """

    async def work() -> RunResult:
        try:
            return await start()
        finally:
            await close()

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        try:
            return asyncio.run(work())
        except KeyboardInterrupt:
            how = how_to_resume()
            raise KeyboardInterrupt(f"interrupted; to go on with it: {how}" if how else "") from None
    name = instead.removeprefix("a")
    raise InputError(
        f"{name}() was called where an event loop is running: write `await team.{instead}(...)` there"
    )
