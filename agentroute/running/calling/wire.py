"""The wire: an httpx transport that caps every answer, and a trace of what really went over it.

litellm reports a gateway's web page, bytes that are not UTF-8 and a dropped connection alike, as status 500.
The trace says what the endpoint really did, so that the client judges by facts.
"""

from __future__ import annotations

import json
import time
import zlib
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from agentroute.running.calling.carrier import Carrier

_HEAD_BYTES = 4_000
_DROPPED = {"content-encoding", "content-length", "transfer-encoding", "set-cookie"}


@dataclass(slots=True)
class Trace:
    """What one call did on the wire.

    Args:
        requests: Requests sent, redirects and hidden retries included.
        status: The last status, or ``None`` when no answer began.
        content_type: The last answer's, without parameters.
        retry_after_s: Seconds that the endpoint asked to wait, or ``None``.
        head: The beginning of the last answer's text, for error messages.
        sent: The body of the last request.
        fault: ``too_large`` or ``unreadable`` when the transport itself refused the answer.
        detail: Why it refused, in a few words.
        unsent: True when there was no connection to send the last request over.
    """

    requests: int = 0
    status: int | None = None
    content_type: str = ""
    retry_after_s: float | None = None
    head: str = ""
    sent: bytes = b""
    fault: str | None = None
    detail: str = ""
    unsent: bool = False


TRACE: ContextVar[Trace | None] = ContextVar("agentroute_trace", default=None)


class RefusedAnswerError(httpx.ReadError):
    """The transport stopped reading an answer; the trace says why."""


class CappedTransport(httpx.AsyncBaseTransport):
    """Reads each answer whole, up to a cap, and refuses what is not plain UTF-8.

    Compressed answers are not asked for; gzip and deflate that come all the same are unpacked under the same
    cap, other encodings are refused. Cookies are dropped. Connection errors are renamed to ``ReadError``:
    litellm's http handler would answer others with a second request through a transport of its own.

    Args:
        max_bytes: Cap on one answer, unpacked, in bytes.
        proxy: Address of an http proxy; those in the environment are not used.
    """

    def __init__(self, max_bytes: int, proxy: str | None = None) -> None:
        self._max_bytes = max_bytes
        self._inner = Carrier(proxy)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its whole answer."""
        trace = TRACE.get() or Trace()
        request.headers["Accept-Encoding"] = "identity"
        trace.requests += 1
        trace.status, trace.fault, trace.head, trace.detail = None, None, "", ""
        trace.sent, trace.unsent = request.content, False
        try:
            response = await self._inner.handle_async_request(request)
            try:
                return await self._read(response, request, trace)
            finally:
                await response.aclose()
        except RefusedAnswerError:
            raise
        except httpx.TransportError as error:
            trace.status = None  # half an answer is no answer
            trace.unsent = isinstance(error, (httpx.ConnectError, httpx.UnsupportedProtocol))
            trace.detail = (
                f"could not connect to {request.url.host}" if trace.unsent else "connection broke off"
            )
            raise httpx.ReadError(str(error), request=request) from error

    async def _read(self, response: httpx.Response, request: httpx.Request, trace: Trace) -> httpx.Response:
        trace.status = response.status_code
        trace.content_type = response.headers.get("content-type", "").partition(";")[0].strip()
        trace.retry_after_s = _retry_after(response.headers.get("retry-after"))
        unpack = _unpacker(response.headers.get("content-encoding", "identity").strip().lower())
        if unpack is None:
            raise self._refuse(request, trace, "unreadable", "compressed in a way that was not asked for")
        parts: list[bytes] = []
        left = self._max_bytes
        try:
            async for chunk in response.stream:  # type: ignore[union-attr]  # an async transport's stream
                part = unpack(chunk, left + 1)
                left -= len(part)
                if left < 0:
                    raise self._refuse(request, trace, "too_large", f"larger than {self._max_bytes:,} bytes")
                parts.append(part)
        except zlib.error:
            raise self._refuse(request, trace, "unreadable", "its compression is damaged") from None
        body = b"".join(parts)
        trace.head = body[:_HEAD_BYTES].decode("utf-8", "replace")
        if response.status_code == 200 and (problem := _problem(body, trace.content_type)):
            raise self._refuse(request, trace, "unreadable", problem)
        headers = [(name, value) for name, value in response.headers.items() if name.lower() not in _DROPPED]
        return httpx.Response(response.status_code, headers=headers, content=body, request=request)

    @staticmethod
    def _refuse(request: httpx.Request, trace: Trace, fault: str, detail: str) -> RefusedAnswerError:
        trace.fault, trace.detail = fault, detail
        return RefusedAnswerError(f"answer refused: {detail}", request=request)

    async def aclose(self) -> None:
        """Do nothing: clients come and go, the connections stay until ``shut``."""

    async def shut(self) -> None:
        """Close all connections."""
        await self._inner.aclose()


def _unpacker(encoding: str) -> Any:
    """Return ``(chunk, limit) -> bytes`` for an encoding, or ``None`` when there is none."""
    if encoding in ("identity", ""):
        return lambda chunk, limit: chunk
    if encoding not in ("gzip", "x-gzip", "deflate"):
        return None
    return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress


def _problem(body: bytes, content_type: str) -> str | None:
    """Say why a body is not JSON text, or return ``None``."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return "not UTF-8"
    try:
        data = json.loads(body)
    except RecursionError:
        return "nested too deeply"
    except ValueError:
        return f"not JSON (got {len(body):,} bytes of {content_type or 'no type'})"
    if not isinstance(data, dict):
        return "not a JSON object"
    if data.get("error") and not data.keys() & {"choices", "data"}:
        return "status 200, but with an error in it"
    return None if _chat_shaped(data.get("choices", [])) else "not the shape of a chat answer"


def _chat_shaped(choices: Any) -> bool:
    """Tell whether choices look like OpenAI's; litellm answers others with a traceback as its message."""
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        return False
    messages = [choice.get("message", {}) for choice in choices]
    return all(
        isinstance(m, dict) and isinstance(m.get("content"), (str, list, type(None))) for m in messages
    )


def _retry_after(value: str | None) -> float | None:
    """Read a ``Retry-After`` header: seconds, or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
