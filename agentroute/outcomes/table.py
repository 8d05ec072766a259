"""Outcomes as arrays: one row per query, one column per agent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from agentroute.errors import InputError
from agentroute.outcomes.records import QueryRecord
from agentroute.types import AgentSpec

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class OutcomeTable:
    """What each agent made of each query.

    Where a pair was recorded several times, numbers are the mean over its runs and the answer is the first
    one given.

    Args:
        queries: The rows.
        agents: The columns.
        score: 0 to 1; NaN where the agent did not run.
        cost_usd: US dollars; NaN where unknown.
        latency_s: Seconds; NaN where unknown.
        input_tokens: Tokens read; NaN where unknown.
        output_tokens: Tokens written; NaN where unknown.
        answers: What each agent said, by row and column; ``None`` where nothing was recorded.

    Shapes:
        Every array is ``(len(queries), len(agents))``; ``score`` is float32, the others are float64. One that
        knows nothing may be a read-only view of a single NaN.
    """

    queries: tuple[QueryRecord, ...]
    agents: tuple[AgentSpec, ...]
    score: Floats
    cost_usd: Floats
    latency_s: Floats
    input_tokens: Floats
    output_tokens: Floats
    answers: tuple[tuple[str | None, ...], ...]

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def agent_ids(self) -> tuple[str, ...]:
        """The ids of the columns."""
        return tuple(spec.id for spec in self.agents)

    @property
    def ran(self) -> npt.NDArray[np.bool_]:
        """Where an agent ran and was scored. Shapes: ``(len(queries), len(agents))``."""
        return ~np.isnan(self.score)

    @property
    def has_answers(self) -> bool:
        """True when any answer was recorded as text."""
        # Rows without any answer may be one and the same: each is looked at once.
        rows = {id(row): row for row in self.answers}.values()
        return any(answer is not None for row in rows for answer in row)

    def sparse_agents(self, share: float = 0.5) -> tuple[str, ...]:
        """Name the agents that ran on too few queries to be compared with the others.

        Args:
            share: The least part of all queries that an agent must have run on, 0 to 1.

        Returns:
            The ids of those below it.
        """
        if not self.queries:
            return ()
        covered = self.ran.mean(axis=0)
        return tuple(spec.id for spec, part in zip(self.agents, covered, strict=True) if part < share)

    def take(self, indices: Sequence[int] | npt.NDArray[Any]) -> OutcomeTable:
        """Keep some rows.

        Args:
            indices: Row numbers in the order wanted, or one true or false per row.

        Returns:
            A table of those rows.
        """
        rows = np.asarray(indices)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.intp)
        return self._pick(rows, np.arange(len(self.agents)))

    def only(self, ids: Iterable[str]) -> OutcomeTable:
        """Keep some agents.

        Args:
            ids: Agent ids, in the order wanted.

        Returns:
            A table of those columns.

        Raises:
            InputError: No such agent.
        """
        return self._pick(
            np.arange(len(self.queries)), np.array([self._column(name) for name in ids], dtype=np.intp)
        )

    def without(self, ids: Iterable[str]) -> OutcomeTable:
        """Leave some agents out.

        Args:
            ids: Agent ids.

        Returns:
            A table of the other columns.

        Raises:
            InputError: No such agent.
        """
        left_out = {self._column(name) for name in ([ids] if isinstance(ids, str) else ids)}
        kept = [column for column in range(len(self.agents)) if column not in left_out]
        return self._pick(np.arange(len(self.queries)), np.array(kept, dtype=np.intp))

    def _column(self, name: str) -> int:
        ids = self.agent_ids
        if name not in ids:
            raise InputError(f"no agent {name!r} in these outcomes{did_you_mean(name, ids)}")
        return ids.index(name)

    def _pick(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> OutcomeTable:
        # Rows without any answer may be one and the same: they stay so.
        answers = [self.answers[row] for row in rows]
        picked = {id(said): said for said in answers}
        if not np.array_equal(columns, np.arange(len(self.agents))):
            picked = {key: tuple(said[column] for column in columns) for key, said in picked.items()}
        return OutcomeTable(
            queries=tuple(self.queries[row] for row in rows),
            agents=tuple(self.agents[column] for column in columns),
            score=_part(self.score, rows, columns),
            cost_usd=_part(self.cost_usd, rows, columns),
            latency_s=_part(self.latency_s, rows, columns),
            input_tokens=_part(self.input_tokens, rows, columns),
            output_tokens=_part(self.output_tokens, rows, columns),
            answers=tuple(picked[id(said)] for said in answers),
        )


def build_table(
    queries: Sequence[QueryRecord], agents: Sequence[AgentSpec], records: Iterable[dict[str, Any]]
) -> OutcomeTable:
    """Arrange checked records by query and agent.

    Args:
        queries: The rows.
        agents: The columns; records of other agents are passed over.
        records: Objects of ``outcomes.jsonl`` that ``check_outcome`` finds nothing wrong with.

    Returns:
        The table.
    """
    row_of = {record.query.id: row * len(agents) for row, record in enumerate(queries)}
    column_of = {spec.id: column for column, spec in enumerate(agents)}
    answers: list[str | None] = [None] * (len(queries) * len(agents))
    names = ("score", "cost_usd", "latency_s", "input_tokens", "output_tokens")
    found: list[tuple[list[int], list[float]]] = [([], []) for _ in names]
    columns = list(zip(names, found, strict=True))
    same: dict[str, str] = {}
    for record in records:
        column = column_of.get(record["agent"])
        if column is None:
            continue
        cell = row_of[record["query"]] + column
        for name, (cells, values) in columns:
            if (value := record.get(name)) is not None:
                cells.append(cell)
                values.append(value)
        if answers[cell] is None:
            said = record.get("answer")
            said = record.get("response") if said is None else said
            # Short answers recur by the thousand; keeping one of each keeps the memory small.
            answers[cell] = same.setdefault(said, said) if said is not None and len(said) < 40 else said
    shape = (len(queries), len(agents))
    means = {name: _mean(cells, values, shape) for name, (cells, values) in columns}
    width = len(agents)
    return OutcomeTable(
        queries=tuple(queries),
        agents=tuple(agents),
        score=means["score"].astype(np.float32),
        cost_usd=means["cost_usd"],
        latency_s=means["latency_s"],
        input_tokens=means["input_tokens"],
        output_tokens=means["output_tokens"],
        answers=tuple(tuple(answers[row * width : (row + 1) * width]) for row in range(len(queries))),
    )


def by_run(records: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Deal records into runs: the first of every pair of query and agent, the second, and so on.

    Args:
        records: Objects of ``outcomes.jsonl``, in file order.

    Returns:
        The records of each run.
    """
    seen: Counter[tuple[str, str]] = Counter()
    runs: list[list[dict[str, Any]]] = []
    for record in records:
        pair = (record["query"], record["agent"])
        if seen[pair] == len(runs):
            runs.append([])
        runs[seen[pair]].append(record)
        seen[pair] += 1
    return runs


def joined(tables: Sequence[OutcomeTable]) -> OutcomeTable:
    """Put runs of the same queries one below the other.

    Args:
        tables: One per run, with the same queries and agents; at least one.

    Returns:
        The first run whole; of later ones, the queries on which somebody ran again.
    """
    first, *later = tables
    parts = [first, *(table.take(np.asarray(table.ran.any(axis=1))) for table in later)]

    def stacked(name: str) -> Floats:
        return np.concatenate([getattr(part, name) for part in parts])

    return OutcomeTable(
        queries=tuple(record for part in parts for record in part.queries),
        agents=first.agents,
        score=stacked("score"),
        cost_usd=stacked("cost_usd"),
        latency_s=stacked("latency_s"),
        input_tokens=stacked("input_tokens"),
        output_tokens=stacked("output_tokens"),
        answers=tuple(row for part in parts for row in part.answers),
    )


def _part(values: Floats, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Floats:
    if values.size and not any(values.strides):  # one number for every cell: no memory is filled with it
        return np.broadcast_to(values[0, 0], (len(rows), len(columns)))
    return values[np.ix_(rows, columns)]


def _mean(cells: list[int], values: list[float], shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    size = shape[0] * shape[1]
    index = np.array(cells, dtype=np.intp)
    count = np.bincount(index, minlength=size)
    total = np.bincount(index, weights=np.array(values, dtype=np.float64), minlength=size)
    means = np.full(size, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means.reshape(shape)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` when something is near, else the first few that are known."""
    ids = list(known)
    if close := get_close_matches(name, ids, n=1):
        return f"; did you mean {close[0]!r}?"
    return f"; there are {', '.join(ids[:8])}{', ...' if len(ids) > 8 else ''}" if ids else "; there are none"
