"""Doubles that ship with the package: a real loopback model server, and fakes for the Protocols."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from agentroute.testing.wall import LoopbackServer, Recorded
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatReply,
    ChatRequest,
    Limits,
    Query,
    Ranked,
    RoutingDecision,
    Usage,
)

__all__ = ["FakeClient", "LoopbackServer", "Recorded", "StaticRouter"]

_NO_LIMITS = Limits()
_CALL = Usage(requests=1, input_tokens=10, output_tokens=5, reasoning_tokens=0, cost_usd=0.001)

Reply = str | ChatReply | Exception


class FakeClient:
    """A ``ChatClient`` that gives prepared replies and remembers what it was asked.

    Args:
        replies: Replies in order, the last one again and again; or by model name; or a function of the
            request. A text becomes a reply that cost one request, 15 tokens and $0.001; an exception is
            raised.
    """

    def __init__(
        self, replies: Sequence[Reply] | Mapping[str, Reply] | Callable[[ChatRequest], Reply] = ("fine",)
    ) -> None:
        self._replies = replies
        self.requests: list[ChatRequest] = []

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Give the next reply."""
        self.requests.append(request)
        if callable(self._replies):
            reply = self._replies(request)
        elif isinstance(self._replies, Mapping):
            reply = self._replies[request.model]
        else:
            reply = self._replies[min(len(self.requests), len(self._replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, str):
            return ChatReply(text=reply, usage=_CALL, applied_effort=request.effort)
        return reply


class StaticRouter:
    """A ``Router`` that sends the same agents whatever is asked, wave by wave, and then stops.

    Args:
        waves: One per round: ids, which weigh alike, or a weight per id. When all were sent, the decision is
            to stop, with these weights over all. With no wave at all it abstains.
    """

    def __init__(self, *waves: Sequence[str] | Mapping[str, float]) -> None:
        self._waves = [
            dict(wave) if isinstance(wave, Mapping) else dict.fromkeys(wave, 1.0) for wave in waves
        ]
        self.calls: list[tuple[Query, tuple[Answer, ...]]] = []

    @property
    def version(self) -> str:
        """Which router this is."""
        return "static"

    @property
    def keeps_weights(self) -> bool:
        """Whether the first wave's weights are the last ones, so that a wave may end early."""
        return len(self._waves) == 1

    def route(
        self,
        query: Query,
        agents: Sequence[AgentSpec],
        *,
        answers: Sequence[Answer] = (),
        limits: Limits = _NO_LIMITS,
        round: int = 1,
        budget_left_usd: float | None = None,
    ) -> RoutingDecision:
        """Send this round's wave, or stop after the last."""
        self.calls.append((query, tuple(answers)))
        stop = round > len(self._waves)
        weights = (
            {agent: weight for wave in self._waves for agent, weight in wave.items()}
            if stop
            else self._waves[round - 1]
        )
        total = sum(weights.values()) or 1.0
        selected = tuple((agent, weight / total) for agent, weight in weights.items())
        return RoutingDecision(
            ranking=tuple(Ranked(agent=agent, score=weight) for agent, weight in selected),
            selected=selected,
            abstained=not self._waves,
            stop=stop and bool(self._waves),
            reason="all waves were sent" if stop and self._waves else "",
            round=round,
            router_version=self.version,
        )
