"""Bodies in OpenAI's shape, from whole answers to ones that are not quite right."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Body = dict[str, Any]
Shape = Callable[[Mapping[str, Any]], Any]

_REASONING = {"none": 0, "minimal": 8, "low": 16, "medium": 64, "high": 256, "xhigh": 512}
_ODD = "no\x00w \x1b[31mred\x1b[0m \u202eover\u202c \ud800end"


def text_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message whose content is a string or a list of parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def question_in(body: Mapping[str, Any]) -> str:
    """Return the last thing that a user said."""
    asked = [text_of(item) for item in body.get("messages", ()) if item.get("role") == "user"]
    return asked[-1] if asked else ""


def completion(body: Mapping[str, Any], message: Mapping[str, Any], finish: str = "stop") -> Body:
    """Return a whole answer; tokens are counted as a quarter of the characters.

    Args:
        body: The request.
        message: What the assistant says.
        finish: Why it ends; ``tool_calls`` whenever there are some.

    Returns:
        A chat completion.
    """
    thought = _REASONING.get(str(body.get("reasoning_effort")), 0)
    told = max(1, len(json.dumps(body.get("messages", []))) // 4)
    said = max(1, len(str(message.get("content") or "")) // 4) + thought
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": str(body.get("model", "ok")),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if "tool_calls" in message else finish,
            }
        ],
        "usage": {
            "prompt_tokens": told,
            "completion_tokens": said,
            "total_tokens": told + said,
            "completion_tokens_details": {"reasoning_tokens": thought},
        },
    }


def embeddings(body: Mapping[str, Any]) -> Body:
    """Return one short vector per text, made of its characters."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    rows = [
        {
            "object": "embedding",
            "index": i,
            "embedding": [float(len(text)), float(sum(map(ord, text)) % 97), 1.0],
        }
        for i, text in enumerate(texts)
    ]
    return {"object": "list", "data": rows, "model": "e", "usage": {"prompt_tokens": 9, "total_tokens": 9}}


def says(content: object, finish: str = "stop") -> Shape:
    """Return a shape: an answer with that content."""
    return lambda body: completion(body, {"role": "assistant", "content": content}, finish)


def _spends(tokens: object) -> Shape:
    counts = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens}
    return lambda body: {**says("ok")(body), "usage": counts}


def _without_usage(body: Mapping[str, Any]) -> Body:
    return {key: value for key, value in says("ok")(body).items() if key != "usage"}


SHAPES: dict[str, Shape] = {
    "nochoices": lambda body: {**says("ok")(body), "choices": []},
    "nullchoices": lambda body: {**says("ok")(body), "choices": None},
    "nomessage": lambda body: {**says("ok")(body), "choices": [{"index": 0, "finish_reason": "stop"}]},
    "null": says(None),
    "wrongtype": says(42),
    "parts": says([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]),
    "list": lambda body: [says("ok")(body)],
    "text": lambda body: "ok",
    "empty": says(""),
    "blank": says(" \n "),
    "filtered": says(None, "content_filter"),
    "length": says("Half an ans", "length"),
    "nolength": says("", "length"),
    "control": says(_ODD),
    "nousage": _without_usage,
    "nullusage": lambda body: {**says("ok")(body), "usage": None},
    "negusage": _spends(-5),
    "hugeusage": _spends(10**15),
    "textusage": _spends("many"),
    "nanusage": _spends(float("nan")),
    "err200": lambda body: {"error": {"message": "out of capacity", "type": "wall", "code": 1}},
}
"""What a model says by its name, when it answers at all: the request to a body."""
