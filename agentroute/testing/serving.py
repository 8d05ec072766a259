"""The server behind the wall: a thread per connection, and a handler that does what the model's name says."""

from __future__ import annotations

import json
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import monotonic, time
from typing import Any

from agentroute.testing.completions import SHAPES, completion, embeddings, question_in, text_of
from agentroute.testing.misbehaving import FAULTS, MIXED
from agentroute.testing.streaming import events

Scripted = str | Callable[[dict[str, Any]], str | dict[str, Any] | bytes]
"""What a model says: a text, or a function of the request that gives a text, a message, or a whole body."""

_STATUS = re.compile(r"([45]\d\d)(-after|-date)?")
TOO_LONG = "context_length_exceeded"
_GLANCE_S = 0.2  # how often a silent handler looks whether anybody still waits
_PEEK = socket.MSG_PEEK | getattr(socket, "MSG_DONTWAIT", 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One request that the server saw.

    Args:
        path: The path asked for.
        headers: The headers, names in lower case.
        json: The body.
        played: The behaviour that answered it: the model's name, or what a ``mix`` drew.
    """

    path: str
    headers: dict[str, str]
    json: dict[str, Any]
    played: str = ""


class Record:
    """What a wall has seen: its requests, and how many came for each model."""

    def __init__(self) -> None:
        self.requests: list[Recorded] = []
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()

    def count(self, model: str) -> int:
        """Count one more request for a model, and return how many those are."""
        with self._lock:
            self._seen[model] += 1
            return self._seen[model]


class Server(ThreadingHTTPServer):
    """Knows its open connections, so that closing never waits for a hanging one.

    Args:
        record: Takes what is asked.
        models: What models of these names say.
        reply: What all others say to a question.
        seed: Decides which requests of a ``mix`` go wrong, and how.
    """

    daemon_threads = False  # closing joins every handler: none outlives the ``with`` block
    request_queue_size = 1024

    def __init__(
        self, record: Record, models: Mapping[str, Scripted], reply: Callable[[str], str], seed: int
    ) -> None:
        self.record, self.models, self.reply, self.seed = record, models, reply, seed
        self.closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", 0), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Note a connection, then serve it in a thread."""
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection, then close it."""
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the trade: say nothing."""

    def stop(self) -> None:
        """Break all connections and wait for their handlers."""
        self.closing.set()
        self.shutdown()
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # already gone
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one connection's requests; ``body`` is the one under way."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes; waiting for the ACK costs 40 ms
    server: Server
    body: dict[str, Any]

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged; ``requests`` is the record."""

    def do_POST(self) -> None:
        """Answer one request the way its model name asks for."""
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            self.body = dict(json.loads(data or b"{}"))
        except (ValueError, TypeError):
            self.body = {}
            return self.fail(400, "the body is not a JSON object")
        in_path = re.search(r"/models/([^/:]+):", self.path)
        model = str(self.body.get("model") or (in_path and in_path[1]) or "ok")
        seen = self.server.record.count(model)
        name, rest = ("ok", "") if self.path.endswith("/elsewhere") else self._behaviour(model, seen)
        headers = {name.lower(): value for name, value in self.headers.items()}
        played = f"{name}:{rest}" if rest else name
        recorded = Recorded(path=self.path, headers=headers, json=self.body, played=played)
        self.server.record.requests.append(recorded)
        self.answer(name, rest)

    def _behaviour(self, model: str, seen: int) -> tuple[str, str]:
        """Say which behaviour the ``seen``-th request for a model gets, and what follows its name."""
        name, _, rest = model.partition(":")
        if name == "flaky" and seen == 1:
            return "500", ""
        if name != "mix":
            return name, rest
        percent, _, faults = rest.partition(":")
        chance = random.Random(f"{self.server.seed} {model} {seen}")  # whatever thread comes first
        if chance.random() * 100 >= float(percent or 5):
            return "ok", ""
        fault, _, detail = chance.choice(faults.split(",") if faults else MIXED).partition(":")
        return fault, detail

    def answer(self, name: str, rest: str) -> None:
        """Behave as a name says.

        Args:
            name: One of the wall's table.
            rest: What followed the name's colon.
        """
        scripted = self.server.models.get(self.body.get("model", ""))
        if scripted is not None:
            said = scripted(self.body) if callable(scripted) else scripted
            message = {"role": "assistant", "content": said} if isinstance(said, str) else said
            self._say(completion(self.body, message) if isinstance(message, dict) else message)
        elif name in FAULTS:
            FAULTS[name](self, rest)
        elif found := _STATUS.fullmatch(name):
            wait = {"-after": rest, "-date": formatdate(time() + float(rest or 0), usegmt=True)}
            headers = {"Retry-After": wait[found[2]]} if found[2] else {}
            self.fail(int(found[1]), f"the wall says {found[1]}", headers)
        elif self.path.endswith("/embeddings"):
            self.send(embeddings(self.body))
        elif name == "noeffort" and "reasoning_effort" in self.body:
            self.fail(400, "Unsupported parameter: 'reasoning_effort' is not supported with this model.")
        elif name == "context" and len(json.dumps(self.body["messages"])) > int(rest):
            self.fail(400, f"This model's maximum context length is {rest} characters.", code=TOO_LONG)
        else:
            shape = SHAPES.get(name)
            self._say(shape(self.body) if shape else completion(self.body, self.message(name, rest)))

    def _say(self, reply: Any) -> None:
        if self.streaming and isinstance(reply, dict):
            self.stream(reply)
        else:
            self.send(reply)

    @property
    def streaming(self) -> bool:
        """Whether the request asked for a stream."""
        return bool(self.body.get("stream"))

    def message(self, name: str, rest: str) -> dict[str, Any]:
        """Return the assistant's message of a model that answers."""
        last = (self.body.get("messages") or [{}])[-1]
        if name == "tool" and last.get("role") != "tool":
            tool, _, arguments = rest.partition(":")
            call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}}
            return {"role": "assistant", "content": None, "tool_calls": [call]}
        question = question_in(self.body)
        texts = {"say": rest, "echo": question, "tool": text_of(last)}
        return {"role": "assistant", "content": texts[name] if name in texts else self.server.reply(question)}

    def wait(self, seconds: float | None = None) -> bool:
        """Do nothing for a while.

        Args:
            seconds: How long; without end when ``None``.

        Returns:
            Whether nobody waits for an answer any more: the server closes, or the client hung up. The
            connection ends then.
        """
        end = None if seconds is None else monotonic() + seconds
        while True:
            left = _GLANCE_S if end is None else min(_GLANCE_S, max(0.0, end - monotonic()))
            if self.server.closing.wait(left) or self._abandoned():
                self.close_connection = True
                return True
            if end is not None and monotonic() >= end:
                return False

    def _abandoned(self) -> bool:
        if not hasattr(socket, "MSG_DONTWAIT"):
            return False
        try:
            return not self.connection.recv(1, _PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def send(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Write a whole response; what is not bytes becomes JSON."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.begin(len(data), status, headers)
        self.wfile.write(data)

    def begin(self, length: int, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Write the head of a response of that many bytes."""
        self._head(
            status, {"Content-Type": "application/json", "Content-Length": str(length), **(headers or {})}
        )

    def begin_chunks(self) -> None:
        """Write the head of a response whose length nobody knows; ``chunk(b"")`` ends it."""
        kind = "text/event-stream" if self.streaming else "application/json"
        self._head(200, {"Content-Type": kind, "Transfer-Encoding": "chunked"})
        self.close_connection = True

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """Write one piece of such a response."""
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def stream(self, reply: Mapping[str, Any]) -> None:
        """Write an answer as events."""
        self.begin_chunks()
        for part in events(self.body, reply):
            self.chunk(part)
        self.chunk(b"")

    def fail(
        self, status: int, message: str, headers: Mapping[str, str] | None = None, code: str | None = None
    ) -> None:
        """Write an error in OpenAI's shape."""
        self.send(
            {"error": {"message": message, "type": "wall", "code": code or str(status)}}, status, headers
        )
