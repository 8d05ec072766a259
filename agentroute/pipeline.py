"""AgentRoute: a registry, a router, a client and limits, joined into something that answers."""

from __future__ import annotations

import asyncio
import os
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

from agentroute.errors import (
    AgentRouteError,
    InputError,
)
from agentroute.registry import AgentRegistry
from agentroute.registry.watch import WatchedRegistry
from agentroute.running.agents import build_team
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

    Raises:
        RegistryError: The registry names code that is not allowed.
        InputError: An argument is of another type, or the router has no such preset, or cannot promise that.
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

        Returns:
            A team that is ready to run.

        Raises:
            RegistryError: The registry breaks a rule, or names code that is not allowed.
            RouterFileError: The router cannot be read or does not fit.
            InputError: The router has no such preset, or cannot promise that.
        """
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
        )
        made._watched = watched
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

    def run(self, query: str | Query) -> RunResult:
        """Answer a question, and wait for it.

        Args:
            query: The question.

        Returns:
            The answer, and how it came about.

        Raises:
            QueryError: The question is empty, too long, or not text.
            RunError: Nobody answered; the subclass says why, ``problems`` has a line for each agent.
            InputError: An event loop is running already; ``await team.arun(...)`` there.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._run_and_close(query))
        raise InputError(
            "run() was called where an event loop is running: write `await team.arun(...)` there"
        )

    async def arun(self, query: str | Query) -> RunResult:
        """Answer a question.

        Args:
            query: The question.

        Returns:
            The answer, and how it came about.

        Raises:
            QueryError: The question is empty, too long, or not text.
            RunError: Nobody answered; the subclass says why, ``problems`` has a line for each agent.
        """
        read_question(query)
        run_id = uuid.uuid4().hex
        notes = await self._news()
        try:
            state = await self._graph().ainvoke(output_keys=OUTPUT, **self._call(query, run_id, notes))
        except AgentRouteError:
            raise
        except Exception as error:
            raise broken(run_id, error) from error
        return read_result(state)

    async def astream(self, query: str | Query) -> AsyncIterator[Event]:
        """Answer a question, and tell what happens while it happens.

        Args:
            query: The question.

        Yields:
            Events; the last one is of kind ``result``.

        Raises:
            QueryError: The question is empty, too long, or not text.
            RunError: Nobody answered; the subclass says why, ``problems`` has a line for each agent.
        """
        read_question(query)
        run_id = uuid.uuid4().hex
        state: dict[str, Any] = {}
        notes = await self._news()
        try:
            stream = self._graph().astream(
                stream_mode=["custom", "values"], output_keys=OUTPUT, **self._call(query, run_id, notes)
            )
            async for mode, chunk in stream:
                if mode == "values":
                    state = chunk
                elif (event := read_event(chunk)) is not None:
                    yield event
        except AgentRouteError:
            raise
        except Exception as error:
            raise broken(run_id, error) from error
        yield Event(kind="result", data=read_result(state))

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

    def _call(self, query: str | Query, run_id: str, notes: tuple[str, ...]) -> dict[str, Any]:
        from agentroute.running.context import RunContext

        return {
            "input": {"question": to_plain(query) if isinstance(query, Query) else query},
            "config": {"configurable": {"thread_id": run_id}},
            "context": RunContext(run_id=run_id, notes=notes),
        }

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
            from agentroute.running.client import LiteLLMClient

            self._client = LiteLLMClient()
        return self._client

    async def _run_and_close(self, query: str | Query) -> RunResult:
        try:
            return await self.arun(query)
        finally:
            await self.aclose()  # the connections belong to this event loop, which ends here


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
