"""What a step shows before it runs, and what its answers show after: plain numbers, read off texts."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agentroute.answers import answer_kind, normal_form
from agentroute.types import StepRole

TEXT_LIMIT = 20_000
"""Characters of any text that are read."""

HISTORY_LIMIT = 40
"""Messages of a history that are read, the last ones; of the others only their number counts."""

ROLES: tuple[StepRole, ...] = ("plan", "tool", "answer", "refine")
KINDS = ("number", "date", "yes_no", "choice", "name", "list", "code", "text", "refusal", "empty")

_TOKEN = re.compile(r"\w+|[^\w\s]")
_NUMBER = re.compile(r"\d+")
_PART = re.compile(r"\d+|[^\W\d_]|[^\w\s]")
_HEDGE = re.compile(
    r"\b(?:not sure|unsure|uncertain|unclear|might|maybe|perhaps|probably|possibly|likely|i think|i believe|"
    r"seems?|approximately|assum\w+|guess\w*|cannot|can't|unable|unknown|however|wait)\b",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"\b(?:error|exception|traceback|failed|failure|invalid|not found|no results?|denied|timed? ?out|"
    r"unavailable|missing|refused)\b",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(r"\b(?:answer|result|therefore|thus|hence)\b[^.\n]{0,40}$|answer\s*(?:is|:)", re.I)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """A step as a router sees it.

    Args:
        text: What it has to deal with: the question, or what the last tool returned.
        role: What it is for.
        step: Its number, from 1.
        history: The messages before it, OpenAI style.
        task: A label of the kind of question, if there is one.
    """

    text: str
    role: StepRole = "answer"
    step: int = 1
    history: Sequence[dict[str, Any]] = ()
    task: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What came back from a step.

    Args:
        answer: What it said in the end.
        response: All that it wrote, where ``answer`` is only the end of it.
        tokens: Tokens written, reasoning included; ``None`` is unknown.
    """

    answer: str
    response: str | None = None
    tokens: float | None = None


def widths() -> list[int]:
    """Return how many signs there are of a step, of a reply, and of two replies; files hold it."""
    view, reply = StepView(text=""), Reply(answer="")
    return [len(step_signs(view)), len(reply_signs(reply, view)), len(pair_signs(reply, reply))]


def step_signs(view: StepView) -> list[float]:
    """Read what shows before a step runs.

    Args:
        view: The step.

    Returns:
        As many numbers for every step.
    """
    text = view.text[:TEXT_LIMIT]
    tokens = _TOKEN.findall(text)
    numbers = [float(found) for found in _NUMBER.findall(text)[:200] if len(found) < 16]
    size = max(1, len(text))
    return [
        math.log1p(len(view.text)),
        math.log1p(len(tokens)),
        math.log1p(text.count("\n")),
        math.log1p(max(map(len, text.split()), default=0)),
        sum(map(str.isdigit, text)) / size,
        sum(map(str.isupper, text)) / size,
        sum(not mark.isalnum() and not mark.isspace() for mark in text) / size,
        len(set(tokens)) / max(1, len(tokens)),
        math.log1p(len(numbers)),
        math.log1p(max(numbers, default=0.0)),
        math.log1p(text.count("?") + text.count("(")),
        *_course(view),
    ]


def _course(view: StepView) -> list[float]:
    """How the conversation has gone: length, errors, repetition."""
    last = [message for message in view.history[-HISTORY_LIMIT:] if isinstance(message, dict)]
    results = [_content(message) for message in last if message.get("role") == "tool"]
    calls = [_calls(message) for message in last if message.get("tool_calls")]
    errors = [bool(_ERROR.search(result[:500])) for result in results]
    head = view.text[:500]
    return [
        math.log1p(max(0, view.step - 1)),
        math.log1p(len(view.history)),
        math.log1p(sum(len(_content(message)) for message in last)),
        float(len(results)),
        float(sum(errors)),
        float(bool(errors and errors[-1])),
        float(len(calls) - len(set(calls))),
        float(len(results) - len(set(results))),
        float(view.step > 1 and bool(_ERROR.search(head))),
        *(float(view.role == role) for role in ROLES),
    ]


def _content(message: dict[str, Any]) -> str:
    content = message.get("content")
    return content[:TEXT_LIMIT] if isinstance(content, str) else ""


def _calls(message: dict[str, Any]) -> str:
    return json.dumps([call.get("function") for call in message["tool_calls"] if isinstance(call, dict)])


def reply_signs(reply: Reply, view: StepView) -> list[float]:
    """Read what shows of an answer once it is there.

    Args:
        reply: The answer.
        view: The step that it answers.

    Returns:
        As many numbers for every answer.
    """
    text, question = reply.answer[:TEXT_LIMIT].strip(), view.text[:TEXT_LIMIT]
    whole = (reply.response if reply.response is not None else reply.answer)[:TEXT_LIMIT]
    tokens, numbers = _TOKEN.findall(text), _NUMBER.findall(text)
    asked = _asked(question)
    marks = Counter(mark for mark in text if not mark.isspace())
    kind = answer_kind(text)
    size = max(1, len(text))
    value = float(numbers[0]) if numbers and len(numbers[0]) < 10 else 0.0
    words = whole.split()
    return [
        math.log1p(len(text)),
        math.log1p(len(tokens)),
        len(set(tokens)) / max(1, len(tokens)),
        math.log1p(len(numbers)),
        len(set(numbers)) / max(1, len(numbers)),
        math.log1p(value),
        sum(map(str.isdigit, text)) / size,
        sum((marks & asked.marks).values()) / max(1, sum(marks.values())),
        sum(token.casefold() in asked.words for token in tokens) / max(1, len(tokens)),
        len(text) / max(1, len(question)),
        math.log1p(len(text) / asked.longest),
        value / asked.longest,
        len(numbers) / asked.longest,
        float(bool(text) and text in question),
        ord(text.strip("() ")[:1] or " ") / 100.0 if len(text) <= 4 else 0.0,
        math.log1p(reply.tokens) if reply.tokens is not None else 0.0,
        float(reply.tokens is not None),
        math.log1p(len(whole)),
        len(whole) / max(1, len(question)),
        float(len(_HEDGE.findall(whole))),
        float(bool(_CONCLUDES.search(whole))),
        float(whole.count("\n")),
        len(set(words)) / max(1, len(words)),
        float(not _balanced(text)),
        *(float(kind == each) for each in KINDS),
    ]


@dataclass(frozen=True, slots=True)
class _Asked:
    marks: Counter[str]
    words: frozenset[str]
    longest: int


@lru_cache(maxsize=256)
def _asked(question: str) -> _Asked:
    return _Asked(
        Counter(question),
        frozenset(_TOKEN.findall(question.casefold())),
        max(map(len, question.split()), default=1),
    )


def _balanced(text: str) -> bool:
    return all(text.count(left) == text.count(right) for left, right in ("()", "[]", "{}"))


def pair_signs(one: Reply, other: Reply) -> list[float]:
    """Read how far two answers to one step agree.

    Args:
        one: The answer of the lower level.
        other: That of the higher.

    Returns:
        As many numbers for every pair, 0 to 1; the first is 1 where both say the same.
    """
    a, b = one.answer[:TEXT_LIMIT].strip(), other.answer[:TEXT_LIMIT].strip()
    parts, others = Counter(_PART.findall(a)), Counter(_PART.findall(b))
    return [
        float(normal_form(a) == normal_form(b)),
        _share(parts, others),
        _share(_trigrams(a), _trigrams(b)),
        float(parts == others),
        abs(len(a) - len(b)) / max(1, len(a), len(b)),
    ]


def _trigrams(text: str) -> Counter[str]:
    return Counter(text[i : i + 3] for i in range(len(text) - 2))


def _share(one: Counter[str], other: Counter[str]) -> float:
    return sum((one & other).values()) / max(1, sum((one | other).values()))
