"""Agents that ask a model, and the ways they ask: direct, cot, self-consistency, react."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import Any

from agentroute.answers import vote
from agentroute.errors import RegistryError
from agentroute.running.calling.faults import ClientError
from agentroute.running.imports import check_path
from agentroute.running.said import said
from agentroute.running.threads import in_thread
from agentroute.running.tools import Tool, load_tools
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatClient,
    ChatReply,
    ChatRequest,
    Effort,
    EffortRouter,
    Limits,
    Message,
    Query,
    SecondLook,
    Step,
    StepRole,
    Tried,
    Usage,
)

STRATEGIES = ("direct", "cot", "self-consistency", "react")

_PLAIN = "{context}{question}"
_REASONED = (
    "{context}{question}\n\n"
    "Work it out step by step. Then write the final answer by itself on the last line, after 'Answer:'."
)
_FINISH = "Do not call any more tools. Give your answer now, from what you know so far."
_REPEATED = "error: you have made this very call before; its result is above. Do something else, or answer."
_SLOT = re.compile(r"\{(question|context)\}")
_MARKER = re.compile(
    r"^[\s>#*_]*(?:final\s+)?answer\s*[*_]*\s*[:=]\s*[*_]*[ \t]*", re.IGNORECASE | re.MULTILINE
)
_EXCERPT = 200


class LLMAgent:
    """Asks a model in the way its row names.

    Args:
        spec: A registry row of kind ``llm``.
        allow: Modules whose functions the row may name as tools.

    Raises:
        RegistryError: The strategy is unknown, or a tool is not allowed.
    """

    def __init__(self, spec: AgentSpec, allow: Sequence[str] = ()) -> None:
        self._spec = spec
        self._owner = f"agent {spec.id!r}"
        self._strategy = spec.strategy or "direct"
        if self._strategy not in STRATEGIES:
            known = ", ".join(STRATEGIES)
            raise RegistryError(f"{self._owner}: strategy {self._strategy!r} is unknown: use one of {known}")
        for path in spec.tools:
            check_path(self._owner, path, allow)
        self._tools: dict[str, Tool] | None = None

    @property
    def spec(self) -> AgentSpec:
        """The registry row behind it."""
        return self._spec

    async def answer(self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits) -> Answer:
        """Ask the model, as often as the strategy needs."""
        reasoned = self._strategy in ("cot", "self-consistency")
        template = self._spec.prompt or (_REASONED if reasoned else _PLAIN)
        talk = _Talk(self._spec, client, effort, limits, opening(self._spec, query, template), query.text)
        if self._strategy == "self-consistency":
            text = await _most_common(talk, self._spec.samples)
        elif self._strategy == "react":
            if self._tools is None:
                self._tools = await in_thread(lambda: load_tools(self._owner, self._spec.tools))
            text = await _react(talk, self._tools, self._spec.max_steps)
        else:
            reply = await talk.ask("answer")
            text = final_answer(reply.text) if reasoned else reply.text.strip()
        if not text:
            raise ValueError("an empty answer")
        return Answer(agent=self._spec.id, text=text, usage=talk.usage, steps=tuple(talk.steps))


def opening(spec: AgentSpec, query: Query, template: str) -> list[dict[str, Any]]:
    """Write the messages that a conversation with a model begins with.

    Args:
        spec: Whose ``system`` text to use.
        query: Its history comes as messages, its passages in the question.
        template: The question's form; ``{question}`` and ``{context}`` are filled in.

    Returns:
        OpenAI-style messages.
    """
    messages = [{"role": "system", "content": spec.system}] if spec.system else []
    messages += [_turn(turn) for turn in query.history]
    passages = [
        f"[{n}] {p.title}\n{p.text}" if p.title else f"[{n}] {p.text}" for n, p in enumerate(query.context, 1)
    ]
    context = "\n\n".join(passages)
    if template in (_PLAIN, _REASONED) and context:
        context = f"Context:\n{context}\n\nQuestion: "
    # One pass, so that a question that contains "{context}" stays as it is.
    slots = {"question": query.text, "context": context}
    text = _SLOT.sub(lambda slot: slots[slot[1]], template)
    return [*messages, {"role": "user", "content": text}]


def _turn(turn: Message) -> dict[str, Any]:
    if turn.role == "tool":  # a bare tool message without its call is refused by providers
        return {"role": "user", "content": f"Result of a tool: {turn.text}"}
    return {"role": turn.role, "content": turn.text}


def final_answer(text: str) -> str:
    """Return what stands after the last answer marker; all of a text that has none.

    Args:
        text: A reasoned reply.

    Returns:
        The answer alone.
    """
    marks = list(_MARKER.finditer(text))
    after = text[marks[-1].end() :].strip() if marks else ""
    return after.strip("*_ \n\t") if after else text.strip()


class _Talk:
    """One conversation with a model: its messages, steps and bill."""

    def __init__(
        self,
        spec: AgentSpec,
        client: ChatClient,
        effort: EffortRouter,
        limits: Limits,
        messages: list[dict[str, Any]],
        observation: str,
    ) -> None:
        self._spec, self._client, self._effort, self._limits = spec, client, effort, limits
        self._until = time.monotonic() + spec.timeout_s
        self.messages = messages
        self.observation = observation
        self.steps: list[Step] = []
        self.usage = Usage()
        self._asked = 0
        self._level: Effort | None = None
        self._chance = 1.0

    async def ask(self, role: StepRole, tools: Sequence[Tool] = ()) -> ChatReply:
        """Send the conversation so far at the effort that should do; again at a higher one, if it did not."""
        self._asked += 1
        if not isinstance(self._effort, SecondLook):
            level = self._effort.select(**self._situation(role))
            return await self._send(role, level, tools)
        # Several samples of one conversation may be under way: each works with what it found.
        situation, chance = self._situation(role), self._chance
        level = self._effort.select(**situation, previous=self._level, chance=chance)
        reply = await self._send(role, level, tools)
        replies, tried = [reply], [] if level is None else [_tried(reply, level)]
        while tried:
            look = self._effort.look(tried=tried, **situation, chance=chance)
            reply = replies[look.keep]
            if look.level is None or any(one.level == look.level for one in tried):
                self._chance = chance * (1.0 if look.chance is None else look.chance)
                break
            try:
                replies.append(await self._send(role, look.level, tools))
            except ClientError:
                break  # what is there is paid for, and better than nothing
            tried.append(_tried(replies[-1], look.level))
            level = look.level
        self._level = level
        return reply

    def _situation(self, role: StepRole) -> dict[str, Any]:
        return {
            "history": list(self.messages),
            "observation": self.observation,
            "spec": self._spec,
            "role": role,
            "step": self._asked,
            "limits": self._limits,
        }

    async def _send(self, role: StepRole, level: Effort | None, tools: Sequence[Tool]) -> ChatReply:
        """Send the conversation so far, and write the step down."""
        spec = self._spec
        reply = await self._client.chat(
            ChatRequest(
                model=spec.model or "",
                messages=tuple(self.messages),
                tools=tuple(tool.schema for tool in tools),
                effort=level,
                temperature=spec.temperature,
                max_tokens=spec.max_tokens,
                api_key_env=spec.api_key_env,
                api_base=spec.api_base,
                price=spec.price,
                timeout_s=max(0.01, self._until - time.monotonic()),
            )
        )
        self.usage += reply.usage
        self.steps.append(
            Step(
                role=role if reply.tool_calls else "answer",
                # Where the model takes no level, a router has none to give; what the row asks for is noted.
                requested=level or (spec.effort.default if spec.effort else None),
                applied=reply.applied_effort,
                text=reply.text[:_EXCERPT],
                usage=reply.usage,
            )
        )
        return reply


def _tried(reply: ChatReply, level: Effort) -> Tried:
    return Tried(
        level=level,
        answer=said(final_answer(reply.text), reply.tool_calls),
        response=reply.text,
        tokens=reply.usage.output_tokens,
    )


async def _most_common(talk: _Talk, samples: int) -> str:
    """Sample several chains of thought and take the commonest answer (Wang et al. 2022, arXiv 2203.11171)."""
    found = await asyncio.gather(*(talk.ask("answer") for _ in range(samples)), return_exceptions=True)
    texts = [final_answer(reply.text) for reply in found if isinstance(reply, ChatReply)]
    ballot = vote(texts, [1.0] * len(texts))
    if ballot is not None:
        return texts[ballot.leader]
    failed = next((error for error in found if isinstance(error, BaseException)), None)
    if failed is not None:
        raise failed
    return ""


async def _react(talk: _Talk, tools: dict[str, Tool], max_steps: int) -> str:
    """Act, observe, go on until it answers (ReAct, Yao et al. 2022, arXiv 2210.03629), with tool calls."""
    offered = tuple(tools.values())
    made: set[tuple[str, str]] = set()
    role: StepRole = "plan"
    for _ in range(max_steps - 1 if tools else 0):
        reply = await talk.ask(role, offered)
        if not reply.tool_calls:
            return reply.text.strip()
        stuck = all((call.name, call.arguments) in made for call in reply.tool_calls)
        await _observe(talk, reply, tools, made)
        if stuck:
            break
        role = "tool"
    if talk.steps:
        talk.messages.append({"role": "user", "content": _FINISH})
    # The tools stay on offer: some providers refuse a conversation with tool calls in it otherwise.
    text = (await talk.ask("answer", offered)).text.strip()
    if not text:
        raise ValueError(f"it still called tools at step {max_steps} of {max_steps}, and gave no answer")
    return text


async def _observe(talk: _Talk, reply: ChatReply, tools: dict[str, Tool], made: set[tuple[str, str]]) -> None:
    """Call the tools that a reply asks for, and write what came back into the conversation."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.tool_calls
    ]
    talk.messages.append({"role": "assistant", "content": reply.text, "tool_calls": calls})
    for call in reply.tool_calls:
        if (call.name, call.arguments) in made:
            result = _REPEATED
        elif (tool := tools.get(call.name)) is None:
            result = f"error: there is no tool {call.name!r}; there are {', '.join(tools)}"
        else:
            result = await tool.run(call.arguments)
        made.add((call.name, call.arguments))
        talk.messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
        talk.steps.append(Step(role="tool", tool=call.name, text=result[:_EXCERPT]))
        talk.observation = result
