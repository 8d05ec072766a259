"""The Protocols at the seams: what can be swapped for another, and for a double in a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from agentroute.types.chat import ChatReply, ChatRequest
from agentroute.types.looks import Look, Tried
from agentroute.types.queries import Extraction, Query
from agentroute.types.results import Answer, Limits, Refined, RoutingDecision, StepRole
from agentroute.types.specs import AgentSpec, Effort

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class Embedder(Protocol):
    """Text to vectors."""

    @property
    def fingerprint(self) -> str:
        """Name, revision and size in one string; routers refuse vectors of another fingerprint."""

    @property
    def dim(self) -> int:
        """The length of a vector."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Return one unit-length float32 vector per text. Shapes: ``(len(texts), dim)``."""


@runtime_checkable
class Extractor(Protocol):
    """Text to entities and relations."""

    def extract(self, query: Query) -> Extraction:
        """Return what the query, its history and its context name."""


@runtime_checkable
class Router(Protocol):
    """A query and what has been answered so far, to whom to ask next. Pure and synchronous.

    A router may have a property ``keeps_weights``: true where one answer is enough for it, and the answers of
    a wave vote with the weights that it was selected with. Only then does ``Limits.stop_early`` end one.
    """

    @property
    def version(self) -> str:
        """Which router this is, for the record."""

    def route(
        self,
        query: Query,
        agents: Sequence[AgentSpec],
        *,
        answers: Sequence[Answer] = (),
        limits: Limits = Limits(),
        round: int = 1,
        budget_left_usd: float | None = None,
    ) -> RoutingDecision:
        """Decide one round. Same arguments, same decision."""


@runtime_checkable
class EffortRouter(Protocol):
    """A step to the lowest reasoning effort that should do."""

    def select(
        self,
        *,
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
    ) -> Effort | None:
        """Return the level for the next call, or ``None`` when the agent has no levels."""


@runtime_checkable
class SecondLook(EffortRouter, Protocol):
    """An effort router that also looks at what came back, and may have the step repeated higher up."""

    def select(
        self,
        *,
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
        previous: Effort | None = None,
        chance: float = 1.0,
    ) -> Effort | None:
        """As ``EffortRouter.select``, told the level of the step before, and how the steps so far went."""

    def look(
        self,
        *,
        tried: Sequence[Tried],
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
        chance: float = 1.0,
    ) -> Look:
        """Say which of the answers to keep, and whether to ask again first. Every call is paid for."""


class StepEffort(Protocol):
    """An effort router with the agent, the limits and the number of the step filled in."""

    def __call__(
        self,
        *,
        role: StepRole = "answer",
        observation: str = "",
        history: Sequence[dict[str, Any]] = (),
    ) -> Effort | None:
        """Return the level of the next step, or ``None`` when the agent has no levels."""


@runtime_checkable
class ChatClient(Protocol):
    """The one door to chat models."""

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Send one request. Raises ``ClientError`` of ``running.calling.client`` when no reply can be had."""


@runtime_checkable
class Refiner(Protocol):
    """Several weighted answers to one."""

    async def refine(
        self, query: Query, answers: Sequence[Answer], weights: dict[str, float], client: ChatClient
    ) -> Refined:
        """Merge the answers whose status is ``ok``; there is at least one."""


@runtime_checkable
class Agent(Protocol):
    """Something that answers queries."""

    @property
    def spec(self) -> AgentSpec:
        """The registry row behind it."""

    async def answer(self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits) -> Answer:
        """Answer, or raise: the caller turns what is raised into an ``Answer`` with a status."""
