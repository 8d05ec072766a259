"""Questions in the forms people have them, as query records."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from agentroute.errors import InputError
from agentroute.outcomes import QueryRecord, read_queries
from agentroute.types import Query

Triple = tuple[Query | str, Sequence[str], dict[str, Any]]
Questions = str | os.PathLike[str] | Iterable[QueryRecord] | Iterable[Triple]


def read_questions(questions: Questions) -> list[QueryRecord]:
    """Read questions and see that each has a text and an id.

    Args:
        questions: Query records, ``(query, gold, meta)`` triples, or the path of a ``queries.jsonl[.gz]`` or
            of a folder that holds one.

    Returns:
        The records in order; one without an id gets its number, such as ``q00001``.

    Raises:
        InputError: There are none, or one is not a question.
    """
    if isinstance(questions, (str, os.PathLike)):
        return list(read_queries(os.fspath(questions)).values())
    records = [_record(item, number) for number, item in enumerate(questions, 1)]
    if not records:
        raise InputError("there are no questions; give at least one")
    return records


def _record(item: Any, number: int) -> QueryRecord:
    try:
        record = item if isinstance(item, QueryRecord) else _of_triple(*item)
    except (TypeError, ValueError):
        raise InputError(
            f"question {number} is {item!r:.80}; give a QueryRecord, or (Query, right answers, meta)"
        ) from None
    if not isinstance(record.query, Query) or not record.query.text.strip():
        raise InputError(f"question {number} has no text; a question is a Query with something in it")
    return record if record.query.id else replace(record, query=replace(record.query, id=f"q{number:05d}"))


def _of_triple(query: Query | str, gold: Sequence[str], meta: dict[str, Any]) -> QueryRecord:
    query = Query(text=query) if isinstance(query, str) else query
    return QueryRecord(query=query, gold=(gold,) if isinstance(gold, str) else tuple(gold), meta=dict(meta))
