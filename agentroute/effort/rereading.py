"""What it costs to change the level within a conversation: its history is read again at full price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentroute.effort.levels import breaks_cache
from agentroute.types import AgentSpec, Effort

CHARS_PER_TOKEN = 4
FEWEST_TOKENS = 1_024
"""Shorter histories are cached by no provider."""

CACHED_SHARE: tuple[tuple[str, float], ...] = (
    ("gpt-4o", 0.5),
    ("gpt-5", 0.1),
    ("gpt-4.1", 0.25),
    ("o1", 0.5),
    ("o3", 0.25),
    ("o4", 0.25),
    ("claude", 0.1),
    ("gemini", 0.1),
    ("deepseek", 0.1),
    ("gpt-oss", 0.5),
)
"""What a cached token costs, as a share of a fresh one, by a part of the model's name (list prices)."""

USUAL_SHARE = 0.25
OUTPUT_PER_INPUT = 4.0
"""How many times an input token's price an output token costs, where the row does not say."""


def rereading_cost(
    spec: AgentSpec, history: Sequence[dict[str, Any]], currency: str, previous: Effort | None
) -> float:
    """Say what changing the level costs in cached tokens that are read anew.

    Args:
        spec: The agent's row; its ``model`` says whether the cache breaks, its ``price`` what that costs.
        history: The messages that the provider has read before.
        currency: What the plan counts in: ``tokens``, ``cost_usd`` or another.
        previous: The level of the step before; ``None`` when there was none, and nothing is cached.

    Returns:
        In units of the currency: dollars, or as many tokens written as cost the same. 0 where nothing is
        lost.
    """
    if previous is None or spec.model is None or not breaks_cache(spec.model):
        return 0.0
    tokens = sum(len(str(message.get("content") or "")) for message in history) / CHARS_PER_TOKEN
    if tokens < FEWEST_TOKENS:
        return 0.0
    name = spec.model.lower()
    lost = tokens * (1.0 - next((share for part, share in CACHED_SHARE if part in name), USUAL_SHARE))
    price = spec.price
    read = price.input if price is not None else None
    written = price.output if price is not None else None
    if currency == "cost_usd":
        return lost * read / 1e6 if read is not None else 0.0
    if currency == "all_tokens":
        return lost
    if currency == "tokens":
        return lost * (read / written if read is not None and written else 1.0 / OUTPUT_PER_INPUT)
    return 0.0
