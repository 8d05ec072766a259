"""The way of one agent through one question, call by call, so that any step of it can be made again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentroute.outcomes import Outcome
from agentroute.running.said import said
from agentroute.types import (
    AgentSpec,
    ChatClient,
    ChatReply,
    ChatRequest,
    Effort,
    EffortRouter,
    Limits,
    StepRole,
    ToolCall,
    Usage,
    from_plain,
    to_plain,
)

KEPT_MESSAGES = 60
"""Messages of a history that the record of a step holds; of a longer one the middle is left out."""

KEPT_CHARS = 4_000
"""Characters of a message that the record of a step holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One model call of a trajectory.

    Args:
        role: What it was for.
        observation: What had come back by then; may be empty.
        messages: What was sent.
        tools: The tools on offer.
        text: What the model said.
        tool_calls: The tools that it called.
        usage: What the call spent.
    """

    role: StepRole
    observation: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[dict[str, Any], ...] = ()
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = field(default_factory=Usage)

    @property
    def said(self) -> str:
        """What came of it as one text: the words, or a line for each tool call."""
        return said(self.text, self.tool_calls)

    def request(self, spec: AgentSpec, level: Effort | None) -> ChatRequest:
        """Ask the same again.

        Args:
            spec: The agent.
            level: The level of effort to ask at.

        Returns:
            The request.
        """
        return ChatRequest(
            model=spec.model or "",
            messages=self.messages,
            tools=self.tools,
            effort=level,
            temperature=spec.temperature,
            max_tokens=spec.max_tokens,
            api_key_env=spec.api_key_env,
            api_base=spec.api_base,
            price=spec.price,
            timeout_s=spec.timeout_s,
        )

    def history(self) -> list[dict[str, Any]]:
        """Return the messages as the record of a step holds them."""
        half = KEPT_MESSAGES // 2
        kept = list(self.messages)
        if len(kept) > KEPT_MESSAGES:
            gap = {"role": "system", "content": f"[{len(kept) - 2 * half:,} messages left out]"}
            kept = [*kept[:half], gap, *kept[-half:]]
        return [_short(message) for message in kept]


def _short(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str) and len(content) > KEPT_CHARS:
        return {**message, "content": f"{content[:KEPT_CHARS]}\u2026"}
    return message


class Recorder:
    """A client and an effort router in one, which writes down each call with what it was for.

    The two belong together: an agent asks for a level, and then makes the call, without a pause in between.

    Args:
        client: Makes the calls.
        effort: Says at which level.
    """

    def __init__(self, client: ChatClient, effort: EffortRouter) -> None:
        self._client, self._effort = client, effort
        self._next: tuple[StepRole, str] = ("answer", "")
        self._made: list[Call | None] = []

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that were answered, in the order in which they were made."""
        return tuple(call for call in self._made if call is not None)

    def select(
        self,
        *,
        history: Sequence[dict[str, Any]],
        observation: str,
        spec: AgentSpec,
        role: StepRole,
        step: int,
        limits: Limits,
    ) -> Effort | None:
        """Pass the question on, and remember what the next call is for."""
        self._next = (role, observation)
        return self._effort.select(
            history=history, observation=observation, spec=spec, role=role, step=step, limits=limits
        )

    async def chat(self, request: ChatRequest) -> ChatReply:
        """Pass a request on, and write down what came of it."""
        (role, observation), place = self._next, len(self._made)
        self._made.append(None)
        reply = await self._client.chat(request)
        self._made[place] = Call(
            role=role,
            observation=observation,
            messages=request.messages,
            tools=request.tools,
            text=reply.text,
            tool_calls=reply.tool_calls,
            usage=reply.usage,
        )
        return reply


def with_calls(outcome: Outcome, calls: Sequence[Call]) -> Outcome:
    """Put the calls of a trajectory into its outcome.

    Args:
        outcome: What the agent made of the question.
        calls: The calls; of each, only the messages that the one before had not are written.

    Returns:
        The outcome with the key ``calls``.
    """
    rows: list[dict[str, Any]] = []
    before: tuple[dict[str, Any], ...] = ()
    for call in calls:
        row = to_plain(call)
        shared = len(before) if call.messages[: len(before)] == before else 0
        row |= {"after": shared, "messages": row["messages"][shared:]}
        rows.append(row)
        before = call.messages
    return replace(outcome, extra={**outcome.extra, "calls": rows})


def calls_of(outcome: Outcome) -> tuple[Call, ...]:
    """Read the calls of a trajectory out of its outcome; none where it holds none."""
    calls: list[Call] = []
    before: tuple[dict[str, Any], ...] = ()
    for row in outcome.extra.get("calls", ()):
        kept = before[: row.get("after", 0)]
        plain = {key: value for key, value in row.items() if key != "after"}
        call = from_plain(Call, {**plain, "messages": [*kept, *row["messages"]]})
        calls.append(call)
        before = call.messages
    return tuple(calls)
