"""AgentRoute: a registry, a router, a client and limits, joined into something that answers."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, cast

from agentroute.errors import (
    AgentRouteError,
    InputError,
)
from agentroute.registry import AgentRegistry
from agentroute.running.agents import build_team
from agentroute.running.question import read_question
from agentroute.running.result import OUTPUT, Event, broken, read_event, read_result
from agentroute.types import (
    AgentSpec,
    ChatClient,
    EffortRouter,
    Limits,
    Query,
    Refiner,
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
        self.registry, self.limits = registry, limits
        self._team = build_team(registry, allow)
        self._caveats = () if router is not None else (NO_ROUTER,)
        router, self._target_coverage = _held_to(router, preset, target_coverage), target_coverage
        self._router, self._client, self._effort = router, client, effort
        self._owns_client = client is None
        self._compiled: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_compiled": None}  # a compiled workflow does not survive copying

    @classmethod
    def from_yaml(
        cls,
        path: str | os.PathLike[str],
        router: str | os.PathLike[str] | Router | None = None,
        *,
        allow: Sequence[str] = (),
        limits: Limits = _NO_LIMITS,
        client: ChatClient | None = None,
        effort: EffortRouter | None = None,
        preset: str | None = None,
        target_coverage: float | None = None,
    ) -> AgentRoute:
        """Read a registry, and a trained router if there is one.

        Args:
            path: The registry file.
            router: A router, or the path of a trained one; ``None`` ranks agents by their descriptions.
            allow: Modules whose code the registry may name, beside ``agentroute.workbench``.
            limits: The caps of each run.
            client: For model calls, instead of litellm.
            effort: Decides the reasoning effort of each model call.
            preset: One way of asking that the trained router is held to, such as ``growing``.
            target_coverage: Share of the answers that the router calls sure which are to be right.

        Returns:
            A team that is ready to run.

        Raises:
            RegistryError: The registry breaks a rule, or names code that is not allowed.
            RouterFileError: The router cannot be read or does not fit.
            InputError: The router has no such preset, or cannot promise that.
        """
        registry = AgentRegistry.from_yaml(path)
        if isinstance(router, (str, os.PathLike)):
            router = load_router(router)
        return cls(
            registry,
            router,
            client=client,
            effort=effort,
            limits=limits,
            allow=allow,
            preset=preset,
            target_coverage=target_coverage,
        )

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
        try:
            state = await self._graph().ainvoke(output_keys=OUTPUT, **self._call(query, run_id))
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
        try:
            stream = self._graph().astream(
                stream_mode=["custom", "values"], output_keys=OUTPUT, **self._call(query, run_id)
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
            ``status``, ``sources``, ``confidence``, ``problems`` and ``messages``.
        """
        from agentroute.running.workflow import build_workflow

        effort = self._effort_router()
        return build_workflow(
            self.router,
            self._team,
            self.agents,
            self._refiner(effort),
            effort,
            self.limits,
            client=self._chat_client,
            caveats=self._caveats,
            target_coverage=self._target_coverage,
        )

    async def aclose(self) -> None:
        """Close the connections to models, when they were opened here; the next run opens new ones."""
        if self._owns_client and (close := getattr(self._client, "aclose", None)):
            await close()

    # ------------------------------------------------------------------------ what it is made of

    def _graph(self) -> Any:
        if self._compiled is None:
            self._compiled = self.workflow().compile(name="agentroute")
        return self._compiled

    def _call(self, query: str | Query, run_id: str) -> dict[str, Any]:
        from agentroute.running.context import RunContext

        return {
            "input": {"question": to_plain(query) if isinstance(query, Query) else query},
            "config": {"configurable": {"thread_id": run_id}},
            "context": RunContext(run_id=run_id),
        }

    def _effort_router(self) -> EffortRouter:
        if self._effort is None:
            from agentroute.effort.router import FixedEffort

            self._effort = FixedEffort()
        return self._effort

    def _refiner(self, effort: EffortRouter) -> Refiner:
        from agentroute.running.refine import LLMRefiner, VoteRefiner

        spec = self.registry.refiner
        return LLMRefiner(spec, effort, self.limits) if spec.kind == "llm" else VoteRefiner()

    def _chat_client(self) -> ChatClient:
        if self._client is None:
            if self.registry.refiner.kind == "llm" or any(spec.kind == "llm" for spec in self.agents):
                from agentroute.running.client import LiteLLMClient

                self._client = LiteLLMClient()
            else:
                from agentroute.running.context import NoClient

                self._client = NoClient()
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
