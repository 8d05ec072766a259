"""Strict YAML: text to plain nodes that know their line, with everything refused that could surprise.

Refused: more than one document, anchors, aliases, tags, merge keys, duplicate keys, deep nesting, control and
invisible characters, anything but UTF-8. The parser is read event by event and never builds objects, so that
neither a hostile file nor libyaml's recursion can take the process down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import yaml

from agentroute.registry.plain_text import INVISIBLE, forbidden, shown

MAX_DEPTH = 20
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels; a registry needs five"
_SCALAR: Any = yaml.ScalarEvent
MAX_EVENTS = 1_000_000  # 10,000 agents with every key have 700,000

# What YAML readers take for something else than text when it stands without quotes. Words such as no and on
# are text here, as in YAML 1.2; YAML 1.1 reads them as false and true, and Norway's code as false.
_NOT_TEXT = (
    ("empty", re.compile(r"~|null|", re.IGNORECASE)),
    ("true or false", re.compile(r"true|false", re.IGNORECASE)),
    ("a date", re.compile(r"\d{4}-\d\d?-\d\d?([Tt \t].*)?")),
    (
        "a number",
        re.compile(
            r"[-+]?(\.?\d[\d_]*(\.[\d_]*)?([eE][-+]?\d+)?|0x[\da-fA-F_]+|0o[0-7_]+|0b[01_]+"
            r"|\d[\d_]*(:[0-5]?\d)+(\.\d*)?|\.(inf|nan))",
            re.IGNORECASE,
        ),
    ),
)
_WRITE_OUT = "a registry has none: write the value out, or put it under defaults:"
_HINTS = (
    ("mapping values are not allowed", "put quotes around a text that holds ': ', and indent keys alike"),
    ("cannot start any token", "indent with spaces, never tabs, and quote a text that begins with @ ` or %"),
    ("unknown directive", "quote a text that begins with %"),
    ("end of stream", "close the quote that is open at the end of the file"),
    ("could not find expected ':'", "write key: value, with a space after the colon"),
    ("expected '-' indicator", "begin every entry of the list with '- ', indented alike"),
    ("expected ',' or", "close the bracket, or put a comma between the entries"),
    ("escape", "escape characters as YAML does, or put the text in single quotes"),
)


class Scalar(NamedTuple):
    """A text with its line; ``plain`` when it stands without quotes."""

    text: str
    line: int
    plain: bool

    @property
    def empty(self) -> bool:
        """Whether it is YAML's way of giving nothing."""
        return self.plain and self.text.lower() in ("", "~", "null")

    @property
    def reads_as(self) -> str:
        """What a YAML reader takes it for, as ``plain_kind`` says it."""
        return plain_kind(self.text) if self.plain else "text"


@dataclass(slots=True)
class Sequence:
    """A list with the line it begins on."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Mapping:
    """Keys in file order, each with its own line and its value."""

    line: int
    items: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    pending: tuple[str | None, int] | None = None


@dataclass(slots=True, frozen=True)
class Hole:
    """Where something was refused; a reader must not complain about it again."""

    line: int


Node: TypeAlias = Scalar | Sequence | Mapping | Hole


def plain_kind(text: str) -> str:
    """Say what a YAML reader takes an unquoted scalar for.

    Args:
        text: The scalar as written.

    Returns:
        ``text | empty | true or false | a date | a number``.
    """
    if text[:1].isalpha() and (text[0] not in "nNtTfF" or len(text) > len("false")):
        return "text"  # the usual case, without four regular expressions
    return next((kind for kind, pattern in _NOT_TEXT if pattern.fullmatch(text)), "text")


class Loader:
    """One pass over the events of one document.

    Args:
        text: The document.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.problems: list[tuple[int, str]] = []
        self.root: Node | None = None
        self._stack: list[Sequence | Mapping] = []
        self._documents = 0

    def load(self) -> Node | None:
        """Read the whole text.

        Returns:
            The root node; ``None`` for an empty document, or for one that could not be read to its end.
            ``problems`` holds ``(line, message)`` pairs.
        """
        if INVISIBLE.search(self.text):
            lines = enumerate(re.split(r"\r\n?|\n", self.text), start=1)
            self.problems = [(number, found) for number, line in lines if (found := forbidden(line))]
            return None
        try:
            for count, event in enumerate(_events(self.text)):
                if type(event) is _SCALAR and event.anchor is None and event.tag is None:
                    self._place(
                        Scalar(event.value, event.start_mark.line + 1, not event.style)
                    )  # the usual case
                elif not self._take(event):
                    return None
                if count >= MAX_EVENTS:
                    self._refuse(_line(event), f"more than {MAX_EVENTS:,} parts; split the team")
                    return None
        except yaml.MarkedYAMLError as error:
            what, mark = error.problem or "unreadable", error.problem_mark
            line = 1 if mark is None else mark.line + 1
            if "nesting depth" in what:  # since 0.2.6 libyaml stops by itself, before we see it
                self._refuse(line, _TOO_DEEP)
                return None
            hint = next((hint for part, hint in _HINTS if part in what), "mend this line or the one above it")
            self._refuse(line, f"not YAML ({what}); {hint}")
            return None
        except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
            self._refuse(1, f"not YAML ({type(error).__name__}); write the registry anew")
            return None
        return self.root

    def _refuse(self, line: int, message: str) -> None:
        self.problems.append((line, message))

    def _take(self, event: Any) -> bool:
        """Take any event; False ends the pass."""
        if isinstance(event, yaml.CollectionEndEvent):
            self._stack.pop()
        elif isinstance(event, yaml.NodeEvent):
            return self._node(event, _line(event))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents == 2:
                message = "a second document; a registry is one document: remove the '---'"
                self._refuse(_line(event), message)
                return False
        return True

    def _node(self, event: Any, line: int) -> bool:
        """Take a scalar, the start of a collection, or an alias; False ends the pass."""
        if isinstance(event, yaml.AliasEvent):
            self._refuse(line, f"the alias {shown(str(event.anchor))}; {_WRITE_OUT}")
            self._place(Hole(line))
            return True
        if event.anchor is not None:
            self._refuse(line, f"the anchor {shown(event.anchor)}; {_WRITE_OUT}")
        if event.tag is not None:
            self._refuse(line, f"the tag {shown(event.tag)}; a registry has none: write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            self._place(Hole(line) if event.tag else Scalar(event.value, line, not event.style))
            return True
        if len(self._stack) >= MAX_DEPTH:
            self._refuse(line, _TOO_DEEP)
            return False
        node = Mapping(line) if isinstance(event, yaml.MappingStartEvent) else Sequence(line)
        self._place(Hole(line) if event.tag else node)
        self._stack.append(node)
        return True

    def _place(self, node: Node) -> None:
        """Put a node where the one on top of the stack is waiting for it."""
        if not self._stack:
            self.root = node
            return
        top = self._stack[-1]
        if isinstance(top, Sequence):
            top.items.append(node)
        elif top.pending is None:
            top.pending = self._key(top, node)
        else:
            key, line = top.pending
            top.pending = None
            if key is not None and key not in top.items:  # a refused key drops its value
                top.items[key] = node
                top.lines[key] = line

    def _key(self, top: Mapping, node: Node) -> tuple[str | None, int]:
        if not isinstance(node, Scalar):
            if not isinstance(node, Hole):
                self._refuse(
                    node.line, "a list or a mapping as a key; keys are plain words: write key: value"
                )
            return None, node.line
        if node.plain and node.text == "<<":
            self._refuse(node.line, f"a merge key (<<); {_WRITE_OUT}")
            return None, node.line
        if node.text in top.items:
            first = top.lines[node.text]
            self._refuse(
                node.line,
                f"duplicate key {shown(node.text)}, first given on line {first}; keep one of the two",
            )
        return node.text, node.line


def _events(text: str) -> Iterator[Any]:
    """Parse step by step; libyaml's parser keeps its own stack, so that no nesting can overrun ours."""
    parser = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while not isinstance(event := parser.get_event(), yaml.StreamEndEvent):
            yield event
    finally:
        parser.dispose()


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
