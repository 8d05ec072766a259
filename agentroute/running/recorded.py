"""Agents that answer from an outcome folder, so that a whole run can be replayed without a call."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NamedTuple

from agentroute.errors import OutcomeError
from agentroute.outcomes import Outcome, OutcomeFolder
from agentroute.running.threads import in_thread
from agentroute.types import AgentSpec, Answer, AnswerStatus, ChatClient, EffortRouter, Limits, Query, Usage


class _Records(NamedTuple):
    """One outcome folder, indexed: the id of each question's text, and each agent's answer by question id."""

    ids: dict[str, str]
    answers: dict[tuple[str, str], Answer]


_lock = threading.Lock()
_loaded: dict[Path, _Records] = {}


class RecordedAgent:
    """Gives back what an agent answered when the outcome folder was recorded.

    Args:
        spec: A registry row of kind ``recorded``.
        folder: The folder of the registry, where ``spec.outcomes`` begins; the working folder without it.
    """

    def __init__(self, spec: AgentSpec, folder: Path | None) -> None:
        self._spec = spec
        self._path = (folder or Path()) / (spec.outcomes or ".")

    @property
    def spec(self) -> AgentSpec:
        """The registry row behind it."""
        return self._spec

    async def prepare(self) -> None:
        """Read the folder, if no other agent has."""
        await self._records()

    async def _records(self) -> _Records:
        found = _loaded.get(self._path)
        return await in_thread(lambda: _load(self._path)) if found is None else found

    async def answer(self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits) -> Answer:
        """Look the question up by its id, else by its exact text."""
        records = await self._records()
        question = query.id if query.id is not None else records.ids.get(query.text)
        found = records.answers.get((question, self._spec.id)) if question is not None else None
        if found is None:
            return Answer(agent=self._spec.id, status="skipped", error="not recorded for this query")
        return found


def _load(path: Path) -> _Records:
    with _lock:  # agents of one folder ask at the same time; it is read once
        if path in _loaded:
            return _loaded[path]
        folder = OutcomeFolder.open(path)
        if folder.labelled:
            raise OutcomeError(
                f"{path} holds utterances, which say what agents fit and nothing of what they answer: a "
                "recorded agent answers from an outcome folder; set `outcomes` to one, or use "
                "`agentroute route`, which asks nobody"
            )
        answers: dict[tuple[str, str], Answer] = {}
        for outcome in folder.read():
            key = (outcome.query, outcome.agent)
            # Of repeated runs the first that came to something stands for all.
            if key not in answers or answers[key].status == "failed":
                answers[key] = _answer(outcome)
        ids: dict[str, str] = {}
        for name, record in folder.queries.items():
            ids.setdefault(record.query.text, name)
        _loaded[path] = _Records(ids, answers)
        return _loaded[path]


def _answer(outcome: Outcome) -> Answer:
    usage = Usage(
        input_tokens=outcome.input_tokens,
        output_tokens=outcome.output_tokens,
        reasoning_tokens=outcome.reasoning_tokens,
        cost_usd=outcome.cost_usd,
    )
    if outcome.said and not outcome.error:
        return Answer(
            agent=outcome.agent,
            text=outcome.said,
            usage=usage,
            latency_s=outcome.latency_s,
            score=outcome.score,
        )
    status: AnswerStatus = "failed"
    error = outcome.error or "did not run when this was recorded"
    if outcome.score is not None:
        status = "skipped"
        error = "declined" if outcome.said == "" else "recorded without its text"
    return Answer(
        agent=outcome.agent,
        status=status,
        usage=usage,
        error=error,
        latency_s=outcome.latency_s,
        score=outcome.score,
    )
