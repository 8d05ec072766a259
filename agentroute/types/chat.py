"""Talking to a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentroute.types.results import Usage
from agentroute.types.specs import Effort, Price


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """One call to a chat model, in litellm's words.

    Args:
        model: A litellm model name such as ``openai/gpt-5-mini``.
        messages: OpenAI-style messages.
        tools: OpenAI-style tool schemas.
        effort: The reasoning effort to ask for, or ``None`` to send none.
        temperature: Sampling temperature, or the provider's own.
        max_tokens: Cap on output tokens, or the provider's own.
        api_key_env: The name of the variable that holds the key.
        api_base: Another address of the same protocol.
        price: Overrides litellm's price map.
        timeout_s: Seconds for the call, retries included.
    """

    model: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    effort: Effort | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    api_key_env: str | None = None
    api_base: str | None = None
    price: Price | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A model's wish to call a tool; ``arguments`` is the raw JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatReply:
    """What a chat model gave back.

    Args:
        text: Its words; may be empty when it calls tools.
        tool_calls: The tools it wants called.
        finish_reason: As the provider said it.
        usage: What the call spent, every attempt included.
        applied_effort: The effort that was really sent.
        attempts: Requests made, retries included.
        notes: What was not as it should be, such as usage that cannot be believed.
    """

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    usage: Usage = Usage()
    applied_effort: Effort | None = None
    attempts: int = 1
    notes: tuple[str, ...] = ()
