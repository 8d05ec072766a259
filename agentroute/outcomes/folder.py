"""Outcome folders: who answered what, how well, at what cost; to collect, train, replay and evaluate.

A folder holds ``agents.yaml`` (a registry), ``queries.jsonl`` and ``outcomes.jsonl``; the last two may end in
``.gz``. This module reads one; ``writer`` appends to one; ``utterances`` reads the other kind of folder, with
texts that are labelled with the agents that fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from agentroute.errors import InputError, OutcomeError
from agentroute.outcomes.jsonl import Problems, read_jsonl, readable
from agentroute.outcomes.records import Outcome, QueryRecord, check_outcome
from agentroute.outcomes.table import OutcomeTable, build_table, by_run, did_you_mean, joined
from agentroute.registry import AgentRegistry
from agentroute.types import AgentSpec


class OutcomeFolder:
    """A folder of recorded outcomes, opened for reading.

    Opening reads the agents and the queries. The outcomes are streamed, so that they may be of any size.

    Args:
        path: The folder.
        registry: Its agents.
        queries: Its queries by id, in file order.
        outcomes: The file that holds its outcomes.
        problems: What was wrong with the queries.
    """

    labelled: ClassVar[bool] = False
    """True where scores are labels that say which agents fit, and nobody answered."""

    def __init__(
        self,
        path: Path,
        registry: AgentRegistry,
        queries: dict[str, QueryRecord],
        outcomes: Path,
        problems: Problems,
    ) -> None:
        self.path, self.registry, self.queries = path, registry, queries
        self._outcomes = outcomes
        self._query_problems = problems.lines()
        self._outcome_problems: tuple[str, ...] | None = None

    @classmethod
    def open(cls, path: str | Path) -> OutcomeFolder:
        """Open a folder.

        Args:
            path: A folder with ``agents.yaml``, ``queries.jsonl[.gz]`` and ``outcomes.jsonl[.gz]``; or with
                ``agents.yaml`` and utterances, ``NAME.utterances.jsonl[.gz]``.

        Returns:
            The folder, an ``UtteranceFolder`` where it holds utterances; what could not be used of it is in
            ``problems``.

        Raises:
            OutcomeError: The folder or one of its files is missing, or holds nothing usable.
            RegistryError: ``agents.yaml`` breaks a rule.
        """
        folder = Path(path)
        with readable(folder):
            return cls._opened(folder)

    @classmethod
    def _opened(cls, folder: Path) -> OutcomeFolder:
        if not folder.is_dir():
            raise OutcomeError(f"{folder} is not a folder: give a folder with {_HOLDS}")
        if utterance_files(folder):
            from agentroute.outcomes.utterances import UtteranceFolder  # which is built on this class

            return UtteranceFolder._opened(folder)
        agents = folder / "agents.yaml"
        queries, outcomes = _find(folder, "queries"), _find(folder, "outcomes")
        if not agents.is_file():
            raise OutcomeError(
                f"{folder} has no agents.yaml: write a registry there; an outcome folder has {_HOLDS}"
            )
        problems = Problems()
        records = _read_queries(queries, problems)
        return cls(folder, AgentRegistry.from_yaml(agents), records, outcomes, problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each thing that could not be used; reads the outcomes if nothing else has yet."""
        if self._outcome_problems is None:
            for _ in self._records():
                pass
        return (*self._query_problems, *(self._outcome_problems or ()))

    def read(self) -> Iterator[Outcome]:
        """Yield the outcomes in the order they were written, one at a time."""
        for record in self._records():
            yield Outcome.from_json(record)

    def table(self, agents: Sequence[str] | None = None, *, each_run: bool = False) -> OutcomeTable:
        """Arrange the outcomes by query and agent.

        Args:
            agents: The agents wanted, by id; every agent of the registry by default.
            each_run: Where pairs were recorded several times, give each run of a query a row of its own,
                instead of one row with the means.

        Returns:
            The table, with the queries in file order.

        Raises:
            InputError: No such agent.
        """
        specs = self._specs(agents)
        if not each_run:
            return build_table(tuple(self.queries.values()), specs, self._records())
        runs = by_run(self._records())
        tables = [build_table(tuple(self.queries.values()), specs, records) for records in runs]
        return joined(tables) if tables else build_table(tuple(self.queries.values()), specs, ())

    def _specs(self, agents: Sequence[str] | None) -> list[AgentSpec]:
        """Return the registry rows of the agents wanted, of all by default."""
        ids = self.registry.ids if agents is None else tuple(agents)
        for name in ids:
            if name not in self.registry:
                raise InputError(f"no agent {name!r} in {self.path}{did_you_mean(name, self.registry.ids)}")
        return [self.registry[name] for name in ids]

    def _records(self) -> Iterator[dict[str, Any]]:
        """Yield the records that can be used; afterwards ``problems`` knows what was wrong with the rest."""
        problems, file = Problems(), self._outcomes.name
        agents, queries = set(self.registry.ids), self.queries
        for number, record in read_jsonl(self._outcomes, problems):
            if complaint := check_outcome(record):
                problems.add("records that break the format", f"{file}:{number}: {complaint}; left out")
            elif record["agent"] not in agents:
                where = f"{file}:{number}: agents.yaml has no agent {record['agent']!r}; left out"
                problems.add(f"records of the unknown agent {record['agent'][:64]!r}", where)
            elif record["query"] not in queries:
                problems.add(
                    "records of unknown queries",
                    f"{file}:{number}: no query {record['query'][:64]!r}; left out",
                )
            else:
                yield record
        self._outcome_problems = problems.lines()


_HOLDS = "agents.yaml, queries.jsonl[.gz] and outcomes.jsonl[.gz]"

UTTERANCES = (".utterances.jsonl", ".utterances.jsonl.gz")
"""How the names of files with labelled texts end."""


def utterance_files(folder: Path) -> list[Path]:
    """Return the files of a folder that hold utterances, sorted by name."""
    named = (path for path in folder.glob("*.utterances.jsonl*") if path.name.endswith(UTTERANCES))
    return sorted(path for path in named if path.is_file() and not path.name.startswith("."))


def read_queries(path: str | Path) -> dict[str, QueryRecord]:
    """Read the queries of a folder that may have no outcomes yet.

    Args:
        path: A folder with ``queries.jsonl[.gz]``, or such a file.

    Returns:
        The queries by id, in file order.

    Raises:
        OutcomeError: There is no such file, or a record in it breaks the format.
    """
    source, problems = Path(path), Problems()
    with readable(source):
        return _queries_of(source, problems)


def _queries_of(source: Path, problems: Problems) -> dict[str, QueryRecord]:
    if source.is_dir():
        labelled = utterance_files(source) and not any(source.glob("queries.jsonl*"))
    else:
        labelled = source.name.endswith(UTTERANCES)
    if labelled:
        raise OutcomeError(
            f"{source} holds utterances, whose labels say which agents fit, and no right answers to ask for: "
            "give `train` and `evaluate` such a folder; questions are read from queries.jsonl[.gz]"
        )
    records = _read_queries(_find(source, "queries") if source.is_dir() else source, problems)
    if lines := problems.lines():
        raise OutcomeError("\n".join(lines))
    return records


def _read_queries(path: Path, problems: Problems) -> dict[str, QueryRecord]:
    if not path.is_file():
        raise OutcomeError(f"{path} is not a file: queries are read from queries.jsonl or queries.jsonl.gz")
    queries: dict[str, QueryRecord] = {}
    for number, data in read_jsonl(path, problems):
        try:
            record = QueryRecord.from_json(data)
        except OutcomeError as error:
            problems.add("queries that break the format", f"{path.name}:{number}: {error}; left out")
            continue
        name = record.query.id or ""
        if name in queries:
            problems.add(
                "repeated queries",
                f"{path.name}:{number}: query {name!r} was there before; the first one counts",
            )
        else:
            queries[name] = record
    if not queries:
        raise OutcomeError(
            "\n".join(
                (f"{path} has no usable query: each line is an object with id and text", *problems.lines())
            )
        )
    return queries


def _find(folder: Path, stem: str) -> Path:
    found = [path for path in (folder / f"{stem}.jsonl", folder / f"{stem}.jsonl.gz") if path.is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise OutcomeError(f"{folder} has both {found[0].name} and {found[1].name}: keep one of them")
    holds = sorted(path.name for path in folder.iterdir())[:8]
    found_here = ", ".join(holds) or "nothing"
    raise OutcomeError(
        f"{folder} has no {stem}.jsonl: an outcome folder has {_HOLDS}, or agents.yaml and "
        f"NAME{UTTERANCES[0]}[.gz] with labelled texts; this one has {found_here}"
    )
