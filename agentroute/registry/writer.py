"""Specs back to plain rows: for files, for hashing, and for checking specs by the rules of files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, fields
from numbers import Integral, Real
from typing import Any

import yaml

from agentroute.errors import RegistryError
from agentroute.registry.strict_yaml import Mapping, Node, Scalar, Sequence, plain_kind
from agentroute.types import AgentSpec, EffortRange, RefinerSpec


def row_of(value: Any) -> dict[str, Any]:
    """Turn a spec into the row that a file would hold: what differs from the defaults, and nothing else.

    Args:
        value: An ``AgentSpec`` or a ``RefinerSpec``.

    Returns:
        Plain data.
    """
    plain = asdict(value)  # as it is: whether it fits is for the rules of files to say
    kept = {field.name for field in fields(value) if getattr(value, field.name) != field.default}
    row = {key: item for key, item in plain.items() if key in kept}
    if isinstance(effort := value.effort, EffortRange) and effort.levels == (effort.default,):
        row["effort"] = effort.default
    if row.get("price"):
        row["price"] = {key: item for key, item in row["price"].items() if item is not None}
    return row


def node_of(value: Any, line: int) -> Node:
    """Turn plain data into the node that a file would give, so that specs meet the rules of files.

    Args:
        value: Dicts, lists, texts and numbers.
        line: Which line to report.

    Returns:
        The node.

    Raises:
        RegistryError: If there is anything else inside.
    """
    if isinstance(value, str):
        return Scalar(value, line, False)
    if isinstance(value, bool):
        return Scalar(str(value).lower(), line, True)
    if isinstance(value, Integral):
        return Scalar(str(int(value)), line, True)
    if isinstance(value, Real):
        number = float(value)
        whole = math.isfinite(number) and number.is_integer() and abs(number) < 1e15
        return Scalar(str(int(number)) if whole else repr(number), line, True)
    if isinstance(value, (list, tuple)):
        return Sequence(line, [node_of(item, line) for item in value])
    if isinstance(value, dict):
        items = {str(key): node_of(item, line) for key, item in value.items()}
        return Mapping(line, items, dict.fromkeys(items, line))
    raise RegistryError(
        f"spec {line}: holds a {type(value).__name__}; use texts, numbers, tuples and the classes"
    )


_WORDS = frozenset("y n yes no on off".split())  # text for us, false and true for YAML 1.1 readers


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, and quotes all that some reader might not take for text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None if plain_kind(text) == "text" and text.lower() not in _WORDS else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def write_team(agents: Iterable[AgentSpec], refiner: RefinerSpec, default_agent: str | None = None) -> str:
    """Write a registry file.

    Args:
        agents: The rows, in order.
        refiner: How several answers become one; left out when it is the default.
        default_agent: Who is asked where nobody fits; left out when there is nobody.

    Returns:
        The YAML text.
    """
    content: dict[str, Any] = {"version": 1, "agents": [row_of(spec) for spec in agents]}
    if default_agent is not None:
        content["default_agent"] = default_agent
    if row := row_of(refiner):
        content["refiner"] = row
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
