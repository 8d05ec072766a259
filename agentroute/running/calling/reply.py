"""What a model call came to: a reply that was checked, or a ``ClientError``.

An endpoint is not to be believed: it may answer nothing, cut an answer short, send control characters, or
count minus five tokens. Here each of these becomes a plain reply with notes, or an error with a kind.
"""

from __future__ import annotations

import math
from typing import Any

from agentroute.running.calling.faults import ClientError
from agentroute.running.cleaning import clean
from agentroute.types import ChatReply, Effort, Price, ToolCall, Usage

MAX_TOKENS_BELIEVED = 10_000_000
NOT_BELIEVED = "usage not believed"
CUT = "cut at max_tokens"


def cost_of(price: Price | None, input_tokens: int | None, output_tokens: int | None) -> float | None:
    """Work out what a call costs.

    Args:
        price: The price, or ``None`` when it is unknown.
        input_tokens: Tokens read, or ``None``.
        output_tokens: Tokens written, or ``None``.

    Returns:
        US dollars, or ``None`` when a part that is needed is unknown.
    """
    if price is None or (price.input is None and price.output is None):
        return None if price is None else price.call
    if price.input is None or price.output is None or input_tokens is None or output_tokens is None:
        return None
    return (price.call or 0.0) + (price.input * input_tokens + price.output * output_tokens) / 1e6


def read_usage(response: Any) -> tuple[Usage, tuple[str, ...]]:
    """Read token counts, as far as they can be believed.

    Args:
        response: A ``ModelResponse``.

    Returns:
        The usage of one request without its cost, and notes.
    """
    raw = getattr(response, "usage", None)
    told, said = getattr(raw, "prompt_tokens", None), getattr(raw, "completion_tokens", None)
    details = getattr(raw, "completion_tokens_details", None)
    thought = getattr(details, "reasoning_tokens", None)
    input_tokens = _believed(told) or None  # litellm fills in 0 where the endpoint says nothing
    output_tokens = _believed(said)
    if input_tokens is None:
        output_tokens = output_tokens or None
    reasoning = _believed(thought)
    if reasoning is not None and (output_tokens is None or reasoning > output_tokens):
        reasoning = None
    odd = any(isinstance(n, (int, float)) and _believed(n) is None for n in (told, said))
    usage = Usage(
        requests=1,
        input_tokens=None if odd else input_tokens,
        output_tokens=None if odd else output_tokens,
        reasoning_tokens=None if odd else reasoning,
        cost_usd=None,
    )
    return usage, (NOT_BELIEVED,) if odd else ()


def _believed(count: Any) -> int | None:
    whole = isinstance(count, int) and not isinstance(count, bool)
    return count if whole and 0 <= count <= MAX_TOKENS_BELIEVED else None


def read_reply(response: Any, usage: Usage, notes: tuple[str, ...], applied: Effort | None) -> ChatReply:
    """Turn litellm's response into a reply.

    Args:
        response: A ``ModelResponse``.
        usage: What the call spent.
        notes: What is known to be odd already.
        applied: The effort that was really sent.

    Returns:
        The reply: some text, or tool calls, or both.

    Raises:
        ClientError: ``empty``, ``cut`` or ``unreadable``, with the usage.
    """
    if not response.choices:
        raise ClientError("empty", "empty answer: no choices in it", usage=usage)
    choice = response.choices[0]
    message, finish = choice.message, str(choice.finish_reason or "stop")
    raw = message.content if message.content is not None else ""
    if not isinstance(raw, str):
        raise ClientError("unreadable", f"unreadable answer: content is a {type(raw).__name__}", usage=usage)
    text = clean(raw)
    calls = tuple(_tool_call(call, i, usage) for i, call in enumerate(message.tool_calls or ()))
    if not text.strip() and not calls:
        if finish == "length":
            text = "no text before max_tokens was reached; raise max_tokens or lower the effort"
            raise ClientError("cut", text, usage=usage)
        raise ClientError("empty", f"empty answer ({finish})", usage=usage)
    notes += (CUT,) if finish == "length" else ()
    notes += ("cleaned",) if text != raw else ()
    return ChatReply(
        text=text,
        tool_calls=calls,
        finish_reason=finish,
        usage=usage,
        applied_effort=applied,
        attempts=usage.requests,
        notes=notes,
    )


def _tool_call(call: Any, index: int, usage: Usage) -> ToolCall:
    name = getattr(call.function, "name", None)
    arguments = getattr(call.function, "arguments", None) or "{}"
    if not isinstance(name, str) or not name or not isinstance(arguments, str):
        raise ClientError("unreadable", "unreadable answer: a tool call without a name", usage=usage)
    return ToolCall(id=str(call.id or f"call_{index + 1}"), name=clean(name), arguments=clean(arguments))


def believable_cost(claimed: float | None, plain: float | None) -> float | None:
    """Choose between a worked-out cost and the plain product of tokens and price.

    Args:
        claimed: What litellm's price map makes of the usage, cached tokens and price steps included.
        plain: Tokens times price.

    Returns:
        ``claimed`` where it lies between nothing and four times ``plain``, else ``plain``; the details
        of a usage come from the endpoint, so that they may only move the cost that far.
    """
    if claimed is None or plain is None or not math.isfinite(claimed):
        return plain
    return claimed if 0 < claimed <= 4 * plain else plain


def read_vectors(response: Any, count: int, usage: Usage) -> list[list[float]]:
    """Read the vectors of an embedding response.

    Args:
        response: An ``EmbeddingResponse``.
        count: How many texts were sent.
        usage: What the call spent.

    Returns:
        One vector per text, in their order.

    Raises:
        ClientError: ``unreadable`` unless there is one finite vector of the same length for each text.
    """
    try:
        rows = sorted(response.data or (), key=lambda row: int(row["index"]))
        vectors = [[float(x) for x in row["embedding"]] for row in rows]
    except (TypeError, ValueError, KeyError):
        vectors = []
    whole = len(vectors) == count and len({len(vector) for vector in vectors}) <= 1
    if not whole or not all(math.isfinite(x) for vector in vectors for x in vector):
        text = f"unreadable answer: {len(vectors)} vectors for {count} texts, or not all of one length"
        raise ClientError("unreadable", text, usage=usage)
    return vectors
