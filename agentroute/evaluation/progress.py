"""A progress bar on stderr for whoever watches, and a few lines where nobody does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEPS = 4
"""Lines per piece of work where there is no terminal."""


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show progress while the block runs.

    Yields:
        A function of what is being done, how much of it is done, and of how much: what ``collect``, ``train``
        and ``evaluate`` take as ``progress``.
    """
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, int] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = int(bar.add_task(what, total=total))
            bar.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]  # a NewType of int

        yield tell


class _Lines:
    """Writes a line each time a quarter of the work is done."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        step = STEPS * done // max(total, 1)
        if self._told.get(what) != step:
            self._told[what] = step
            sys.stderr.write(f"{what}: {done} of {total}\n")
            sys.stderr.flush()
