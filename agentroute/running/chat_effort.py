"""Effort for agents that are not ours: a level on every call of a LangChain chat model.

    model = with_effort(ChatOpenAI(model="gpt-5-mini"), router)

The model that comes back is used as the old one was: with tools, in chains, in LangGraph, in streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig

from agentroute.errors import InputError
from agentroute.running.chat_levels import ChatEffort, Options
from agentroute.types import Effort, EffortRouter, Limits

LEVEL = "effort"
"""Where ``response_metadata`` of a reply says at which level it was asked for."""

_NO_LIMITS = Limits()


def with_effort(
    model: Runnable[Any, Any],
    router: EffortRouter,
    *,
    levels: Sequence[Effort] = ("low", "medium", "high"),
    default: Effort | None = None,
    name: str | None = None,
    limits: Limits = _NO_LIMITS,
    options: Options = "reasoning_effort",
    agent: str = "agent",
) -> Any:
    """Put a level of effort on every call of a chat model.

    Args:
        model: A chat model; or a Runnable around one, such as a model with tools bound to it.
        router: Chooses the level from the messages, call by call.
        levels: What it may choose from, weakest first.
        default: The level of a router that keeps to the row; the strongest when it is ``None``.
        name: litellm's name of the model, which says what becomes of a level; what the model calls itself
            when it is ``None``.
        limits: The floor and the ceiling, ``effort_floor`` and ``effort_ceiling``.
        options: The option by which the model takes a level; or a function from the level to options, such as
            ``lambda level: {"thinking": {"type": "enabled", "budget_tokens": BUDGETS[level]}}``.
        agent: The id of the agent, for a router that was trained on several.

    Returns:
        A chat model for a chat model, else a Runnable. Of a reply of a chat model,
        ``response_metadata["effort"]`` is the level that was asked for.

    Raises:
        InputError: Something given cannot be used.
    """
    if not isinstance(model, Runnable):
        raise InputError(f"model is {type(model).__name__}: give a LangChain chat model or Runnable")
    bound = getattr(model, "bound", model)
    effort = ChatEffort.of(
        bound,
        router,
        levels=levels,
        default=default,
        name=name,
        limits=limits,
        options=options,
        agent=agent,
    )
    if not isinstance(model, BaseChatModel):
        return _EffortRunnable(model, effort)
    streams = type(model)._stream is not BaseChatModel._stream
    # Callbacks, tags, caching and rate limits act around a call, which is now a call of the new model.
    around = {field: getattr(model, field) for field in BaseChatModel.model_fields}
    return (_StreamingEffortModel if streams else EffortModel)(inner=model, effort=effort, **around)


class EffortModel(BaseChatModel):
    """A chat model with a level on each of its calls.

    Args:
        inner: The model that is called.
        effort: Chooses the level.
    """

    inner: BaseChatModel
    effort: Any

    @property
    def _llm_type(self) -> str:
        return self.inner._llm_type

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return self.inner._identifying_params

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Runnable[LanguageModelInput, Any]:
        """Bind tools in the form that the inner model gives them."""
        return self.bind(**cast("Any", self.inner.bind_tools(tools, **options)).kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        level, given = self._chosen(messages, options)
        return _marked(self.inner._generate(messages, stop, run_manager, **given), level)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> ChatResult:
        level, given = self._chosen(messages, options)
        return _marked(await self.inner._agenerate(messages, stop, run_manager, **given), level)

    def _chosen(
        self, messages: list[BaseMessage], options: dict[str, Any]
    ) -> tuple[Effort | None, dict[str, Any]]:
        effort: ChatEffort = self.effort
        level = effort.level(messages, tools=bool(options.get("tools")))
        return level, {**options, **effort.given(level)}


class _StreamingEffortModel(EffortModel):
    """The same for models that stream; LangChain looks whether a class has these methods."""

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        level, given = self._chosen(messages, options)
        for number, chunk in enumerate(self.inner._stream(messages, stop, run_manager, **given)):
            yield chunk if number else _mark(chunk, level)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        level, given = self._chosen(messages, options)
        number = 0
        async for chunk in self.inner._astream(messages, stop, run_manager, **given):
            yield chunk if number else _mark(chunk, level)
            number += 1


def _marked(result: ChatResult, level: Effort | None) -> ChatResult:
    for generation in result.generations:
        generation.message.response_metadata = {**generation.message.response_metadata, LEVEL: level}
    return result


def _mark(chunk: ChatGenerationChunk, level: Effort | None) -> ChatGenerationChunk:
    chunk.message.response_metadata = {**chunk.message.response_metadata, LEVEL: level}
    return chunk


class _EffortRunnable(Runnable[Any, Any]):
    """A level on each call of a Runnable that ends in a chat model."""

    def __init__(self, inner: Runnable[Any, Any], effort: ChatEffort) -> None:
        self._inner, self._effort = inner, effort

    def _bound(self, given: Any) -> Runnable[Any, Any]:
        if isinstance(given, PromptValue):
            messages = given.to_messages()
        else:
            messages = convert_to_messages([given] if isinstance(given, (str, BaseMessage)) else given)
        tools = bool(getattr(self._inner, "kwargs", {}).get("tools"))
        return self._inner.bind(**self._effort.given(self._effort.level(messages, tools=tools)))

    def invoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        """Choose a level for these messages, and call."""
        return self._bound(input).invoke(input, config, **options)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        """Choose a level for these messages, and call."""
        return await self._bound(input).ainvoke(input, config, **options)

    def stream(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Iterator[Any]:
        """Choose a level for these messages, and stream."""
        yield from self._bound(input).stream(input, config, **options)

    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **options: Any
    ) -> AsyncIterator[Any]:
        """Choose a level for these messages, and stream."""
        async for chunk in self._bound(input).astream(input, config, **options):
            yield chunk
