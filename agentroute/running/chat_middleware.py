"""Effort for agents of LangChain 1.x, as middleware; needs the extra ``langchain``.

agent = create_agent(model, tools, middleware=[EffortMiddleware(router)])
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agentroute.errors import MissingExtraError
from agentroute.running.chat_levels import ChatEffort, Options
from agentroute.types import Effort, EffortRouter, Limits

try:
    from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
except ImportError:
    raise MissingExtraError("effort as middleware of LangChain agents", "langchain") from None

_NO_LIMITS = Limits()


class EffortMiddleware(AgentMiddleware[Any, Any, Any]):
    """Puts a level of effort on every model call of an agent.

    Args:
        router: Chooses the level from the messages, call by call.
        levels: What it may choose from, weakest first.
        default: The level of a router that keeps to the row; the strongest when it is ``None``.
        name: litellm's name of the model; what the model calls itself when it is ``None``.
        limits: The floor and the ceiling, ``effort_floor`` and ``effort_ceiling``.
        options: The option by which the model takes a level, or a function from the level to options.
        agent: The id of the agent, for a router that was trained on several.

    Raises:
        InputError: Something given cannot be used.
    """

    def __init__(
        self,
        router: EffortRouter,
        *,
        levels: Sequence[Effort] = ("low", "medium", "high"),
        default: Effort | None = None,
        name: str | None = None,
        limits: Limits = _NO_LIMITS,
        options: Options = "reasoning_effort",
        agent: str = "agent",
    ) -> None:
        super().__init__()
        self._given: dict[str, Any] = {
            "levels": levels,
            "default": default,
            "name": name,
            "limits": limits,
            "options": options,
            "agent": agent,
        }
        self._router = router
        ChatEffort.of(None, router, **self._given)  # so that a mistake shows here, not in the first call

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Choose a level, and call the model with it."""
        return handler(self._with_level(request))

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Choose a level, and call the model with it."""
        return await handler(self._with_level(request))

    def _with_level(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        effort = ChatEffort.of(request.model, self._router, **self._given)
        first = [] if request.system_message is None else [request.system_message]
        level = effort.level([*first, *request.messages], tools=bool(request.tools))
        return request.override(model_settings={**request.model_settings, **effort.given(level)})
