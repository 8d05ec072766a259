"""Reads the passages that the question names, then those that share most words with it (BM25)."""

from __future__ import annotations

from agentroute.workbench.passages import MAX_CHARS, by_words, mentioned
from agentroute.workbench.reading import first_answer


def answer(text: str) -> str | None:
    """Find passages by their titles and words and answer from the first that has an answer.

    Args:
        text: The question.

    Returns:
        The best span of the wanted kind; ``None`` when the first few passages have none.
    """
    if len(text) > MAX_CHARS:
        return None
    return first_answer(text, [*mentioned(text), *(position for position, _ in by_words(text, 3))])
