"""The end of a run: one answer made of those there are, or the reason why there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from agentroute.running.agents import GRACE_S, problem
from agentroute.running.calling.reply import CUT
from agentroute.running.calling.sent import SENT_WITHOUT
from agentroute.running.confidence import certainty
from agentroute.running.context import Run
from agentroute.running.refine import VoteRefiner, unrefined
from agentroute.running.spending.tally import BUDGET, Tally
from agentroute.running.state import Plain, State
from agentroute.types import Answer, Refined, Refiner, Usage, to_plain


class End(NamedTuple):
    """How a run ended.

    Args:
        update: What it adds to the state.
        said: What to tell a conversation.
        refined: The refined answer as plain data; ``None`` without an answer.
    """

    update: Plain
    said: str
    refined: Plain | None


class Finishing:
    """Ends runs.

    Args:
        refiner: Makes one answer of several.
        caveats: What every result shall say of itself; it is ``degraded`` then.
        target_coverage: The share of right answers that was promised, or ``None``.
        quorum: Answers that a result needs.
    """

    def __init__(
        self, refiner: Refiner, caveats: Sequence[str], target_coverage: float | None, quorum: int
    ) -> None:
        self._refiner, self._caveats = refiner, tuple(caveats)
        self._target_coverage, self._quorum = target_coverage, quorum

    @property
    def by_weight(self) -> bool:
        """Whether answers vote with their weights, and nothing else decides."""
        return isinstance(self._refiner, VoteRefiner)

    async def finish(self, run: Run, state: State, answers: Sequence[Answer]) -> End:
        """End a run, and put its end on record before anybody is told.

        Args:
            run: The run.
            state: What it came to.
            answers: All answers, failures included.

        Returns:
            How it ended.
        """
        given = [answer for answer in answers if answer.status == "ok"]
        if len(given) < self._quorum:
            update, refined = self._failed(run, state, answers, len(given)), None
            said = f"No answer: {update['failure']['message']}"
        else:
            update, refined = await self._refined_of(run, state, given)
            said = update["answer"]
        await run.record.ended(
            update["status"],
            {
                **update,
                "problems": [*state["problems"], *update["problems"]],
                "decisions": state["decisions"],
                "answers": [answer.agent for answer in answers],
                "earlier": state.get("earlier"),
            },
            paid=update["refining"] != to_plain(Usage()),
        )
        if run.record.refused:
            line = f"journal: {run.record.refused}"
            update["problems"] = [*update["problems"], line]
            if refined is not None:
                update["status"] = "degraded"
        return End(update, said, refined)

    def _failed(self, run: Run, state: State, answers: Sequence[Answer], given: int) -> Plain:
        known = [*self._caveats, *state["notes"], *state["problems"]]
        failure = _failure(state["halt"], known, answers, state["decisions"], run, given, self._quorum)
        return {
            "answer": "",
            "status": "failed",
            "sources": [],
            "coverage": coverage(state["decisions"], answers),
            "failure": failure,
            "refining": to_plain(Usage()),
            "problems": [],
        }

    async def _refined_of(self, run: Run, state: State, given: Sequence[Answer]) -> tuple[Plain, Plain]:
        refined = await self._refine(run, given, state["weights"])
        plain = to_plain(refined)
        last = state["decisions"][-1] if state["decisions"] else None
        confidence, unkept = certainty(refined, given, state["weights"], last, self._target_coverage)
        problems = [*refined.problems, *([unkept] if unkept else []), *self._caveats]
        troubled = bool(state["problems"] or problems)
        # Noted, though nobody failed: whoever was cut short is among the problems already.
        # A level that was not applied is told of all steps together, when the result is read.
        told = (CUT, SENT_WITHOUT)
        odd = [
            f"{answer.agent}: {note}" for answer in given for note in answer.notes if not note.endswith(told)
        ]
        update = {
            "answer": refined.text,
            "status": "degraded" if troubled else "complete",
            "sources": list(refined.sources),
            "confidence": confidence,
            "coverage": coverage(state["decisions"], given),
            "problems": [*problems, *state["notes"], *odd],
            "refining": plain["usage"],
            "failure": None,
        }
        return update, plain

    async def _refine(self, run: Run, given: Sequence[Answer], weights: dict[str, float]) -> Refined:
        tally = Tally(run.record.noting("refiner", run.client))
        # A task of its own: one that swallows its cancellation cannot hold the run.
        task = asyncio.ensure_future(self._refiner.refine(run.query, given, weights, tally))
        try:
            await asyncio.wait({task}, timeout=run.seconds_left())
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_looked_at)
        if not task.done():
            await asyncio.wait({task}, timeout=GRACE_S)
            return unrefined(given, weights, "the run's time was up", tally.usage)
        try:
            return task.result()
        except asyncio.CancelledError:
            why = "it cancelled itself"
        except Exception as error:  # the answers are there and paid for
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return unrefined(given, weights, why, tally.usage)


def coverage(decisions: Sequence[Mapping[str, Any]], answers: Sequence[Answer]) -> float:
    """Return the share of the selected weight whose agents answered.

    Args:
        decisions: The decisions of a run, as plain data.
        answers: Its answers.

    Returns:
        From 0 to 1; 1 where no weight was selected.
    """
    chosen: dict[str, float] = {}
    for decision in decisions:
        if not decision["stop"]:
            chosen.update(decision["selected"])
    gave = {answer.agent for answer in answers if answer.status == "ok"}
    total = sum(chosen.values())
    return sum(weight for agent, weight in chosen.items() if agent in gave) / total if total > 0 else 1.0


def _looked_at(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _priced_out(decisions: Sequence[Plain], run: Run) -> bool:
    """Say whether everybody whom the router ranked last is known to cost more than is left."""
    left, ranking = run.left_usd, decisions[-1]["ranking"] if decisions else ()
    prices = [row["cost_usd"] for row in ranking]
    return left is not None and bool(prices) and all(price is not None and price > left for price in prices)


def _failure(
    halt: str,
    problems: Sequence[str],
    answers: Sequence[Answer],
    decisions: Sequence[Plain],
    run: Run,
    given: int,
    quorum: int,
) -> Plain:
    """Say which kind of end it was, in one sentence and one line per agent."""
    kind = "agents"
    if run.seconds_left() == 0:
        kind = "deadline"
    elif any((answer.error or "").startswith(BUDGET) for answer in answers) or _priced_out(decisions, run):
        kind = "budget"
    elif given:
        kind = "quorum"
    message = f"none of {len(answers)} agents answered" if answers else "no agent was asked"
    if given:
        message = f"{given} of {len(answers)} agents answered, and min_answers is {quorum}"
    declined = [
        f"{answer.agent}: {answer.error or 'answered'}" for answer in answers if problem(answer) is None
    ]
    return {
        "kind": kind,
        "message": f"{message}: {halt}" if halt and not given else message,
        "problems": [*problems, *declined],
    }
