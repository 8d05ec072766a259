"""The level of a LangChain call, chosen from the messages that are about to be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage, convert_to_openai_messages

from agentroute.errors import InputError
from agentroute.types import EFFORTS, AgentSpec, Effort, EffortRange, EffortRouter, Limits, StepRole

Options = str | Callable[[Effort], Mapping[str, Any]]
"""How a chat model takes a level: the name of its option, or a function from the level to options."""


@dataclass(frozen=True, kw_only=True)
class ChatEffort:
    """Chooses the level of a call from the messages that are about to be sent.

    Args:
        router: Decides.
        spec: The agent that it decides for: its model and its levels.
        limits: The floor and the ceiling.
        options: How the chat model takes a level.
    """

    router: EffortRouter
    spec: AgentSpec
    limits: Limits
    options: Options

    @classmethod
    def of(
        cls,
        model: object,
        router: EffortRouter,
        *,
        levels: Sequence[Effort],
        default: Effort | None,
        name: str | None,
        limits: Limits,
        options: Options,
        agent: str = "agent",
    ) -> ChatEffort:
        """Check what was given, and find out what the model is called.

        Raises:
            InputError: The router cannot choose, a level does not exist, or the default is none of them.
        """
        if not callable(getattr(router, "select", None)):
            raise InputError(f"router is {type(router).__name__}: give an EffortRouter, with select(...)")
        if not levels or (odd := [level for level in levels if level not in EFFORTS]):
            raise InputError(f"levels are {odd if levels else 'none'}; there are {', '.join(EFFORTS)}")
        chosen = levels[-1] if default is None else default
        if chosen not in levels:
            raise InputError(f"default is {default!r}, which is none of {', '.join(levels)}")
        spec = AgentSpec(
            id=agent,
            kind="llm",
            description="An agent that runs outside.",
            model=name or name_of(model),
            effort=EffortRange(levels=tuple(levels), default=chosen),
        )
        return cls(router=router, spec=spec, limits=limits, options=options)

    def level(self, messages: Sequence[BaseMessage], *, tools: bool) -> Effort | None:
        """Choose the level of a call.

        Args:
            messages: What is about to be sent.
            tools: Whether the model may call tools.

        Returns:
            The level; ``None`` when none is to be sent.
        """
        asked = max((n for n, message in enumerate(messages) if message.type == "human"), default=-1)
        last = messages[-1] if messages else None
        role: StepRole = "tool" if last and last.type == "tool" else "plan" if tools else "answer"
        return self.router.select(
            history=convert_to_openai_messages(list(messages)),
            observation=str(last.text) if last else "",
            spec=self.spec,
            role=role,
            step=1 + sum(message.type == "ai" for message in messages[asked + 1 :]),
            limits=self.limits,
        )

    def given(self, level: Effort | None) -> dict[str, Any]:
        """Return the options that put a level on a call; none without a level."""
        if level is None:
            return {}
        return {self.options: level} if isinstance(self.options, str) else dict(self.options(level))


def name_of(model: object) -> str | None:
    """Return what a chat model says it runs, or ``None``."""
    names = (getattr(model, attribute, None) for attribute in ("model_name", "model", "model_id"))
    return next((name for name in names if isinstance(name, str) and name), None)
