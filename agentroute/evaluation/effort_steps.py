"""The steps worth labelling: those of the shortest right trajectory, and the agents that make them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentroute.evaluation.trajectories import Call, calls_of
from agentroute.outcomes import Outcome, QueryRecord
from agentroute.running.said import said
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatClient,
    Effort,
    EffortRouter,
    Limits,
    Query,
    Step,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledStep:
    """One step of a kept trajectory.

    Args:
        call: What was sent, and what came of it at the highest level.
        record: The step as a query of the outcome folder.
    """

    call: Call
    record: QueryRecord

    @property
    def id(self) -> str:
        """Its name in the outcome folder: question, agent, number."""
        return self.record.query.id or ""


def kept_trajectories(
    outcomes: Iterable[Outcome], success: float, before: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], tuple[int, Outcome]]:
    """Pick, of the tries of an agent at a question, the one that was right with the fewest calls.

    Args:
        outcomes: Trajectories, in the order in which they were recorded.
        success: The score from which on an answer is right.
        before: The tries that were picked before; they stay.

    Returns:
        The number of the try and the trajectory, for each question and agent that has a right one; the first
        of several that are as short.
    """
    tries: dict[tuple[str, str], int] = {}
    best: dict[tuple[str, str], tuple[int, Outcome]] = {}
    for outcome in outcomes:
        key = (outcome.query, outcome.agent)
        number = tries[key] = tries.get(key, 0) + 1
        calls = outcome.extra.get("calls")
        if outcome.score is None or outcome.score < success or not calls:
            continue
        if before.get(key, number) != number:
            continue
        if key not in best or len(calls) < len(best[key][1].extra["calls"]):
            best[key] = (number, outcome)
    return best


def steps_of(asked: QueryRecord, agent: str, trial: int, trajectory: Outcome) -> list[LabelledStep]:
    """Take a trajectory apart.

    Args:
        asked: The question.
        agent: The agent's id, without a level.
        trial: Which of its tries this is.
        trajectory: What it did.

    Returns:
        Its steps, in order, one for each conversation that was sent. The text of a step is what had come back
        by then; the question, where that is blank.
    """
    found: list[LabelledStep] = []
    for number, call in enumerate(calls_of(trajectory), 1):
        if any(step.call.messages == call.messages for step in found):
            continue  # several samples of one and the same step
        episode = f"{asked.query.id}/{agent}"
        meta: dict[str, Any] = {
            "episode": episode,
            "step": number,
            "role": call.role,
            "observation": call.observation,
            "agent": agent,
            "question": asked.query.id,
            "trajectory": trial,
            "history": call.history(),
            "messages": len(call.messages),
            "said": call.said,
        }
        text = call.observation if call.observation.strip() else asked.query.text
        query = Query(id=f"{episode}/{number}", text=text, task=asked.query.task)
        found.append(LabelledStep(call=call, record=QueryRecord(query=query, meta=meta)))
    return found


class StepAgent:
    """One level of an agent, which makes recorded steps again.

    Args:
        spec: The rung: the agent at that level.
        steps: The steps by id.
    """

    def __init__(self, spec: AgentSpec, steps: Mapping[str, LabelledStep]) -> None:
        self._spec, self._steps = spec, steps

    @property
    def spec(self) -> AgentSpec:
        """The rung."""
        return self._spec

    async def answer(self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits) -> Answer:
        """Send the step's request at this level. A level that was not applied counts as not run."""
        spec, call = self._spec, self._steps[query.id or ""].call
        level: Effort | None = spec.effort.default if spec.effort else None
        reply = await client.chat(call.request(spec, level))
        text, applied = said(reply.text, reply.tool_calls), reply.applied_effort
        step = Step(role=call.role, requested=level, applied=applied, text=text[:200], usage=reply.usage)
        missed = f"effort {level} was not applied" + (f", it ran at {applied}" if applied else "")
        return Answer(
            agent=spec.id,
            text=text if applied == level else "",
            status="ok" if applied == level else "failed",
            error=None if applied == level else missed,
            usage=reply.usage,
            steps=(step,),
        )
