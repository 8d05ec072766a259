"""The nodes of the workflow, over what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from agentroute.errors import InputError
from agentroute.running.agents import problem
from agentroute.running.asking import Asking
from agentroute.running.breaker import Breaker
from agentroute.running.context import Contexts, Run, RunContext
from agentroute.running.finishing import Finishing
from agentroute.running.keeping.past import plain_start
from agentroute.running.question import read_messages, read_question
from agentroute.running.race import Race
from agentroute.running.state import Asked, Plain, State
from agentroute.running.threads import in_thread
from agentroute.running.wave import beyond, judge
from agentroute.types import (
    Agent,
    AgentSpec,
    Answer,
    EffortRouter,
    Limits,
    Query,
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
        effort: EffortRouter,
        limits: Limits,
        contexts: Contexts,
        finishing: Finishing,
        default_agent: str | None = None,
        breaker: Breaker | None = None,
        origin: Mapping[str, object] | None = None,
    ) -> None:
        self._router, self._team, self._specs = router, team, tuple(specs)
        self._limits, self._contexts, self._finishing = limits, contexts, finishing
        self._default_agent, self._breaker = default_agent, breaker
        self._asking = Asking(team, effort, limits, breaker)
        self._origin = dict(origin or {})

    async def begin(self, state: State, runtime: Runtime[RunContext]) -> Plain:
        """Read and check the question, and forget an earlier run on the same thread."""
        context = runtime.context
        if isinstance(context, RunContext) and context.past is not None and context.run is None:
            run = self._contexts.open(context, context.past.query)
            start = plain_start(context.past)
            return {**start, "notes": [*start["notes"], *run.notes]}
        question = state.get("question")
        asked = read_messages(state.get("messages") or ()) if question is None else question
        query, notes = read_question(asked)
        run = self._contexts.open(context, query)
        plain = to_plain(query)
        await run.record.begun({"query": plain, "notes": list(notes), "origin": self._origin})
        return {
            "question": None,
            "run_id": run.id,
            "query": plain,
            "notes": [*run.notes, *notes],
            "answers": None,
            "decisions": None,
            "problems": None,
            "wave": [],
            "weights": {},
            "earlier": None,
            "halt": "",
            "answer": "",
            "confidence": None,
            "failure": None,
        }

    async def _run(self, state: State, runtime: Runtime[RunContext]) -> Run:
        found = self._contexts.find(runtime.context, state["run_id"])
        if found is not None:
            return found
        query = from_plain(Query, state["query"])  # another process began this run
        run = self._contexts.open(runtime.context, query, run_id=state["run_id"], answers=state["answers"])
        await run.record.adopted({"query": state["query"], "notes": [], "origin": self._origin})
        return run

    async def route(self, state: State, runtime: Runtime[RunContext]) -> Command[str]:
        """Decide one round: whom to send, or that it is enough."""
        run = await self._run(state, runtime)
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
        left = run.left_usd = await run.ledger.left_in_all_usd()
        specs, ailing = self._well()
        try:
            async with asyncio.timeout(run.seconds_left()) as clock:
                decision = await in_thread(lambda: self._decide(run, specs, answers, turn, left))
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
            left_usd=left,
        )
        problems = [*(ailing if turn == 1 else ()), *verdict.problems]
        plain = None if verdict.decision is None else to_plain(verdict.decision)
        update: Plain = {
            "problems": problems,
            "weights": verdict.weights,
            "wave": list(verdict.wave),
            "halt": verdict.halt,
        }
        if verdict.note is not None:
            update["notes"] = [*state["notes"], verdict.note]
        if plain is not None:
            update["decisions"] = [plain]
        # On record before anybody is sent: whoever takes the run up knows whom it may have paid.
        run.record.routed(
            {
                "decision": plain,
                "wave": update["wave"],
                "weights": verdict.weights,
                "problems": problems,
                "note": verdict.note,
            }
        )
        if plain is not None:
            runtime.stream_writer({"kind": "route", "data": plain})
        if not verdict.wave:
            return Command(update=update, goto="refine")
        run.refused = beyond(verdict, self._specs, left)
        run.race = None
        if self._limits.stop_early and self._finishing.by_weight and _keeps_weights(self._router):
            run.race = Race(verdict.weights, verdict.wave, answers, self._limits.min_answers)
        return Command(update=update, goto=_sends(verdict.wave, turn, run))

    def _well(self) -> tuple[tuple[AgentSpec, ...], list[str]]:
        """Leave out agents that failed again and again, unless nobody else is there."""
        if self._breaker is None:
            return self._specs, []
        why = {spec.id: self._breaker.left_out(spec.id) for spec in self._specs}
        well = tuple(spec for spec in self._specs if why[spec.id] is None)
        if not well or len(well) == len(self._specs):
            return self._specs, []
        return well, [f"{agent}: {line}" for agent, line in why.items() if line is not None]

    def _decide(
        self, run: Run, specs: Sequence[AgentSpec], answers: Sequence[Answer], turn: int, left: float | None
    ) -> RoutingDecision:
        return self._router.route(
            run.query, specs, answers=answers, limits=self._limits, round=turn, budget_left_usd=left
        )

    async def ask(self, state: Asked, runtime: Runtime[RunContext]) -> Plain:
        """Ask one agent of the wave, and acknowledge its answer."""
        run = self._contexts.find(runtime.context, state["run_id"])
        if run is None:  # resumed in another process: route opens the run again and sends this agent again
            return {}
        runtime.stream_writer({"kind": "agent_start", "data": state["agent"]})
        answer = await self._asking.ask(state["agent"], run)
        run.answers[answer.agent] = answer
        plain = to_plain(answer)
        if run.race is not None:
            run.race.came(answer)
        await run.record.answered(plain)
        runtime.stream_writer({"kind": "agent_end", "data": plain})
        line = problem(answer)
        return {"answers": [plain], "problems": [line] if line else []}

    async def refine(self, state: State, runtime: Runtime[RunContext]) -> Plain:
        """Make one answer of those there are, or say why there is none."""
        run = await self._run(state, runtime)
        answers = [run.answer(record) for record in state["answers"]]
        end = await self._finishing.finish(run, state, answers)
        if end.refined is not None:
            runtime.stream_writer({"kind": "refine", "data": end.refined})
        self._contexts.close(run)
        if not state.get("messages"):
            return end.update
        return {**end.update, "messages": [AIMessage(end.said)]}


def _sends(agents: Sequence[str], turn: int, run: Run) -> list[Send]:
    return [Send("ask", Asked(agent=agent, round=turn, run_id=run.id)) for agent in agents]


def _enough(halt: str, problems: Sequence[str] = ()) -> Command[str]:
    return Command(update={"halt": halt, "problems": list(problems)}, goto="refine")


def _keeps_weights(router: Router) -> bool:
    """Say whether a router votes with the weights of its first selection, and asks nobody after it."""
    return getattr(router, "keeps_weights", False) is True
