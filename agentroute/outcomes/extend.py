"""Adding queries to an outcome folder whose queries become known one by one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentroute.errors import StorageError
from agentroute.outcomes.folder import read_queries
from agentroute.outcomes.records import QueryRecord
from agentroute.outcomes.writer import create_folder, replace_file

if TYPE_CHECKING:
    from agentroute.registry import AgentRegistry


def extend_folder(path: str | Path, registry: AgentRegistry, records: Sequence[QueryRecord]) -> Path:
    """Make an outcome folder, or add queries to one that is there.

    Args:
        path: Where.
        registry: Its agents; those that are there must be the same.
        records: The queries to add; one whose id is there already stays as it is.

    Returns:
        The folder.

    Raises:
        OutcomeError: The folder holds other agents, or something that is no outcome folder.
        StorageError: It cannot be written.
    """
    folder = Path(path)
    file = folder / "queries.jsonl"
    old = read_queries(file) if file.is_file() and file.stat().st_size else {}
    new = {record.query.id or "": record for record in records}
    every = [*old.values(), *(record for name, record in new.items() if name not in old)]
    if old:
        create_folder(folder, registry, old.values())  # which checks that it is the same folder
        lines = b"".join(f"{record.to_json()}\n".encode("ascii") for record in every)
        try:
            if len(every) > len(old):
                replace_file(file, lines)
        except OSError as error:
            raise StorageError(
                f"{file} cannot be written: {error.strerror}; check its permissions"
            ) from error
        return folder
    return create_folder(folder, registry, every)
