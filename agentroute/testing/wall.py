"""The wall: a real HTTP server on the loopback address that speaks OpenAI's protocol, well or badly.

Client code is tested against it without a mock: the name of the model picks the behaviour.

==================== ======================================================================
``ok``, any other    answers from ``replies``, or "ok"
``echo``             the last message of the user
``say:TEXT``         TEXT
``tool:NAME:JSON``   a call of tool NAME with JSON; after the tool's message, that message's text
``noeffort``         as ``ok``, but 400 when the request has a ``reasoning_effort``
``flaky``            500 for the first request of that name (``flaky:2`` is another), then as ``ok``
``hang``             nothing, until the server closes
``drip``             one byte at a time, for ever
``400`` ... ``599``  that status and an error in OpenAI's shape
``429-after:S``      429 with ``Retry-After: S``
``echokey401``       401 with the caller's ``Authorization`` header in the body
``redirect``         307 to ``/v1/elsewhere``, which answers
``reset``            a connection reset instead of an answer
``truncated``        half of the promised body
``html``             a web page
``badjson``          JSON that stops in the middle
``nobody``           a body of zero bytes
``err200``           200 with an error in it
``nonutf8``          bytes that are not UTF-8
``huge``             12 MB of text
``gzipbomb``         20 kB that unpack to 20 MB
``zipped``           an honest answer, gzip-compressed
``nochoices``        no choices
``null``             content is null
``wrongtype``        content is a number
``empty``, ``blank`` content is nothing, or only spaces
``filtered``         no content, because of the provider's content filter
``length``           half an answer, cut at max_tokens
``nolength``         no answer, cut at max_tokens
``control``          NUL, an escape sequence, a bidi override and a lone surrogate in the text
``nousage``          no usage
``negusage``         negative token counts
``hugeusage``        10 to the 15th tokens
==================== ======================================================================
"""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Replies = Mapping[str, str] | Callable[[str], str]
Scripted = str | Callable[[dict[str, Any]], str | dict[str, Any]]

_REASONING = {"none": 0, "minimal": 8, "low": 16, "medium": 64, "high": 256, "xhigh": 512}
_ODD = "no\x00w \x1b[31mred\x1b[0m \u202eover\u202c \ud800end"
_CUT = '{"id": "1", "choices": [{"message": {"content": "hal'
_PAGE = "<!doctype html><title>Bad gateway</title>"
_HUGE_BYTES = 12_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One request that the server saw.

    Args:
        path: The path asked for.
        headers: The headers, names in lower case.
        json: The body.
    """

    path: str
    headers: dict[str, str]
    json: dict[str, Any]


class LoopbackServer:
    """An OpenAI-compatible server on 127.0.0.1, for as long as the ``with`` block lasts.

    Args:
        replies: What ``ok`` answers: a question-to-text mapping, or a function of the question.
        models: What models of these names say instead, by name: a text, or a function of the request's body
            that gives a text or a whole message. It may be changed while the server runs.

    Example:
        >>> with LoopbackServer(replies={"2+2?": "4"}) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self, replies: Replies | None = None, *, models: Mapping[str, Scripted] | None = None
    ) -> None:
        self.models: Mapping[str, Scripted] = {} if models is None else models
        self.requests: list[Recorded] = []
        self._replies = replies
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The ``api_base`` of this server."""
        if self._server is None:
            raise RuntimeError("the loopback server is not running; use it in a 'with' block")
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> LoopbackServer:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()
            self._thread.join()
            self._server = None

    def record(self, request: Recorded, model: str) -> int:
        """Keep a request and return how many came for this model so far."""
        with self._lock:
            self.requests.append(request)
            self._seen[model] += 1
            return self._seen[model]

    def reply(self, question: str) -> str:
        """Return what ``ok`` answers to a question."""
        if self._replies is None:
            return "ok"
        return self._replies(question) if callable(self._replies) else self._replies.get(question, "ok")


class _Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing never waits for a hanging one."""

    daemon_threads = False  # closing joins every handler: none outlives the ``with`` block
    request_queue_size = 128

    def __init__(self, wall: LoopbackServer) -> None:
        self.wall = wall
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the trade: say nothing."""

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # already gone
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; waiting for the ACK costs 40 ms
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged; ``requests`` is the record."""

    def do_POST(self) -> None:
        """Answer one request the way its model name asks for."""
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        in_path = re.search(r"/models/([^/:]+):", self.path)
        model = str(body.get("model") or (in_path and in_path[1]) or "ok")
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = self.server.wall.record(Recorded(path=self.path, headers=headers, json=body), model)
        name, _, rest = model.partition(":")
        if name == "flaky" and seen == 1:
            name = "500"
        if self.path.endswith("/elsewhere"):
            name = "ok"
        if name in _FAULTS:
            _FAULTS[name](self, rest)
        elif re.fullmatch(r"[45]\d\d(-after)?", name):
            extra = {"Retry-After": rest} if name.endswith("-after") else {}
            self.fail(int(name[:3]), f"the wall says {name[:3]}", extra)
        elif self.path.endswith("/embeddings"):
            self.send(_embeddings(body))
        elif name == "noeffort" and "reasoning_effort" in body:
            self.fail(400, "Unsupported parameter: 'reasoning_effort' is not supported with this model.", {})
        elif name in _SHAPES:
            reply = _SHAPES[name](body)
            self.send(reply)
        else:
            self.send(_completion(body, self.message(name, rest, body)))

    def message(self, name: str, rest: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the assistant's message of a well-behaved model."""
        if scripted := self.server.wall.models.get(body.get("model", "")):
            said = scripted(body) if callable(scripted) else scripted
            return {"role": "assistant", "content": said} if isinstance(said, str) else said
        last = body.get("messages", [{}])[-1]
        if name == "tool" and last.get("role") != "tool":
            tool, _, arguments = rest.partition(":")
            call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        texts = {"say": rest, "echo": _question(body), "tool": _text(last)}
        text = texts[name] if name in texts else self.server.wall.reply(_question(body))
        return {"role": "assistant", "content": text}

    def send(
        self, content: dict[str, Any] | bytes, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        """Write a whole response; a dict becomes JSON."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.begin(len(data), status, headers)
        self.wfile.write(data)

    def begin(self, length: int, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Write the head of a response."""
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def fail(self, status: int, message: str, headers: Mapping[str, str]) -> None:
        """Write an error in OpenAI's shape."""
        self.send({"error": {"message": message, "type": "wall", "code": str(status)}}, status, headers)

    def hang(self, rest: str) -> None:
        """Send nothing until the server closes."""
        self.server.closing.wait()
        self.close_connection = True

    def drip(self, rest: str) -> None:
        """Send a space every 20 ms, which never becomes JSON."""
        self.begin(1_000_000)
        while not self.server.closing.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()
        self.close_connection = True

    def reset(self, rest: str) -> None:
        """Close with a reset instead of an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def truncate(self, rest: str) -> None:
        """Promise more than is sent."""
        self.begin(len(_CUT) * 2)
        self.wfile.write(_CUT.encode())
        self.close_connection = True

    def flood(self, rest: str) -> None:
        """Send a body that is far too big, until nobody reads it any more."""
        head = b'{"choices": [{"message": {"role": "assistant", "content": "'
        tail = b'"}}]}'
        self.begin(len(head) + _HUGE_BYTES + len(tail))
        self.wfile.write(head)
        for _ in range(_HUGE_BYTES // 100_000):
            self.wfile.write(b"x" * 100_000)
        self.wfile.write(tail)


def _text(message: Mapping[str, Any]) -> str:
    """Return the text of a message whose content is a string or a list of parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _question(body: Mapping[str, Any]) -> str:
    asked = [_text(item) for item in body.get("messages", ()) if item.get("role") == "user"]
    return asked[-1] if asked else ""


def _completion(body: Mapping[str, Any], message: Mapping[str, Any], finish: str = "stop") -> dict[str, Any]:
    """Return a whole answer; tokens are counted as a quarter of the characters."""
    thought = _REASONING.get(str(body.get("reasoning_effort")), 0)
    told = max(1, len(json.dumps(body.get("messages", []))) // 4)
    said = max(1, len(str(message.get("content") or "")) // 4) + thought
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": str(body.get("model", "ok")),
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if "tool_calls" in message else finish,
            }
        ],
        "usage": {
            "prompt_tokens": told,
            "completion_tokens": said,
            "total_tokens": told + said,
            "completion_tokens_details": {"reasoning_tokens": thought},
        },
    }


def _embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return one short vector per text, made of its characters."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    rows = [
        {
            "object": "embedding",
            "index": i,
            "embedding": [float(len(text)), float(sum(map(ord, text)) % 97), 1.0],
        }
        for i, text in enumerate(texts)
    ]
    return {"object": "list", "data": rows, "model": "e", "usage": {"prompt_tokens": 9, "total_tokens": 9}}


def _says(content: object, finish: str = "stop") -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    return lambda body: _completion(body, {"role": "assistant", "content": content}, finish)


def _spends(tokens: int | None) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    def shape(body: Mapping[str, Any]) -> dict[str, Any]:
        reply = _says("ok")(body)
        counts = {"prompt_tokens": tokens, "completion_tokens": tokens, "total_tokens": tokens}
        reply.pop("usage") if tokens is None else reply.update(usage=counts)
        return reply

    return shape


_SHAPES: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "nochoices": lambda body: {**_says("ok")(body), "choices": []},
    "null": _says(None),
    "wrongtype": _says(42),
    "empty": _says(""),
    "blank": _says(" \n "),
    "filtered": _says(None, "content_filter"),
    "length": _says("Half an ans", "length"),
    "nolength": _says("", "length"),
    "control": _says(_ODD),
    "nousage": _spends(None),
    "negusage": _spends(-5),
    "hugeusage": _spends(10**15),
    "err200": lambda body: {"error": {"message": "out of capacity", "type": "wall", "code": 1}},
}

_FAULTS: dict[str, Callable[[_Handler, str], None]] = {
    "hang": _Handler.hang,
    "drip": _Handler.drip,
    "reset": _Handler.reset,
    "truncated": _Handler.truncate,
    "huge": _Handler.flood,
    "html": lambda h, rest: h.send(_PAGE.encode(), headers={"Content-Type": "text/html"}),
    "badjson": lambda h, rest: h.send(_CUT.encode()),
    "nobody": lambda h, rest: h.send(b""),
    "nonutf8": lambda h, rest: h.send(json.dumps(_says("caf~")({})).encode().replace(b"~", b"\xe9")),
    "zipped": lambda h, rest: h.send(
        gzip.compress(json.dumps(_says("small")({})).encode()), headers={"Content-Encoding": "gzip"}
    ),
    "gzipbomb": lambda h, rest: h.send(
        gzip.compress(b" " * 20_000_000), headers={"Content-Encoding": "gzip"}
    ),
    "redirect": lambda h, rest: h.send({}, 307, {"Location": "/v1/elsewhere"}),
    "echokey401": lambda h, rest: h.fail(401, f"bad key: {h.headers.get('authorization')}", {}),
}
