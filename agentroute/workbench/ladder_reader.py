"""Reads the passages that come with a question, hop by hop, and asks at each hop how hard to look.

``low`` opens one passage and stops there. ``medium`` opens one and goes on to the one that it leads to.
``high`` opens two at each hop. What a hop costs is what it reads, in tokens; no money is spent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from agentroute.types import Answer, Effort, Query, Step, StepEffort, Usage
from agentroute.workbench.hops import Reading
from agentroute.workbench.open_book import Book, tokens
from agentroute.workbench.passages import MAX_CHARS
from agentroute.workbench.shipped_reading import ShippedReading


@dataclass(frozen=True, kw_only=True, slots=True)
class Tier:
    """What a level means to this reader.

    Args:
        opens: Passages that a hop opens.
        hops: The hop after which it stops.
    """

    opens: int
    hops: int


TIERS: dict[Effort, Tier] = {
    "low": Tier(opens=1, hops=1),
    "medium": Tier(opens=1, hops=2),
    "high": Tier(opens=2, hops=2),
}


def answer(query: Query, effort: StepEffort) -> Answer:
    """Read, hop by hop, and answer.

    Args:
        query: The question; its ``context`` is what is read, and the shipped passages where it has none.
        effort: Says at which level each hop is made; ``high`` where it has nothing to say.

    Returns:
        The answer with one step for each hop; the tokens are those of the passages that were opened.
    """
    if len(query.text) > MAX_CHARS:
        return Answer(agent="", status="skipped", error="declined")
    began = time.monotonic()
    reading: Reading | ShippedReading = (
        Reading(Book(query.context), query.text) if query.context else ShippedReading(query.text)
    )
    passages = reading.book.passages
    history: list[dict[str, Any]] = [{"role": "user", "content": query.text}]
    steps: list[Step] = []
    observation = query.text
    while True:
        wanted = effort(observation=observation, history=history)
        level = wanted if wanted in TIERS else "high"
        opened = reading.turn_to(TIERS[level].opens)
        said = reading.answer() or ""
        spent = Usage(
            input_tokens=sum(tokens(passages[place]) for place in opened), output_tokens=-(-len(said) // 4)
        )
        steps.append(Step(role="answer", requested=wanted, applied=level, text=said, usage=spent))
        if len(steps) >= TIERS[level].hops or not opened:
            break
        titles = ", ".join(passages[place].title for place in opened)
        observation = f"Read: {titles}. So far: {said or 'nothing'}"
        history.append({"role": "tool", "content": observation})
    usage = sum((step.usage for step in steps), Usage())
    text = steps[-1].text
    status, error = ("ok", None) if text else ("skipped", "declined")
    return Answer(
        agent="",
        text=text,
        status=status,  # type: ignore[arg-type]  # one of two literals
        error=error,
        usage=usage,
        steps=tuple(steps),
        latency_s=time.monotonic() - began,
    )
