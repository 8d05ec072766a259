"""The one door to chat models: litellm under one deadline, one retry loop and one cap.

What litellm leaves open is closed here. Its timeout is per read, so that a dripping server outlives it: one
``asyncio.timeout`` holds. Its retries multiply, and repeat a 401: they are off, and one loop of ours is on.
It reads answers of any size and follows redirects: the transport is ours.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from types import ModuleType, TracebackType
from typing import Any, TypeVar

from agentroute.running.calling.faults import ClientError, ErrorKind, judge, unknown
from agentroute.running.calling.pace import Account, Pace
from agentroute.running.calling.reply import cost_of, read_reply, read_usage, read_vectors
from agentroute.running.calling.sent import SENT_WITHOUT, applied_effort
from agentroute.types import ChatReply, ChatRequest, Effort, Price, Usage

__all__ = ["ClientError", "ErrorKind", "LiteLLMClient"]

_DUMMY_KEY = "no-key"
_LONGEST_WAIT_S = 20.0
_SLACK_S = 30.0  # litellm's own timeout comes this much later than ours, so that ours always decides
_importing = threading.Lock()
_T = TypeVar("_T")


@dataclass(slots=True)
class _Tally:
    """What one call has spent so far, and the trace of the request under way."""

    usage: Usage = field(default_factory=Usage)
    trace: Any = None


class LiteLLMClient:
    """Implements ``types.ChatClient`` over litellm.

    The caps on size, compression and redirects hold for every provider that litellm reaches through OpenAI's
    SDK or through its own http handler: openai and all that are compatible with it, anthropic, gemini,
    mistral, groq, deepseek, xai, openrouter, together_ai, ollama, hosted_vllm, huggingface, databricks,
    azure. A reply that came another way carries the note ``not capped on the wire``.

    Args:
        max_answer_bytes: Cap on one answer in bytes, unpacked.
        max_retries: Requests after the first one, for 408, 429, 5xx and broken connections; an unreadable
            answer is asked for once more at most, and all other failures are final.
        backoff_s: Seconds before the first retry; doubled for each further one, with jitter.
        requests_per_second: Requests that may leave each second for one provider, or ``None``.
        requests_at_once: Requests that may be under way at one provider, or ``None``.
        proxy: Address of an http proxy; proxies named in the environment are not used.
    """

    def __init__(
        self,
        max_answer_bytes: int = 2_000_000,
        max_retries: int = 2,
        *,
        backoff_s: float = 0.5,
        requests_per_second: float | None = None,
        requests_at_once: int | None = None,
        proxy: str | None = None,
    ) -> None:
        self._max_bytes, self._max_retries = max_answer_bytes, max_retries
        self._backoff_s, self._proxy = backoff_s, proxy
        self._rates = requests_per_second, requests_at_once
        self._door: Any = None
        self._litellm: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._no_effort: set[tuple[str, str | None, Effort]] = set()

    async def __aenter__(self) -> LiteLLMClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self) -> None:
        """Import litellm. It takes seconds, which are nobody's timeout when this is called first."""
        loop = asyncio.get_running_loop()
        if self._door is None:
            self._door = await asyncio.to_thread(_import_door)
        if self._loop is not loop:  # connections belong to one event loop
            self._litellm, self._loop = self._door.LiteLLM(self._max_bytes, self._proxy), loop
            self._pace = Pace(*self._rates)

    async def aclose(self) -> None:
        """Close the connections; a later call opens new ones."""
        if self._loop is asyncio.get_running_loop():
            await self._litellm.shut()
        self._litellm = self._loop = None

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Send one request, with retries, within its time.

        Args:
            request: What to ask, and of whom.

        Returns:
            A reply with text or tool calls; its usage covers every attempt, its notes name what was odd.

        Raises:
            ClientError: When no reply can be had; ``kind`` says why.
        """
        key = await self._key(request.model, request.api_key_env, request.api_base)
        tally = _Tally()
        account = _account(request.model, request.api_base, request.api_key_env)
        reply = await self._insist(
            lambda: self._chat_once(request, key, tally), tally, request.timeout_s, account
        )
        usage = tally.usage + reply.usage
        return replace(reply, usage=usage, attempts=usage.requests)

    async def embed(
        self,
        model: str,
        texts: list[str],
        *,
        api_key_env: str | None = None,
        api_base: str | None = None,
        timeout_s: float = 30.0,
    ) -> list[list[float]]:
        """Ask a provider for one vector per text, under the same protections.

        Args:
            model: A litellm embedding model.
            texts: What to embed.
            api_key_env: The name of the variable that holds the key.
            api_base: Another address of the same protocol.
            timeout_s: Seconds for the call, retries included.

        Returns:
            The vectors, in the order of the texts, all of one length.

        Raises:
            ClientError: When they cannot be had; ``kind`` says why.
        """
        key = await self._key(model, api_key_env, api_base)
        tally = _Tally()

        async def once() -> list[list[float]]:
            send = self._litellm.embed(model, texts, key, api_base, timeout_s + _SLACK_S)
            response = await self._traced(send, tally, key, api_key_env)
            requests, tally.trace = tally.trace.requests, None
            return read_vectors(response, len(texts), unknown(requests))

        return await self._insist(once, tally, timeout_s, _account(model, api_base, api_key_env))

    async def price_of(self, model: str) -> Price | None:
        """Return litellm's price for a model, or ``None`` when it has none."""
        await self.open()
        price: Price | None = self._door.price_of(model)
        return price

    async def cap_of(self, request: ChatRequest) -> int | None:
        """Return the ``max_tokens`` that a request is sent with: more where its thinking would not fit."""
        if request.max_tokens is None or request.effort is None:
            return request.max_tokens
        await self.open()
        return self._cap(request.model, request.max_tokens, request.effort)

    def _cap(self, model: str, max_tokens: int, level: Effort) -> int:
        budget: int = self._door.thinking_budget(model, level)
        # A provider that counts both together refuses a cap that the thinking alone would fill.
        return max_tokens + budget if budget >= max_tokens else max_tokens

    async def _key(self, model: str, env: str | None, base: str | None) -> str | None:
        """Return the key to send, or ``None`` for litellm's own choice from the environment."""
        if env is not None:
            key = os.environ.get(env, "").strip()
            if not key:
                text = f"variable {env} is not set; it has to hold the key for {model}"
                raise ClientError("no_key", text, attempts=0)
            await self.open()
            return key
        await self.open()
        if base is not None:
            return _DUMMY_KEY  # a provider's key from the environment is not for any other address
        missing = self._door.missing_key(model)
        if missing:
            text = f"variable {missing} is not set; set it, or name another one as api_key_env of {model}"
            raise ClientError("no_key", text, attempts=0)
        return None

    async def _insist(
        self, once: Callable[[], Awaitable[_T]], tally: _Tally, timeout_s: float, account: Account
    ) -> _T:
        """Retry what is worth it until the time is over. Adds every failed attempt to the tally."""
        clock, pace = time.monotonic, self._pace
        end = clock() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                for attempt in range(self._max_retries + 1):
                    try:
                        async with pace.turn(account, end):
                            return await once()
                    except ClientError as error:
                        tally.usage += error.usage
                        if error.kind == "rate_limited" and error.attempts and error.retry_after_s:
                            pace.pause(account, error.retry_after_s)  # all who ask there wait, not only we
                        wait = self._wait(error, attempt)
                        if wait is None or clock() + wait >= end:
                            error.usage, error.attempts = tally.usage, tally.usage.requests
                            raise
                        await asyncio.sleep(wait)
                raise AssertionError("the last attempt returns or raises")
        except TimeoutError:
            under_way = tally.trace.requests if tally.trace is not None else 0
            usage = tally.usage + (unknown(under_way) if under_way else Usage())
            text = f"timed out after {timeout_s:g} s and {usage.requests} request(s)"
            raise ClientError("timeout", text, usage=usage, attempts=usage.requests) from None

    def _wait(self, error: ClientError, attempt: int) -> float | None:
        """Return the seconds before another attempt, or ``None`` when there is to be none."""
        again = self._max_retries if error.kind in ("rate_limited", "server") else 0
        again = min(1, self._max_retries) if error.kind == "unreadable" else again
        if attempt >= again:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s
        return min(_LONGEST_WAIT_S, self._backoff_s * 2.0**attempt) * random.uniform(0.5, 1.0)

    async def _traced(self, send: Awaitable[_T], tally: _Tally, key: str | None, env: str | None) -> _T:
        """Make one request with a fresh trace, and judge its failure by it."""
        tally.trace = self._door.Trace()
        token = self._door.TRACE.set(tally.trace)
        try:
            return await send
        except Exception as error:  # litellm raises dozens of types, and tracebacks as text
            verdict = judge(error, tally.trace, key=key, key_env=env)
            tally.trace = None
            raise verdict from None
        finally:
            self._door.TRACE.reset(token)

    async def _chat_once(self, request: ChatRequest, key: str | None, tally: _Tally) -> ChatReply:
        """Ask once; where the level of effort is refused, once more without it."""
        level = request.effort
        known = (request.model, request.api_base, level) if level else None
        if known not in self._no_effort:
            try:
                return await self._send(request, key, level, tally)
            except ClientError as error:
                if known is None or not (error.kind == "refused" and "reasoning_effort" in error.message):
                    raise
                tally.usage += error.usage
                self._no_effort.add(known)
        reply = await self._send(request, key, None, tally)
        note = f"effort '{level}' is not available for {request.model}; {SENT_WITHOUT}"
        return replace(reply, notes=(*reply.notes, note))

    async def _send(
        self, request: ChatRequest, key: str | None, level: Effort | None, tally: _Tally
    ) -> ChatReply:
        max_tokens, raised = request.max_tokens, tuple[str, ...]()
        if level is not None and max_tokens is not None:
            max_tokens = self._cap(request.model, max_tokens, level)
            if max_tokens != request.max_tokens:
                raised = (f"max_tokens {request.max_tokens} raised to {max_tokens}, for thinking",)
        options = {
            "messages": [dict(message) for message in request.messages],
            "tools": [dict(tool) for tool in request.tools] or None,
            "reasoning_effort": level,
            "temperature": request.temperature,
            "max_tokens": max_tokens,
            "timeout": request.timeout_s + _SLACK_S,
        }
        given = {name: value for name, value in options.items() if value is not None}
        send = self._litellm.chat(request.model, key, request.api_base, **given)
        response = await self._traced(send, tally, key, request.api_key_env)
        trace, tally.trace = tally.trace, None
        usage, notes = read_usage(response)
        notes = (*raised, *notes)
        cost = cost_of(request.price, usage.input_tokens, usage.output_tokens)
        if request.price is None:
            cost = self._door.map_cost(request.model, response, usage)
        usage = replace(usage, requests=max(1, trace.requests), cost_usd=cost)
        if not trace.requests:
            notes += ("not capped on the wire",)
        return read_reply(response, usage, notes, applied_effort(trace.sent, level, request.model))


def _account(model: str, base: str | None, env: str | None) -> Account:
    return model.partition("/")[0], base, env


def _import_door() -> ModuleType:
    """Import litellm, without warnings of its own."""
    with _importing, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from agentroute.running.calling import door

        return door
