"""What can go wrong with a model call, told in one line, without secrets, and with what it cost."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from agentroute.running.cleaning import clean
from agentroute.types import Usage

if TYPE_CHECKING:
    from agentroute.running.calling.wire import Trace

ErrorKind = Literal[
    "timeout",
    "rate_limited",
    "refused",
    "server",
    "unreadable",
    "empty",
    "too_large",
    "cut",
    "no_key",
    "budget",
]

MESSAGE_CHARS = 300
_NOTHING = Usage()
_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$", re.IGNORECASE)
_SECRET_CHARS = 8  # a shorter value is no secret, and would tear holes into ordinary words


class ClientError(Exception):
    """A model call that gave no usable reply; running an agent turns it into an ``Answer`` with a status.

    Args:
        kind: What sort of failure; one of ``ErrorKind``.
        message: What happened and what to do, in one line, without secrets.
        usage: What was spent all the same.
        attempts: Requests made.
        retry_after_s: Seconds that the endpoint asked to wait, or ``None``.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        usage: Usage = _NOTHING,
        attempts: int = 1,
        retry_after_s: float | None = None,
    ) -> None:
        self.kind, self.message, self.usage = kind, message, usage
        self.attempts, self.retry_after_s = attempts, retry_after_s
        super().__init__(message)


def unknown(requests: int) -> Usage:
    """Return the usage of requests of which only the number is known."""
    return Usage(
        requests=requests, input_tokens=None, output_tokens=None, reasoning_tokens=None, cost_usd=None
    )


def one_line(text: str, key: str | None = None) -> str:
    """Make foreign text fit for an error message.

    Args:
        text: What somebody else said.
        key: The key in use.

    Returns:
        One line of at most 300 characters, without the key or any value of a variable named like a secret.
    """
    line = " ".join(clean(without_secrets(text, key)).split())
    return line if len(line) <= MESSAGE_CHARS else line[: MESSAGE_CHARS - 3] + "..."


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def without_secrets(text: str, key: str | None = None) -> str:
    """Take secrets out of a text.

    Args:
        text: Plain text, or JSON.
        key: A key in use.

    Returns:
        The text without the key and without the value of any variable named like a secret.
    """
    # By name first: reading every value of the environment would be most of what a record costs.
    secrets = {os.environ.get(name, "") for name in os.environ if _is_secret(name)} | {key or ""}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SECRET_CHARS:
            for form in (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
                text = text.replace(form, "[redacted]")
    return text


def judge(error: Exception, trace: Trace, *, key: str | None, key_env: str | None) -> ClientError:
    """Turn a failed request into a ``ClientError``, by what happened on the wire.

    A request that was refused with a status costs nothing; one that was answered badly, or broke off, costs
    an unknown amount.

    Args:
        error: What litellm raised.
        trace: What went over the wire.
        key: The key in use, to keep it out of the message.
        key_env: The name of the key's variable, to put it in.

    Returns:
        The error to raise.
    """
    kind, text, spent = _verdict(error, trace, key_env)
    wait = trace.retry_after_s if kind in ("rate_limited", "server") else None
    return ClientError(kind, one_line(text, key), usage=spent, attempts=trace.requests, retry_after_s=wait)


def _verdict(error: Exception, trace: Trace, key_env: str | None) -> tuple[ErrorKind, str, Usage]:
    status, free, lost = trace.status, Usage(requests=trace.requests), unknown(trace.requests)
    if trace.fault == "too_large":
        return "too_large", f"answer {trace.detail}; not read any further", lost
    if trace.requests == 0:
        return "refused", f"not sent: {_short(str(error))}", free
    if status is None:
        return "server", trace.detail or f"no answer: {_short(str(error))}", free if trace.unsent else lost
    if status == 200:
        what = trace.detail or "not the shape of an answer"
        return "unreadable", f"unreadable answer: {what}{_told(trace.head, ': ')}", lost
    if status in (401, 403):
        name = f"the key in {key_env}" if key_env else "the key"
        return "refused", f"{status}: {name} was refused{_told(trace.head)}", free
    if status == 429:
        wait = "" if trace.retry_after_s is None else f", retry in {trace.retry_after_s:g} s"
        return "rate_limited", f"429: rate limited{wait}{_told(trace.head)}", free
    if 300 <= status < 400:
        return "refused", f"{status}: a redirect, which is not followed; give the final address", free
    kind: ErrorKind = "server" if status >= 500 or status == 408 else "refused"
    return kind, f"{status}{_told(trace.head, ': ') or ': no reason given'}", free


def _told(head: str, before: str = "; it says: ") -> str:
    """Return the endpoint's own words from the beginning of its answer, or nothing."""
    try:
        data = json.loads(head)
    except (ValueError, RecursionError):
        return ""
    error = data.get("error", data) if isinstance(data, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    return f"{before}{said}" if isinstance(said, str) and said.strip() else ""


def _short(text: str) -> str:
    """Keep litellm's message, drop the traceback that it may append."""
    return text.partition("Traceback (most recent call last)")[0].removeprefix("litellm.")
