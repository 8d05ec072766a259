"""JSON lines on disk: reading that survives damage, and a tally of what was wrong."""

from __future__ import annotations

import contextlib
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from agentroute.errors import OutcomeError

MAX_LINE = 64 * 1024 * 1024
"""Bytes of one record; a longer line is damage."""

_SHOWN = 3


class Problems:
    """What was wrong in a file, by sort: the first few lines of each in full, the rest as a count."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._counts: dict[str, int] = {}

    def add(self, sort: str, line: str) -> None:
        """Count one problem.

        Args:
            sort: What kind of problem it is, as a plural, such as ``lines that are not JSON``.
            line: What was wrong, with file and line.
        """
        self._counts[sort] = self._counts.get(sort, 0) + 1
        shown = self._lines.setdefault(sort, [])
        if len(shown) < _SHOWN:
            shown.append(line)

    def lines(self) -> tuple[str, ...]:
        """Return the problems, one line each, and one more for each sort that has others."""
        found: list[str] = []
        for sort, shown in self._lines.items():
            found += shown
            if self._counts[sort] > len(shown):
                found.append(f"{self._counts[sort] - len(shown)} more {sort}")
        return tuple(found)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the system says of a place that cannot be read into an error of ours.

    Args:
        path: What messages call the place when the system names none.

    Yields:
        Nothing.

    Raises:
        OutcomeError: The place cannot be read.
    """
    try:
        yield
    except OSError as error:
        where, why = error.filename or path, error.strerror or error
        raise OutcomeError(
            f"{where} cannot be read: {why}; check that it is there and its permissions"
        ) from None


def read_jsonl(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records of a ``.jsonl`` or ``.jsonl.gz`` file, one at a time.

    A last line that was never finished, lines that are not JSON objects, and the rest of a damaged archive
    are left out and counted in ``problems``; every whole record before and after them is yielded.

    Args:
        path: The file.
        problems: Takes what was wrong.

    Yields:
        The line's number, counted from 1, and the record.

    Raises:
        OutcomeError: The file cannot be read.
    """
    with readable(path), _open(path) as file:
        number = 0
        while True:
            number += 1
            try:
                line = file.readline(MAX_LINE)
                cut = len(line) == MAX_LINE and not line.endswith(b"\n")
                while cut and (more := file.readline(MAX_LINE)) and not more.endswith(b"\n"):
                    pass
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                problems.add(
                    "damaged archives", f"{path.name}:{number}: the archive is damaged from here on ({error})"
                )
                return
            if not line:
                return
            if not line.strip():
                continue
            record = None if cut else parse(line)
            if record is not None:
                yield number, record
            elif line.endswith(b"\n") or cut:
                problems.add(
                    "lines that are not records", f"{path.name}:{number}: not a JSON object; left out"
                )
            else:
                problems.add(
                    "unfinished records",
                    f"{path.name}:{number}: 1 unfinished record at the end was set aside",
                )


def parse(line: bytes) -> dict[str, Any] | None:
    """Read one line.

    Args:
        line: The bytes of one JSON object.

    Returns:
        The object, every text in it free of lone surrogates; ``None`` when the line is anything else.
    """
    try:
        record: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    # A lone surrogate cannot be written as UTF-8 again. It comes as an escape, or as bytes with an ED.
    if b"\\ud" in line or b"\\uD" in line or b"\xed" in line:
        return {_clean(key): _clean(item) for key, item in record.items()}
    return record


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return {_clean(key): _clean(item) for key, item in value.items()} if isinstance(value, dict) else value


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")
