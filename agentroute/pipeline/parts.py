"""What a team works with: router, client, effort and refiner, made when first needed where none was given."""

from __future__ import annotations

from agentroute.registry import AgentRegistry
from agentroute.types import ChatClient, EffortRouter, Limits, Refiner, RefinerSpec, Router

NO_ROUTER = "no trained router: agents were ranked by their descriptions"


class Parts:
    """Holds what the caller gave, and makes the rest when it is first needed.

    Args:
        router: Decides whom to ask; ``None`` ranks agents by their descriptions.
        client: For model calls; litellm when it is ``None`` and there is somebody who needs a model.
        effort: Decides the reasoning effort of each model call; each agent's default when it is ``None``.

    Attributes:
        caveats: What every result shall say of itself.
    """

    def __init__(self, router: Router | None, client: ChatClient | None, effort: EffortRouter | None) -> None:
        self.caveats = () if router is not None else (NO_ROUTER,)
        self._router, self._client, self._effort = router, client, effort
        self._owns_client = client is None

    @property
    def router(self) -> Router:
        """Who decides; without a trained router, the ranking by descriptions."""
        if self._router is None:
            from agentroute.knowledge.embed import default_embedder
            from agentroute.routing.cards import CardRouter

            self._router = CardRouter(default_embedder())
        return self._router

    @property
    def effort(self) -> EffortRouter:
        """Who decides the effort of each model call; without one, each agent's default holds."""
        if self._effort is None:
            from agentroute.effort.router import FixedEffort

            self._effort = FixedEffort()
        return self._effort

    def refiner(self, spec: RefinerSpec, limits: Limits) -> Refiner:
        """Make the refiner that a registry asks for.

        Args:
            spec: What the registry says.
            limits: The caps of each run.

        Returns:
            The refiner.
        """
        from agentroute.running.refine import LLMRefiner, VoteRefiner

        return LLMRefiner(spec, self.effort, limits) if spec.kind == "llm" else VoteRefiner()

    def client(self, registry: AgentRegistry, limits: Limits) -> ChatClient:
        """Return the client for model calls; where a registry needs no model, one that refuses.

        Args:
            registry: Who may need a model.
            limits: How many requests may leave in a second and at once.

        Returns:
            The client.
        """
        if self._client is None:
            if registry.refiner.kind != "llm" and all(spec.kind != "llm" for spec in registry):
                from agentroute.running.context import NoClient

                return NoClient()
            from agentroute.running.calling.client import LiteLLMClient

            self._client = LiteLLMClient(
                requests_per_second=limits.requests_per_second,
                requests_at_once=limits.requests_at_once,
            )
        return self._client

    async def aclose(self) -> None:
        """Close the connections to models, when they were opened here; the next run opens new ones."""
        if self._owns_client and (close := getattr(self._client, "aclose", None)):
            await close()
