"""Reasoning-effort levels: their order, what models do with them, and the floor and ceiling of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agentroute.types import EFFORTS, AgentSpec, Effort, Limits

_RANK = {level: rank for rank, level in enumerate(EFFORTS)}
_Effects = tuple[Effort, ...] | None

# What comes of asking for: none, minimal, low, medium, high, xhigh.
_AS_ASKED: _Effects = EFFORTS
_DROPPED: _Effects = None
_LOW_TO_HIGH: _Effects = ("low", "low", "low", "medium", "high", "high")

# Read off the requests that litellm 1.106.2 builds; the first pattern found in the model's name counts.
# A level that a model refuses stands as the nearest one it takes, the higher of two. One that it cannot tell
# from another stands as the lower of the two.
_FAMILIES: tuple[tuple[re.Pattern[str], _Effects], ...] = tuple(
    (re.compile(pattern), effects)
    for pattern, effects in (
        (r"^(openrouter|hosted_vllm)/", _AS_ASKED),
        (r"^groq/openai/gpt-oss", _AS_ASKED),
        (r"^(groq|together_ai|xai)/", _DROPPED),
        (r"^ollama(_chat)?/", ("none", "none", "low", "low", "low", "none")),  # xhigh turns thinking off
        (r"^deepseek/", ("none", "low", "low", "low", "low", "low")),  # thinking is on or off, without grades
        (r"magistral", ("low", "low", "low", "low", "low", "low")),  # always one and the same prompt
        (r"^mistral/", _DROPPED),
        (r"gemini-3.*flash", ("minimal", "minimal", "low", "medium", "high", "high")),
        (r"gemini-3", _LOW_TO_HIGH),
        (r"gemini-2\.5", ("none", "minimal", "low", "medium", "high", "high")),
        (r"gemini-", _DROPPED),
        (r"claude-3-(5|opus|sonnet|haiku)|claude-2|claude-instant", _DROPPED),
        (r"claude-", ("none", "low", "low", "medium", "high", "xhigh")),
        (r"gpt-5\.1", ("none", "low", "low", "medium", "high", "high")),
        (r"gpt-5\.", ("none", "low", "low", "medium", "high", "xhigh")),
        (r"gpt-5", ("minimal", "minimal", "low", "medium", "high", "high")),
        (r"gpt-(4|3\.5)", _DROPPED),
        (r"(^|/)o[134](-|$)", _LOW_TO_HIGH),
    )
)


def rank(level: Effort) -> int:
    """Return the place of a level in the order of strength, 0 for ``none``."""
    return _RANK[level]


def applied(model: str, level: Effort) -> Effort | None:
    """Say what becomes of a level that a model is asked for.

    Args:
        model: A litellm model name.
        level: The level to ask for.

    Returns:
        The level that the model runs at; ``None`` when it knows no levels and drops the wish. A model that is
        not in the table is taken to do as asked.
    """
    name = model.lower()
    effects = next((effects for pattern, effects in _FAMILIES if pattern.search(name)), _AS_ASKED)
    return None if effects is None else effects[_RANK[level]]


def levels_for(spec: AgentSpec) -> tuple[Effort, ...]:
    """List the levels worth asking an agent for.

    Args:
        spec: The agent's row.

    Returns:
        Its levels, weakest first, each of which does more than the one before; empty when the row names none,
        or when the model drops them. An agent that is no language model keeps all its levels.
    """
    if spec.effort is None:
        return ()
    asked = tuple(sorted(spec.effort.levels, key=rank))
    if spec.kind != "llm" or spec.model is None:
        return asked
    kept: list[Effort] = []
    strongest = -1
    for level in asked:
        effect = applied(spec.model, level)
        if effect is not None and _RANK[effect] > strongest:
            kept.append(level)
            strongest = _RANK[effect]
    return tuple(kept)


def clamp(level: Effort, limits: Limits, levels: Sequence[Effort]) -> Effort | None:
    """Bring a level within the floor and the ceiling of a run, to one that the agent has.

    Args:
        level: The level that is wanted.
        limits: The run's caps. The ceiling wins over the floor, and over the agent's own levels.
        levels: The agent's levels, as ``levels_for`` gives them.

    Returns:
        The weakest of ``levels`` that is at least what is wanted; if there is none up to the ceiling, the
        strongest up to it; if there is none of those, the ceiling itself. ``None`` when ``levels`` is empty.
    """
    if not levels:
        return None
    top = _RANK[limits.effort_ceiling] if limits.effort_ceiling is not None else len(EFFORTS) - 1
    floor = _RANK[limits.effort_floor] if limits.effort_floor is not None else 0
    wanted = min(max(_RANK[level], floor), top)
    allowed = sorted(_RANK[each] for each in levels if _RANK[each] <= top)
    enough = [each for each in allowed if each >= wanted]
    return EFFORTS[enough[0] if enough else allowed[-1] if allowed else top]
