"""Whose ``KeyboardInterrupt`` it is: the user's, which ends everything, or that of an agent's own code."""

from __future__ import annotations

import signal
import threading
from traceback import walk_tb


def may_be_users(error: KeyboardInterrupt) -> bool:
    """Say whether Ctrl-C may have raised an error that came out of a coroutine.

    ``asyncio.run`` takes the first Ctrl-C for itself and cancels what runs; from the second on, its handler
    raises in whatever code is running, and can be seen in the traceback. Where Python's own handler is in
    place, it cannot be told from a ``raise`` of the code: then it counts as the user's.

    Args:
        error: What came out.

    Returns:
        False only when it cannot have been the user.
    """
    if threading.current_thread() is not threading.main_thread():
        return False  # signals are handled in the main thread alone
    handler = signal.getsignal(signal.SIGINT)
    if handler in (signal.SIG_IGN, signal.SIG_DFL):
        return False
    # A handler written in C, Python's own for one, leaves no trace.
    code = getattr(getattr(handler, "func", handler), "__code__", None)
    return code is None or any(frame.f_code is code for frame, _ in walk_tb(error.__traceback__))
