"""Agents that are LangChain Runnables: chains, models, compiled LangGraph graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from agentroute.errors import RegistryError
from agentroute.running.imports import check_path, load_path
from agentroute.running.question import message_text
from agentroute.running.spending.tally import own_usage
from agentroute.running.threads import in_thread
from agentroute.types import AgentSpec, Answer, ChatClient, EffortRouter, Limits, Price, Query, Usage

_FIELDS = ("answer", "output", "content", "result", "text")


class _Loaded(NamedTuple):
    runnable: Any
    form: Literal["text", "question", "input", "messages"]
    in_thread: bool


class RunnableAgent:
    """Invokes a Runnable with the question in the form its input schema asks for.

    A schema with ``messages`` gets the history and the question as messages; one with ``question`` gets
    question, context and history; one with ``input`` gets the question under that key; any other gets the
    text. The answer is a text, a message, or a dict with one of
    ``messages answer output content result text``.

    Args:
        spec: A registry row of kind ``runnable``; its path names a Runnable or a function that makes one.
        allow: Modules whose code the row may name.
    """

    def __init__(self, spec: AgentSpec, allow: Sequence[str] = ()) -> None:
        self._spec = spec
        self._owner = f"agent {spec.id!r}"
        self._path = spec.runnable or ""
        check_path(self._owner, self._path, allow)
        self._loaded: _Loaded | None = None

    @property
    def spec(self) -> AgentSpec:
        """The registry row behind it."""
        return self._spec

    def load(self) -> None:
        """Import the Runnable now instead of when it is first asked.

        Raises:
            RegistryError: It does not import, or is not a Runnable.
        """
        self._load()

    async def answer(self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits) -> Answer:
        """Invoke the Runnable."""
        loaded = self._loaded
        if loaded is None:
            loaded = await in_thread(self._load)
        given = _given(query, loaded.form)
        if loaded.in_thread:
            found = await in_thread(lambda: loaded.runnable.invoke(given))
        else:
            found = await loaded.runnable.ainvoke(given)
        text, usage = _read(self._path, found)
        return Answer(agent=self._spec.id, text=text, usage=_priced(self._spec, usage))

    def _load(self) -> _Loaded:
        if self._loaded is None:
            from langchain_core.runnables import Runnable, RunnableLambda

            found = load_path(self._owner, self._path)
            if not isinstance(found, Runnable) and callable(found):
                found = found()
            if not isinstance(found, Runnable):
                raise RegistryError(
                    f"{self._owner}: {self._path!r} is {type(found).__name__}, not a Runnable"
                )
            # What is not async itself would run in the loop's small pool, where a hung call stays for good.
            blocking = type(found).ainvoke is Runnable.ainvoke or (
                isinstance(found, RunnableLambda) and not hasattr(found, "afunc")
            )
            self._loaded = _Loaded(found, _form(found), blocking)
        return self._loaded


def _form(runnable: Any) -> Literal["text", "question", "input", "messages"]:
    try:
        known = runnable.get_input_jsonschema().get("properties", {})
    except Exception:  # a schema that cannot be written down says nothing about the form
        return "text"
    if "messages" in known:
        return "messages"
    if "question" in known:
        return "question"
    return "input" if "input" in known else "text"


def _given(query: Query, form: str) -> Any:
    if form == "messages":
        turns = [{"role": turn.role, "content": turn.text} for turn in query.history if turn.role != "tool"]
        passages = [f"{p.title}\n{p.text}".strip() for p in query.context]
        return {"messages": [*turns, {"role": "user", "content": "\n\n".join((*passages, query.text))}]}
    if form == "question":
        return {
            "question": query.text,
            "context": "\n\n".join(f"{p.title}\n{p.text}".strip() for p in query.context),
            "history": [{"role": turn.role, "content": turn.text} for turn in query.history],
        }
    return {"input": query.text} if form == "input" else query.text


def _read(path: str, found: Any) -> tuple[str, Usage | None]:
    """Find the text in what came back, and the tokens that its messages report."""
    if isinstance(found, dict):
        if messages := found.get("messages"):
            used = [usage for message in messages if (usage := _reported(message)) is not None]
            return message_text(messages[-1]), sum(used, Usage()) if used else None
        found = next((found[key] for key in _FIELDS if key in found), found)
    if found is None or isinstance(found, str):
        return found or "", None
    if hasattr(found, "content"):
        return message_text(found), _reported(found)
    raise TypeError(
        f"{path} gave {type(found).__name__}: give a text, a message, or a dict with one of"
        f" messages, {', '.join(_FIELDS)}"
    )


def _reported(message: Any) -> Usage | None:
    reported = getattr(message, "usage_metadata", None)
    if not isinstance(reported, dict):
        return None
    return Usage(
        requests=1,
        input_tokens=reported.get("input_tokens"),
        output_tokens=reported.get("output_tokens"),
        reasoning_tokens=(reported.get("output_token_details") or {}).get("reasoning"),
        cost_usd=None,
    )


def _priced(spec: AgentSpec, usage: Usage | None) -> Usage:
    own, price = own_usage(spec), spec.price or Price()
    if usage is None:  # nothing was reported: how much it read and wrote is not known
        return Usage(input_tokens=None, output_tokens=None, reasoning_tokens=None, cost_usd=own.cost_usd)
    cost = own.cost_usd
    if None not in (price.input, price.output, usage.input_tokens, usage.output_tokens):
        tokens = (usage.input_tokens or 0) * (price.input or 0) + (usage.output_tokens or 0) * (
            price.output or 0
        )
        cost = (cost or 0.0) + tokens / 1e6
    return Usage(
        requests=usage.requests,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost_usd=cost,
    )
