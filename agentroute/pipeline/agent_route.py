"""The class to begin with: a registry, a router, a client and limits, joined into something that answers."""

from __future__ import annotations

import os
import uuid
import warnings
from collections.abc import AsyncIterator, Sequence
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from agentroute.errors import InputError
from agentroute.pipeline.crew import Crew, Roster
from agentroute.pipeline.parts import Parts
from agentroute.pipeline.recording import Recording
from agentroute.pipeline.telling import result_of, told
from agentroute.pipeline.trained import held_to, load_effort, load_router
from agentroute.pipeline.waiting import waited
from agentroute.registry import AgentRegistry
from agentroute.registry.watch import WatchedRegistry
from agentroute.running.breaker import Breaker
from agentroute.running.keeping.journal import Journal
from agentroute.running.question import read_question
from agentroute.running.result import Event
from agentroute.types import (
    AgentSpec,
    ChatClient,
    EffortRouter,
    Limits,
    Query,
    Router,
    RoutingDecision,
    RunResult,
)

if TYPE_CHECKING:
    from langgraph.graph import StateGraph

    from agentroute.running.context import RunContext
    from agentroute.running.keeping.past import Past
    from agentroute.running.spending.shared import Budget

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
        self.limits = limits
        self._roster = Roster(registry, allow)
        self._parts = Parts(held_to(router, preset, target_coverage), client, effort)
        self._target_coverage = target_coverage
        self._recording, self._budget = Recording.at(journal), budget
        self._breaker = Breaker() if breaker == "default" else breaker

    def __getstate__(self) -> dict[str, Any]:
        # A copy comes to a workflow and a client of its own.
        return {**self.__dict__, "_roster": copy(self._roster), "_parts": copy(self._parts)}

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
        origin: dict[str, object] = {"registry": os.path.abspath(path)}
        if isinstance(router, (str, os.PathLike)):
            origin["router"] = os.path.abspath(router)
        watched = WatchedRegistry(path) if reload else None
        made = cls(
            AgentRegistry.from_yaml(path) if watched is None else watched.first,
            load_router(router) if isinstance(router, (str, os.PathLike)) else router,
            client=client,
            effort=load_effort(effort) if isinstance(effort, (str, os.PathLike)) else effort,
            limits=limits,
            allow=allow,
            preset=preset,
            target_coverage=target_coverage,
            journal=journal,
            budget=budget,
            breaker=breaker,
        )
        if watched is not None:
            made._roster.watch(watched)
        settings = {"allow": list(allow), "preset": preset, "target_coverage": target_coverage}
        made._recording.origin = {**origin, **settings}
        return made

    @property
    def registry(self) -> AgentRegistry:
        """The agents, and how their answers become one, as the last run or decision found them."""
        return self._roster.crew.registry

    @property
    def agents(self) -> tuple[AgentSpec, ...]:
        """The registry's rows."""
        return self.registry.agents

    @property
    def router(self) -> Router:
        """Who decides; without a trained router, the ranking by descriptions."""
        return self._parts.router

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
        if problem := self._roster.look():
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
        return waited(
            lambda: self.arun(query, run_id=name), self.aclose, "arun", partial(self.how_to_resume, name)
        )

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
        return await result_of(self._told(query, await self._context(run_id), only_end=True))

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
        return waited(
            lambda: self.aresume(run_id), self.aclose, "aresume", partial(self.how_to_resume, run_id)
        )

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
        past = await self._recording.past(run_id)
        if isinstance(past, RunResult):
            return past
        return await result_of(self._told(past.query, await self._context(past.run_id, past), only_end=True))

    async def astream_resume(self, run_id: str) -> AsyncIterator[Event]:
        """Go on with a run as ``aresume`` does, and tell what happens while it happens.

        Args:
            run_id: The run's name, or enough of its beginning.

        Yields:
            Events; the last one is of kind ``result``.
        """
        past = await self._recording.past(run_id)
        if isinstance(past, RunResult):
            yield Event(kind="result", data=past)
            return
        async for event in self._told(past.query, await self._context(past.run_id, past)):
            yield event

    def how_to_resume(self, run_id: str) -> str | None:
        """Write the command that goes on with a run, or return ``None`` where no record is kept."""
        return self._recording.how_to_resume(run_id)

    def workflow(self) -> StateGraph[Any, Any, Any, Any]:
        """Return the uncompiled LangGraph graph: compile it with your own checkpointer, or nest it in yours.

        Returns:
            A graph that takes ``{"question": ...}`` or ``{"messages": [...]}`` and gives ``answer``,
            ``status``, ``sources``, ``confidence``, ``problems`` and ``messages``. It keeps the team that it
            was made with.
        """
        return self._workflow(self._roster.crew)

    async def aclose(self) -> None:
        """Close the connections to models, when they were opened here; the next run opens new ones."""
        await self._parts.aclose()

    # ------------------------------------------------------------------------ where it is joined

    def _workflow(self, crew: Crew) -> StateGraph[Any, Any, Any, Any]:
        from agentroute.running.workflow import build_workflow

        parts, registry = self._parts, crew.registry
        return build_workflow(
            self.router,
            crew.team,
            registry.agents,
            parts.refiner(registry.refiner, self.limits),
            parts.effort,
            self.limits,
            client=lambda: parts.client(registry, self.limits),
            caveats=parts.caveats,
            target_coverage=self._target_coverage,
            default_agent=registry.default_agent,
            breaker=self._breaker,
            journal=self._recording.journal,
            budget=self._budget,
            origin=self._recording.whence(registry, self.limits, self._budget),
        )

    def _compiled(self) -> Any:
        crew = self._roster.crew  # read once: another thread may be taking up another registry
        if crew.compiled is None:
            crew.compiled = self._workflow(crew).compile(name="agentroute")
        return crew.compiled

    async def _context(self, run_id: str | None, past: Past | None = None) -> RunContext:
        from agentroute.running.context import RunContext

        return RunContext(run_id=run_id or uuid.uuid4().hex, notes=await self._roster.news(), past=past)

    def _told(
        self, query: str | Query, context: RunContext, *, only_end: bool = False
    ) -> AsyncIterator[Event]:
        return told(self._compiled, query, context, self._recording, only_end=only_end)
