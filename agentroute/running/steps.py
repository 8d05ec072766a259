"""The steps of a coroutine, timed: who keeps the event loop to himself is told from who waits for others."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class Steps(Generic[_T]):
    """Awaits a coroutine and notes when one of its steps ran past a deadline without giving way.

    A timer cannot go off while code holds the event loop, so such a coroutine may finish as if it were in
    time. Its neighbours, who were held up by it, are not to blame: none of their own steps took long. The
    steps of tasks that the coroutine starts are not seen.

    Args:
        begin: Makes the coroutine, when it is first awaited.
        deadline: On the clock of ``time.monotonic``.
    """

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, _T]], deadline: float) -> None:
        self._begin, self._deadline = begin, deadline
        self.overran: float | None = None
        """Seconds that the step took which ran past the deadline; ``None`` when none did."""

    def __await__(self) -> Generator[Any, Any, _T]:
        # What ``yield from`` does (PEP 380), with a look at the clock around each step.
        inner = self._begin().__await__()
        step: Callable[[], Any] = partial(next, inner)
        while True:
            began = time.monotonic()
            try:
                waits_for = step()
            except StopIteration as end:
                found: _T = end.value
                return found
            finally:
                ended = time.monotonic()
                if began < self._deadline < ended:
                    self.overran = ended - began
            try:
                got = yield waits_for
            except GeneratorExit:
                inner.close()
                raise
            except BaseException as error:
                step = partial(inner.throw, error)
            else:
                step = partial(inner.send, got)
