"""Teams of the functions in ``crew``, joined as users join them."""

from __future__ import annotations

from typing import Any

from agentroute.pipeline import AgentRoute
from agentroute.registry import AgentRegistry
from agentroute.testing import StaticRouter
from agentroute.types import AgentSpec, Price


def function(name: str, price: float | None = 0.0, **keys: Any) -> AgentSpec:
    cost = None if price is None else Price(call=price)
    keys = {"id": name.replace("_", "-"), "timeout_s": 5.0, "price": cost, **keys}
    return AgentSpec(kind="function", description="d", function=f"crew:{name}", **keys)


def llm(name: str, price: Price | None = None, **keys: Any) -> AgentSpec:
    keys = {"model": "openai/m", "max_tokens": 100, **keys}
    return AgentSpec(id=name, kind="llm", description="d", price=price, **keys)


def team(*waves: Any, specs: list[AgentSpec] | None = None, router: Any = None, **keys: Any) -> AgentRoute:
    """Join the agents that the waves name, or ``specs``."""
    if specs is None:
        specs = [function(name.replace("-", "_")) for wave in waves for name in wave]
    return AgentRoute(AgentRegistry.from_specs(specs), router or StaticRouter(*waves), allow=["crew"], **keys)
