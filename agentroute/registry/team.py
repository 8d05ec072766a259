"""A whole registry file: its rows, the defaults merged into them, and the rules between keys."""

from __future__ import annotations

import re
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args

from agentroute.registry.keys import TOP_KEYS, Field, fields_of, shared_keys
from agentroute.registry.plain_text import shown
from agentroute.registry.reader import RowReader, called
from agentroute.registry.strict_yaml import Hole, Mapping, Node, Scalar, Sequence
from agentroute.types import AgentSpec, RefinerSpec, Strategy

_NEEDED: dict[object, list[tuple[str, Field]]] = {
    cls: [(key, field) for key, field in fields_of(cls).items() if field.required or field.key.needed_by]
    for cls in (AgentSpec, RefinerSpec)
}
_ID = str(fields_of(AgentSpec)["id"].key.pattern)


class Read(NamedTuple):
    """What a file holds.

    Args:
        agents: The rows that are right, with the defaults merged in.
        refiner: How several answers become one.
        default_agent: Who is asked where nobody fits, if anybody.
    """

    agents: tuple[AgentSpec, ...] = ()
    refiner: RefinerSpec = RefinerSpec()
    default_agent: str | None = None


def read_team(reader: RowReader, root: Node | None) -> Read:
    """Read a file.

    Args:
        reader: Takes note of every broken rule; what is returned counts only if there is none.
        root: The node at the top of the file.

    Returns:
        What it holds.
    """
    if not isinstance(root, Mapping):
        if not reader.problems:
            line = root.line if root else 1
            reader.refuse(line, "no mapping at the top; a registry begins with version: 1 and has agents:")
        return Read()
    for name, line in root.lines.items():
        if name not in TOP_KEYS:
            reader.meant.add((root.line, str(reader.unknown(line, name, "registry", tuple(TOP_KEYS)))))
    given = root.items
    _version(reader, root.line, given.get("version"))
    defaults: dict[str, Any] = {}
    if "defaults" in given:
        defaults = reader.record(AgentSpec, given["defaults"], "defaults", shared_keys())
    agents: tuple[AgentSpec, ...] = ()
    if "agents" in given:
        agents = read_agents(reader, given["agents"], defaults)
    elif (root.line, "agents") not in reader.meant:
        reader.refuse(root.line, "agents is missing; add agents: and begin each row with '- id: name'")
    refiner = read_refiner(reader, given["refiner"]) if "refiner" in given else RefinerSpec()
    if "default_agent" not in given:
        return Read(agents, refiner)
    return Read(agents, refiner, read_default(reader, given["default_agent"], _ids(given.get("agents"))))


def _ids(node: Node | None) -> list[str]:
    """Return the ids as they stand in the file, those of rows that are refused for something else too."""
    rows = node.items if isinstance(node, Sequence) else []
    ids = [row.items.get("id") for row in rows if isinstance(row, Mapping)]
    return [name.text for name in ids if isinstance(name, Scalar)]


def read_default(reader: RowReader, node: Node, ids: Collection[str]) -> str | None:
    """Read who is asked where nobody fits.

    Args:
        reader: Takes note of a broken rule.
        node: The id.
        ids: The ids of the team.

    Returns:
        The id, or ``None`` when a rule is broken.
    """
    name: str | None = reader.value(fields_of(AgentSpec)["id"], node, "default_agent", node.line)
    if name is None or name in ids:
        return name
    near = get_close_matches(name, ids, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else "name one of the ids under agents:"
    reader.refuse(node.line, f"default_agent is {shown(name)}, but no agent has that id; {remedy}")
    return None


def _version(reader: RowReader, top: int, node: Node | None) -> None:
    if node is None:
        reader.refuse(top, "version is missing; add version: 1 at the top")
    elif isinstance(node, Scalar):
        if not (node.plain and node.text == "1"):
            given = shown(node.text) if node.plain else f"the text {shown(node.text)}"
            reader.refuse(node.line, f"version is {given}, but must be 1; write version: 1")
    elif not isinstance(node, Hole):
        reader.refuse(node.line, "version is not a number, but must be 1; write version: 1")


def read_agents(reader: RowReader, node: Node, defaults: dict[str, Any]) -> tuple[AgentSpec, ...]:
    """Read the list of rows.

    Args:
        reader: Takes note of every broken rule.
        node: The list.
        defaults: Values for rows that do not give their own.

    Returns:
        The rows that are right.
    """
    if isinstance(node, Hole):
        return ()
    if not isinstance(node, Sequence) or not node.items:
        what = "an empty list" if isinstance(node, Sequence) else called(node)
        reader.refuse(
            node.line, f"agents is {what}, but must list at least one row; begin it with '- id: name'"
        )
        return ()
    agents: list[AgentSpec] = []
    first: dict[str, int] = {}
    for number, row in enumerate(node.items):
        if reader.full:
            break
        values = _agent(reader, row, number, defaults)
        if isinstance(row, Mapping):
            _unique(reader, row, first)
        if not reader.problems:
            agents.append(AgentSpec(**values))
    return tuple(agents)


def _unique(reader: RowReader, row: Mapping, first: dict[str, int]) -> None:
    """Refuse an id that another row has, be it in capitals: files and people do not tell them apart."""
    name = row.items.get("id")
    if not isinstance(name, Scalar):
        return
    line = row.lines["id"]
    if (at := first.get(name.text.casefold())) is None:
        first[name.text.casefold()] = line
    else:
        message = f"agent id {shown(name.text)} is taken, first on {reader.unit} {at}"
        reader.refuse(line, f"{message}; give each agent its own, whatever the case")


def _agent(reader: RowReader, node: Node, number: int, defaults: dict[str, Any]) -> dict[str, Any]:
    where = f"agents[{number}]"
    if not isinstance(node, Mapping):
        reader.record(AgentSpec, node, where)
        return {}
    known = fields_of(AgentSpec)
    name = node.items.get("id")
    if isinstance(name, Scalar) and name.reads_as == "text" and re.fullmatch(_ID, name.text):
        where = f"agent {name.text!r}"
    values = reader.record(AgentSpec, node, where)
    kind = values.get("kind")
    for key, line in node.lines.items():
        if kind is not None and key in known and not known[key].key.used_by(kind):
            kinds = " or ".join(known[key].key.kinds)
            reader.refuse(
                line, f"{where}: {key} means nothing to kind {kind}; drop it, or make the kind {kinds}"
            )
    if kind is not None:
        shared = {key: value for key, value in defaults.items() if known[key].key.used_by(kind)}
        values = shared | values
    _needs(reader, node, where, AgentSpec, values)
    strategies = get_args(Strategy)
    if kind == "llm" and values.get("strategy", "direct") not in strategies:
        line = node.lines.get("strategy", node.line)
        given = shown(values["strategy"])
        reader.refuse(
            line, f"{where}: strategy is {given}, but must be one of {', '.join(strategies)} for kind llm"
        )
    return values


def _needs(reader: RowReader, node: Mapping, where: str, cls: type[object], values: dict[str, Any]) -> None:
    """Refuse a row that lacks what every row, or every row of its kind, must have."""
    for key, field in _NEEDED[cls]:
        if key in values or key in node.items or (node.line, key) in reader.meant:
            continue
        if field.required:
            reader.refuse(node.line, f"{where}: {key} is missing; add {key}: {_example(key)}")
        elif values.get("kind") in field.key.needed_by:
            reader.refuse(
                node.line, f"{where}: kind {values['kind']} needs {key}; add {key}: {_example(key)}"
            )


def _example(key: str) -> str:
    return {
        "id": "web-researcher",
        "kind": "llm",
        "description": "What it is good at.",
        "model": "openai/gpt-5-mini",
    }.get(key, "my_app.agents:answer")


def read_refiner(reader: RowReader, node: Node) -> RefinerSpec:
    """Read the refiner.

    Args:
        reader: Takes note of every broken rule.
        node: Its mapping.

    Returns:
        The refiner, or the one that votes when a rule is broken.
    """
    values = reader.record(RefinerSpec, node, "refiner")
    if isinstance(node, Mapping):
        _needs(reader, node, "refiner", RefinerSpec, values)
        kind = values.get("kind", "vote")
        if kind == "vote" and "model" in node.items and "kind" not in node.items:
            reader.refuse(
                node.line, "refiner: a model is given, but the kind is vote, which asks none; add kind: llm"
            )
    return RefinerSpec() if reader.problems else RefinerSpec(**values)
