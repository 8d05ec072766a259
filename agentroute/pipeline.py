"""AgentRoute: a registry, a router, a client and limits, joined into something that answers."""

from __future__ import annotations

import asyncio
import os
import uuid
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, cast

from agentroute.errors import (
    AgentRouteError,
    InputError,
)
from agentroute.registry import AgentRegistry
from agentroute.registry.watch import WatchedRegistry
from agentroute.running.agents import build_team
from agentroute.running.breaker import Breaker
from agentroute.running.keeping.journal import Journal, resume_command
from agentroute.running.question import read_question
from agentroute.running.result import OUTPUT, Event, broken, read_event, read_result
from agentroute.running.threads import in_thread
from agentroute.types import (
    Agent,
    AgentSpec,
    ChatClient,
    EffortRouter,
    Limits,
    Query,
    Refiner,
    RefinerSpec,
    Router,
    RoutingDecision,
    RunResult,
    to_plain,
)

if TYPE_CHECKING:
    from langgraph.graph import StateGraph

    from agentroute.running.context import RunContext
    from agentroute.running.keeping.past import Past
    from agentroute.running.spending.shared import Budget

__all__ = ["NO_ROUTER", "AgentRoute", "Event", "load_router"]

NO_ROUTER = "no trained router: agents were ranked by their descriptions"

_NO_LIMITS = Limits()


@dataclass
class _Crew:
    """A registry and what was made of it; another registry makes another crew, and runs keep their own."""

    registry: AgentRegistry
    team: Mapping[str, Agent]
    compiled: Any = None


class AgentRoute:
    """Answers questions with a team of agents.

        >>> team = AgentRoute.from_yaml("agents/workbench.yaml")
        >>> print(team.run("How many minutes are there in 3.5 days?").answer)

    Args:
        registry: The agents, and how their answers become one.
        router: Decides whom to ask. ``None`` ranks agents by their descriptions, and each result says so.
        client: For model calls; litellm when it is ``None`` and there is somebody who needs a model.
        effort: Decides the reasoning effort of each model call; each agent's default when it is ``None``.
        limits: The caps of each run.
        allow: Modules whose code the registry may name, beside ``agentroute.workbench``.
        preset: One way of asking that the trained router is held to, such as ``growing`` or ``cascade``; see
            ``GraphRouter.with_preset``. By default the one that validation chose.
        target_coverage: Share of the answers that the router calls sure which are to be right, above 0 and
            below 1. A result that does not keep this promise says ``not assured`` in its problems, and is
            ``degraded``.
        journal: Where runs are put on record, so that one that breaks off can be resumed: a file, ``True``
            for ``runs.db`` in this user's state folder, or a ``Journal``. ``None`` keeps no record.
        budget: What these runs share with others, beside the caps of each.
        breaker: Leaves agents out that failed several times in a row; ``None`` never does.

    Raises:
        RegistryError: The registry names code that is not allowed.
        InputError: An argument is of another type, or the router has no such preset, or cannot promise that.
        StorageError: The journal cannot be opened.
    """

    def __init__(
        self,
        registry: AgentRegistry,
        router: Router | None = None,
        *,
        client: ChatClient | None = None,
        effort: EffortRouter | None = None,
        limits: Limits = _NO_LIMITS,
        allow: Sequence[str] = (),
        preset: str | None = None,
        target_coverage: float | None = None,
        journal: Journal | str | os.PathLike[str] | bool | None = None,
        budget: Budget | None = None,
        breaker: Breaker | Literal["default"] | None = "default",
    ) -> None:
        if not isinstance(registry, AgentRegistry):
            raise InputError(
                f"registry is {type(registry).__name__}: give an AgentRegistry, or the path of a file to "
                "AgentRoute.from_yaml"
            )
        if router is not None and not callable(getattr(router, "route", None)):
            raise InputError(f"router is {type(router).__name__}: give a Router, such as load_router(path)")
        if not isinstance(limits, Limits):
            raise InputError(f"limits is {type(limits).__name__}: write Limits(max_cost_usd=..., ...)")
        self.limits, self._allow = limits, allow
        self._crew = _Crew(registry, build_team(registry, allow))
        self._watched: WatchedRegistry | None = None
        self._caveats = () if router is not None else (NO_ROUTER,)
        router, self._target_coverage = _held_to(router, preset, target_coverage), target_coverage
        self._router, self._client, self._effort = router, client, effort
        self._owns_client = client is None
        self._journal, self._budget = _journal(journal), budget
        self._breaker = Breaker() if breaker == "default" else breaker
        self._origin: dict[str, object] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A compiled workflow does not survive copying.
        return {**self.__dict__, "_crew": replace(self._crew, compiled=None)}

    @classmethod
    def from_yaml(
        cls,
        path: str | os.PathLike[str],
        router: str | os.PathLike[str] | Router | None = None,
        *,
        allow: Sequence[str] = (),
        limits: Limits = _NO_LIMITS,
        client: ChatClient | None = None,
        effort: str | os.PathLike[str] | EffortRouter | None = None,
        preset: str | None = None,
        target_coverage: float | None = None,
        reload: bool = False,
        journal: Journal | str | os.PathLike[str] | bool | None = None,
        budget: Budget | None = None,
        breaker: Breaker | Literal["default"] | None = "default",
    ) -> AgentRoute:
        """Read a registry, and a trained router if there is one.

        Args:
            path: The registry file.
            router: A router, or the path of a trained one; ``None`` ranks agents by their descriptions.
            allow: Modules whose code the registry may name, beside ``agentroute.workbench``.
            limits: The caps of each run.
            client: For model calls, instead of litellm.
            effort: Decides the reasoning effort of each model call: an effort router, or the path of one made
                by ``agentroute effort train``; each agent's default when it is ``None``.
            preset: One way of asking that the trained router is held to, such as ``growing``.
            target_coverage: Share of the answers that the router calls sure which are to be right.
            reload: Look at the file before each run and each decision, and take up what changed: agents come
                and go while the process runs. A run that is going on keeps the team it began with. A file
                that breaks a rule changes nothing; the next result says so in its problems, once, and
                ``route`` warns. Python modules that are loaded stay as they are.
            journal: Where runs are put on record: a file, or ``True`` for ``runs.db`` in the state folder.
            budget: What these runs share with others, beside the caps of each.
            breaker: Leaves agents out that failed several times in a row; ``None`` never does.

        Returns:
            A team that is ready to run.

        Raises:
            RegistryError: The registry breaks a rule, or names code that is not allowed.
            RouterFileError: The router cannot be read or does not fit.
            InputError: The router has no such preset, or cannot promise that.
            StorageError: The journal cannot be opened.
        """
        where = {"registry": os.path.abspath(path)}
        if isinstance(router, (str, os.PathLike)):
            where["router"] = os.path.abspath(router)
        watched = WatchedRegistry(path) if reload else None
        registry = AgentRegistry.from_yaml(path) if watched is None else watched.first
        if isinstance(router, (str, os.PathLike)):
            router = load_router(router)
        if isinstance(effort, (str, os.PathLike)):
            from agentroute.effort.step_router import StepRouter

            effort = StepRouter.load(effort)
        made = cls(
            registry,
            router,
            client=client,
            effort=effort,
            limits=limits,
            allow=allow,
            preset=preset,
            target_coverage=target_coverage,
            journal=journal,
            budget=budget,
            breaker=breaker,
        )
        made._watched = watched
        made._origin = {**where, "allow": list(allow), "preset": preset, "target_coverage": target_coverage}
        return made

    @property
    def registry(self) -> AgentRegistry:
        """The agents, and how their answers become one, as the last run or decision found them."""
        return self._crew.registry

    @property
    def agents(self) -> tuple[AgentSpec, ...]:
        """The registry's rows."""
        return self.registry.agents

    @property
    def router(self) -> Router:
        """Who decides; without a trained router, the ranking by descriptions."""
        if self._router is None:
            from agentroute.knowledge.embed import default_embedder
            from agentroute.routing.cards import CardRouter

            self._router = CardRouter(default_embedder())
        return self._router

    def route(self, query: str | Query) -> RoutingDecision:
        """Decide whom to ask first, and ask nobody.

        Args:
            query: The question.

        Returns:
            The decision of round 1.

        Raises:
            QueryError: The question is empty, too long, or not text.
        """
        asked, _ = read_question(query)
        if self._watched is not None and (problem := self._watched.take(self._take_up)):
            warnings.warn(problem, stacklevel=2)
        return self.router.route(
            asked, self.agents, limits=self.limits, budget_left_usd=self.limits.max_cost_usd
        )

    def run(self, query: str | Query, *, run_id: str | None = None) -> RunResult:
        """Answer a question, and wait for it.

        Args:
            query: The question.
            run_id: The run's name, which no other run has; a random one when it is ``None``.

        Returns:
            The answer, and how it came about.

        Raises:
            QueryError: The question is empty, too long, or not text.
            RunError: Nobody answered; the subclass says why, ``problems`` has a line for each agent.
            InputError: An event loop is running already; ``await team.arun(...)`` there.
            KeyboardInterrupt: It was interrupted; the message says how to go on, if it is on record.
        """
        name = run_id or uuid.uuid4().hex
        return self._waited(lambda: self.arun(query, run_id=name), "arun", name)

    async def arun(self, query: str | Query, *, run_id: str | None = None) -> RunResult:
        """Answer a question.

        Args:
            query: The question.
            run_id: The run's name, which no other run has; a random one when it is ``None``.

        Returns:
            The answer, and how it came about.

        Raises:
            QueryError: The question is empty, too long, or not text.
            RunError: Nobody answered; the subclass says why, ``problems`` has a line for each agent.
        """
        read_question(query)
        return await self._through(query, await self._context(run_id))

    async def astream(self, query: str | Query, *, run_id: str | None = None) -> AsyncIterator[Event]:
        """Answer a question, and tell what happens while it happens.

        Args:
            query: The question.
            run_id: The run's name, which no other run has; a random one when it is ``None``.

        Yields:
            Events; the last one is of kind ``result``.

        Raises:
            QueryError: The question is empty, too long, or not text.
            RunError: Nobody answered; the subclass says why, ``problems`` has a line for each agent.
        """
        read_question(query)
        async for event in self._told(query, await self._context(run_id)):
            yield event

    def resume(self, run_id: str) -> RunResult:
        """Go on with a run that broke off, and wait for it; see ``aresume``."""
        return self._waited(lambda: self.aresume(run_id), "aresume", run_id)

    async def aresume(self, run_id: str) -> RunResult:
        """Go on with a run that broke off, or that ended without an answer.

        Whoever has answered is not asked again. Of a run that ended without an answer, those who failed are.
        What was spent before counts against the limits.

        Args:
            run_id: The run's name, or enough of its beginning.

        Returns:
            The answer. A run that has one already gives that, and asks nobody.

        Raises:
            InputError: There is no journal, no such run in it, or a live process is at it.
            RunError: Nobody answered.
        """
        past = await self._past(run_id)
        if isinstance(past, RunResult):
            return past
        return await self._through(past.query, await self._context(past.run_id, past))

    async def astream_resume(self, run_id: str) -> AsyncIterator[Event]:
        """Go on with a run as ``aresume`` does, and tell what happens while it happens.

        Args:
            run_id: The run's name, or enough of its beginning.

        Yields:
            Events; the last one is of kind ``result``.
        """
        past = await self._past(run_id)
        if isinstance(past, RunResult):
            yield Event(kind="result", data=past)
            return
        async for event in self._told(past.query, await self._context(past.run_id, past)):
            yield event

    def how_to_resume(self, run_id: str) -> str | None:
        """Write the command that goes on with a run, or return ``None`` where no record is kept."""
        return None if self._journal is None else resume_command(self._journal, run_id, self._origin)

    def workflow(self) -> StateGraph[Any, Any, Any, Any]:
        """Return the uncompiled LangGraph graph: compile it with your own checkpointer, or nest it in yours.

        Returns:
            A graph that takes ``{"question": ...}`` or ``{"messages": [...]}`` and gives ``answer``,
            ``status``, ``sources``, ``confidence``, ``problems`` and ``messages``. It keeps the team that it
            was made with.
        """
        return self._workflow(self._crew)

    def _workflow(self, crew: _Crew) -> StateGraph[Any, Any, Any, Any]:
        from agentroute.running.workflow import build_workflow

        effort, registry = self._effort_router(), crew.registry
        return build_workflow(
            self.router,
            crew.team,
            registry.agents,
            self._refiner(registry.refiner, effort),
            effort,
            self.limits,
            client=partial(self._chat_client, registry),
            caveats=self._caveats,
            target_coverage=self._target_coverage,
            default_agent=registry.default_agent,
            breaker=self._breaker,
            journal=self._journal,
            budget=self._budget,
            origin=self._whence(registry),
        )

    async def aclose(self) -> None:
        """Close the connections to models, when they were opened here; the next run opens new ones."""
        if self._owns_client and (close := getattr(self._client, "aclose", None)):
            await close()

    # ------------------------------------------------------------------------ what it is made of

    def _take_up(self, registry: AgentRegistry) -> None:
        self._crew = _Crew(registry, build_team(registry, self._allow))

    async def _news(self) -> tuple[str, ...]:
        """Take up a changed registry file; what is wrong with it is news for a result."""
        watched = self._watched
        if watched is None or not watched.moved():
            return ()
        problem = await in_thread(lambda: watched.take(self._take_up))
        return () if problem is None else (problem,)

    def _graph(self) -> Any:
        crew = self._crew  # read once: another thread may be taking up another registry
        if crew.compiled is None:
            crew.compiled = self._workflow(crew).compile(name="agentroute")
        return crew.compiled

    async def _context(self, run_id: str | None, past: Past | None = None) -> RunContext:
        from agentroute.running.context import RunContext

        return RunContext(run_id=run_id or uuid.uuid4().hex, notes=await self._news(), past=past)

    async def _past(self, run_id: str) -> Past | RunResult:
        from agentroute.running.keeping.past import take_up

        journal = self._journal
        if journal is None:
            raise InputError("there is no journal to resume from: give AgentRoute(..., journal=PATH)")
        return await in_thread(lambda: take_up(journal, run_id))

    async def _through(self, query: str | Query, context: RunContext) -> RunResult:
        result: Any = None
        async for event in self._told(query, context, only_end=True):
            result = event.data
        return cast(RunResult, result)

    async def _told(
        self, query: str | Query, context: RunContext, *, only_end: bool = False
    ) -> AsyncIterator[Event]:
        """Run the workflow, and leave nothing open behind it."""
        run_id = context.run_id
        call: dict[str, Any] = {
            "input": {"question": to_plain(query) if isinstance(query, Query) else query},
            "config": {"configurable": {"thread_id": run_id}},
            "context": context,
            "output_keys": OUTPUT,
        }
        state: dict[str, Any] = {}
        ended = False
        try:
            if only_end:
                state = await self._graph().ainvoke(**call)
            else:
                async for mode, chunk in self._graph().astream(stream_mode=["custom", "values"], **call):
                    if mode == "values":
                        state = chunk
                    elif (event := read_event(chunk)) is not None:
                        yield event
            ended = True
        except AgentRouteError:
            raise
        except Exception as error:
            raise broken(run_id, error, self.how_to_resume(run_id)) from error
        finally:
            if self._journal is not None and not ended:
                self._journal.release(run_id)  # it broke off: another may take it up
        yield Event(kind="result", data=read_result(state, self.how_to_resume))

    def _whence(self, registry: AgentRegistry) -> dict[str, object]:
        """Say what a record needs to know for its run to be taken up by another process."""
        whence = {**self._origin, "hash": registry.hash, "limits": to_plain(self.limits)}
        return whence if self._budget is None else {**whence, "budget": self._budget.told}

    def _effort_router(self) -> EffortRouter:
        if self._effort is None:
            from agentroute.effort.router import FixedEffort

            self._effort = FixedEffort()
        return self._effort

    def _refiner(self, spec: RefinerSpec, effort: EffortRouter) -> Refiner:
        from agentroute.running.refine import LLMRefiner, VoteRefiner

        return LLMRefiner(spec, effort, self.limits) if spec.kind == "llm" else VoteRefiner()

    def _chat_client(self, registry: AgentRegistry) -> ChatClient:
        if self._client is None:
            if registry.refiner.kind != "llm" and all(spec.kind != "llm" for spec in registry):
                from agentroute.running.context import NoClient

                return NoClient()
            from agentroute.running.calling.client import LiteLLMClient

            self._client = LiteLLMClient(
                requests_per_second=self.limits.requests_per_second,
                requests_at_once=self.limits.requests_at_once,
            )
        return self._client

    def _waited(self, start: Callable[[], Awaitable[RunResult]], instead: str, run_id: str) -> RunResult:
        """Run a coroutine in an event loop of its own, and close what belongs to it."""

        async def work() -> RunResult:
            try:
                return await start()
            finally:
                await self.aclose()

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            try:
                return asyncio.run(work())
            except KeyboardInterrupt:
                how = self.how_to_resume(run_id)
                raise KeyboardInterrupt(f"interrupted; to go on with it: {how}" if how else "") from None
        name = instead.removeprefix("a")
        raise InputError(
            f"{name}() was called where an event loop is running: write `await team.{instead}(...)` there"
        )


def load_router(path: str | os.PathLike[str], preset: str | None = None) -> Router:
    """Load a trained router.

    Args:
        path: The folder it was saved to.
        preset: One way of asking to hold it to, such as ``growing``; see ``GraphRouter.with_preset``.

    Returns:
        The router.

    Raises:
        RouterFileError: It cannot be read or does not fit.
        InputError: It has no such preset.
    """
    from agentroute.routing.router import GraphRouter

    router = GraphRouter.load(path)
    return router if preset is None else router.with_preset(preset)


def _journal(given: Journal | str | os.PathLike[str] | bool | None) -> Journal | None:
    if given is None or given is False:
        return None
    return given if isinstance(given, Journal) else Journal(None if given is True else given)


def _held_to(router: Router | None, preset: str | None, target_coverage: float | None) -> Router | None:
    """Hold a router to a way of asking, then to a promise: each way keeps it from another confidence on."""
    if preset is not None:
        if not isinstance(preset, str):
            raise InputError(f"preset is {preset!r}; it takes a name, such as 'growing'")
        router = _trained("preset", preset, router, "with_preset")(preset)
    if target_coverage is not None:
        given: object = target_coverage
        if isinstance(given, bool) or not isinstance(given, Real):
            raise InputError(f"target_coverage is {target_coverage!r}; it takes a share above 0 and below 1")
        router = _trained("target_coverage", target_coverage, router, "assuring")(float(target_coverage))
    return router


def _trained(name: str, value: object, router: Router | None, method: str) -> Callable[[Any], Router]:
    found = getattr(router, method, None)
    if not callable(found):
        whose = "there is none" if router is None else f"{type(router).__name__} has no {method}()"
        raise InputError(f"{name}={value!r} needs a router made by `agentroute train`; {whose}")
    return cast("Callable[[Any], Router]", found)
