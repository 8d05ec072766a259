"""What is asked, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A titled piece of text that comes with a query."""

    title: str = ""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """An earlier turn of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What is asked, with all that came along.

    Args:
        text: The question itself.
        context: Passages given with it.
        history: Earlier turns, oldest first.
        task: A label such as a subject or a data set, when one is known.
        entities: Names already known to matter; the extractor adds to them.
        id: The name of this query in an outcome folder, when it comes from one.
    """

    text: str
    context: tuple[Passage, ...] = ()
    history: tuple[Message, ...] = ()
    task: str | None = None
    entities: tuple[str, ...] = ()
    id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """A thing that a text names.

    Args:
        name: The surface form, as first written.
        kind: ``name | number | date | quote | term``, or a label of the extractor's own.
        count: How often it occurs in query and context together.
    """

    name: str
    kind: str
    count: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """A labelled tie between two entities, by their names."""

    head: str
    label: str
    tail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Extraction:
    """The entities of a text and the ties between them."""

    entities: tuple[Entity, ...] = ()
    relations: tuple[Relation, ...] = ()
