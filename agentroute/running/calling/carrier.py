"""The carrier: httpx requests over aiohttp's connections.

litellm's own calls go over aiohttp too, at a third of what httpx's pool takes of a processor when many
connections are open. Nothing is followed, unpacked, remembered or read from the environment here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import httpx
from yarl import URL

_MOST_CONNECTIONS = 256
_CHUNK_BYTES = 16_384


class Carrier(httpx.AsyncBaseTransport):
    """Sends requests; belongs to the event loop that it is first used in.

    Args:
        proxy: Address of an http proxy; those in the environment are not used.
    """

    def __init__(self, proxy: str | None = None) -> None:
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the answer's body is read by whoever asks for it."""
        limits = request.extensions.get("timeout", {})
        timeout = aiohttp.ClientTimeout(
            total=None,
            connect=limits.get("pool"),
            sock_connect=limits.get("connect"),
            sock_read=limits.get("read"),
        )
        try:
            answer = await self._opened().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=list(request.headers.multi_items()),
                data=request.content or None,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=timeout,
            )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _as_httpx(error, request) from error
        headers = [(name, value) for name, value in answer.raw_headers]
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer, request), request=request)

    async def aclose(self) -> None:
        """Close all connections; a later request opens new ones."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=_MOST_CONNECTIONS, ssl=httpx.create_ssl_context(trust_env=False)
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer, self._request = answer, request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_chunked(_CHUNK_BYTES):
                yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise _as_httpx(error, self._request) from error

    async def aclose(self) -> None:
        """Give the connection back when all was read, and close it otherwise."""
        if self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()


def _as_httpx(error: Exception, request: httpx.Request) -> httpx.TransportError:
    """Translate an error; only where there was no connection is it certain that nothing was sent."""
    text = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError):
        return httpx.ConnectError(text, request=request)
    if isinstance(error, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return httpx.UnsupportedProtocol(text, request=request)
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout(text, request=request)
    return httpx.ReadError(text, request=request)
