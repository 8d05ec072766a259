"""A client that spends within caps.

The reserve of a call is an estimate. A call whose answer is longer than was assumed is charged what it really
cost, which ends the run's calls that much sooner; ``max_tokens`` in a request makes the estimate a bound. A
level of effort counts: more thinking needs more room.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from agentroute.errors import AgentRouteError
from agentroute.running.calling.faults import ClientError, one_line, unknown
from agentroute.running.calling.reply import cost_of
from agentroute.running.spending.ledger import Ledger, Reservation
from agentroute.types import THINKING_TOKENS, ChatClient, ChatReply, ChatRequest, Limits, Price, Usage

__all__ = ["ASSUMED_OUTPUT_TOKENS", "BYTES_PER_TOKEN", "Ledger", "MeteredClient", "Reservation", "estimate"]

ASSUMED_OUTPUT_TOKENS = 1_024
"""What an answer, thinking apart, is taken to need where the request sets no ``max_tokens``."""

EMBED_S = 30.0
"""Seconds that a call for vectors may take where nothing else is said."""

BYTES_PER_TOKEN = 4
"""A rule of thumb for English text and JSON; a prompt's tokens are estimated from its UTF-8 bytes."""


class MeteredClient:
    """Implements ``types.ChatClient``: another client, with every call on a ledger. One per run.

    Args:
        client: The client that does the work. If it has them, its ``price_of`` is asked where a request has
            no price, and its ``cap_of`` for the ``max_tokens`` that it will send.
        limits: The caps of the run, or a ledger to share.
    """

    def __init__(self, client: ChatClient, limits: Limits | Ledger) -> None:
        self._client = client
        self.ledger = limits if isinstance(limits, Ledger) else Ledger.of(limits)
        self._usage = Usage()
        self._lock = threading.Lock()

    @property
    def usage(self) -> Usage:
        """What this client's calls really spent, as far as known; the ledger has what was charged."""
        with self._lock:
            return self._usage

    @property
    def left_usd(self) -> float | None:
        """US dollars that are left for further calls, or ``None`` without a cap."""
        return self.ledger.left_usd

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Send one request if the ledger has room for it.

        Args:
            request: What to ask, and of whom.

        Returns:
            The client's reply.

        Raises:
            ClientError: Of kind ``budget`` before any call; or the client's own.
        """
        price = request.price or await self._price_of(request.model)
        sent = replace(request, max_tokens=await self._cap_of(request))
        held = await self.ledger.hold(estimate(sent, price), f"a call of {request.model}", request.timeout_s)
        began = time.monotonic()
        # Holds when the call is cancelled, or fails in a way that says nothing of its cost.
        spent = unknown(1)
        try:
            reply = await self._client.chat(request)
            spent = reply.usage
            return reply
        except ClientError as error:
            spent = error.usage
            raise
        finally:
            self._settle(held, spent, time.monotonic() - began)

    async def embed(self, model: str, texts: Sequence[str], **options: Any) -> list[list[float]]:
        """Ask the client for vectors, if the ledger has room; providers do not say what was spent.

        Args:
            model: A litellm embedding model.
            texts: What to embed.
            options: Passed on to the client's ``embed``.

        Returns:
            One vector per text.

        Raises:
            ClientError: Of kind ``budget`` before any call; or the client's own.
        """
        price = await self._price_of(model)
        told = sum(_quarter(text) for text in texts)
        cost = None if price is None or price.input is None else price.input * told / 1e6
        timeout = float(options.get("timeout_s", EMBED_S))
        held = await self.ledger.hold(
            Usage(requests=1, input_tokens=told, cost_usd=cost), f"embedding by {model}", timeout
        )
        began = time.monotonic()
        spent = unknown(1)
        try:
            vectors = await cast(Any, self._client).embed(model, list(texts), **options)
            return cast("list[list[float]]", vectors)
        except ClientError as error:
            spent = error.usage
            raise
        finally:
            self._settle(held, spent, time.monotonic() - began)

    async def _price_of(self, model: str) -> Price | None:
        ask = getattr(self._client, "price_of", None)
        if ask is None:
            return None
        try:
            return cast("Price | None", await ask(model))
        except (AgentRouteError, ClientError):
            raise
        except Exception as error:  # what cannot be priced is not sent
            why = f"not sent: the price of {model} cannot be looked up ({type(error).__name__}: {error})"
            raise ClientError("refused", one_line(why), attempts=0) from error

    async def _cap_of(self, request: ChatRequest) -> int | None:
        ask = getattr(self._client, "cap_of", None)
        return request.max_tokens if ask is None else cast("int | None", await ask(request))

    def _settle(self, held: Reservation, spent: Usage, seconds: float) -> None:
        self.ledger.settle(held, spent, seconds)
        with self._lock:
            self._usage += spent


def estimate(request: ChatRequest, price: Price | None) -> Usage:
    """Estimate what a request will take, rather too much than too little.

    Args:
        request: The request.
        price: What its model costs, or ``None``.

    Returns:
        One request; the prompt's UTF-8 bytes over ``BYTES_PER_TOKEN`` as input; as output ``max_tokens``, or
        ``ASSUMED_OUTPUT_TOKENS`` and what is thought at the level of effort; and the price of both.
    """
    told = _quarter(json.dumps([request.messages, request.tools], ensure_ascii=False, default=str))
    said = request.max_tokens
    if said is None:
        said = ASSUMED_OUTPUT_TOKENS + (THINKING_TOKENS[request.effort] if request.effort else 0)
    return Usage(requests=1, input_tokens=told, output_tokens=said, cost_usd=cost_of(price, told, said))


def _quarter(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)
