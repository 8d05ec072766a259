"""A wave as a race against certainty: it is over when those still at work cannot change who wins."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence

from agentroute.answers import group_equal
from agentroute.types import Answer


class Race:
    """Watches the answers of one wave, and says when the rest is not needed.

    Args:
        weights: What each agent's vote weighs, those of earlier waves included.
        wave: Who is at work.
        given: The answers of earlier waves.
        quorum: Answers that a result needs.
    """

    def __init__(
        self, weights: Mapping[str, float], wave: Collection[str], given: Sequence[Answer], quorum: int
    ) -> None:
        self._weights, self._quorum = weights, quorum
        self._waiting, self._given = set(wave), list(given)
        self.over = asyncio.Event()
        """Set when the winner is certain."""

    def came(self, answer: Answer) -> None:
        """Take note of an answer, or of a failure."""
        self._waiting.discard(answer.agent)
        self._given.append(answer)
        if self._waiting and decided(self._weights, self._given, self._waiting, self._quorum):
            self.over.set()


def decided(
    weights: Mapping[str, float], given: Sequence[Answer], waiting: Collection[str], quorum: int = 1
) -> bool:
    """Say whether the winner of a weighted vote is certain before all have voted.

    Args:
        weights: What each agent's vote weighs.
        given: What came so far.
        waiting: Who has not answered yet.
        quorum: Answers that a result needs.

    Returns:
        True when the leading answer stays ahead even if all who are missing agree on the second one, or on
        one that nobody has given yet. Equal weights behind two answers decide nothing.
    """
    answers = [answer for answer in given if answer.status == "ok"]
    if len(answers) < quorum or not answers:
        return False
    votes = [weights.get(answer.agent, 0.0) for answer in answers]
    missing = sum(weights.get(agent, 0.0) for agent in waiting)
    if not all(math.isfinite(vote) and vote >= 0 for vote in (*votes, missing)):
        return False
    behind: dict[int, float] = {}
    for group, vote in zip(group_equal([answer.text for answer in answers]), votes, strict=True):
        behind[group] = behind.get(group, 0.0) + vote
    first, second = sorted((*behind.values(), 0.0), reverse=True)[:2]
    return first - second > missing + 1e-9
