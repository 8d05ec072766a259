"""Plain text from files: read strictly, free of what cannot be seen, and quoted safely in messages."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from agentroute.errors import RegistryError

MAX_BYTES = 5_000_000
# Control characters but tab and line ends, format characters (zero-width, bidi, tags), surrogates, and the
# two separators that look like line ends: none can be seen, each can make two different texts look the same.
INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a small regular file as strict UTF-8.

    Args:
        path: The file. A folder, a device, a pipe or a socket is refused without waiting on it.

    Returns:
        Its text, without a byte-order mark.

    Raises:
        RegistryError: If it cannot be read, is over 5,000,000 bytes, or is not UTF-8.
    """
    try:
        # without waiting: opening a pipe that nobody writes to would hang
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_BYTES + 1) if stat.S_ISREG(mode) else None
    except IsADirectoryError:
        data = None
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RegistryError(
            f"{path}:1: cannot be read ({reason}); give the path of a registry file"
        ) from error
    if data is None:
        kind = "a folder" if Path(path).is_dir() else "not a regular file"
        raise RegistryError(f"{path}:1: is {kind}; give the path of a registry file, such as team.yaml")
    if len(data) > MAX_BYTES:
        raise RegistryError(
            f"{path}:1: is over {MAX_BYTES:,} bytes, the most a registry may have; split the team"
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RegistryError(f"{path}:1: is UTF-16 or UTF-32 text, but must be UTF-8; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = line_at(data[: error.start].decode("utf-8", "replace"))
        raise RegistryError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error


def line_at(before: str) -> int:
    """Return the number of the line that follows ``before``, whatever ends its lines."""
    return len(re.findall(r"\r\n?|\n", before)) + 1


def forbidden(text: str) -> str | None:
    """Name the first control or invisible character of a text.

    Args:
        text: Any text.

    Returns:
        A message about the character, or ``None`` when there is none.
    """
    found = INVISIBLE.search(text)
    if found is None:
        return None
    return f"character U+{ord(found.group()):04X} cannot be seen and is not allowed; remove it"


_SECRET = re.compile(r"(?i)^(sk|pk|rk|ghp|gho|xox.|hf|glpat|gsk|key|bearer|basic)[-_ ]|^(AIza|AKIA|ASIA|eyJ)")


def shown(text: str) -> str:
    """Quote a text for a message: one line, at most 60 characters, and nothing that looks like a key.

    Args:
        text: What was given.

    Returns:
        The quoted text, or a note in its place.
    """
    if _SECRET.search(text):
        return "(not shown: it looks like a key)"
    return repr(text if len(text) <= 60 else text[:57] + "...")
