"""Agents that are plain Python functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, NamedTuple, get_type_hints

from agentroute.errors import RegistryError
from agentroute.running.imports import check_path, load_path
from agentroute.running.spending.tally import own_usage
from agentroute.running.threads import in_thread
from agentroute.types import (
    AgentSpec,
    Answer,
    ChatClient,
    Effort,
    EffortRouter,
    Limits,
    Query,
    StepEffort,
    StepRole,
)


class _Loaded(NamedTuple):
    call: Callable[..., Any]
    is_async: bool
    wants_query: bool
    wants_effort: bool


class FunctionAgent:
    """Calls a function with the question, and takes what it returns for the answer.

    The function gets the text of the question, or the whole ``Query`` when its first parameter is annotated
    so. A parameter called ``effort`` gets a ``StepEffort``, to ask for the level of each of its steps; such a
    function returns an ``Answer`` whose steps say at which levels it ran. Else it returns a text, an
    ``Answer``, or ``None`` when it has nothing to say. An ``async`` function is awaited on the event loop and
    must not block it; any other runs in a thread of its own.

    Args:
        spec: A registry row of kind ``function``.
        allow: Modules whose code the row may name.
    """

    def __init__(self, spec: AgentSpec, allow: Sequence[str] = ()) -> None:
        self._spec = spec
        self._owner = f"agent {spec.id!r}"
        self._path = spec.function or ""
        check_path(self._owner, self._path, allow)
        self._loaded: _Loaded | None = None

    @property
    def spec(self) -> AgentSpec:
        """The registry row behind it."""
        return self._spec

    def load(self) -> None:
        """Import the function now, not when it is first asked.

        Raises:
            RegistryError: It does not import, or cannot be called with a question.
        """
        self._load()

    async def answer(self, query: Query, client: ChatClient, effort: EffortRouter, limits: Limits) -> Answer:
        """Call the function."""
        loaded = self._loaded
        if loaded is None:
            loaded = await in_thread(self._load)
        given = query if loaded.wants_query else query.text
        more = {"effort": _step_effort(self._spec, effort, limits)} if loaded.wants_effort else {}
        if loaded.is_async:
            found = await loaded.call(given, **more)
        else:
            found = await in_thread(lambda: loaded.call(given, **more))
        if isinstance(found, Answer):
            return found
        if found is None:
            return Answer(
                agent=self._spec.id, status="skipped", error="declined", usage=own_usage(self._spec)
            )
        if not isinstance(found, str):
            raise TypeError(f"{self._path} returned {type(found).__name__}: return str, None or Answer")
        return Answer(agent=self._spec.id, text=found, usage=own_usage(self._spec))

    def _load(self) -> _Loaded:
        if self._loaded is None:
            found = load_path(self._owner, self._path)
            if not callable(found):
                raise RegistryError(
                    f"{self._owner}: {self._path!r} is {type(found).__name__}, not a function"
                )
            wants_query = _wants_query(self._owner, self._path, found)
            self._loaded = _Loaded(found, _is_async(found), wants_query, _wants_effort(found))
        return self._loaded


def _is_async(call: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__)


def _wants_query(owner: str, path: str, call: Callable[..., Any]) -> bool:
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):  # some functions written in C do not tell
        return False
    if not parameters:
        raise RegistryError(f"{owner}: {path!r} takes no arguments: it is called with the question")
    first = parameters[0]
    try:
        hint = get_type_hints(call).get(first.name, first.annotation)
    except Exception:  # an annotation that cannot be evaluated is compared as it is written
        hint = first.annotation
    return hint is Query or (isinstance(hint, str) and hint.rpartition(".")[2] == "Query")


def _wants_effort(call: Callable[..., Any]) -> bool:
    try:
        return "effort" in list(inspect.signature(call).parameters)[1:]
    except (TypeError, ValueError):  # some functions written in C do not tell
        return False


def _step_effort(spec: AgentSpec, router: EffortRouter, limits: Limits) -> StepEffort:
    """Bind an effort router to one answer of an agent; it counts the steps."""
    numbers = count(1)

    def level(
        *, role: StepRole = "answer", observation: str = "", history: Sequence[dict[str, Any]] = ()
    ) -> Effort | None:
        return router.select(
            history=history,
            observation=observation,
            spec=spec,
            role=role,
            step=next(numbers),
            limits=limits,
        )

    return level
