"""What goes wrong on the wire: silence, floods, broken connections, bodies that are not JSON."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from agentroute.testing.completions import completion, says
from agentroute.testing.streaming import endless, event, events

if TYPE_CHECKING:
    from agentroute.testing.serving import Handler

_CUT = '{"id": "1", "choices": [{"message": {"content": "hal'
_PAGE = "<!doctype html><title>Bad gateway</title>"
_DEEP = 100_000
_MEGABYTE = 1_000_000
_HALF = "The answer is probably Par"  # of a longer one

MIXED = ("500", "503", "429", "reset", "truncated", "html", "badjson", "nobody", "empty", "nochoices", "hang")
"""The faults that ``mix`` draws from when it names none."""


def _hang(handler: Handler, rest: str) -> None:
    handler.wait()


def _slow(handler: Handler, rest: str) -> None:
    if not handler.wait(float(rest or 1)):
        handler.answer("ok", "")


def _drip(handler: Handler, rest: str) -> None:
    """Send a space every 20 ms, which never becomes JSON."""
    handler.begin(_MEGABYTE)
    while not handler.wait(0.02):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def _reset(handler: Handler, rest: str) -> None:
    """Close with a reset instead of an end."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def _truncate(handler: Handler, rest: str) -> None:
    """Promise more than is sent."""
    handler.begin(len(_CUT) * 2)
    handler.wfile.write(_CUT.encode())
    handler.close_connection = True


def _flood(handler: Handler, rest: str) -> None:
    """Send a body that is far too big, until nobody reads it any more."""
    size = int(rest or 12) * _MEGABYTE
    head = b'{"choices": [{"message": {"role": "assistant", "content": "'
    tail = b'"}}]}'
    handler.begin(len(head) + size + len(tail))
    handler.wfile.write(head)
    for _ in range(size // 100_000):
        handler.wfile.write(b"x" * 100_000)
    handler.wfile.write(tail)


def _bomb(handler: Handler, rest: str) -> None:
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    block = b" " * _MEGABYTE
    data = b"".join([packer.compress(block) for _ in range(int(rest or 20))]) + packer.flush()
    handler.send(data, headers={"Content-Encoding": "gzip"})


def _broken_stream(handler: Handler, sent: Iterator[bytes] | list[bytes], plain: bytes) -> None:
    """Send a few events, or the beginning of a plain body when no stream was asked for."""
    handler.begin_chunks()
    for part in sent if handler.streaming else [plain]:
        if handler.wait(0):
            return
        handler.chunk(part)


def _half(handler: Handler) -> list[bytes]:
    """Return the events of an answer that is not whole: no finish reason, no ``[DONE]``."""
    return events(handler.body, says(_HALF)(handler.body))[:-2]


def _cut_stream(handler: Handler, rest: str) -> None:
    """End half an answer as if it were a whole one."""
    _broken_stream(handler, _half(handler), _CUT.encode())
    handler.chunk(b"")


def _reset_stream(handler: Handler, rest: str) -> None:
    _broken_stream(handler, _half(handler), _CUT.encode())
    handler.wait(0.05)  # what was sent shall arrive: a reset takes back what is under way
    _reset(handler, rest)


def _stall(handler: Handler, rest: str) -> None:
    _broken_stream(handler, _half(handler), _CUT.encode())
    handler.wait()


def _endless(handler: Handler, rest: str) -> None:
    _broken_stream(handler, endless(), b'{"choices": [{"message": {"role": "assistant", "content": "')
    number = 0
    while not handler.wait(0):  # only where no stream was asked for
        number += 1
        handler.chunk(f"word {number} ".encode() * 100)


def _no_done(handler: Handler, rest: str) -> None:
    reply = completion(handler.body, handler.message("ok", ""))
    _broken_stream(handler, events(handler.body, reply)[:-1], json.dumps(reply).encode())
    handler.chunk(b"")


def _error_stream(handler: Handler, rest: str) -> None:
    error = {"error": {"message": "out of capacity", "type": "wall", "code": 1}}
    _broken_stream(handler, [*_half(handler), event(error)], json.dumps(error).encode())
    handler.chunk(b"")


def _bad_stream(handler: Handler, rest: str) -> None:
    _broken_stream(handler, [*_half(handler), f"data: {_CUT}\n\n".encode()], _CUT.encode())
    handler.chunk(b"")


def _said(content: object, change: Callable[[bytes], bytes]) -> bytes:
    reply: Any = says(content)({})
    return change(json.dumps(reply).encode())


FAULTS: dict[str, Callable[[Handler, str], None]] = {
    "hang": _hang,
    "slow": _slow,
    "drip": _drip,
    "reset": _reset,
    "truncated": _truncate,
    "huge": _flood,
    "gzipbomb": _bomb,
    "cutstream": _cut_stream,
    "resetstream": _reset_stream,
    "stall": _stall,
    "endless": _endless,
    "nodone": _no_done,
    "errstream": _error_stream,
    "badstream": _bad_stream,
    "html": lambda h, rest: h.send(_PAGE.encode(), headers={"Content-Type": "text/html"}),
    "badjson": lambda h, rest: h.send(_CUT.encode()),
    "deepjson": lambda h, rest: h.send(b"[" * _DEEP + b"]" * _DEEP),
    "nobody": lambda h, rest: h.send(b""),
    "nonutf8": lambda h, rest: h.send(_said("caf~", lambda data: data.replace(b"~", b"\xe9"))),
    "zipped": lambda h, rest: h.send(_said("small", gzip.compress), headers={"Content-Encoding": "gzip"}),
    "redirect": lambda h, rest: h.send({}, 307, {"Location": rest or "/v1/elsewhere"}),
    "echokey401": lambda h, rest: h.fail(401, f"bad key: {h.headers.get('authorization')}"),
}
"""What a model does by its name: the handler and what follows the name's colon."""
