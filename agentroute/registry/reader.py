"""Registry rows: from nodes that know their line to checked values, by the annotations in ``types.py``."""

from __future__ import annotations

import math
import re
from difflib import get_close_matches
from typing import Any

from agentroute.registry.addresses import address_problem
from agentroute.registry.keys import Field, fields_of
from agentroute.registry.plain_text import forbidden, shown
from agentroute.registry.strict_yaml import Hole, Mapping, Node, Scalar, Sequence
from agentroute.types import EffortRange, Key

_INTEGER = re.compile(r"[-+]?(0|[1-9]\d{0,17})")
_NUMBER = re.compile(r"[-+]?((0|[1-9]\d{0,29})(\.\d{0,30})?|\.\d{1,30})([eE][-+]?\d{1,4})?")
MAX_PROBLEMS = 100
_SECRET = re.compile(
    r"(api|access|secret|private|auth)?key|.*(apikey|secret|password|passwd|token|credentials?)|bearer"
)
# What other tools call the same thing; spelling alone would not find these.
_ALSO_CALLED = {
    "name": "id", "type": "kind", "cost": "price", "base_url": "api_base", "endpoint": "api_base",
    "url": "api_base", "timeout": "timeout_s", "instructions": "system", "system_prompt": "system",
    "reasoning_effort": "effort", "llm": "model", "folder": "outcomes", "path": "outcomes",
}  # fmt: skip


class RowReader:
    """Reads mappings into keyword arguments and notes every broken rule instead of stopping at the first.

    Args:
        allow_private: Whether ``api_base`` may point into private networks.
        unit: What the numbers beside the problems count.
    """

    def __init__(self, *, allow_private: bool = False, unit: str = "line") -> None:
        self.problems: list[tuple[int, str]] = []
        self.meant: set[tuple[int, str]] = (
            set()
        )  # keys of which a misspelling was refused, by their row's line
        self.unit = unit
        self._allow_private = allow_private

    @property
    def full(self) -> bool:
        """Whether there are as many problems as anybody reads."""
        return len(self.problems) >= MAX_PROBLEMS

    def refuse(self, line: int, message: str) -> None:
        """Note a broken rule."""
        self.problems.append((line, message))

    def record(
        self, cls: type[Any], node: Node, where: str, keys: tuple[str, ...] = (), join: str = ": "
    ) -> dict[str, Any]:
        """Read what a mapping gives of a dataclass.

        Args:
            cls: The dataclass.
            node: The mapping.
            where: What messages call it.
            keys: The keys that may be given; all of ``cls`` when empty.
            join: What stands between ``where`` and a key in messages.

        Returns:
            The values that were given and are right.
        """
        known = fields_of(cls)
        if not isinstance(node, Mapping):
            if not isinstance(node, Hole):
                self.refuse(
                    node.line, f"{where} is {called(node)}, but must be a mapping; write keys and values"
                )
            return {}
        allowed = keys or tuple(known)
        values: dict[str, Any] = {}
        for name, child in node.items.items():
            line = node.lines[name]
            if name not in known or name not in allowed:
                if near := self.unknown(line, name, where, allowed):
                    self.meant.add((node.line, near))
            elif (value := self.value(known[name], child, f"{where}{join}{name}", line)) is not None:
                values[name] = value
        return values

    def unknown(self, line: int, name: str, where: str, allowed: tuple[str, ...]) -> str | None:
        """Refuse a key that nobody reads.

        Args:
            line: Its line.
            name: The key.
            where: What messages call the mapping.
            allowed: The keys that it may have.

        Returns:
            The key that was probably meant, if there is one.
        """
        if self.full:  # looking for near names takes time that a hostile file must not spend
            return None
        plain = re.sub(r"[-_ .]", "", name.lower())
        near = _ALSO_CALLED.get(name.lower())
        if near not in allowed:
            near = next(iter(get_close_matches(name.lower(), allowed, n=1, cutoff=0.75)), None)
        if _SECRET.fullmatch(plain) and not plain.startswith("max"):
            remedy = "put it into an environment variable and name that: api_key_env: OPENAI_API_KEY"
            self.refuse(line, f"{where}: {shown(name)} would hold a secret, which no registry may; {remedy}")
            return None
        remedy = f"did you mean {near!r}?" if near else f"the keys here are {', '.join(allowed)}"
        self.refuse(line, f"{where}: unknown key {shown(name)}; {remedy}")
        return near

    def value(self, field: Field, node: Node, name: str, line: int) -> Any:
        """Read one value.

        Args:
            field: The key it was given for.
            node: What was given.
            name: What messages call it.
            line: The line of the key.

        Returns:
            The value; ``None`` when it was refused.
        """
        if isinstance(node, Scalar) and node.empty:
            self.refuse(node.line, f"{name} has no value; give one, or leave the key out")
            return None
        if isinstance(node, Hole):
            return None
        if field.record is not None:
            return self._nested(field, node, name)
        if not field.many:
            return self._single(field, node, name)
        if not isinstance(node, Sequence):
            self.refuse(line, f"{name} is {called(node)}, but must be a list; write {field.name}: [...]")
            return None
        if len(node.items) > field.key.max_items:
            given, most = len(node.items), field.key.max_items
            self.refuse(line, f"{name} has {given:,} entries, but at most {most} are allowed; drop some")
            return None
        items = [self._single(field, item, f"{name}[{place}]") for place, item in enumerate(node.items)]
        return None if None in items else tuple(items)

    def _nested(self, field: Field, node: Node, where: str) -> Any:
        assert field.record is not None
        if field.record is EffortRange and isinstance(node, Scalar):  # `effort: low` fixes one level
            level = self._single(fields_of(EffortRange)["default"], node, where)
            return None if level is None else EffortRange(levels=(level,), default=level)
        before = len(self.problems)
        values = self.record(field.record, node, where, join=".")
        needed = {name: inner.key for name, inner in fields_of(field.record).items() if inner.required}
        for name, key in needed.items():
            if isinstance(node, Mapping) and name not in node.items and (node.line, name) not in self.meant:
                self.refuse(node.line, f"{where} has no {name}; add {name}: {key.doc}")
        if len(self.problems) > before or any(name not in values for name in needed):
            return None
        value = field.record(**values)
        if isinstance(value, EffortRange):
            self._effort(value, node.line, where)
        return value

    def _effort(self, effort: EffortRange, line: int, where: str) -> None:
        levels = ", ".join(effort.levels)
        if not effort.levels:
            self.refuse(line, f"{where}.levels is empty; list the levels, such as [low, medium, high]")
        elif len(set(effort.levels)) < len(effort.levels):
            self.refuse(line, f"{where}.levels names a level twice ({levels}); keep one of each")
        elif effort.default not in effort.levels:
            self.refuse(
                line, f"{where}.default is {effort.default!r}, but must be one of its levels: {levels}"
            )

    def _single(self, field: Field, node: Node, name: str) -> Any:
        if isinstance(node, Hole):
            return None
        wanted = {"text": "text", "choice": "one word"}.get(field.shape, "a number")
        if not isinstance(node, Scalar):
            self.refuse(node.line, f"{name} is {called(node)}, but must be {wanted}; write one value")
            return None
        if field.shape == "text":
            problem, value = self._text(field, node), node.text
        elif field.shape == "choice":
            problem, value = _choice(field, node), node.text
        else:
            return self._number(field, node, name)
        if problem is not None:
            self.refuse(node.line, f"{name} {problem}")
            return None
        return value

    def _text(self, field: Field, node: Scalar) -> str | None:
        key, text = field.key, node.text
        quoted = "(not shown)" if key.private else shown(text)
        if (kind := node.reads_as) == "empty":
            return "has no value; give one, or leave it out"
        if kind != "text":
            return f"is {quoted}, which YAML reads as {kind}, but must be text; put it in quotes"
        if not text.strip():
            return "is empty text; give it a value, or leave it out"
        if len(text) > key.max_length:
            return f"has {len(text):,} characters, but at most {key.max_length:,} are allowed; shorten it"
        if (unseen := forbidden(text)) is not None:
            return f"is {quoted}: {unseen}"
        if key.pattern is not None and not re.fullmatch(key.pattern, text):
            return f"is {quoted}, but {key.rule}"
        if field.name == "api_base":
            return address_problem(text, allow_private=self._allow_private)
        return None

    def _number(self, field: Field, node: Scalar, name: str) -> int | float | None:
        whole, key = field.shape == "integer", field.key
        rule = f"but must be a {'whole ' if whole else ''}number {_range(key)}"
        if not node.plain:
            self.refuse(node.line, f"{name} is the text {shown(node.text)}, {rule}; write it without quotes")
            return None
        if not (_INTEGER if whole else _NUMBER).fullmatch(node.text):
            self.refuse(node.line, f"{name} is {shown(node.text)}, {rule}, in plain digits")
            return None
        value = int(node.text) if whole else float(node.text)
        low = key.at_least if key.above is None else math.nextafter(key.above, math.inf)
        if (low is not None and value < low) or (key.at_most is not None and value > key.at_most):
            self.refuse(node.line, f"{name} is {shown(node.text)}, {rule}")
            return None
        return value


def _choice(field: Field, node: Scalar) -> str | None:
    if node.text in field.choices:
        return None
    near = get_close_matches(node.text.lower(), field.choices, n=1)
    remedy = f"; did you mean {near[0]!r}?" if near else ""
    return f"is {shown(node.text)}, but must be one of {', '.join(field.choices)}{remedy}"


def _range(key: Key) -> str:
    if key.above is not None:
        return f"above {key.above:g} and at most {key.at_most:,.0f}"
    return f"from {key.at_least:g} to {key.at_most:,.0f}"


def called(node: Node) -> str:
    """Say what kind of value a node is, for messages."""
    if isinstance(node, Scalar):
        return "nothing" if node.empty else "a single value"
    return {Mapping: "a mapping", Sequence: "a list"}.get(type(node), "left out")
