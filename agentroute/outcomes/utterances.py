"""Utterance folders: texts labelled with the agents that fit, to learn routing from where nobody answers.

A folder holds ``agents.yaml`` (a registry) and one or more ``NAME.utterances.jsonl[.gz]``. A line is an
object with ``id``, ``text`` and ``labels``, the ids of the agents that fit or ``["oos"]`` when none does;
and if there are any, ``history`` (earlier turns, ``"user: ..."`` or ``{"role": "user", "text": ...}``) and
``dialogue`` (an id that the turns of one conversation share).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from agentroute.errors import OutcomeError
from agentroute.outcomes.folder import UTTERANCES, OutcomeFolder, utterance_files
from agentroute.outcomes.jsonl import Problems, read_jsonl, readable
from agentroute.outcomes.records import QueryRecord, shown
from agentroute.outcomes.table import OutcomeTable, did_you_mean
from agentroute.registry import AgentRegistry
from agentroute.types import Message

OOS = "oos"
"""The label of a text that no agent fits: out of scope."""

_HOLDS = f"agents.yaml and NAME{UTTERANCES[0]}[.gz]"

_HELD_OUT = frozenset(("val", "valid", "validation", "dev", "test"))

# In a dialogue, the system is who answers the user.
_ROLES: dict[str, Literal["user", "assistant"]] = {
    "user": "user",
    "system": "assistant",
    "assistant": "assistant",
}

_NAMED = 20
"""Unknown labels that are reported one by one; a file of another registry may have thousands."""


class UtteranceFolder(OutcomeFolder):
    """A folder of texts labelled with the agents that fit, opened for reading.

    Each record has in ``meta`` its ``labels``, the dialogue's id as ``template``, so that its turns stay
    together, and a ``split`` where the folder brings its own: files with ``val``, ``valid``, ``validation``,
    ``dev`` or ``test`` as a word of their name are held out (``"test"``), the others are ``"train"``. A
    folder with only one of the two kinds has no split of its own. A text that is held out after the same
    turns is left out of the train part.

    Args:
        path: The folder.
        registry: Its agents.
        queries: Its texts by id, in file order, files by name.
        problems: What could not be used of it.
    """

    labelled: ClassVar[bool] = True

    def __init__(
        self, path: Path, registry: AgentRegistry, queries: dict[str, QueryRecord], problems: Problems
    ) -> None:
        super().__init__(path, registry, queries, path, problems)
        self._outcome_problems = ()  # everything was read on opening

    @classmethod
    def open(cls, path: str | Path) -> UtteranceFolder:
        """Open a folder.

        Args:
            path: A folder with ``agents.yaml`` and ``NAME.utterances.jsonl[.gz]``.

        Returns:
            The folder; what could not be used of it is in ``problems``.

        Raises:
            OutcomeError: The folder or one of its files is missing, or holds nothing usable, or there are
                outcomes as well.
            RegistryError: ``agents.yaml`` breaks a rule.
        """
        folder = Path(path)
        with readable(folder):
            return cls._opened(folder)

    @classmethod
    def _opened(cls, folder: Path) -> UtteranceFolder:
        if not folder.is_dir():
            raise OutcomeError(f"{folder} is not a folder: give a folder with {_HOLDS}")
        files = _files(folder)
        if not (folder / "agents.yaml").is_file():
            raise OutcomeError(
                f"{folder} has no agents.yaml: write a registry there; a folder of utterances has {_HOLDS}"
            )
        registry = AgentRegistry.from_yaml(folder / "agents.yaml")
        if OOS in registry:
            raise OutcomeError(
                f"{folder / 'agents.yaml'} has an agent {OOS!r}: as a label that means that no agent fits; "
                "give the agent another id"
            )
        problems = Problems()
        return cls(folder, registry, _read(files, registry.ids, problems), problems)

    def table(self, agents: Sequence[str] | None = None, *, each_run: bool = False) -> OutcomeTable:
        """Arrange the labels by text and agent.

        Args:
            agents: The agents wanted, by id; every agent of the registry by default.
            each_run: Changes nothing: a text is labelled once.

        Returns:
            The table, with the texts in file order: score 1 where an agent fits and 0 where it does not,
            which is everywhere in the row of an ``oos`` text; nothing else is known.

        Raises:
            InputError: No such agent.
        """
        specs = self._specs(agents)
        queries = tuple(self.queries.values())
        column_of = {spec.id: column for column, spec in enumerate(specs)}
        fits = [
            (row, column_of[label])
            for row, record in enumerate(queries)
            for label in record.meta["labels"]
            if label in column_of
        ]
        shape = (len(queries), len(specs))
        score = np.zeros(shape, np.float32)
        rows, columns = np.array(fits, np.intp).reshape(-1, 2).T
        score[rows, columns] = 1.0
        unknown = np.broadcast_to(np.float64(np.nan), shape)
        return OutcomeTable(
            queries=queries,
            agents=tuple(specs),
            score=score,
            cost_usd=unknown,
            latency_s=unknown,
            input_tokens=unknown,
            output_tokens=unknown,
            answers=((None,) * len(specs),) * len(queries),
        )

    def _records(self) -> Iterator[dict[str, Any]]:
        """Yield what the labels say of every text and agent, as outcomes without an answer.

        So ``read`` and ``table`` tell the same, as they do in any outcome folder.
        """
        for name, record in self.queries.items():
            labels = set(record.meta["labels"])
            for agent in self.registry.ids:
                yield {"query": name, "agent": agent, "score": float(agent in labels)}


def _files(folder: Path) -> list[Path]:
    files = utterance_files(folder)
    if not files:
        raise OutcomeError(f"{folder} has no utterances: such a folder has {_HOLDS}")
    for stem in ("queries", "outcomes"):
        for other in (f"{stem}.jsonl", f"{stem}.jsonl.gz"):
            if (folder / other).is_file():
                raise OutcomeError(
                    f"{folder} has both {files[0].name} and {other}: a folder holds utterances or outcomes; "
                    "move one kind into a folder of its own"
                )
    for first, second in pairwise(files):
        if _stem(first) == _stem(second):
            raise OutcomeError(f"{folder} has both {first.name} and {second.name}: keep one of them")
    return files


def _stem(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(UTTERANCES[0])


def _is_held_out(file: Path) -> bool:
    return not _HELD_OUT.isdisjoint(re.split(r"[-_.]", _stem(file).casefold()))


def _read(files: Sequence[Path], agents: Sequence[str], problems: Problems) -> dict[str, QueryRecord]:
    """Read the records of all files; ``problems`` takes what could not be used."""
    records: dict[str, QueryRecord] = {}
    place_of: dict[str, str] = {}
    held_out: dict[str, bool] = {}
    check = _Labels(agents, problems)
    for file in files:
        for number, data in read_jsonl(file, problems):
            place = f"{file.name}:{number}"
            try:
                record = _record(data)
            except OutcomeError as error:
                problems.add("utterances that break the format", f"{place}: {error}; left out")
                continue
            name = record.query.id or ""
            if name in records:
                where = (
                    f"{place}: utterance {name!r} was there before, at {place_of[name]}; the first one counts"
                )
                problems.add("repeated utterances", where)
            elif check.known(record.meta["labels"], place):
                records[name], place_of[name], held_out[name] = record, place, _is_held_out(file)
    kept_back = {_key(record): place_of[name] for name, record in records.items() if held_out[name]}
    for name in [name for name, held in held_out.items() if not held]:
        if there := kept_back.get(_key(records[name])):
            del records[name]
            where = f"{place_of[name]}: the same text is held out at {there}; left out of the train part"
            problems.add("train utterances that are held out", where)
    if not records:
        places = ", ".join(file.name for file in files)
        what = f"{files[0].parent} has no usable utterance in {places}: a line is an object with {_LINE}"
        raise OutcomeError("\n".join((what, *problems.lines())))
    if len({held_out[name] for name in records}) == 2:
        for name, record in records.items():
            record.meta["split"] = "test" if held_out[name] else "train"
    return records


_LINE = f'id, text and labels, a list of agent ids or ["{OOS}"]'


class _Labels:
    """Tells labels that name agents from others, and reports the others."""

    def __init__(self, agents: Sequence[str], problems: Problems) -> None:
        self._agents, self._problems = (*agents, OOS), problems
        self._known = frozenset(self._agents)
        self._hints: dict[str, str] = {}

    def known(self, labels: Sequence[str], place: str) -> bool:
        unknown = next((label for label in labels if label not in self._known), None)
        if unknown is None:
            return True
        if unknown not in self._hints and len(self._hints) < _NAMED:
            self._hints[unknown] = did_you_mean(unknown.casefold(), self._agents)  # ids are in lower case
        named = unknown in self._hints
        sort = (
            f"utterances of the unknown agent {unknown[:64]!r}" if named else "utterances of unknown agents"
        )
        what = f"agents.yaml has no agent {unknown[:64]!r}{self._hints.get(unknown, '')}"
        self._problems.add(sort, f"{place}: left out, since {what}")
        return False


def _record(data: dict[str, Any]) -> QueryRecord:
    record = QueryRecord.from_json({"id": data.get("id"), "text": data.get("text")})
    name, labels = record.query.id, data.get("labels")
    if (
        not isinstance(labels, list)
        or not labels
        or not all(isinstance(label, str) and label for label in labels)
    ):
        raise OutcomeError(f'labels of {name} is {shown(labels)}: a list of agent ids, or ["{OOS}"]')
    labels = [*dict.fromkeys(labels)]
    if OOS in labels and len(labels) > 1:
        raise OutcomeError(
            f"labels of {name} is {shown(labels)}: {OOS!r} stands alone, since it means that no agent fits"
        )
    dialogue = data.get("dialogue")
    if not (dialogue is None or isinstance(dialogue, str) or type(dialogue) is int):
        raise OutcomeError(f"dialogue of {name} is {shown(dialogue)}: the id of a dialogue, or nothing")
    meta: dict[str, Any] = {"labels": labels}
    if dialogue not in (None, ""):
        meta["template"] = str(dialogue)
    history = _history(data.get("history"), name)
    return replace(record, query=replace(record.query, history=history), meta=meta)


def _history(turns: Any, name: str | None) -> tuple[Message, ...]:
    if turns is None:
        return ()
    history = [_turn(turn) for turn in turns] if isinstance(turns, list) else [None]
    found = tuple(turn for turn in history if turn is not None)
    if len(found) < len(history):
        raise OutcomeError(
            f"history of {name} is {shown(turns)}: a list of turns, oldest first, each with a text, as "
            '"user: ..." or "system: ..." or an object with role and text'
        )
    return found


def _turn(turn: Any) -> Message | None:
    if isinstance(turn, str):
        role, _, text = turn.partition(":")
    elif isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("text"), str):
        role, text = turn["role"], turn["text"]
    else:
        return None
    known = _ROLES.get(role.strip().casefold())
    return None if known is None or not text.strip() else Message(role=known, text=text.strip())


def _key(record: QueryRecord) -> tuple[str, ...]:
    """What makes two texts one: "Yes, please" after another question is another text."""
    said = (*(turn.text for turn in record.query.history), record.query.text)
    return tuple(" ".join(text.casefold().split()) for text in said)
