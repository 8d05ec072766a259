"""Who is alive: a process holds a locked file for as long as it lives, and the kernel lets go of it.

A process id alone says little: ids are given out again. A lock that is held cannot outlive its process,
whatever ended it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
import weakref
from pathlib import Path

if sys.platform == "win32":

    def _lock(descriptor: int) -> bool:
        """Take no lock: on this system an owner counts as alive for as long as its file is there."""
        return False
else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_open: weakref.WeakSet[Owner] = weakref.WeakSet()


class Owner:
    """This process, as other processes see it.

    Args:
        folder: Where owners keep their locked files; made if missing, for this user alone.

    Raises:
        OSError: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.name = f"{os.getpid()}-{uuid.uuid4().hex}"
        self._path = folder / self.name
        # Locked before it has its name: nobody may find it free in between and take it for a dead one.
        hidden = folder / f".{self.name}"
        self._descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _lock(self._descriptor)
        hidden.rename(self._path)
        _open.add(self)

    def close(self) -> None:
        """Be gone; closing twice is fine."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            self.forget()

    def forget(self) -> None:
        """Let go of the file without a word to others, as a forked child must of its parent's."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_alive(folder: Path, name: str) -> bool:
    """Say whether an owner lives, and clear away the file of one that does not.

    Args:
        folder: Where owners keep their files.
        name: The owner's name.

    Returns:
        False only when it is certain that its process ended, or closed.
    """
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:  # another user's, perhaps
        return True
    try:
        if not _lock(descriptor):
            return True
        with contextlib.suppress(OSError):
            path.unlink()
        return False
    finally:
        os.close(descriptor)


def process_of(name: str) -> str:
    """Return the process id in an owner's name."""
    return name.partition("-")[0]


def _forked() -> None:
    for owner in list(_open):
        owner.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
