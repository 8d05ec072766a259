"""The door: litellm, with its transports replaced by ours.

Importing this module takes seconds, so that ``client`` does it late. Each family of providers takes its http
client in another way, and ``Door`` fits them all: to those on litellm's own http handler it is such a
handler, to those on OpenAI's SDK it passes for an ``AsyncOpenAI``.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, cast

# Before litellm is imported: it would fetch a price list from the network, and read a ``.env`` file.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")

import httpx
import litellm
from litellm.exceptions import BadRequestError
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from openai import AsyncAzureOpenAI, AsyncOpenAI

from agentroute.running.calling.reply import believable_cost, cost_of
from agentroute.running.calling.wire import TRACE, CappedTransport, Trace
from agentroute.types import Price, Usage

__all__ = ["TRACE", "Door", "LiteLLM", "Trace", "map_cost", "missing_key", "price_of", "thinking_budget"]

# For tools with reasoning, litellm sends newer OpenAI models over another API, and needs this package for it.
_HAS_MCP = find_spec("mcp") is not None
# The map has rows at price zero that only mean "not entered"; these providers really are free.
_FREE = {"ollama"}
_MOST_DOORS = 64  # keys and addresses that one process talks to; more than these begin anew

litellm.suppress_debug_info = True
litellm.telemetry = False
litellm.drop_params = False
# At level DEBUG they write down whole prompts and answers. Who wants that asks for it by the logger's name;
# it must not come with a root logger that is turned up.
for _name in ("LiteLLM", "openai"):
    if logging.getLogger(_name).level == logging.NOTSET:
        logging.getLogger(_name).setLevel(logging.WARNING)
litellm.ModelResponse()  # builds pydantic's schema, and gives its warnings, now rather than in the first call


class Door(AsyncHTTPHandler):
    """One client for both families, over a shared ``httpx.AsyncClient``.

    Args:
        http: The client with the capped transport.
        api_key: The key, for the SDK's family; the other gets it from litellm.
        base_url: The address, for the SDK's family.
    """

    def __init__(self, http: httpx.AsyncClient, api_key: str, base_url: str | None) -> None:
        self._http = http
        self._sdk = AsyncOpenAI(api_key=api_key, base_url=base_url, http_client=http, max_retries=0)
        super().__init__()

    def create_client(self, *args: Any, **options: Any) -> httpx.AsyncClient:
        """Return the shared client, whatever is asked for."""
        return self._http

    async def post(self, *args: Any, **options: Any) -> Any:
        """Send a request, in the words of either family: both have a ``post``."""
        if "cast_to" in options:
            return await self._sdk.post(*args, **options)
        return await super().post(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_sdk"], name)

    def __del__(self) -> None:
        """Leave the shared client open."""


class LiteLLM:
    """litellm over one capped transport; belongs to the event loop it was made in.

    Args:
        max_bytes: Cap on one answer in bytes.
        proxy: Address of an http proxy, or ``None``.
    """

    def __init__(self, max_bytes: int, proxy: str | None) -> None:
        self._transport = CappedTransport(max_bytes, proxy)
        self._http = httpx.AsyncClient(transport=self._transport, follow_redirects=False, trust_env=False)
        self._doors: dict[tuple[str, str | None], Door] = {}

    async def chat(self, model: str, api_key: str | None, api_base: str | None, **options: Any) -> Any:
        """Make one request and return litellm's ``ModelResponse``; never retries."""
        client = self._client(model, api_key, api_base)
        return await litellm.acompletion(
            model=model,
            api_key=api_key,
            api_base=api_base,
            client=client,
            num_retries=0,
            max_retries=0,
            drop_params=False,
            _skip_mcp_handler=True,  # tools are run by our agents, never by litellm
            _skip_responses_api_bridge=bool(options.get("tools")) and (api_base is not None or not _HAS_MCP),
            **options,
        )

    async def embed(
        self, model: str, texts: list[str], api_key: str | None, api_base: str | None, timeout_s: float
    ) -> Any:
        """Make one request and return litellm's ``EmbeddingResponse``; never retries."""
        return await litellm.aembedding(
            model=model,
            input=texts,
            api_key=api_key,
            api_base=api_base,
            client=self._client(model, api_key, api_base),
            timeout=timeout_s,
            num_retries=0,
            max_retries=0,
        )

    def _client(self, model: str, api_key: str | None, api_base: str | None) -> Door | AsyncAzureOpenAI:
        _, provider, own_key, own_base = litellm.get_llm_provider(model, api_base=api_base, api_key=api_key)
        if provider == "azure":  # insists on this class
            return AsyncAzureOpenAI(
                api_key=api_key or os.environ.get("AZURE_API_KEY"),
                azure_endpoint=api_base or os.environ.get("AZURE_API_BASE", ""),
                api_version=os.environ.get("AZURE_API_VERSION") or litellm.AZURE_DEFAULT_API_VERSION,
                http_client=self._http,
                max_retries=0,
            )
        key = api_key or own_key or (os.environ.get("OPENAI_API_KEY") if provider == "openai" else None)
        place = key or "no-key", own_base or api_base
        found = self._doors.get(place)
        if found is None:
            if len(self._doors) == _MOST_DOORS:
                self._doors.clear()
            found = self._doors[place] = Door(self._http, *place)
        return found

    async def shut(self) -> None:
        """Close all connections."""
        await self._http.aclose()
        await self._transport.shut()


def missing_key(model: str) -> str | None:
    """Return the name of the variable that litellm will look for in vain, or ``None``."""
    found = litellm.validate_environment(model)
    names = [name for name in found["missing_keys"] if name.endswith("_API_KEY")]
    return None if found["keys_in_environment"] or not names else cast(str, names[-1])


@lru_cache(maxsize=1024)
def thinking_budget(model: str, level: str) -> int:
    """Return the tokens of thinking that litellm asks for within ``max_tokens``; 0 where it asks for none.

    Args:
        model: A litellm model name.
        level: The level of effort.
    """
    try:
        name, provider, _, _ = litellm.get_llm_provider(model)
        given = litellm.get_optional_params(model=name, custom_llm_provider=provider, reasoning_effort=level)
    except BadRequestError:  # the request itself will say so
        return 0
    return int((given.get("thinking") or {}).get("budget_tokens") or 0)


def price_of(model: str) -> Price | None:
    """Return the price that litellm's map has for a model.

    Args:
        model: A litellm model name.

    Returns:
        The price, or ``None`` when the model is not in the map or only stands there with zeros.
    """
    provider, _, name = model.partition("/")
    for key in (model, name):
        row = litellm.model_cost.get(key)
        if not row or (key == name and row.get("litellm_provider") != provider):
            continue
        rates = row.get("input_cost_per_token"), row.get("output_cost_per_token")
        if any(rates) or row.get("litellm_provider") in _FREE:
            return Price(input=(rates[0] or 0.0) * 1e6, output=(rates[1] or 0.0) * 1e6)
    return None


def map_cost(model: str, response: Any, usage: Usage) -> float | None:
    """Return what litellm's price map makes of a response, or ``None`` when it cannot be known."""
    price = price_of(model)
    plain = cost_of(price, usage.input_tokens, usage.output_tokens)
    if not plain:
        return plain
    try:
        claimed = litellm.completion_cost(completion_response=response, model=model)
    except Exception:  # the map knows the model but not how to price this answer
        claimed = None
    return believable_cost(claimed, plain)
