"""Answers as a stream of events, whole ones and such as break off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_PIECE = 4  # characters of one event


def events(body: Mapping[str, Any], reply: Mapping[str, Any]) -> list[bytes]:
    """Cut a whole answer into the events of a stream.

    Args:
        body: The request; usage comes only when its ``stream_options`` ask for it.
        reply: The answer, as it would come in one piece.

    Returns:
        The events, the last one ``[DONE]``. Pieces of the text are each in one of their own.
    """
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": reply.get("model")}
    found = []
    for choice in reply.get("choices") or ():
        for delta in _deltas(choice.get("message") or {}):
            found.append({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        end = {"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")}
        found.append({**head, "choices": [end]})
    if (body.get("stream_options") or {}).get("include_usage"):
        found.append({**head, "choices": [], "usage": reply.get("usage")})
    if "error" in reply:
        found.append({"error": reply["error"]})
    return [*map(event, found), b"data: [DONE]\n\n"]


def event(data: Any) -> bytes:
    """Write one event."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def endless() -> Iterator[bytes]:
    """Go on telling, a different word each time: the same one over and over makes some clients stop."""
    number = 0
    while True:
        number += 1
        delta = {"role": "assistant", "content": f"word {number} "}
        yield event({"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def _deltas(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    if calls := message.get("tool_calls"):
        yield {"tool_calls": [{"index": place, **call} for place, call in enumerate(calls)]}
    content = message.get("content")
    if isinstance(content, str):
        for start in range(0, len(content), _PIECE):
            yield {"content": content[start : start + _PIECE]}
    elif content is not None:
        yield {"content": content}
