"""What a caller may hand in as a question, and the checks it passes before anybody is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from agentroute.errors import QueryError
from agentroute.types import Message, Query, from_plain

MAX_CHARS = 200_000
"""Characters that a question may have; passages belong into ``Query.context``."""

_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "human": "user",
    "user": "user",
    "ai": "assistant",
    "assistant": "assistant",
    "system": "system",
    "tool": "tool",
}


def read_question(question: Any) -> tuple[Query, tuple[str, ...]]:
    """Check a question and make it a ``Query``.

    Args:
        question: Text, a ``Query``, or a ``Query`` as plain data.

    Returns:
        The query, and a note for each thing that was cleaned.

    Raises:
        QueryError: It is not text, is blank or too long, or holds characters that cannot be written as UTF-8.
    """
    query = _as_query(question)
    if not isinstance(query.text, str):
        raise QueryError(f"the question is {type(query.text).__name__}, not text: pass a str or a Query")
    if not query.text.strip("\0 \t\r\n") or query.text.isspace():
        raise QueryError("the question is empty: pass at least one word")
    if len(query.text) > MAX_CHARS:
        raise QueryError(
            f"the question has {len(query.text):,} characters, the most is {MAX_CHARS:,}:"
            " pass long passages as Query(context=...)"
        )
    for where, text in _texts(query):
        _encodable(where, text)
    if not any("\0" in text for _, text in _texts(query)):
        return query, ()
    return _without_nuls(query), ("the question held NUL characters; they were removed",)


def read_messages(messages: Sequence[Any]) -> Query:
    """Make a ``Query`` of a LangChain conversation: its last human message is the question, the rest history.

    Args:
        messages: LangChain messages, oldest first.

    Returns:
        The query; ``read_question`` checks it.

    Raises:
        QueryError: No message in it comes from a person.
    """
    turns = [(_ROLES.get(str(getattr(message, "type", ""))), message_text(message)) for message in messages]
    asked = max((place for place, (role, _) in enumerate(turns) if role == "user"), default=None)
    if asked is None:
        raise QueryError("there is no question: give 'question', or a human message in 'messages'")
    history = tuple(Message(role=role, text=text) for role, text in turns[:asked] if role and text)
    return Query(text=turns[asked][1], history=history)


def message_text(message: Any) -> str:
    """Return the words of a LangChain message, whose content is a text or a list of blocks."""
    content = getattr(message, "content", message)
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    parts = [block if isinstance(block, str) else block.get("text") for block in blocks]
    return "".join(part for part in parts if isinstance(part, str))


def _as_query(question: Any) -> Query:
    if isinstance(question, Query):
        return question
    if isinstance(question, str):
        return Query(text=question)
    if isinstance(question, dict):
        try:
            return from_plain(Query, question)
        except ValueError as error:
            raise QueryError(
                f"the question has the keys {sorted(map(str, question))}: give those of Query, text at least"
            ) from error
    raise QueryError(f"the question is {type(question).__name__}, not text: pass a str or a Query")


def _texts(query: Query) -> list[tuple[str, str]]:
    return [
        ("the question", query.text),
        *((f"passage {number}", f"{p.title}{p.text}") for number, p in enumerate(query.context, 1)),
        *((f"turn {number} of the history", m.text) for number, m in enumerate(query.history, 1)),
    ]


def _encodable(where: str, text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise QueryError(
            f"{where} holds half a character (lone surrogate U+{ord(text[error.start]):04X} at"
            f" {error.start}), which UTF-8 cannot carry: decode its source with errors='replace'"
        ) from error


def _without_nuls(query: Query) -> Query:
    return replace(
        query,
        text=query.text.replace("\0", ""),
        context=tuple(
            replace(p, title=p.title.replace("\0", ""), text=p.text.replace("\0", "")) for p in query.context
        ),
        history=tuple(replace(m, text=m.text.replace("\0", "")) for m in query.history),
    )
