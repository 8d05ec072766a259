"""The wall: a real HTTP server on the loopback address that speaks OpenAI's protocol, well or badly.

Client code is tested against it without a mock: the name of the model picks the behaviour. It speaks chat
completions, with tools, ``reasoning_effort`` and ``stream``, and embeddings, and records what it was sent:

    with LoopbackServer(replies={"2+2?": "4"}) as server:
        team = my_team(model="openai/mix:5", api_base=server.url)
        ...
    assert len(server.requests) <= 10

==================== ======================================================================
Answers
``ok``, any other    answers from ``replies``, or "ok"
``echo``             the last message of the user
``say:TEXT``         TEXT
``tool:NAME:JSON``   a call of tool NAME with JSON; after the tool's message, that message's text
``noeffort``         as ``ok``, but 400 when the request has a ``reasoning_effort``
``context:N``        as ``ok``, but 400 when the messages have more than N characters as JSON
``parts``            content is a list of parts
``zipped``           an honest answer, gzip-compressed
``slow:S``           as ``ok``, after S seconds
-------------------- ----------------------------------------------------------------------
At random
``mix:P``            a fault for P percent of the requests, else as ``ok``; ``server.requests`` says which
                     was ``played``, the server's ``seed`` decides
``mix:P:A,B``        the same with faults A and B of this table only
-------------------- ----------------------------------------------------------------------
Refusals
``flaky``            500 for the first request of that name (``flaky:2`` is another), then as ``ok``
``400`` ... ``599``  that status and an error in OpenAI's shape, every time
``429-after:S``      429 with ``Retry-After: S``; any status may have it
``429-date:S``       the same with the date in S seconds
``echokey401``       401 with the caller's ``Authorization`` header in the body
``redirect``         307 to ``/v1/elsewhere``, which answers
``redirect:URL``     307 to URL
-------------------- ----------------------------------------------------------------------
Time and connections
``hang``             nothing, until the client or the server goes
``drip``             one byte at a time, for ever
``reset``            a connection reset instead of an answer
``truncated``        half of the promised body
-------------------- ----------------------------------------------------------------------
Bodies
``html``             a web page
``badjson``          JSON that stops in the middle
``deepjson``         100,000 brackets in each other
``nobody``           a body of zero bytes
``err200``           200 with an error in it
``nonutf8``          bytes that are not UTF-8
``huge``             12 MB of text; ``huge:100`` 100 MB
``gzipbomb``         20 kB that unpack to 20 MB; ``gzipbomb:200`` to 200 MB
-------------------- ----------------------------------------------------------------------
Shapes
``list``, ``text``   JSON, but a list or a text
``nochoices``        no choices
``nullchoices``      choices are null
``nomessage``        a choice without a message
``null``             content is null
``wrongtype``        content is a number
``empty``, ``blank`` content is nothing, or only spaces
``filtered``         no content, because of the provider's content filter
``length``           half an answer, cut at max_tokens
``nolength``         no answer, cut at max_tokens
``control``          NUL, an escape sequence, a bidi override and a lone surrogate in the text
-------------------- ----------------------------------------------------------------------
Usage
``nousage``          none
``nullusage``        null
``negusage``         negative token counts
``hugeusage``        10 to the 15th tokens
``textusage``        counts in words
``nanusage``         counts that are not numbers
-------------------- ----------------------------------------------------------------------
Streams; without ``stream: true`` a chunked body of JSON meets the same fate
``cutstream``        half an answer that ends like a whole one: no finish reason, no ``[DONE]``
``nodone``           a whole answer without ``[DONE]``
``resetstream``      a reset in the middle
``stall``            silence in the middle
``endless``          text for ever
``badstream``        an event that is not JSON in the middle
``errstream``        an error in the middle
==================== ======================================================================
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from agentroute.testing.serving import Record, Recorded, Scripted, Server

__all__ = ["LoopbackServer", "Recorded"]

Replies = Mapping[str, str] | Callable[[str], str]


class LoopbackServer:
    """An OpenAI-compatible server on 127.0.0.1, for as long as the ``with`` block lasts.

    Args:
        replies: What ``ok`` answers: a question-to-text mapping, or a function of the question.
        models: What models of these names say instead, by name: a text, or a function of the request's body
            that gives a text, a message, or as bytes the whole body of the answer. It may be changed while
            the server runs.
        seed: Decides which requests of a ``mix`` go wrong, and how: the n-th request for a model name has the
            same fate every time.

    Example:
        >>> with LoopbackServer(replies={"2+2?": "4"}) as server:
        ...     server.url.startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self,
        replies: Replies | None = None,
        *,
        models: Mapping[str, Scripted] | None = None,
        seed: int = 0,
    ) -> None:
        self._record, self._replies, self._seed = Record(), replies, seed
        self._models: Mapping[str, Scripted] = {} if models is None else models
        self._server: Server | None = None

    @property
    def requests(self) -> list[Recorded]:
        """What it was sent, in the order it came."""
        return self._record.requests

    @property
    def url(self) -> str:
        """The ``api_base`` of this server."""
        if self._server is None:
            raise RuntimeError("the loopback server is not running; use it in a 'with' block")
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> LoopbackServer:
        self._server = Server(self._record, self._models, self._reply, self._seed)
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

    def _reply(self, question: str) -> str:
        if self._replies is None:
            return "ok"
        return self._replies(question) if callable(self._replies) else self._replies.get(question, "ok")
