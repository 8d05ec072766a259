"""What a collection of effort labels will take, said before anybody is paid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentroute.effort.levels import thinking_budget
from agentroute.evaluation.trajectories import Call
from agentroute.running.calling.reply import cost_of
from agentroute.running.spending.budget import ASSUMED_OUTPUT_TOKENS, estimate
from agentroute.running.strategies import opening
from agentroute.types import AgentSpec, ChatRequest, Effort, Price, Query


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A rough bill.

    Args:
        calls: Model calls.
        cost_usd: US dollars for them; ``None`` where a price is unknown.
    """

    calls: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: Estimate) -> Estimate:
        unknown = self.cost_usd is None or other.cost_usd is None
        cost = None if unknown else (self.cost_usd or 0.0) + (other.cost_usd or 0.0)
        return Estimate(calls=self.calls + other.calls, cost_usd=cost)

    def times(self, n: int) -> Estimate:
        """Return the same n times over."""
        return Estimate(calls=self.calls * n, cost_usd=None if self.cost_usd is None else self.cost_usd * n)


async def price_for(spec: AgentSpec, client: Any) -> Price | None:
    """Return the price of an agent's model: its own, else the client's, else ``None``."""
    ask = getattr(client, "price_of", None)
    if spec.price is not None or ask is None or spec.model is None:
        return spec.price
    found: Price | None = await ask(spec.model)
    return found


def price_of_trajectory(spec: AgentSpec, query: Query, level: Effort, price: Price | None) -> Estimate:
    """Estimate one trajectory, rather too much than too little.

    Args:
        spec: The agent.
        query: The question.
        level: The level it is run at.
        price: What its model costs.

    Returns:
        As many calls as its strategy may make, each with the question as input and as much output as it may
        write, or is taken to write.
    """
    calls = {"react": spec.max_steps, "self-consistency": spec.samples}.get(spec.strategy or "direct", 1)
    messages = tuple(opening(spec, query, spec.prompt or "{context}{question}"))
    request = ChatRequest(model=spec.model or "", messages=messages, max_tokens=spec.max_tokens)
    told = estimate(request, price).input_tokens
    written = spec.max_tokens or ASSUMED_OUTPUT_TOKENS
    written += thinking_budget(spec.model or "", level) or 0
    return Estimate(calls=1, cost_usd=cost_of(price, told, written)).times(calls)


def price_of_steps(spec: AgentSpec, calls: Iterable[Call], price: Price | None) -> Estimate:
    """Estimate making steps again once, at what they took at the highest level.

    Args:
        spec: The agent.
        calls: The steps.
        price: What its model costs.

    Returns:
        One call each.
    """
    total = Estimate()
    for call in calls:
        guess = estimate(call.request(spec, None), price)
        told = guess.input_tokens if call.usage.input_tokens is None else call.usage.input_tokens
        wrote = guess.output_tokens if call.usage.output_tokens is None else call.usage.output_tokens
        total += Estimate(calls=1, cost_usd=cost_of(price, told, wrote))
    return total
