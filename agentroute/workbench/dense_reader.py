"""Reads the passages whose meaning is nearest to the question's (sentence vectors)."""

from __future__ import annotations

from agentroute.workbench.passages import MAX_CHARS, by_meaning
from agentroute.workbench.reading import first_answer


def answer(text: str) -> str | None:
    """Find passages by their meaning and answer from the first that has an answer.

    Args:
        text: The question.

    Returns:
        The best span of the wanted kind; ``None`` when the first few passages have none.
    """
    if len(text) > MAX_CHARS:
        return None
    return first_answer(text, [position for position, _ in by_meaning(text, 3)])
