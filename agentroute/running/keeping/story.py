"""What is on record of a run: its row in a list, its entries in order, and which of them are damaged."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Plain = dict[str, Any]
RunState = Literal["running", "unfinished", "complete", "degraded", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """One run, as a list of runs shows it.

    Args:
        id: The run's name.
        state: ``running``; ``unfinished`` when it broke off; else how it ended.
        began: Seconds since 1970, by the clock of then.
        ended: The same, or ``None``.
        question: What was asked.
        answers: How many agents' answers are on record.
        process: The id of the process that runs it, or ``None``.
    """

    id: str
    state: RunState
    began: float
    ended: float | None
    question: str
    answers: int
    process: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One thing that happened in a run.

    Args:
        seq: Its number among all entries.
        kind: ``routed``, ``sent``, ``answered``, ``late``, ``reopened`` or ``ended``.
        agent: Whose it is, or ``None``.
        data: What there is to say of it.
    """

    seq: int
    kind: str
    agent: str | None
    data: Plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """All that is on record of a run.

    Args:
        row: The run.
        data: What it began with.
        entries: What happened, in order.
        damaged: How many entries could not be read; whoever gave them is asked again.
    """

    row: RunRow
    data: Plain
    entries: tuple[Entry, ...]
    damaged: int = 0

    @classmethod
    def read(cls, row: RunRow, data: Plain, found: Sequence[Sequence[Any]]) -> Story:
        """Read the entries of a run, and count those that cannot be read.

        Args:
            row: The run.
            data: What it began with.
            found: For each entry its number among all and in the run, kind, agent, data as JSON, and sum.

        Returns:
            The story.
        """
        entries = [
            Entry(seq=seq, kind=kind, agent=agent, data=json.loads(text))
            for seq, number, kind, agent, text, total in found
            if total == checksum(row.id, str(number), kind, str(agent), text)
        ]
        last = max((number for _, number, *_ in found), default=0)
        if row.state in ("complete", "degraded", "failed") and not any(e.kind == "ended" for e in entries):
            last = max(last, len(entries) + 1)  # the last entries went, and took their numbers with them
        return cls(row=row, data=data, entries=tuple(entries), damaged=last - len(entries))


def checksum(*parts: str) -> int:
    """Tell damage, not malice: who can write the file can write the sum."""
    return zlib.crc32("\0".join(parts).encode("utf-8", "surrogatepass"))
