"""AgentRoute: a registry, a router, a client and limits, joined into something that answers."""

from agentroute.pipeline.agent_route import AgentRoute
from agentroute.pipeline.parts import NO_ROUTER
from agentroute.pipeline.trained import load_router
from agentroute.running.result import Event

__all__ = ["NO_ROUTER", "AgentRoute", "Event", "load_router"]
