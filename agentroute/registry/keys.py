"""The keys of a registry row, read off the annotations in ``types.py``, and the JSON Schema made of them."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from agentroute.types import EFFORTS, AgentKind, AgentSpec, EffortRange, Key, Price, RefinerSpec, Strategy

Shape = Literal["text", "choice", "integer", "number", "record"]
TOP_KEYS = {
    "version": "The version of this format: 1.",
    "defaults": "Values for every row that does not give its own.",
    "agents": "The team, one row for each agent.",
    "default_agent": "The agent that is asked where none fits; without it, such a question gets no answer.",
    "refiner": "How several answers become one; without it, answers are voted on.",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One key as its annotation says it: its shape, whether it is a list, and what it takes."""

    name: str
    key: Key
    shape: Shape
    many: bool
    choices: tuple[str, ...]
    record: type[object] | None
    required: bool


def fields_of(cls: type[object]) -> dict[str, Field]:
    """Read the keys of a row off its dataclass.

    Args:
        cls: ``AgentSpec``, ``RefinerSpec``, ``EffortRange`` or ``Price``.

    Returns:
        The fields by name, in order.
    """
    return _FIELDS[cls]


def _field(name: str, hint: Any, required: bool) -> Field:
    inner, key = get_args(hint)
    if get_origin(inner) in (Union, UnionType):
        inner = next(option for option in get_args(inner) if option is not type(None))
    many = get_origin(inner) is tuple
    if many:
        inner = get_args(inner)[0]
    if get_origin(inner) is Literal:
        return Field(name, key, "choice", many, get_args(inner), None, required)
    shapes: dict[Any, Shape] = {str: "text", int: "integer", float: "number"}
    shape = shapes.get(inner, "record")
    return Field(name, key, shape, many, (), inner if shape == "record" else None, required)


def _fields(cls: Any) -> dict[str, Field]:
    hints = get_type_hints(cls, include_extras=True)
    return {
        field.name: _field(field.name, hints[field.name], field.default is MISSING) for field in fields(cls)
    }


_FIELDS: dict[object, dict[str, Field]] = {
    cls: _fields(cls) for cls in (AgentSpec, RefinerSpec, EffortRange, Price)
}


def shared_keys() -> tuple[str, ...]:
    """The keys that ``defaults:`` may give for all rows."""
    return tuple(name for name, field in fields_of(AgentSpec).items() if field.key.shared)


def json_schema() -> dict[str, Any]:
    """Make the JSON Schema (draft 7) of a registry file, for editors that check while one types.

    It says what a file may hold. What only the loader can tell, such as two rows with one id, is left to it.

    Returns:
        The schema as plain data.
    """
    row, shared = fields_of(AgentSpec), shared_keys()
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "agentroute registry",
        "description": "A team of agents, as agents/README.md explains it.",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "agents"],
        "properties": {
            "version": {"description": TOP_KEYS["version"], "const": 1},
            "defaults": {
                "description": TOP_KEYS["defaults"],
                "type": "object",
                "additionalProperties": False,
                "properties": {name: _property(row[name]) for name in shared},
            },
            "agents": {
                "description": TOP_KEYS["agents"],
                "type": "array",
                "minItems": 1,
                "items": _object(AgentSpec) | {"allOf": [_kind_rule(kind) for kind in get_args(AgentKind)]},
            },
            "default_agent": {"description": TOP_KEYS["default_agent"]} | _single(row["id"]),
            "refiner": {"description": TOP_KEYS["refiner"]} | _object(RefinerSpec),
        },
    }


def _object(cls: type[object]) -> dict[str, Any]:
    known = fields_of(cls)
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name for name, field in known.items() if field.required],
        "properties": {name: _property(field) for name, field in known.items()},
    }


def _property(field: Field) -> dict[str, Any]:
    about = {"description": field.key.doc}
    if field.record is EffortRange:
        return about | {"anyOf": [{"enum": list(EFFORTS)}, _object(EffortRange)]}
    if field.record is not None:
        return about | _object(field.record)
    one = _single(field)
    if not field.many:
        return about | one
    return about | {"type": "array", "items": one, "maxItems": field.key.max_items}


def _single(field: Field) -> dict[str, Any]:
    key = field.key
    if field.shape == "choice":
        return {"enum": list(field.choices)}
    if field.shape == "text":
        pattern = {"pattern": f"^{key.pattern}$"} if key.pattern else {}
        return {"type": "string", "minLength": 1, "maxLength": key.max_length} | pattern
    limits = {"minimum": key.at_least, "exclusiveMinimum": key.above, "maximum": key.at_most}
    return {"type": field.shape} | {name: limit for name, limit in limits.items() if limit is not None}


def _kind_rule(kind: AgentKind) -> dict[str, Any]:
    """What only one kind needs or refuses; a key that ``defaults:`` may give is not required of the row."""
    known = fields_of(AgentSpec)
    needed = [name for name, field in known.items() if kind in field.key.needed_by and not field.key.shared]
    unused = {name: False for name, field in known.items() if not field.key.used_by(kind)}
    strategy = {"strategy": {"enum": list(get_args(Strategy))}} if kind == "llm" else {}
    return {
        "if": {"required": ["kind"], "properties": {"kind": {"const": kind}}},
        "then": {"required": needed, "properties": unused | strategy},
    }
