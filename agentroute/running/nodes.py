"""The nodes of the workflow, over what they share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from agentroute.errors import InputError
from agentroute.running.agents import Prepared, problem, run_agent
from agentroute.running.client import ClientError
from agentroute.running.confidence import certainty
from agentroute.running.context import Contexts, Run, RunContext
from agentroute.running.question import read_messages, read_question
from agentroute.running.refine import unrefined
from agentroute.running.state import Asked, Plain, State
from agentroute.running.tally import BUDGET, Tally, own_usage
from agentroute.running.threads import in_thread
from agentroute.running.wave import judge
from agentroute.types import (
    Agent,
    AgentSpec,
    Answer,
    ChatClient,
    EffortRouter,
    Limits,
    Query,
    Refined,
    Refiner,
    Router,
    RoutingDecision,
    from_plain,
    to_plain,
)


class Nodes:
    """The nodes; ``build_workflow`` explains the arguments."""

    def __init__(
        self,
        router: Router,
        team: Mapping[str, Agent],
        specs: Sequence[AgentSpec],
        refiner: Refiner,
        effort: EffortRouter,
        limits: Limits,
        client: Callable[[], ChatClient] | None,
        caveats: Sequence[str],
        target_coverage: float | None = None,
        default_agent: str | None = None,
    ) -> None:
        self._router, self._team, self._specs = router, team, tuple(specs)
        self._refiner, self._effort, self._limits = refiner, effort, limits
        self._contexts, self._caveats = Contexts(limits, client), tuple(caveats)
        self._target_coverage, self._default_agent = target_coverage, default_agent

    async def begin(self, state: State, runtime: Runtime[RunContext]) -> Plain:
        """Read and check the question, and forget an earlier run on the same thread."""
        question = state.get("question")
        asked = read_messages(state.get("messages") or ()) if question is None else question
        query, notes = read_question(asked)
        run = self._contexts.open(runtime.context, query)
        return {
            "question": None,
            "run_id": run.id,
            "query": to_plain(query),
            "notes": [*run.notes, *notes],
            "answers": None,
            "decisions": None,
            "problems": None,
            "wave": [],
            "weights": {},
            "halt": "",
            "answer": "",
            "confidence": None,
            "failure": None,
        }

    def _run(self, state: State, runtime: Runtime[RunContext]) -> Run:
        found = self._contexts.find(runtime.context, state["run_id"])
        if found is not None:
            return found
        query = from_plain(Query, state["query"])  # another process began this run
        return self._contexts.open(runtime.context, query, run_id=state["run_id"], answers=state["answers"])

    async def route(self, state: State, runtime: Runtime[RunContext]) -> Command[str]:
        """Decide one round: whom to send, or that it is enough."""
        run = self._run(state, runtime)
        answers = [run.answer(record) for record in state["answers"]]
        asked = {answer.agent for answer in answers}
        if lost := [agent for agent in state["wave"] if agent not in asked]:
            # The process ended during a wave; those who had answered are kept, the others are sent again.
            return Command(goto=_sends(lost, len(state["decisions"]), run))
        if state["decisions"] and state["decisions"][-1]["abstained"]:
            # A router that is asked again would send others, of whom it said that they do not fit.
            return _enough("no agent fits, and the default agent has no answer")
        turn = len(state["decisions"]) + 1
        if run.seconds_left() == 0:
            return _enough("the time was up")
        try:
            async with asyncio.timeout(run.seconds_left()) as clock:
                decision = await in_thread(lambda: self._decide(run, answers, turn))
        except Exception as error:  # a router's fault must not lose the answers there are
            if isinstance(error, InputError) and not answers:
                raise  # something given cannot be used, and nobody was asked yet
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            if clock.expired():
                why = "not done when the run's time was up"
            return _enough(f"the router failed: {why}", problems=[f"router: failed ({why})"])
        verdict = judge(
            decision,
            known=self._team,
            asked=asked,
            weights=state["weights"],
            limits=self._limits,
            last=turn > self._limits.max_rounds,
            default=self._default_agent,
            left_usd=run.ledger.left_usd,
        )
        update: Plain = {
            "problems": list(verdict.problems),
            "weights": verdict.weights,
            "wave": list(verdict.wave),
            "halt": verdict.halt,
        }
        if verdict.note is not None:
            update["notes"] = [*state["notes"], verdict.note]
        if verdict.decision is not None:
            plain = to_plain(verdict.decision)
            update["decisions"] = [plain]
            runtime.stream_writer({"kind": "route", "data": plain})
        if verdict.wave:
            return Command(update=update, goto=_sends(verdict.wave, turn, run))
        return Command(update=update, goto="refine")

    def _decide(self, run: Run, answers: Sequence[Answer], turn: int) -> RoutingDecision:
        return self._router.route(
            run.query,
            self._specs,
            answers=answers,
            limits=self._limits,
            round=turn,
            budget_left_usd=run.ledger.left_usd,
        )

    async def ask(self, state: Asked, runtime: Runtime[RunContext]) -> Plain:
        """Ask one agent; whatever happens becomes a record."""
        run = self._contexts.find(runtime.context, state["run_id"])
        if run is None:  # resumed in another process: route opens the run again and sends this agent again
            return {}
        runtime.stream_writer({"kind": "agent_start", "data": state["agent"]})
        agent = self._team.get(state["agent"])
        if agent is None:  # begun with another registry, by another process
            answer = Answer(agent=state["agent"], status="skipped", error="left the team during the run")
        else:
            answer = await self._asked(agent, run)
        run.answers[answer.agent] = answer
        plain = to_plain(answer)
        runtime.stream_writer({"kind": "agent_end", "data": plain})
        line = problem(answer)
        return {"answers": [plain], "problems": [line] if line else []}

    async def _asked(self, agent: Agent, run: Run) -> Answer:
        spec = agent.spec
        try:
            async with asyncio.timeout(run.seconds_left()):
                await run.places.acquire()
        except TimeoutError:
            return Answer(
                agent=spec.id, status="timed_out", error="its turn did not come before the run's time was up"
            )
        try:
            held = run.hold(spec)
        except ClientError as error:
            run.places.release()
            return Answer(agent=spec.id, status="skipped", error=f"{BUDGET}: {error}")
        spent = own_usage(spec)  # holds when the run is cancelled
        try:
            await self._prepared(agent, run)
            answer = await run_agent(
                agent, run.query, run.client, self._effort, self._limits, deadline=run.deadline
            )
            spent = answer.usage
            return run.replayed(answer) if spec.kind == "recorded" else answer
        finally:
            if held is not None:
                run.ledger.settle(held, spent)
            run.places.release()

    async def _prepared(self, agent: Agent, run: Run) -> None:
        """Let what is loaded once for all runs be loaded on the run's time, not on this agent's."""
        # What goes wrong here goes wrong again when the agent is asked, and is put on record there.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(run.seconds_left()):
                if agent.spec.kind == "llm":
                    await run.open_client()
                elif isinstance(agent, Prepared):
                    await agent.prepare()

    async def refine(self, state: State, runtime: Runtime[RunContext]) -> Plain:
        """Make one answer of those there are, or say why there is none."""
        run = self._run(state, runtime)
        answers = [run.answer(record) for record in state["answers"]]
        given = [answer for answer in answers if answer.status == "ok"]
        self._contexts.close(run)
        from_chat = bool(state.get("messages"))
        if not given:
            known = [*self._caveats, *state["notes"], *state["problems"]]
            failure = _failure(state["halt"], known, answers, state["decisions"], run)
            said = [AIMessage(f"No answer: {failure['message']}")] if from_chat else []
            return {"answer": "", "status": "failed", "sources": [], "failure": failure, "messages": said}
        refined = await self._refined(run, given, state["weights"])
        plain = to_plain(refined)
        runtime.stream_writer({"kind": "refine", "data": plain})
        last = state["decisions"][-1] if state["decisions"] else None
        confidence, unkept = certainty(refined, given, state["weights"], last, self._target_coverage)
        problems = [*refined.problems, *([unkept] if unkept else []), *self._caveats]
        troubled = bool(state["problems"] or problems)
        return {
            "answer": refined.text,
            "status": "degraded" if troubled else "complete",
            "sources": list(refined.sources),
            "confidence": confidence,
            "problems": [*problems, *state["notes"]],
            "refining": plain["usage"],
            "messages": [AIMessage(refined.text)] if from_chat else [],
        }

    async def _refined(self, run: Run, given: Sequence[Answer], weights: dict[str, float]) -> Refined:
        tally = Tally(run.client)
        try:
            async with asyncio.timeout(run.seconds_left()):
                return await self._refiner.refine(run.query, given, weights, tally)
        except TimeoutError:
            why = "the run's time was up"
        except Exception as error:  # the answers are there and paid for
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        return unrefined(given, weights, why, tally.usage)


def _sends(agents: Sequence[str], turn: int, run: Run) -> list[Send]:
    return [Send("ask", Asked(agent=agent, round=turn, run_id=run.id)) for agent in agents]


def _enough(halt: str, problems: Sequence[str] = ()) -> Command[str]:
    return Command(update={"halt": halt, "problems": list(problems)}, goto="refine")


def _priced_out(decisions: Sequence[Plain], run: Run) -> bool:
    """Say whether everybody whom the router ranked last is known to cost more than is left."""
    left, ranking = run.ledger.left_usd, decisions[-1]["ranking"] if decisions else ()
    prices = [row["cost_usd"] for row in ranking]
    return left is not None and bool(prices) and all(price is not None and price > left for price in prices)


def _failure(
    halt: str, problems: Sequence[str], answers: Sequence[Answer], decisions: Sequence[Plain], run: Run
) -> Plain:
    """Say which kind of end it was, in one sentence and one line per agent."""
    kind = "agents"
    if run.seconds_left() == 0:
        kind = "deadline"
    elif any((answer.error or "").startswith(BUDGET) for answer in answers) or _priced_out(decisions, run):
        kind = "budget"
    message = f"none of {len(answers)} agents answered" if answers else "no agent was asked"
    declined = [f"{answer.agent}: declined" for answer in answers if problem(answer) is None]
    return {
        "kind": kind,
        "message": f"{message}: {halt}" if halt else message,
        "problems": [*problems, *declined],
    }
