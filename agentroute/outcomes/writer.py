"""Appending to an outcome folder so that a crash at any moment loses no record that was acknowledged."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from agentroute.errors import OutcomeError, StorageError
from agentroute.outcomes.folder import utterance_files
from agentroute.outcomes.jsonl import Problems, parse, read_jsonl, readable
from agentroute.outcomes.records import Outcome, QueryRecord, check_outcome

if TYPE_CHECKING:
    from agentroute.registry import AgentRegistry

if sys.platform == "win32":

    def _lock(descriptor: int, hold: bool) -> None:
        """Do nothing: on this system a folder takes one writer at a time."""

    def _try_lock(descriptor: int) -> bool:
        return True
else:
    import fcntl

    def _lock(descriptor: int, hold: bool) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX if hold else fcntl.LOCK_UN)

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            pass
        return True


_BLOCK = 1 << 16


class OutcomeWriter:
    """Appends outcomes to a folder; each is on the disk when ``append`` returns.

    Several processes may append to one folder on a local disk at once. A record that a crash left unfinished
    at the end of the file is moved to ``outcomes.jsonl.torn-N`` before anything is written after it.

    Args:
        path: The outcome folder; it must exist.

    Raises:
        OutcomeError: There is no such folder, it holds utterances, or its outcomes are compressed.
        StorageError: The file cannot be opened for writing.
    """

    def __init__(self, path: str | Path) -> None:
        folder = Path(path)
        with readable(folder):
            if not folder.is_dir():
                raise OutcomeError(f"{folder} is not a folder: make one with create_folder() first")
            _refuse_utterances(folder)
            if (folder / "outcomes.jsonl.gz").exists():
                raise OutcomeError(
                    f"{folder / 'outcomes.jsonl.gz'} is compressed: unpack it (gunzip) to append to it"
                )
        self.path = folder / "outcomes.jsonl"
        try:
            is_new = not self.path.exists()
            self._file = self.path.open("a+b", buffering=0)
            if is_new:
                _sync_folder(folder)
            with contextlib.ExitStack() as stack:
                stack.callback(self._file.close)
                with self._locked():
                    self._mend()
                stack.pop_all()
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror}; check the folder's permissions"
            ) from error

    def __enter__(self) -> OutcomeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        self._file.close()

    def append(self, *outcomes: Outcome) -> None:
        """Write outcomes and wait until they are on the disk; several at once cost one wait.

        Args:
            outcomes: What to write. Either all are written or none.

        Raises:
            OutcomeError: An outcome breaks the format; nothing was written.
            StorageError: The disk refused; nothing was written.
        """
        data = b"".join(f"{outcome.to_json()}\n".encode("ascii") for outcome in outcomes)
        if not data:
            return
        try:
            with self._locked():
                self._mend()
                self._write(data)
        except OSError as error:
            raise StorageError(
                f"{self.path} could not take {len(outcomes)} outcomes: {error.strerror or error}"
            ) from error

    def done(self, *, failures: bool = True) -> Counter[tuple[str, str]]:
        """Count what is already recorded, for going on where an earlier run stopped.

        Args:
            failures: Count records of agents that did not run as well.

        Returns:
            How many records there are of each ``(query, agent)``.
        """
        counts: Counter[tuple[str, str]] = Counter()
        for _, record in read_jsonl(self.path, Problems()):
            if check_outcome(record) is None and (failures or not record.get("error")):
                counts[record["query"], record["agent"]] += 1
        return counts

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        _lock(self._file.fileno(), True)
        try:
            yield
        finally:
            _lock(self._file.fileno(), False)

    def _write(self, data: bytes) -> None:
        before = self._file.seek(0, os.SEEK_END)
        try:
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:  # a full disk can take half a record: take it back, so that no torn tail remains
            with contextlib.suppress(OSError):
                self._file.truncate(before)
            raise

    def _mend(self) -> None:
        """See that the file ends with a whole record and its end of line."""
        size = self._file.seek(0, os.SEEK_END)
        if size == 0:
            return
        self._file.seek(size - 1)
        if self._file.read(1) == b"\n":
            return
        start = self._last_line(size)
        self._file.seek(start)
        tail = _read_all(self._file.fileno(), size - start)
        if parse(tail) is not None:  # whole but for its end of line: no part of an object is an object itself
            self._write(b"\n")
            return
        number = 1
        while True:
            try:
                with self.path.with_name(f"{self.path.name}.torn-{number}").open("xb") as aside:
                    aside.write(tail)
                    aside.flush()
                    os.fsync(aside.fileno())
                break
            except FileExistsError:
                number += 1
        _sync_folder(self.path.parent)
        self._file.truncate(start)
        os.fsync(self._file.fileno())

    def _last_line(self, size: int) -> int:
        end = size
        while end > 0:
            start = max(0, end - _BLOCK)
            self._file.seek(start)
            block = _read_all(self._file.fileno(), end - start)
            if (found := block.rfind(b"\n")) >= 0:
                return start + found + 1
            end = start
        return 0


@contextlib.contextmanager
def alone(path: str | Path) -> Iterator[None]:
    """Hold a folder against a second collection, which would ask everybody the same again and pay twice.

    Args:
        path: The outcome folder.

    Yields:
        Nothing; the folder is free again afterwards, also when the process is killed.

    Raises:
        OutcomeError: Another collection is at work in it.
    """
    with readable(Path(path)), (Path(path) / "agents.yaml").open("rb") as file:
        if not _try_lock(file.fileno()):
            raise OutcomeError(
                f"another collection is at work in {path}: wait until it is done, or choose another folder"
            )
        yield


def create_folder(path: str | Path, registry: AgentRegistry, records: Iterable[QueryRecord]) -> Path:
    """Make an outcome folder with agents and queries and no outcomes yet.

    Doing it again with the same agents and queries changes nothing, so that a collection can go on after a
    crash.

    Args:
        path: Where; parents are made as needed.
        registry: The agents.
        records: The queries; each has an id of its own.

    Returns:
        The folder.

    Raises:
        OutcomeError: The folder already holds other agents or queries, or utterances; or ids are missing or
            repeated.
        StorageError: The folder cannot be written.
    """
    folder, queries = Path(path), list(records)
    counts = Counter(record.query.id for record in queries)
    if bad := [name for name, count in counts.items() if not name or count > 1]:
        raise OutcomeError(
            f"query id {bad[0]!r} is given {counts[bad[0]]} times: each query needs an id of its own"
        )
    files = {
        "agents.yaml": registry.to_yaml().encode(),
        "queries.jsonl": b"".join(f"{record.to_json()}\n".encode("ascii") for record in queries),
    }
    with readable(folder):
        if folder.exists() and not folder.is_dir():
            raise OutcomeError(f"{folder} is a file; outcomes are kept in a folder: choose another place")
        _refuse_utterances(folder)
        for name in [name for name in files if (folder / name).exists()]:
            data, old = files.pop(name), folder / name
            same = old.read_bytes() == data or (
                name == "agents.yaml" and type(registry).from_yaml(old).hash == registry.hash
            )
            if not same:
                raise OutcomeError(
                    f"{old} is there and differs: choose another folder, or go on with its own {old.stem}"
                )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            replace_file(folder / name, data)
        if not (folder / "outcomes.jsonl.gz").exists():
            (folder / "outcomes.jsonl").touch()
        _sync_folder(folder)
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written: {error.strerror}; check the folder's permissions"
        ) from error
    return folder


def _refuse_utterances(folder: Path) -> None:
    if files := utterance_files(folder):
        raise OutcomeError(
            f"{folder} holds utterances ({files[0].name}): a folder holds those or outcomes, never both; "
            "choose another folder"
        )


def replace_file(path: Path, data: bytes) -> None:
    """Write a whole file at once: after a crash it holds the old content or the new.

    Args:
        path: The file.
        data: Its new content.

    Raises:
        OSError: The disk refused; the old content is kept.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _read_all(descriptor: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (part := os.read(descriptor, size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable; not every system lets a folder be synced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
