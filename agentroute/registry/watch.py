"""A registry file that people edit while a process runs: read again when it changed, and only then."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from agentroute.errors import RegistryError
from agentroute.registry.plain_text import read_text
from agentroute.registry.registry import AgentRegistry

SETTLED_S = 2.0
"""Seconds after which a file's times and size are believed: a second change within one tick of the file
system's clock leaves them as they are, and some systems count whole seconds."""

UNREADABLE = ""
"""Stands for the hash of a file that cannot be read."""


class Stamp(NamedTuple):
    """What a file looks like from outside.

    Args:
        changed: When its content and its state changed, in nanoseconds.
        size: In bytes.
        number: Its inode.
    """

    changed: tuple[int, int]
    size: int
    number: int


class WatchedRegistry:
    """Reads a registry file, and reads it again when it has changed.

    Looking costs one ``stat``. The content is read when the times or the size differ, or are too fresh to be
    believed, and parsed when its hash differs. Several threads may look at the same time.

    Args:
        path: The YAML file.
        allow_private: As for ``AgentRegistry.from_yaml``.

    Attributes:
        first: The team that the file held at first.

    Raises:
        RegistryError: The file breaks a rule.
    """

    def __init__(self, path: str | os.PathLike[str], *, allow_private: bool = False) -> None:
        # A process may move to another folder; the file stays where it was.
        self._path, self._allow_private = Path(path).absolute(), allow_private
        self._lock = threading.Lock()
        stamp, text = self._stamp(), read_text(path)
        self.first = AgentRegistry.from_text(text, path, allow_private=allow_private)
        self._note(stamp, _hash(text))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def moved(self) -> bool:
        """Say whether the file has to be looked into, by one glance at its times and its size."""
        return not self._settled or self._stamp() != self._seen

    def take(self, use: Callable[[AgentRegistry], None]) -> str | None:
        """Take up a changed file.

        Args:
            use: Called with the new team, if there is one; a ``RegistryError`` of its own refuses the team.

        Returns:
            What is wrong with the file, once for each change of it: its first problem, with the line.
        """
        with self._lock:
            if not self.moved():
                return None
            stamp, found, problem = self._stamp(), UNREADABLE, None
            try:
                text = read_text(self._path)
                if self._stamp() != stamp:
                    return None  # it is being written: this may be half of it, so the next look decides
                found = _hash(text)
                if found != self._hash:
                    use(AgentRegistry.from_text(text, self._path, allow_private=self._allow_private))
            except RegistryError as error:
                problem = _first_of(error) if found != self._hash else None
            self._note(stamp, found)
            return problem

    def _note(self, stamp: Stamp | None, found: str) -> None:
        """Remember what the file looked like when it was read."""
        self._seen, self._hash = stamp, found
        self._settled = stamp is None or time.time_ns() - max(stamp.changed) > SETTLED_S * 1e9

    def _stamp(self) -> Stamp | None:
        try:
            found = self._path.stat()
        except (OSError, ValueError):
            return None
        return Stamp((found.st_mtime_ns, found.st_ctime_ns), found.st_size, found.st_ino)


def _first_of(error: RegistryError) -> str:
    first, *more = error.problems
    counted = f" (and {len(more)} more)" if more else ""
    return f"{first}{counted}; the team from before stays"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
