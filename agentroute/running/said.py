"""What a reply said, as one text: its words, or the tools that it called."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentroute.types import ToolCall

CALLS = "\u2192 "
"""How a line begins that stands for a tool call, and hardly any line of a model does."""


def said(text: str, calls: Sequence[ToolCall]) -> str:
    """Write what came of a call as one text, alike for calls that are alike.

    Args:
        text: The words of a reply.
        calls: Its tool calls.

    Returns:
        The words; where there are tool calls, a line for each instead, the keys of its arguments in order.
    """
    return "\n".join(f"{CALLS}{call.name}({_canonical(call.arguments)})" for call in calls) or text


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True, ensure_ascii=False)
    except ValueError:
        return arguments.strip()
