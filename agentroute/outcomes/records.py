"""The two records of an outcome folder: a query, and what one agent made of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

from agentroute.errors import OutcomeError
from agentroute.types import Answer, Passage, Query, to_plain


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryRecord:
    """A query and what is known about it.

    Args:
        query: What was asked; its ``id`` is set.
        gold: Right answers, any of which will do; empty when none is known.
        input_tokens: Length of the query in tokens, or ``None``.
        meta: Whatever else its record holds.
    """

    query: Query
    gold: tuple[str, ...] = ()
    input_tokens: int | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> QueryRecord:
        """Read a record.

        Args:
            data: One object of ``queries.jsonl``.

        Returns:
            The record; unknown keys are ignored.

        Raises:
            OutcomeError: A key is missing or holds something else than it should.
        """
        name, text = data.get("id"), data.get("text")
        if not isinstance(name, str) or not name:
            raise OutcomeError(f"id is {shown(name)}: a query has an id, a text that is not empty")
        if not isinstance(text, str) or not text.strip():
            raise OutcomeError(f"text of {name} is {shown(text)}: a query has a text that is not empty")
        task, meta = data.get("task"), data.get("meta")
        if not (task is None or isinstance(task, str)):
            raise OutcomeError(f"task of {name} is {shown(task)}: a task is a text")
        if not (meta is None or isinstance(meta, dict)):
            raise OutcomeError(f"meta of {name} is {shown(meta)}: meta is an object")
        context = data.get("context") or []
        if not isinstance(context, list) or not all(
            isinstance(p, dict) and isinstance(p.get("text"), str) and isinstance(p.get("title", ""), str)
            for p in context
        ):
            raise OutcomeError(
                f"context of {name} is {shown(context)}: a list of objects with title and text"
            )
        return cls(
            query=Query(
                text=text,
                context=tuple(Passage(title=p.get("title", ""), text=p["text"]) for p in context),
                task=task,
                entities=_texts(data.get("entities"), f"entities of {name}"),
                id=name,
            ),
            gold=_texts(data.get("gold"), f"gold of {name}"),
            input_tokens=_whole(data.get("input_tokens"), "input_tokens"),
            meta=meta or {},
        )

    def to_json(self) -> str:
        """Write the record as one line of ASCII, without its end of line."""
        query = self.query
        data = {
            "id": query.id,
            "text": query.text,
            "task": query.task,
            "gold": list(self.gold),
            "context": [{"title": p.title, "text": p.text} for p in query.context],
            "entities": list(query.entities),
            "input_tokens": self.input_tokens,
            "meta": self.meta,
        }
        return json.dumps({key: value for key, value in data.items() if value not in (None, [], {})})


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one agent made of one query; ``None`` is unknown.

    Args:
        query: The query's id.
        agent: The agent's id.
        score: 0 (wrong) to 1 (right); ``None`` when the agent did not run, or nobody could score it.
        answer: What it said; ``""`` when it declined.
        input_tokens: Tokens read.
        output_tokens: Tokens written, reasoning included.
        reasoning_tokens: The part of ``output_tokens`` spent on reasoning.
        cost_usd: US dollars.
        latency_s: Wall-clock seconds.
        effort: The reasoning effort it ran at.
        error: Why it did not run, in one line.
        response: All that the model wrote, when ``answer`` is only its end.
        steps: Its calls, in order, as plain data.
        extra: Keys that are not among the above, kept as they came.
    """

    query: str
    agent: str
    score: float | None = None
    answer: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None
    effort: str | None = None
    error: str | None = None
    response: str | None = None
    steps: tuple[Any, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def said(self) -> str | None:
        """The answer, or the whole response where no answer was taken from it."""
        return self.answer if self.answer is not None else self.response

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Outcome:
        """Read a record.

        Args:
            data: One object of ``outcomes.jsonl``.

        Returns:
            The record, keys without a place of their own in ``extra``.

        Raises:
            OutcomeError: A key holds something that it must not.
        """
        if complaint := check_outcome(data):
            raise OutcomeError(complaint)
        known = {key: value for key, value in data.items() if key in _KEYS and value is not None}
        extra = {key: value for key, value in data.items() if key not in _KEYS}
        if isinstance(steps := known.pop("steps", []), int):  # only their number was recorded
            return cls(**known, extra={"steps": steps, **extra})
        return cls(**known, steps=tuple(steps), extra=extra)

    def to_json(self) -> str:
        """Write the record as one line of ASCII, without its end of line; ``score`` is always there.

        Raises:
            OutcomeError: A field holds something that it must not.
        """
        data: dict[str, Any] = {"query": self.query, "agent": self.agent, "score": self.score}
        for name in _KEYS[3:]:
            if (value := getattr(self, name)) not in (None, ()):
                data[name] = list(value) if name == "steps" else value
        if complaint := check_outcome(data):
            raise OutcomeError(complaint)
        try:
            return json.dumps({**self.extra, **data}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise OutcomeError(
                f"outcome of {self.agent} on {self.query} cannot be written as JSON: {error}"
            ) from error


_KEYS = tuple(item.name for item in fields(Outcome) if item.name != "extra")
_TEXT_KEYS = ("answer", "effort", "error", "response")
_WHOLE_KEYS = ("input_tokens", "output_tokens", "reasoning_tokens")


def outcome_from_answer(query_id: str, answer: Answer, score: float | None) -> Outcome:
    """Turn an agent's answer into a record.

    An agent that ran and declined scores 0 with the answer ``""``; one that failed or timed out did not run,
    so its score is unknown whatever ``score`` says.

    Args:
        query_id: The query's id.
        answer: What came back.
        score: What the answer is worth, 0 to 1, or ``None`` when it was not scored.

    Returns:
        The record.
    """
    ran = answer.status == "ok"
    declined = (answer.status == "skipped" and answer.error == "declined") or (
        ran and not answer.text.strip()
    )
    applied = [step.applied for step in answer.steps if step.applied is not None]
    return Outcome(
        query=query_id,
        agent=answer.agent,
        score=0.0 if declined else score if ran else None,
        answer="" if declined else answer.text if ran else None,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        reasoning_tokens=answer.usage.reasoning_tokens,
        cost_usd=answer.usage.cost_usd,
        latency_s=answer.latency_s,
        effort=applied[-1] if applied else None,
        error=None if ran or declined else answer.error or answer.status,
        steps=tuple(to_plain(step) for step in answer.steps),
    )


def check_outcome(data: dict[str, Any]) -> str | None:
    """Say what is wrong with a record, if anything.

    Args:
        data: One object of ``outcomes.jsonl``.

    Returns:
        One sentence, or ``None`` when the record keeps the format.
    """
    get = data.get
    if (
        type(get("query")) is not str
        or type(get("agent")) is not str
        or not data["query"]
        or not data["agent"]
    ):
        return f"query is {shown(get('query'))} and agent is {shown(get('agent'))}: both are ids"
    score = get("score")
    if score is not None and (type(score) not in (int, float) or not 0 <= score <= 1):
        return f"score is {shown(score)}: from 0 (wrong) to 1 (right), or null (did not run)"
    for name in ("cost_usd", "latency_s"):
        value = get(name)
        if value is not None and (type(value) not in (int, float) or not 0 <= value < math.inf):
            return f"{name} is {shown(value)}: a finite number of 0 or more, or null when unknown"
    for name in _WHOLE_KEYS:
        value = get(name)
        if value is not None and (type(value) is not int or not 0 <= value < 2**63):
            return f"{name} is {shown(value)}: a whole number of 0 or more, or null when unknown"
    for name in _TEXT_KEYS:
        if not isinstance(get(name), str | None):
            return f"{name} is {shown(get(name))}: a text, or null"
    if not isinstance(get("steps"), list | int | None):
        return f"steps is {shown(get('steps'))}: a list of steps, or how many there were"
    return None


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise OutcomeError(f"{what} is {shown(value)}: a list of texts")
    return tuple(value)


def _whole(value: Any, what: str) -> int | None:
    if value is None or (type(value) is int and 0 <= value < 2**63):
        return value
    raise OutcomeError(f"{what} is {shown(value)}: a whole number of 0 or more, or null when unknown")


def shown(value: Any) -> str:
    """Write a value of a record for a message, in 60 characters at most."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
