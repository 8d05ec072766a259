"""A second look at a step: what came back at which level, and whether to ask again."""

from __future__ import annotations

from dataclasses import dataclass

from agentroute.types.specs import Effort


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What one level made of a step.

    Args:
        level: The level asked for.
        answer: What it said in the end; for tool calls, the calls as text.
        response: All that it wrote, where ``answer`` is only the end of it.
        tokens: Tokens written, reasoning included; ``None`` is unknown.
    """

    level: Effort
    answer: str
    response: str | None = None
    tokens: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a look at the answers so far decided.

    Args:
        keep: Position of the answer to keep, among those looked at.
        level: The level to ask next; ``None`` when the answer kept is good enough.
        chance: How likely the answer kept is right, 0 to 1; ``None`` where nobody can tell.
    """

    keep: int
    level: Effort | None = None
    chance: float | None = None
