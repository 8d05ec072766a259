"""Which level of effort a request really carried, read off its body; and which was not.

Providers take a level in seven ways. What is read here is held, family by family, to the table in
``effort.families``; this wing of the house cannot import it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentroute.types import EFFORTS, Answer, Effort

# litellm's budgets of thinking; "minimal" is 1, 128 or 512 tokens, by model.
_BUDGETS: tuple[tuple[int, Effort], ...] = (
    (0, "none"),
    (1023, "minimal"),
    (1024, "low"),
    (2048, "medium"),
    (4096, "high"),
)

SENT_WITHOUT = "sent without it"
"""How a note ends when a model refused a level, and was asked again without one."""


def applied_effort(sent: bytes, level: Effort | None, model: str = "") -> Effort | None:
    """Tell which level of effort was really sent.

    Args:
        sent: The body of the request; empty when it went another way.
        level: The level that litellm was given.
        model: The model's name, for those that are told by what a request leaves out.

    Returns:
        The level in the body; ``low`` where it only switches thinking on, and ``none`` where off; ``None``
        where nothing in it is about effort. Of a body that was not seen, the level that litellm was given: it
        refuses what it cannot pass on.
    """
    if level is None or not sent:
        return level
    body = json.loads(sent)
    body = body if isinstance(body, dict) else {}
    found = _named(body)
    if found is None:
        found = _switched(body)
    if found is None and level == "none" and "claude" in model.lower():
        return "none"  # thinking is off unless it is asked for
    if found is None and "magistral" in model.lower() and _has_system(body):
        return "low"  # a prompt to reason, one and the same for all levels
    return found


def unapplied(answer: Answer) -> str | None:
    """Say in one line which level of effort an agent was to run at and did not; ``None`` when it always did.

    Args:
        answer: What it gave back.

    Returns:
        A line that begins with the agent's id, about the first such step.
    """
    missed = [step for step in answer.steps if step.requested not in (None, step.applied)]
    if not missed:
        return None
    often = f" in {len(missed)} steps" if len(missed) > 1 else ""
    ran = "not applied" if missed[0].applied is None else f"ran at {missed[0].applied}"
    return f"{answer.agent}: effort {missed[0].requested} was asked for, and {ran}{often}"


def _named(body: Mapping[str, Any]) -> Effort | None:
    """Read a level that stands there by its name."""
    google = _part(_part(body, "generationConfig"), "thinkingConfig")
    told = (
        body.get("reasoning_effort"),
        _part(body, "reasoning").get("effort"),
        _part(body, "output_config").get("effort"),
        google.get("thinkingLevel"),
        body.get("think"),
    )
    named = next((name for name in told if isinstance(name, str)), None)
    if named == "max":
        return "xhigh"
    return next((effort for effort in EFFORTS if effort == named), None)


def _switched(body: Mapping[str, Any]) -> Effort | None:
    """Read a level from a budget, or from thinking that is on or off."""
    thinking, think = _part(body, "thinking"), body.get("think")
    google = _part(_part(body, "generationConfig"), "thinkingConfig")
    budget = thinking.get("budget_tokens", google.get("thinkingBudget"))
    if isinstance(budget, int):
        return next((level for most, level in _BUDGETS if budget <= most), "xhigh")
    if thinking.get("type") == "disabled" or think is False:
        return "none"
    return "low" if thinking or think is True else None


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _has_system(body: Mapping[str, Any]) -> bool:
    messages = body.get("messages")
    return isinstance(messages, list) and any(
        isinstance(message, Mapping) and message.get("role") == "system" for message in messages
    )
