"""Reasoning-effort levels: their order, what models do with them, and the floor and ceiling of a run."""

from __future__ import annotations

from collections.abc import Sequence

from agentroute.effort.families import family_of
from agentroute.types import EFFORTS, AgentSpec, Effort, Limits

_RANK = {level: rank for rank, level in enumerate(EFFORTS)}


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
        in no family gets the safe reading, ``families.UNKNOWN``.
    """
    effects = family_of(model).effects
    return None if effects is None else effects[_RANK[level]]


def breaks_cache(model: str) -> bool:
    """Tell whether changing the level makes a model's provider read the history anew, at full price.

    Args:
        model: A litellm model name.

    Returns:
        False where it is known to keep its prompt cache, or has no second level to change to; True where it
        breaks it, and where that is not known.
    """
    return family_of(model).breaks_cache is not False


def thinking_budget(model: str, level: Effort) -> int | None:
    """Return the tokens of thinking that are asked for at a level.

    Args:
        model: A litellm model name.
        level: The level to ask for.

    Returns:
        The budget; ``None`` where the model decides by itself.
    """
    effect = applied(model, level)
    return None if effect is None else family_of(model).budgets.get(effect)


def levels_for(spec: AgentSpec) -> tuple[Effort, ...]:
    """List the levels worth asking an agent for.

    Args:
        spec: The agent's row.

    Returns:
        Its levels, weakest first, each of which does more than the one before, under the names that the model
        takes: ``low`` where the row says ``minimal`` and the model makes ``low`` of it. Empty when the row
        names none, or when the model drops them. An agent that is no language model keeps all its levels.
    """
    if spec.effort is None:
        return ()
    asked = tuple(sorted(spec.effort.levels, key=rank))
    if spec.kind != "llm" or spec.model is None:
        return asked
    kept: list[Effort] = []
    for level in asked:
        effect = applied(spec.model, level)
        if effect is not None and (not kept or _RANK[effect] > _RANK[kept[-1]]):
            kept.append(effect)
    return tuple(kept)


def advice(spec: AgentSpec) -> tuple[str, ...]:
    """Say what a model makes of the levels in its row, where that is not what the row says.

    Args:
        spec: The agent's row.

    Returns:
        One line for an agent whose levels are dropped, renamed or merged; else none.
    """
    if spec.effort is None or spec.kind != "llm" or spec.model is None:
        return ()
    asked, kept = tuple(sorted(spec.effort.levels, key=rank)), levels_for(spec)
    if asked == kept:
        return ()
    row = f"agent {spec.id!r}: effort {', '.join(asked)}"
    if not kept:
        return (f"{row}: {spec.model} takes no level, and runs without one",)
    return (f"{row}: {spec.model} knows {', '.join(kept)} of it ({family_of(spec.model).name})",)


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
