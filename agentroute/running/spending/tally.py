"""What one agent spends, known even when it fails."""

from __future__ import annotations

from agentroute.errors import AgentRouteError
from agentroute.running.calling.faults import ClientError
from agentroute.types import AgentSpec, ChatClient, ChatReply, ChatRequest, Usage

BUDGET = "budget"
"""How the error of an agent begins that the budget stopped."""

UNKNOWN_CALL = Usage(requests=1, input_tokens=None, output_tokens=None, reasoning_tokens=None, cost_usd=None)
"""What a call spent that was given up half-way: one request, the rest unknown."""


class Tally:
    """A client that notes what one agent spends, so that it is known even when the agent fails.

    Args:
        client: The client that does the work.
    """

    def __init__(self, client: ChatClient) -> None:
        self._client = client
        self._spent = Usage()
        self._open = 0
        self.notes: list[str] = []
        """What was odd about the replies, in order."""

    @property
    def usage(self) -> Usage:
        """What was spent so far; calls still under way count as requests of unknown size."""
        usage = self._spent
        for _ in range(self._open):
            usage += UNKNOWN_CALL
        return usage

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Pass a request on."""
        self._open += 1
        # Holds when the call is cancelled, or fails in a way that says nothing of its cost.
        spent = UNKNOWN_CALL
        try:
            reply = await self._client.chat(request)
            spent = reply.usage
            self.notes += reply.notes
            return reply
        except AgentRouteError:
            spent = Usage()  # refused before anything was sent
            raise
        except ClientError as error:
            spent = error.usage
            raise
        finally:
            self._open -= 1
            self._spent += spent


def own_usage(spec: AgentSpec) -> Usage:
    """Return what asking a function or a Runnable costs by its price tag; unknown without one.

    Args:
        spec: The agent.

    Returns:
        Usage without requests; zero for other kinds, whose costs are measured or recorded.
    """
    if spec.kind in ("function", "runnable"):
        return Usage(cost_usd=spec.price.call if spec.price else None)
    return Usage()
